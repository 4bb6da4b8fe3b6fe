"""The window: what stays, what is counted, and that neither depends on the order in which it was seen."""

from copy import deepcopy
from dataclasses import replace
from itertools import chain, pairwise
from math import inf

import pytest
from builds import (
    DAY,
    NOW,
    RULES,
    all_counted,
    build,
    counted,
    ids,
    many,
    moved,
    pipeline,
    read,
    read_again,
    seen,
    window,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.build import CONCLUDED, Build, Outcome
from exporter.history.window import (
    DORMANT_LIMIT,
    NAMED_BRANCHES,
    OVERLAP,
    SWEEP,
    UNFINISHED_LIMIT,
    History,
    Observation,
    Rules,
    aged,
    buckets_of,
    matches,
    merge,
    recut,
)

FEW = Rules(builds=3)

# What stays


def test_the_window_holds_the_newest_builds_of_each_branch_label() -> None:
    history = read(*many(5, branch="main", prefix="m"), *many(5, branch="x", prefix="x", begin=100), rules=FEW)
    assert window(history) == ["m2", "m3", "m4", "x2", "x3", "x4"]


def test_builds_that_are_too_old_are_not_in_the_window() -> None:
    history = read(build("old", at=-8 * DAY), build("new"), now=NOW)
    assert window(history) == ["new"]


def test_a_build_as_old_as_the_window_is_still_in_it() -> None:
    assert window(read(build("a", at=-7 * DAY), build("b"))) == ["a", "b"]


def test_age_is_cut_by_a_look_alone_and_moves_the_version() -> None:
    history = read(build("failed", Outcome.FAILURE), build("green", at=DAY), now=NOW + DAY)
    assert history.cut_at == NOW + 7 * DAY
    same = aged(history, RULES, NOW + 7 * DAY - 1)
    assert same is history
    later = aged(history, RULES, NOW + 7 * DAY + 1)
    assert window(later) == ["green"]
    assert later.version == history.version + 1
    assert later.cut_at == NOW + 8 * DAY


def test_a_merge_that_brings_nothing_cuts_by_age_all_the_same() -> None:
    first = build("a")
    history = read(first, build("b", at=DAY), now=NOW + DAY)
    later = merge(history, seen(first, at=NOW + DAY), RULES, NOW + 7.5 * DAY)
    assert window(later) == ["b"]
    assert later.version > history.version


def test_what_was_seen_before_moves_no_version() -> None:
    history = read(build("a"), build("b", Outcome.EXECUTING))
    again = read_again(history, build("a"), build("b", Outcome.EXECUTING), now=NOW + 30)
    assert again.version == history.version
    assert again.rows["a"].seen_at == NOW + 30


def test_a_step_of_a_build_moves_the_version() -> None:
    history = read(build("a", Outcome.PENDING))
    assert read_again(history, build("a", Outcome.EXECUTING), now=NOW + 1).version > history.version


def test_an_empty_first_read_is_a_read() -> None:
    history = read()
    assert (history.baseline, history.version, history.totals, history.cut_at) == (-inf, 1, {}, inf)
    assert all_counted(read_again(history, build("a"))) == {"success": 1}


def test_unfinished_builds_stay_past_count_and_age() -> None:
    stuck = build("stuck", Outcome.EXECUTING)
    history = read(stuck, *many(300, begin=1), rules=FEW)
    assert "stuck" in window(history)
    history = read_again(history, stuck, rules=FEW, now=NOW + 6 * DAY)
    history = read_again(history, build("new", at=8 * DAY), rules=FEW, now=NOW + 8 * DAY)
    assert "stuck" in window(history)
    assert [found.id for found in history.unfinished] == ["stuck"]


def test_an_unfinished_build_that_nobody_has_seen_for_the_windows_age_goes() -> None:
    stuck = build("stuck", Outcome.EXECUTING)
    history = read(stuck, build("new", at=DAY))
    assert window(aged(history, RULES, NOW + 8.1 * DAY)) == ["new"]


def test_a_look_cuts_an_unfinished_build_that_is_alone() -> None:
    history = read(build("stuck", Outcome.EXECUTING, at=-8 * DAY))
    assert (window(history), history.cut_at) == (["stuck"], NOW + 7 * DAY)
    assert window(aged(history, RULES, NOW + 7 * DAY + 1)) == []


def test_at_most_a_thousand_unfinished_builds_stay() -> None:
    history = read(*(build(str(place), Outcome.PENDING, at=place * 600.0) for place in range(UNFINISHED_LIMIT + 50)))
    assert len(window(history)) == UNFINISHED_LIMIT
    assert "0" not in history.rows


def test_unfinished_builds_come_oldest_first() -> None:
    history = read(build("b", Outcome.PENDING, at=2), build("a", Outcome.EXECUTING, at=1), build("c"))
    assert ids(history.unfinished) == ["a", "b"]
    assert history.unfinished[0].id == "a"


def test_pull_requests_do_not_push_the_newest_decided_run_of_a_branch_out() -> None:
    main = build("main", Outcome.FAILURE)
    history = read(main, build("cancelled", Outcome.CANCELLATION, at=1))
    for round_ in range(10):
        history = read_again(history, *many(100, begin=1000 * (round_ + 1), prefix=f"r{round_}-"), now=NOW + 10_000)
    history = aged(history, RULES, NOW + 30 * DAY)
    assert "main" in window(history)
    assert "cancelled" in history.rows
    assert "cancelled" not in window(history)


def test_the_newest_decided_run_stays_whole() -> None:
    jobs = [build(f"j{place}", run="p1", name=f"job{place}", at=place) for place in range(8)]
    cancelled = (build(f"c{place}", Outcome.CANCELLATION, at=1000 + place) for place in range(300))
    history = read(*jobs, *cancelled, runs=[pipeline("p1")], rules=FEW)
    assert set(ids(jobs)) <= set(history.rows)
    assert window(history) == ["c297", "c298", "c299", "j5", "j6", "j7"]


def test_runs_that_are_remembered_are_remembered_whole() -> None:
    # A hundred newer builds: the boundary of what is remembered goes through the middle of the run.
    jobs = [build(f"j{place}", run="p1", name=f"job{place}", at=place) for place in range(10)]
    history = read(*jobs, *many(95, begin=2000, branch="main"), rules=FEW)
    assert set(ids(jobs)) <= set(history.rows)
    assert not set(ids(jobs)) & set(window(history))


def test_of_a_run_that_is_repeated_for_ever_only_the_newest_attempts_are_remembered() -> None:
    nightly = [build(f"n{place}", run="sha:main", name=f"job{place % 4}", at=place * 1000) for place in range(2000)]
    history = read(*nightly, rules=replace(FEW, age=10_000 * DAY))
    assert len(history.rows) == SWEEP
    assert "n1999" in window(history)


def test_what_is_in_the_overlap_is_remembered_though_it_is_not_shown() -> None:
    history = read(*many(500, begin=-OVERLAP / 2, step=1), rules=FEW)
    assert len(history.rows) == 500
    assert len(window(history)) == 3


def test_dormant_builds_are_remembered_while_they_are_young() -> None:
    manual = build("manual", Outcome.WAITING, branch=None)
    history = read(manual, *many(400, begin=3600, step=60), rules=FEW)
    assert "manual" in history.rows
    assert "manual" not in window(history)
    assert "manual" not in aged(history, FEW, NOW + 8 * DAY).rows


def test_dormant_builds_have_a_limit() -> None:
    dormant = [build(str(place), Outcome.WAITING, at=place * 100.0, run="p") for place in range(DORMANT_LIMIT + 200)]
    history = read(*dormant, rules=replace(FEW, age=10_000 * DAY))
    assert len(history.rows) == DORMANT_LIMIT


def test_memory_is_bounded_however_many_builds_come() -> None:
    history, most = read(), 0
    for begin in range(0, 20_000, 400):
        page = [
            build(
                f"b{place}",
                list(CONCLUDED)[place % 6],
                at=place * 30.0,
                branch=f"release/{place // 5 % 50}" if place // 5 % 3 else None,
                run=f"p{place // 5}",
                name=f"job{place % 5}",
            )
            for place in range(begin, begin + 400)
        ]
        history = read_again(history, *page, now=NOW + (begin + 400) * 30.0)
        most = max(most, len(history.rows))
    assert most < 1200
    assert len(history.totals) == NAMED_BRANCHES + 1
    assert len(history.past) <= NAMED_BRANCHES + 1


# The branches


def test_branches_that_are_not_named_tags_and_pull_requests_are_other() -> None:
    history = read(build("a"), build("b", branch="feature/x"), build("c", branch=None), build("d", branch=""))
    assert [history.group(history.rows[key].build, ()) for key in "abcd"] == [
        ("main",), ("other",), ("other",), ("other",),
    ]  # fmt: skip


def test_the_five_newest_branches_keep_their_name_and_those_spelled_out_come_first() -> None:
    releases = [build(f"r{place}", branch=f"release/{place}", at=place) for place in range(1, 8)]
    history = read(build("m", at=-100), *releases)
    assert history.names == ("main", "release/7", "release/6", "release/5", "release/4")
    assert history.group(releases[0], ()) == ("other",)


def test_a_branch_that_was_named_gives_way_to_a_newer_one() -> None:
    history = read(*(build(f"r{place}", branch=f"release/{place}", at=place) for place in range(1, 6)))
    history = read_again(history, build("r6", branch="release/6", at=6))
    assert history.names == tuple(f"release/{place}" for place in (6, 5, 4, 3, 2))
    assert ("release/1",) not in history.totals


def test_a_branch_keeps_its_name_though_nobody_builds_it() -> None:
    history = read(build("m", Outcome.CANCELLATION))
    for round_ in range(5):
        history = read_again(history, *many(200, begin=9999 * (round_ + 1), prefix=f"r{round_}-"))
    assert history.names == ("main",)


def test_with_opt_in_labels_the_newest_job_of_a_branch_says_how_new_it_is() -> None:
    rules = Rules(builds=1, labels=("build_name",))
    jobs = [build("a", name="z", at=0), build("b", name="a", at=50_000), build("c", name="a", at=50_001)]
    history = read(*jobs, *many(300, begin=60_000), rules=rules)
    assert history.names == ("main",)


def test_patterns_are_shell_globs_and_case_matters() -> None:
    assert matches("release/1.2", ("main", "release/*"))
    assert not matches("Main", ("main",))
    assert not matches("main", ())


def test_a_branch_called_other_is_other() -> None:
    history = read(build("a", branch="other"), build("b", branch="x"), rules=Rules(branches=("*",)))
    assert set(history.totals) == {("other",), ("x",)}


def test_opt_in_labels_stand_behind_the_branch() -> None:
    rules = Rules(labels=("build_stage", "build_name"))
    job = build("a", name="unit", stage="test")
    history = read(job, rules=rules)
    assert set(history.totals) == {("main", "test", "unit")}
    assert history.group(job, ()) == ("main",)


# What is counted


def test_what_had_concluded_before_the_first_read_is_never_counted() -> None:
    history = read(build("a"), build("b", Outcome.FAILURE))
    assert counted(history) == {("main",): {}}
    assert set(history.totals["main",]) == set(CONCLUDED)
    assert counted(read_again(history, build("a"), build("b", Outcome.FAILURE))) == {("main",): {}}


def test_what_ended_before_the_first_read_began_is_never_counted_though_it_is_met_later() -> None:
    # Of 250 jobs that were created together a page shows 100.
    jobs = [build(f"{place}", at=-600.0, took=550.0 + place / 5, run="p", name=f"j{place}") for place in range(250)]
    history = read(*jobs[150:])
    assert all_counted(read_again(history, *jobs, now=NOW + 60)) == {}
    running = build("x", at=-600.0, took=601.0, run="p", name="x")
    assert all_counted(read_again(history, *jobs, running, now=NOW + 60)) == {"success": 1}


def test_a_build_of_which_no_end_is_known_ended_when_it_was_created() -> None:
    history = read(build("first", at=-9))
    skipped = build("a", Outcome.SKIP, at=-8)._replace(concluded_at=None)
    later = build("b", Outcome.SKIP, at=8)._replace(concluded_at=None)
    assert all_counted(read_again(history, skipped, later, now=NOW + 9)) == {"skip": 1}


def test_a_build_that_was_under_way_at_the_first_read_is_counted_when_it_ends() -> None:
    running = build("a", Outcome.EXECUTING)
    history = read_again(read(running), moved(running, Outcome.FAILURE))
    assert counted(history) == {("main",): {"failure": 1}}


def test_a_conclusion_counts_once_however_often_it_is_read() -> None:
    history = read(build("a"))
    for _ in range(3):
        history = read_again(history, build("b", at=1), build("b", at=1))
    assert counted(history) == {("main",): {"success": 1}}


def test_a_skipped_build_that_comes_to_life_was_counted_before() -> None:
    history = read(build("first"))
    skipped = build("b", Outcome.SKIP, at=1)
    for at, outcome in enumerate([Outcome.SKIP, Outcome.PENDING, Outcome.SUCCESS, Outcome.SUCCESS]):
        history = read_again(history, moved(skipped, outcome), now=NOW + at)
    assert counted(history) == {("main",): {"skip": 1}}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_build_is_counted_by_the_outcome_that_it_is_known_by_first(at_once: bool) -> None:  # noqa: FBT001
    # A delivery has no reason, the read that follows has it.
    told = build("b", Outcome.FAILURE, at=1)
    sights = [(told, NOW + 1), (moved(told, Outcome.ERROR), NOW + 2)]
    history = read(build("first"))
    for observations in [sights[::-1]] if at_once else [sights[:1], sights[1:]]:
        history = merge(history, observations, RULES, NOW + 2)
    assert counted(history) == {("main",): {"failure": 1}}
    assert history.rows["b"].build.outcome is Outcome.ERROR


def test_a_build_that_concludes_after_a_newer_one_is_counted() -> None:
    older, newer = build("a", Outcome.EXECUTING, at=1), build("b", Outcome.EXECUTING, at=2)
    history = read(build("first"), older, newer)
    history = read_again(history, moved(newer, Outcome.SUCCESS), now=NOW + 1)
    history = read_again(history, moved(older, Outcome.TIMEOUT), now=NOW + 2)
    assert counted(history) == {("main",): {"success": 1, "timeout": 1}}


def test_a_new_branch_is_counted_at_once() -> None:
    history = read_again(read(build("a")), build("b", branch="release/1", at=1), build("c", at=2))
    assert counted(history) == {("main",): {"success": 1}, ("release/1",): {"success": 1}}


def test_a_build_that_was_cut_and_is_met_again_is_not_counted_again() -> None:
    history = read(build("first", at=-1))
    builds = many(400, step=60)
    history = read_again(history, *builds, rules=FEW)
    assert "b0" not in history.rows
    assert history.floor >= builds[0].created_at
    again = read_again(history, *builds[:50], rules=FEW)
    assert all_counted(again) == {"success": 400}
    assert again.rows.keys() == history.rows.keys()


def test_an_unknown_build_above_what_was_cut_is_counted() -> None:
    history = read_again(read(build("first", at=-1)), *many(400, step=60), rules=FEW)
    unknown = build("late", at=395 * 60.5)
    assert unknown.created_at > history.floor
    assert all_counted(read_again(history, unknown, rules=FEW)) == {"success": 401}


def test_a_build_that_was_cut_and_comes_to_life_is_counted_when_it_ends() -> None:
    history = read_again(read(build("first", at=-1)), *many(400, step=60), rules=FEW)
    manual = build("manual", Outcome.EXECUTING, at=1)
    history = read_again(history, manual, rules=FEW, now=NOW + 1)
    history = read_again(history, moved(manual, Outcome.FAILURE), rules=FEW, now=NOW + 2)
    assert all_counted(history) == {"success": 400, "failure": 1}


def test_a_build_below_what_was_cut_that_is_seen_to_end_at_once_is_not_counted_in_any_order_of_its_sights() -> None:
    history = read_again(read(build("first", at=-1)), *many(400, step=60), rules=FEW)
    running = build("manual", Outcome.EXECUTING, at=1)
    sights = [(running, NOW + 1), (moved(running, Outcome.FAILURE), NOW + 2)]
    one, other = (merge(history, order, FEW, NOW + 2) for order in (sights, sights[::-1]))
    assert all_counted(one) == all_counted(other) == {"success": 400}


def test_the_newer_sight_of_a_build_wins_in_any_order() -> None:
    running = build("a", Outcome.EXECUTING)
    ended = moved(running, Outcome.SUCCESS)
    for order in ([(running, NOW), (ended, NOW + 1)], [(ended, NOW + 1), (running, NOW)]):
        assert merge(History(), order, RULES, NOW).rows["a"].build == ended


def test_of_two_sights_of_one_moment_the_one_that_has_concluded_wins() -> None:
    running = build("a", Outcome.EXECUTING)
    ended = moved(running, Outcome.SUCCESS)
    assert read(ended, running).rows["a"].build == read(running, ended).rows["a"].build == ended


def test_of_two_contradictory_sights_of_one_moment_the_same_one_always_wins() -> None:
    one, other = build("a", Outcome.SUCCESS), build("a", Outcome.FAILURE)
    assert read(one, other).rows == read(other, one).rows


def test_a_conclusion_counts_under_the_branch_that_the_build_has_last() -> None:
    history = read(build("first", branch="main"), build("x", branch=None))
    sights = [(build("a", at=1), NOW + 1), (build("a", at=1, branch=None), NOW + 2)]
    for order in (sights, sights[::-1]):
        assert counted(merge(history, order, RULES, NOW)) == {("main",): {}, ("other",): {"success": 1}}


def test_a_job_that_changes_its_name_is_counted_where_it_stands() -> None:
    rules = Rules(labels=("build_name",))
    running = build("a", Outcome.EXECUTING, name="old")
    history = read(running, rules=rules)
    sights = [(moved(running, Outcome.SUCCESS)._replace(name="old"), NOW + 1)]
    sights.append((moved(running, Outcome.SUCCESS)._replace(name="new"), NOW + 2))
    history = merge(history, sights, rules, NOW + 2)
    assert set(history.totals) == {("main", "new")}
    assert all_counted(history) == {"success": 1}


def test_with_opt_in_labels_a_group_goes_with_its_last_build() -> None:
    rules = Rules(builds=3, labels=("build_name",))
    history = read(build("a", name="once"), build("b", name="often", at=1), rules=rules)
    for round_ in range(3):
        page = [build(f"{round_}-{n}", name="often", at=9999 * round_ + n * 60) for n in range(200)]
        history = read_again(history, *page, rules=rules)
    assert set(history.totals) == {("main", "often")}
    assert set(history.past) == {("main", "often")}


# Other rules


def test_a_smaller_window_cuts_and_a_larger_one_shows_what_is_remembered() -> None:
    history = read(*many(50, branch="main"), rules=Rules(builds=20))
    smaller = recut(history, Rules(builds=5), NOW)
    assert len(window(smaller)) == 5
    assert smaller.version > history.version
    assert window(recut(smaller, Rules(builds=20), NOW)) == window(history)


def test_another_age_is_obeyed() -> None:
    history = read(build("old", at=-2 * DAY), build("new"))
    assert window(recut(history, Rules(age=DAY), NOW)) == ["new"]


def test_other_rules_count_nothing() -> None:
    history = read_again(read(), build("a"))
    assert counted(recut(history, Rules(builds=5), NOW)) == {("main",): {"success": 1}}


def test_branches_are_named_anew_by_other_rules() -> None:
    history = read(build("a"), build("b", branch="develop"))
    later = recut(history, Rules(branches=("develop",)), NOW)
    assert set(later.totals) == {("develop",), ("other",)}


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        (("build_name",), (), {("main",)}),
        ((), ("build_name",), {("main", "unit")}),
        (("build_name", "build_stage"), ("build_stage",), {("main", "test")}),
    ],
)
def test_other_labels_make_other_groups(
    before: tuple[str, ...], after: tuple[str, ...], groups: set[tuple[str, ...]]
) -> None:
    builds = [build(f"j{place}", name="unit", stage="test", at=place * 100) for place in range(300)]
    history = read(*builds, rules=Rules(builds=3, labels=before))
    assert history.past
    later = recut(history, Rules(builds=3, labels=after), NOW)
    assert set(later.totals) == groups
    assert set(later.past) <= groups


