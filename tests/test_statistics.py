"""Each statistic, as a person would work it out by hand."""

import pytest
from builds import DAY, NOW, RULES, build, many, moved, read, read_again
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Build, Outcome
from exporter.history.statistics import Statistics, statistics
from exporter.history.window import History, Rules, aged, recut, without

FEW = Rules(builds=3)


def of(history: History, group: tuple[str, ...] = ("main",), rules: Rules = RULES) -> Statistics:
    return {found.group: found for found in statistics(history, rules)}[group]


def of_main(*builds: Build) -> Statistics:
    return of(read(*builds))


def failing(name: str, at: float, took: float = 60.0, branch: str | None = "main") -> Build:
    return build(name, Outcome.FAILURE, at=at, took=took, branch=branch)


def test_each_group_has_its_own_statistics_in_order() -> None:
    found = statistics(read(build("a", branch=None), build("b"), build("c", branch="release/1")), RULES)
    assert [one.group for one in found] == [("main",), ("other",), ("release/1",)]
    assert [one.last.id for one in found if one.last] == ["b", "a", "c"]


def test_a_target_that_was_not_read_shows_nothing() -> None:
    assert statistics(History(), RULES) == []


def test_builds_are_counted_by_status_and_outcome() -> None:
    found = of_main(build("a"), build("b"), build("c", Outcome.CANCELLATION), build("d", Outcome.PENDING))
    assert found.counts == {
        ("success", Outcome.SUCCESS): 2,
        ("aborted", Outcome.CANCELLATION): 1,
        ("queued", Outcome.PENDING): 1,
    }


def test_only_what_is_in_the_window_is_counted() -> None:
    found = of(read(*many(9, branch="main"), rules=FEW), rules=FEW)
    assert found.counts == {("success", Outcome.SUCCESS): 3}
    assert found.oldest_created == NOW + 6


@pytest.mark.parametrize(
    ("outcomes", "ratio"),
    [
        ([], None),
        ([Outcome.PENDING, Outcome.CANCELLATION, Outcome.SKIP, Outcome.ALLOWED_FAILURE, Outcome.UNKNOWN], None),
        ([Outcome.SUCCESS, Outcome.CANCELLATION], 1.0),
        ([Outcome.FAILURE], 0.0),
        ([Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR, Outcome.TIMEOUT], 0.25),
        ([Outcome.SUCCESS, Outcome.ALLOWED_FAILURE, Outcome.FAILURE], 0.5),
    ],
)
def test_the_success_ratio_is_over_builds_that_succeeded_or_failed(
    outcomes: list[Outcome], ratio: float | None
) -> None:
    builds = [build(str(place), outcome) for place, outcome in enumerate(outcomes)]
    found = statistics(read(*builds), RULES)
    assert (found[0].success_ratio if found else None) == ratio


def test_the_newest_build_and_its_time() -> None:
    found = of_main(build("9", at=5), build("10", Outcome.PENDING, at=5), build("8", at=4))
    assert found.last
    assert (found.last.id, found.last_created) == ("10", NOW + 5)


def test_the_newest_build_is_remembered_though_it_is_too_old_for_the_window() -> None:
    history = read(build("green"), build("cancelled", Outcome.CANCELLATION, at=100))
    for round_ in range(3):
        history = read_again(history, *many(200, begin=9999.0 * (round_ + 1), prefix=f"r{round_}-"))
    found = of(aged(history, RULES, NOW + 8 * DAY))
    assert found.last
    assert (found.last.id, found.last_created) == ("cancelled", NOW + 100)
    assert found.counts == {("success", Outcome.SUCCESS): 1}


def test_the_newest_conclusion_is_told_by_outcome() -> None:
    found = of_main(build("a", took=500), build("b", at=1, took=60), failing("c", 2), build("d", Outcome.PENDING))
    assert found.last_concluded == {Outcome.SUCCESS: NOW + 500, Outcome.FAILURE: NOW + 62}


def test_a_conclusion_without_a_time_is_told_at_none() -> None:
    assert of_main(build("a")._replace(concluded_at=None)).last_concluded == {}