def test_a_target_that_was_not_read_yet_stays_as_it_is_by_any_rules() -> None:
    history = History()
    assert recut(history, FEW, NOW) is history


def test_a_look_at_a_target_that_was_not_read_changes_nothing() -> None:
    history = History()
    assert aged(history, RULES, NOW) is history


# Buckets


@pytest.mark.parametrize(("seconds", "place"), [(0, 0), (10, 0), (10.1, 1), (60, 2), (60.001, 3)])
def test_a_latency_is_in_the_first_bucket_whose_bound_it_does_not_pass(seconds: float, place: int) -> None:
    rules = Rules(buckets=(10, 30, 60))
    assert buckets_of(build("a", took=seconds), rules) == [("conclude", Outcome.SUCCESS, place)]


def test_queue_and_execution_are_measured_where_the_start_is() -> None:
    rules = Rules(histograms=("conclude", "queue", "execution", "concluded"), buckets=(10, 30, 60))
    assert buckets_of(build("a", Outcome.FAILURE, took=100, started=20), rules) == [
        ("conclude", Outcome.FAILURE, 3),
        ("queue", None, 1),
        ("execution", Outcome.FAILURE, 3),
        ("concluded", Outcome.FAILURE, 3),
    ]
    assert buckets_of(build("b", Outcome.EXECUTING, started=5), rules) == [("queue", None, 0)]
    assert buckets_of(build("c", took=1), rules) == [
        ("conclude", Outcome.SUCCESS, 0),
        ("concluded", Outcome.SUCCESS, 0),
    ]


# What holds of any sights

BRANCHES = [None, "main", "release/1", "x"]
LIVES = [
    [Outcome.PENDING, Outcome.EXECUTING, Outcome.SUCCESS],
    [Outcome.PENDING, Outcome.EXECUTING, Outcome.FAILURE],
    [Outcome.WAITING, Outcome.SKIP, Outcome.PENDING, Outcome.ERROR],
    [Outcome.EXECUTING, Outcome.CANCELLATION],
    [Outcome.SKIP, Outcome.EXECUTING, Outcome.TIMEOUT],
    [Outcome.UNKNOWN],
]


@st.composite
def any_sights(draw: st.DrawFn) -> list[Observation]:
    """Up to sixty sights of builds as a provider may tell them, contradictions and all but for the time of creation."""
    found = []
    for _ in range(draw(st.integers(0, 60))):
        number = draw(st.integers(0, 15))
        outcome = draw(st.sampled_from(list(Outcome)))
        at, took = [-9 * DAY, -DAY, 0.0, 1.0, 2.0][number % 5], draw(st.sampled_from([0.0, 60.0]))
        one = build(str(number), outcome, at=at, took=took, branch=BRANCHES[number % 4], run=f"p{number // 3}")
        found.append((one, NOW + draw(st.integers(0, 3))))
    return found