def test_the_newest_conclusion_is_remembered_beyond_the_window() -> None:
    history = read(failing("f", 0), build("e", Outcome.ERROR, at=1), *many(300, begin=9999, branch="main"), rules=FEW)
    assert {"f", "e"}.isdisjoint(history.rows)
    found = of(history, rules=FEW)
    assert found.last_concluded[Outcome.FAILURE] == NOW + 60
    assert found.last_concluded[Outcome.ERROR] == NOW + 61
    assert found.last_concluded[Outcome.SUCCESS] == NOW + 9999 + 299 + 60
    assert found.last_created == NOW + 9999 + 299


def test_the_newest_conclusion_of_a_cut_build_gives_way_to_a_newer_one_only() -> None:
    history = read(build("slow", took=1e6), *many(300, begin=9999, branch="main"), rules=FEW)
    assert "slow" not in history.rows
    assert of(history, rules=FEW).last_concluded == {Outcome.SUCCESS: NOW + 1e6}


def test_the_oldest_unfinished_build() -> None:
    assert of_main(build("a")).oldest_unfinished is None
    found = of_main(build("a", Outcome.PENDING, at=3), build("b", Outcome.EXECUTING, at=2), build("c", at=1))
    assert found.oldest_unfinished == NOW + 2


def test_a_build_that_waits_on_a_person_is_not_unfinished() -> None:
    assert of_main(build("a", Outcome.WAITING)).oldest_unfinished is None


def test_commits_on_which_the_same_build_both_failed_and_succeeded_are_flaky() -> None:
    found = of_main(
        build("1", sha="x", name="test"),
        build("2", Outcome.TIMEOUT, sha="x", name="test"),
        build("3", Outcome.ERROR, sha="x", name="lint"),
        build("4", sha="x", name="lint"),
        build("5", sha="y", name="test"),
        build("6", Outcome.FAILURE, sha="y", name="lint"),
        build("7", sha="z", name="audit"),
        build("8", Outcome.ALLOWED_FAILURE, sha="z", name="audit"),
    )
    assert found.flaky_commits == 1


def test_builds_without_a_commit_are_not_flaky() -> None:
    assert of_main(build("1")._replace(sha=""), build("2", Outcome.FAILURE)._replace(sha="")).flaky_commits == 0


def test_the_counters_are_those_of_the_group() -> None:
    history = read_again(read(build("a")), build("b", at=1))
    assert of(history).totals[Outcome.SUCCESS] == 1
    assert of(history).totals[Outcome.TIMEOUT] == 0


# Sequences


def test_a_pipeline_with_one_failed_test_and_ten_passing_jobs_is_red() -> None:
    jobs = [build(str(place), run="p", name=f"j{place}", at=place) for place in range(10)]
    found = of_main(build("0-", run="o", at=-9), *jobs, build("t", Outcome.FAILURE, run="p", name="t", at=1))
    assert (found.sequel.success, found.sequel.failures) == (False, 1)
    assert found.sequel.failure
    assert found.sequel.failure.id == "t"


def test_nothing_decided_tells_no_success() -> None:
    found = of_main(build("a", Outcome.CANCELLATION), build("b", Outcome.PENDING)).sequel
    assert (found.success, found.failures, found.broken_since, found.failure) == (None, 0, None, None)


def test_failures_are_counted_since_the_last_success() -> None:
    found = of_main(
        failing("a", 0),
        build("b", at=100),
        failing("c", 200, took=30),
        build("d", Outcome.CANCELLATION, at=300),
        failing("e", 400),
        build("f", Outcome.EXECUTING, at=500),
    ).sequel
    assert (found.success, found.failures, found.broken_since) == (False, 2, NOW + 230)
    assert found.failure
    assert found.failure.id == "e"


def test_a_success_ends_what_was_broken() -> None:
    found = of_main(failing("a", 0), build("b", at=100)).sequel
    assert (found.success, found.failures, found.broken_since, found.failure) == (True, 0, None, None)


def test_restores_are_counted_with_the_seconds_from_the_first_failure() -> None:
    found = of_main(
        failing("a", 0, took=10),
        failing("b", 100, took=10),
        build("c", at=200, took=10),
        build("d", at=300),
        failing("e", 400, took=5),
        build("f", at=500, took=5),
        failing("g", 600),
    ).sequel
    assert (found.restores, found.restore_seconds) == (2, 200 + 100)