def known(history: History) -> tuple[object, ...]:
    return history.rows, history.totals, history.seconds, history.past, history.names, history.floor, history.cut_at


BEFORE = [
    History(),
    read(build("base", at=-DAY)),
    read_again(read(build("base", at=-10 * DAY)), *many(300, begin=-8 * DAY, step=1200), rules=FEW, now=NOW),
]


@given(
    any_sights(),
    st.randoms(use_true_random=False),
    st.integers(0, 2),
    st.sampled_from([RULES, FEW]),
)
def test_the_order_of_sights_changes_nothing(
    sights: list[Observation], chance: object, place: int, rules: Rules
) -> None:
    before, shuffled = BEFORE[place], list(sights)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' Random
    assert known(merge(before, shuffled, rules, NOW)) == known(merge(before, sights, rules, NOW))


@given(any_sights(), st.integers(0, 2))
def test_merging_the_same_sights_again_changes_nothing_that_is_shown(sights: list[Observation], place: int) -> None:
    before = BEFORE[place]
    once = merge(before, sights, RULES, NOW)
    settled = merge(once, [], RULES, NOW)
    twice = merge(once, sights, RULES, NOW)
    assert known(twice) == known(settled)
    assert known(merge(twice, sights, RULES, NOW)) == known(twice)
    assert merge(before, [*sights, *sights], RULES, NOW) == once


@given(any_sights(), any_sights())
def test_two_merges_commute_once_the_target_was_read(one: list[Observation], other: list[Observation]) -> None:
    before = BEFORE[1]
    forth = merge(merge(before, one, RULES, NOW), other, RULES, NOW)
    back = merge(merge(before, other, RULES, NOW), one, RULES, NOW)
    assert forth.rows == back.rows
    # Each once, by the outcome that was known when it was counted.
    assert sum(all_counted(forth).values()) == sum(all_counted(back).values())


@given(any_sights(), st.lists(st.integers(0, 60), max_size=4))
def test_in_how_many_merges_sights_come_changes_nothing_that_is_counted(
    sights: list[Observation], cuts: list[int]
) -> None:
    places = [0, *sorted(cuts), len(sights)]
    history = BEFORE[1]
    for begin, end in pairwise(places):
        history = merge(history, sights[begin:end], RULES, NOW)
    at_once = merge(BEFORE[1], sights, RULES, NOW)
    assert history.rows == at_once.rows
    assert sum(all_counted(history).values()) == sum(all_counted(at_once).values())


@given(any_sights(), st.sampled_from([RULES, FEW]))
def test_nothing_inside_the_window_is_forgotten(sights: list[Observation], rules: Rules) -> None:
    history = merge(BEFORE[1], sights, rules, NOW)
    latest = {row.build.id: row.build for row in history.rows.values()}
    assert {one.id for one, _at in sights} <= latest.keys()
    for label in {history.group(one, ()) for one in latest.values()}:
        of_label = [one for one in latest.values() if history.group(one, ()) == label]
        of_label.sort(key=lambda one: (one.created_at, len(one.id), one.id), reverse=True)
        young = {one.id for one in of_label[: rules.builds] if one.created_at >= NOW - rules.age}
        assert young <= set(window(history))