def test_a_success_that_ended_before_the_failure_took_no_time_to_restore() -> None:
    found = of_main(failing("a", 0, took=1000), build("b", at=10, took=1)).sequel
    assert (found.restores, found.restore_seconds) == (1, 0.0)


def test_a_restore_at_an_unknown_time_is_not_counted() -> None:
    found = of_main(failing("a", 0), build("b", at=10)._replace(concluded_at=None)).sequel
    assert (found.success, found.failures, found.restores) == (True, 0, 0)
    found = of_main(failing("a", 0)._replace(concluded_at=None), build("b", at=10)).sequel
    assert (found.success, found.restores) == (True, 0)


def test_a_restore_that_is_no_longer_in_the_window_is_not_counted() -> None:
    history = read(failing("a", 0), build("b", at=1), *many(9, begin=2, branch="main"), rules=FEW)
    assert "b" in history.rows
    assert of(history, rules=FEW).sequel.restores == 0


def test_a_restore_after_failures_that_were_cut_is_timed_from_the_first_of_them() -> None:
    history = read(*(failing(f"f{place}", place * 100.0, took=50) for place in range(300)), rules=FEW)
    assert "f0" not in history.rows
    history = read_again(history, build("green", at=40_000, took=50), rules=FEW)
    found = of(history, rules=FEW).sequel
    assert (found.success, found.restores, found.restore_seconds) == (True, 1, 40_000)


def test_failures_are_counted_on_across_builds_that_were_cut() -> None:
    history = read(build("green", at=-1))
    for place in range(1, 251):
        history = read_again(history, failing(str(place), place * 1000.0), rules=FEW)
    found = of(history, rules=FEW).sequel
    assert len(history.rows) == 100
    assert (found.success, found.failures, found.broken_since) == (False, 250, NOW + 1060)


def test_a_success_that_was_cut_ends_the_failures_before_it() -> None:
    builds = [failing("f1", 0), failing("f2", 1000), build("green", at=2000), failing("f3", 3000, took=7)]
    cancelled = [build(f"c{place}", Outcome.CANCELLATION, at=5000 + place * 10) for place in range(300)]
    history = read(*builds, *cancelled, failing("f4", 99_000), rules=FEW)
    assert {"f1", "f2", "green", "f3"}.isdisjoint(history.rows)
    found = of(history, rules=FEW).sequel
    assert (found.failures, found.broken_since) == (2, NOW + 3007)


def test_a_broken_branch_stays_broken_though_nobody_builds_it() -> None:
    history = read(failing("bad", 0, took=30))
    for round_ in range(3):
        history = read_again(history, *many(200, begin=9999.0 * (round_ + 1), prefix=f"r{round_}-"))
    found = of(aged(history, RULES, NOW + 29 * DAY))
    assert (found.sequel.success, found.sequel.failures, found.sequel.broken_since) == (False, 1, NOW + 30)


def test_a_sequence_ends_when_nothing_has_happened_for_as_long_as_is_remembered() -> None:
    history = read(failing("bad", 0, took=30), build("pr", branch=None, took=30))
    assert history.names == ("main",)
    assert history.cut_at <= NOW + 7 * DAY
    history = aged(history, RULES, NOW + 8 * DAY)
    assert history.cut_at == NOW + 30 * DAY + 30
    history = aged(history, RULES, NOW + 30 * DAY + 31)
    assert (history.names, history.version) == ((), 3)
    found = of(history, ("other",))
    assert (found.sequel.success, found.last, found.last_created, found.last_concluded) == (None, None, None, {})
    assert found.counts == {}
    assert aged(history, RULES, NOW + 99 * DAY) is history


def test_a_long_streak_is_remembered_whole_while_it_goes_on() -> None:
    history = read()
    for day in range(60):
        history = read_again(history, failing(f"f{day}", day * DAY), now=NOW + day * DAY + 60)
    found = of(history).sequel
    assert (found.failures, found.broken_since) == (60, NOW + 60)


def test_cancelled_builds_that_are_cut_hide_no_decided_run() -> None:
    history = read(build("green"))
    for round_ in range(3):
        page = [
            build(f"{round_}-{n}", Outcome.CANCELLATION, at=9999.0 * (round_ + 1) + n, run=f"c{round_}-{n}")
            for n in range(200)
        ]
        history = read_again(history, *page)
    assert of(history).sequel.success is True