@given(any_sights())
def test_a_merge_leaves_the_history_before_as_it_was(sights: list[Observation]) -> None:
    for before in BEFORE:
        copy = deepcopy(before)
        merge(before, sights, RULES, NOW)
        aged(before, RULES, NOW + 9 * DAY)
        recut(before, FEW, NOW)
        assert before == copy


@given(any_sights())
def test_every_build_that_is_remembered_has_its_counters(sights: list[Observation]) -> None:
    for rules in (FEW, Rules(labels=("build_name",)), Rules(branches=("*",))):
        history = merge(recut(BEFORE[1], rules, NOW), sights, rules, NOW)
        for later in (history, aged(history, rules, NOW + 3 * DAY)):
            assert {later.group(row.build, rules.labels) for row in later.rows.values()} <= later.totals.keys()


@settings(max_examples=60)
@given(st.data())
def test_every_conclusion_is_counted_exactly_once_however_builds_and_reads_interleave(data: st.DataObject) -> None:
    """A provider whose builds advance at random, read by walks of random size that go down to the mark."""
    now, history, born = NOW, read(), 0
    lives: dict[str, list[Outcome]] = {}
    builds: dict[str, Build] = {}
    told: dict[str, Outcome] = {}
    for _ in range(data.draw(st.integers(1, 12), label="rounds")):
        now += data.draw(st.sampled_from([10.0, 700.0, 20_000.0]), label="pause")
        for _ in range(data.draw(st.integers(0, 40), label="new builds")):
            born += 1
            life = list(LIVES[data.draw(st.integers(0, len(LIVES) - 1))])
            one = build(str(born), life.pop(0), at=now - NOW + born / 1000, branch=BRANCHES[born % 4])
            builds[one.id], lives[one.id] = one, life
        for key in [key for key, life in lives.items() if life]:
            if data.draw(st.booleans(), label="advances"):
                builds[key] = moved(builds[key], lives[key].pop(0))
        newest_first = sorted(builds.values(), key=lambda one: one.created_at, reverse=True)
        size = data.draw(st.sampled_from([5, 20, 100]), label="page size")
        pages = [newest_first[place : place + size] for place in range(0, len(newest_first), size)]
        down_to = min([history.mark - OVERLAP, *(one.created_at for one in history.unfinished)])
        deep = next((n for n, page in enumerate(pages, 1) if page[-1].created_at < down_to), len(pages))
        dormant = [
            row.build.id for row in history.rows.values() if row.build.outcome in {Outcome.WAITING, Outcome.SKIP}
        ]
        met = [*chain.from_iterable(pages[:deep]), *(builds[key] for key in dormant)]
        history = merge(history, seen(*met, at=now), FEW, now)
        history = replace(history, mark=max([history.mark, *(one.created_at for one in met)]))
        for one in met:
            if one.concluded:
                told.setdefault(one.id, one.outcome)
        if data.draw(st.booleans(), label="looks"):
            history = aged(history, FEW, now)
    expected: dict[str, int] = {}
    for outcome in told.values():
        expected[outcome.value] = expected.get(outcome.value, 0) + 1
    assert all_counted(history) == expected