def test_a_run_at_the_edge_of_what_is_remembered_is_not_judged_by_half_of_it() -> None:
    red = [build("1", Outcome.FAILURE, run="p1", name="test")]
    red += [build(f"2{place}", run="p1", name=f"lint{place}", at=place) for place in range(9)]
    history = read(*red, *(failing(f"f{place}", 2000 + place) for place in range(95)), rules=FEW)
    found = of(history, rules=FEW).sequel
    assert (found.failures, found.broken_since) == (96, NOW + 60)


def test_a_run_that_was_cut_and_is_met_again_in_part_is_not_counted_again() -> None:
    red = [build(f"1{place}", Outcome.FAILURE, run="p1", name=f"n{place}", at=place / 10) for place in range(9)]
    history = read(*red, *(failing(f"f{place}", 9999 + place * 20) for place in range(100)), rules=FEW)
    assert not {one.id for one in red} & history.rows.keys()
    for _ in range(3):
        history = read_again(history, *red[4:], rules=FEW)
    assert of(history, rules=FEW).sequel.failures == 101
    larger = Rules(builds=400)
    history = read_again(recut(history, larger, NOW), *red[4:], rules=larger)
    assert {one.id for one in red[4:]} <= history.rows.keys()
    assert of(history, rules=larger).sequel.failures == 101


def test_a_run_that_is_cut_after_a_newer_one_changes_no_sequence() -> None:
    stuck = build("stuck", Outcome.EXECUTING, at=-1)
    history = read(stuck, *(failing(f"f{place}", place * 100.0) for place in range(300)), rules=FEW)
    assert "stuck" in history.rows
    history = read_again(history, moved(stuck, Outcome.SUCCESS, took=9e5), rules=FEW, now=NOW + 1)
    assert of(history, rules=FEW).sequel.failures == 300
    assert "stuck" not in history.rows


def test_an_opt_in_group_remembers_how_its_runs_went_while_it_has_builds() -> None:
    rules = Rules(builds=3, labels=("build_name",))
    bad = build("bad", Outcome.FAILURE, name="nightly", took=30)
    manual = build("next", Outcome.WAITING, name="nightly", at=1)
    history = read(bad, manual, rules=rules)
    for round_ in range(3):
        page = [build(f"{round_}-{n}", name="unit", at=9999.0 * (round_ + 1) + n) for n in range(200)]
        history = read_again(history, *page, rules=rules)
    assert "bad" not in history.rows
    found = of(history, ("main", "nightly"), rules).sequel
    assert (found.success, found.failures, found.broken_since, found.failure) == (False, 1, NOW + 30, bad)


# Latencies

SMALL = Rules(builds=3, buckets=(10, 60), histograms=("conclude", "queue", "execution"))


def test_latencies_are_counted_cumulatively_by_outcome() -> None:
    rules = Rules(buckets=(10, 60))
    builds = [build("a", took=5), build("b", took=10), build("c", took=60), build("d", took=61), failing("e", 0, 7)]
    found = of(read(*builds, build("f", Outcome.PENDING), rules=rules), rules=rules).histograms
    assert found.keys() == {"conclude"}
    assert found["conclude"].keys() == {Outcome.SUCCESS, Outcome.FAILURE}
    success = found["conclude"][Outcome.SUCCESS]
    assert (success.counts, success.total) == ([2, 3, 4], 136)
    assert found["conclude"][Outcome.FAILURE].counts == [1, 1, 1]


def test_queue_and_execution_are_measured_where_the_start_is_told() -> None:
    builds = [build("a", took=50, started=20), build("b", Outcome.EXECUTING, started=5), build("c", took=9)]
    found = of(read(*builds, rules=SMALL), rules=SMALL).histograms
    assert (found["queue"][None].counts, found["queue"][None].total) == ([1, 2, 2], 25)
    assert (found["execution"][Outcome.SUCCESS].counts, found["execution"][Outcome.SUCCESS].total) == ([0, 1, 1], 30)
    assert found["conclude"][Outcome.SUCCESS].total == 59


def test_a_build_without_an_end_has_no_latency() -> None:
    found = of(read(build("a", took=9, started=1)._replace(concluded_at=None), rules=SMALL), rules=SMALL).histograms
    assert (found["conclude"], found["execution"]) == ({}, {})
    assert found["queue"][None].counts == [1, 1, 1]


def exemplars(history: History, rules: Rules = SMALL) -> list[str | None]:
    found = of(history, rules=rules).histograms["conclude"][Outcome.SUCCESS].exemplars
    return [one.id if one else None for one in found]


def test_the_exemplar_of_a_bucket_is_the_build_in_it_that_concluded_last() -> None:
    history = read(build("a", at=3, took=5), build("b", at=2, took=9), build("c", took=100), rules=SMALL)
    assert exemplars(history) == ["b", None, "c"]


def test_of_two_that_concluded_together_the_exemplar_is_always_the_same() -> None:
    one, other = build("a", took=5), build("b", took=5)
    assert exemplars(read(one, other, rules=SMALL)) == exemplars(read(other, one, rules=SMALL)) == ["b", None, None]


def test_an_exemplar_is_never_older_than_one_shown_before_though_that_left_the_window() -> None:
    slow = build("slow", at=0, took=10_000)
    history = read(slow, build("fast", at=1, took=5), rules=SMALL)
    assert exemplars(history) == ["fast", None, "slow"]
    history = read_again(history, *(build(f"n{n}", at=2 + n, took=200) for n in range(3)), rules=SMALL)
    assert "slow" in history.rows
    assert exemplars(history) == [None, None, None]


def test_an_exemplar_is_never_older_than_one_shown_before_though_that_was_forgotten() -> None:
    history = read(build("slow", at=0, took=90_000), rules=SMALL)
    history = read_again(history, *(build(f"n{n}", at=9999 + n, took=200) for n in range(300)), rules=SMALL)
    assert "slow" not in history.rows
    assert exemplars(history) == [None, None, None]
    history = read_again(history, build("later", at=89_000, took=1001), rules=SMALL)
    assert exemplars(history) == [None, None, "later"]


def test_a_long_build_that_is_forgotten_leaves_the_exemplars_of_other_buckets_alone() -> None:
    history = read(build("slow", at=0, took=90_000), rules=SMALL)
    history = read_again(history, *(build(f"n{n}", at=9999 + n, took=5) for n in range(300)), rules=SMALL)
    assert "slow" not in history.rows
    assert exemplars(history) == ["n299", None, None]


def test_a_build_that_comes_late_is_no_exemplar_where_one_that_ended_after_it_is_forgotten() -> None:
    history = read(*(build(f"n{n}", at=n, took=200) for n in range(300)), rules=SMALL)
    history = read_again(history, *(build(f"m{n}", at=10_000 + n, took=5) for n in range(200)), rules=SMALL)
    (past,) = history.past.values()
    assert not past.exemplars  # all that remain were created after the last of those had ended
    history = without(history, frozenset(history.rows) - {"m199"}, SMALL, NOW)
    history = read_again(history, build("late", at=100, took=200), rules=SMALL)
    assert of(history, rules=SMALL).histograms["conclude"][Outcome.SUCCESS].counts == [1, 1, 2]
    assert exemplars(history) == ["m199", None, None]


TIMES = st.tuples(st.integers(-300, 3000), st.sampled_from([1, 9, 90, 900, 9000]))
FULL = read(*(build(f"n{n}", at=n, took=(1, 90, 900)[n % 3]) for n in range(110)), rules=SMALL)


@given(st.lists(st.lists(TIMES, max_size=4), max_size=6))
def test_no_exemplar_is_ever_older_than_one_shown_before(reads: list[list[tuple[int, int]]]) -> None:
    history, shown = FULL, dict[int, float]()
    for turn, times in enumerate(reads):
        met = (build(f"r{turn}-{place}", at=at, took=took) for place, (at, took) in enumerate(times))
        history = read_again(history, *met, rules=SMALL)
        found = of(history, rules=SMALL).histograms["conclude"][Outcome.SUCCESS].exemplars
        ends = {bucket: one.concluded_at or 0.0 for bucket, one in enumerate(found) if one}
        assert all(end >= shown.get(bucket, 0.0) for bucket, end in ends.items())
        shown |= ends


def test_a_build_that_runs_is_an_exemplar_of_no_end() -> None:
    found = of(read(build("a", Outcome.EXECUTING, started=5), rules=SMALL), rules=SMALL).histograms["queue"][None]
    assert [one.concluded_at for one in found.exemplars if one] == [None]
