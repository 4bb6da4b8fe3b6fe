"""Runs of a history: what they come to, what is remembered and counted of them, and what must still be read."""

from dataclasses import replace

import pytest
from builds import (
    DAY,
    NOW,
    RULES,
    asked,
    build,
    listed,
    moved,
    pipeline,
    read,
    read_again,
    runs_counted,
    seen,
)

from exporter.build import Build, Outcome, Run
from exporter.history.cut import HELD
from exporter.history.statistics import Sequel, Statistics, statistics
from exporter.history.window import (
    SWEEP,
    History,
    Rules,
    aged,
    contested,
    incomplete,
    merge,
    recut,
    with_default_branch,
    without,
    without_branch,
)

FEW = Rules(builds=3, runs=3)


def of(history: History, label: str = "main", rules: Rules = RULES) -> Statistics:
    return next(found for found in statistics(history, rules) if found.group[0] == label)


def sequel(history: History, label: str = "main", rules: Rules = RULES) -> Sequel:
    return of(history, label, rules).sequel


def broken(history: History, label: str = "main", rules: Rules = RULES) -> tuple[bool | None, int, float | None]:
    found = sequel(history, label, rules)
    return found.success, found.failures, None if found.broken_since is None else found.broken_since - NOW


def job(build_id: str, run: str, outcome: Outcome = Outcome.SUCCESS, **more: float | str | None) -> Build:
    more.setdefault("name", build_id.rsplit("-", maxsplit=1)[-1])
    return build(build_id, outcome, run=run, **more)  # type: ignore[arg-type]


BAD = pipeline("1", "failed", at=-1000)
BAD_JOB = job("1-test", "1", Outcome.FAILURE, at=-1000, took=50)
BROKEN = read(BAD_JOB, runs=[BAD], now=NOW - 900)


# The faults that this is for


def test_a_cancelled_pipeline_repairs_nothing() -> None:
    jobs = job("2-lint", "2"), job("2-test", "2", Outcome.CANCELLATION), job("2-deploy", "2", Outcome.SKIP)
    history = read_again(BROKEN, *jobs, runs=[pipeline("2", "canceled")], now=NOW + 60)
    assert broken(history) == (False, 1, -950)
    assert sequel(history).restores == 0
    assert of(history).runs == {Outcome.FAILURE: 1, Outcome.CANCELLATION: 1}
    assert runs_counted(history) == {"cancellation": 1}


def test_between_two_stages_nothing_is_repaired() -> None:
    jobs = job("2-build", "2", took=10), job("2-test", "2", Outcome.WAITING)._replace(status="created")
    history = read_again(BROKEN, *jobs, runs=[pipeline("2", "running", moved=10)], now=NOW + 11)
    assert broken(history) == (False, 1, -950)
    assert (sequel(history).restores, runs_counted(history)) == (0, {})


def test_while_a_failed_job_is_retried_by_hand_the_branch_stays_broken_since_the_same_moment() -> None:
    retry = job("2-test", "1", Outcome.EXECUTING, at=0, name="test")
    again = BAD._replace(status="running", outcome=Outcome.EXECUTING, updated_at=NOW)
    history = read_again(BROKEN, retry, runs=[again], now=NOW + 1)
    assert broken(history) == (False, 1, -950)
    green = again._replace(status="success", outcome=Outcome.SUCCESS, updated_at=NOW + 60)
    history = read_again(history, moved(retry, Outcome.SUCCESS), runs=[green], now=NOW + 61)
    assert broken(history) == (True, 0, None)
    # It was one run that failed, and succeeds now: nothing was repaired by another one, and it was counted before.
    assert (sequel(history).restores, runs_counted(history)) == (0, {})


def test_a_pipeline_cut_by_a_page_is_judged_by_its_status_and_must_be_read() -> None:
    # Of 150 jobs a page shows 100; the fourth one failed.
    jobs = [job(f"2-{place}", "2", at=place / 1000) for place in range(150)]
    jobs[3] = jobs[3]._replace(status="failed", outcome=Outcome.FAILURE)
    red = pipeline("2", "failed")
    history = merge(History(), seen(*jobs[50:]), RULES, NOW + 99, runs=asked(red))
    assert broken(history) == (False, 1, 60)
    assert (sequel(history).failure, sequel(history).failed_run) == (None, "2")
    assert incomplete(history, RULES) == ["2"]
    history = read_again(history, *jobs[:50], runs=[red], now=NOW + 100)
    assert broken(history) == (False, 1, 60)
    assert sequel(history).failure == jobs[3]
    assert incomplete(history, RULES) == []
    assert runs_counted(history) == {}


def test_of_three_failed_pipelines_one_is_not_half_judged() -> None:
    runs = [pipeline(f"{place}", "failed", at=1000 * place) for place in range(3)]
    jobs = [
        job(f"{run.id}-{place}", run.id, at=run.created_at - NOW + place / 100) for run in runs for place in range(40)
    ]
    for place in (0, 40, 80):
        jobs[place] = jobs[place]._replace(status="failed", outcome=Outcome.FAILURE)
    history = merge(History(), seen(*jobs[20:]), RULES, NOW + 3000, runs=asked(*runs), whole={"1", "2"})
    assert broken(history) == (False, 3, 60)
    assert incomplete(history, RULES) == ["0"]


def test_a_red_child_is_not_outweighed_by_a_green_one_that_came_later() -> None:
    parent = pipeline("10", "success", sha="s")
    red = pipeline("11", "failed", at=10, sha="s", trigger="parent_pipeline")
    green = pipeline("12", "success", at=20, sha="s", trigger="parent_pipeline")
    jobs = (
        job("a-prep", "10"),
        job("b-test", "11", Outcome.FAILURE, at=10, sha="s"),
        job("c-test", "12", at=20, sha="s"),
    )
    history = read(*jobs, runs=[parent, red, green], now=NOW + 99)
    assert broken(history) == (False, 1, 70)
    assert of(history).flaky_commits == 0
    assert of(history).runs == {Outcome.FAILURE: 1}
    failure = sequel(history).failure
    assert failure is not None
    assert (failure.id, sequel(history).failed_run) == ("b-test", "10")


def test_a_branch_that_no_longer_exists_is_broken_no_longer() -> None:
    history = without_branch(BROKEN, "main", RULES, NOW)
    assert history.names == ()
    assert [found.group for found in statistics(history, RULES)] == [("other",)]
    assert without_branch(history, "main", RULES, NOW + 1) is history
    # It is met again on the pages; and one of that name is made anew.
    again = read_again(history, BAD_JOB, runs=[BAD], now=NOW + 5)
    assert again.names == ()
    anew = read_again(again, job("2-test", "2"), runs=[pipeline("2")], now=NOW + 70)
    assert broken(anew) == (True, 0, None)
    assert sequel(anew).restores == 0


def test_a_branch_of_which_nothing_is_known_can_be_gone() -> None:
    assert without_branch(BROKEN, "x", RULES, NOW) is BROKEN


def test_an_old_failed_run_with_a_stuck_job_stays_in_the_streak() -> None:
    history = read(
        job("1-test", "1", Outcome.FAILURE), job("1-stuck", "1", Outcome.EXECUTING), runs=[pipeline("1", "running")]
    )
    for place in range(2, 302):
        red = job(f"{place}-test", f"{place}", Outcome.FAILURE, at=place * 1000)
        history = read_again(
            history, red, runs=[pipeline(f"{place}", "failed", at=place * 1000)], rules=FEW, now=NOW + place * 1000 + 60
        )
    assert "1-stuck" in history.rows
    assert broken(history, rules=FEW) == (False, 301, 60)
    assert len(history.runs) < 2 * SWEEP


def test_a_run_that_fails_after_newer_ones_is_in_the_streak() -> None:
    slow = job("1-test", "1", Outcome.EXECUTING)
    history = read(slow, runs=[pipeline("1", "running")])
    for place in range(2, 60):
        red = job(f"{place}-test", f"{place}", Outcome.FAILURE, at=place * 1000)
        history = read_again(
            history, red, runs=[pipeline(f"{place}", "failed", at=place * 1000)], rules=FEW, now=NOW + place * 1000 + 60
        )
    assert broken(history, rules=FEW) == (False, 58, 2060)
    failed = pipeline("1", "failed", moved=70_000)
    history = read_again(history, moved(slow, Outcome.FAILURE, 70_000), runs=[failed], rules=FEW, now=NOW + 70_001)
    assert broken(history, rules=FEW) == (False, 59, 2060)


def test_builds_that_are_their_own_runs_wait_behind_an_unfinished_one_too() -> None:
    stuck = build("stuck", Outcome.EXECUTING, at=-1)
    history = read(stuck, rules=FEW)
    for place in range(150):
        red = build(f"f{place:03}", Outcome.FAILURE, at=place * 1000.0)
        history = read_again(history, red, rules=FEW, now=NOW + place * 1000 + 60)
    assert broken(history, rules=FEW) == (False, 150, 60)
    history = read_again(history, moved(stuck, Outcome.FAILURE, 150_000), rules=FEW, now=NOW + 150_000)
    assert broken(history, rules=FEW) == (False, 151, 60)
    assert len(history.rows) == SWEEP


def test_what_waits_behind_an_unfinished_run_is_bounded() -> None:
    history = read(build("stuck", Outcome.EXECUTING, at=-1), rules=FEW)
    for place in range(400):
        red = build(f"f{place:03}", Outcome.FAILURE, at=place * 1000.0)
        history = read_again(history, red, rules=FEW, now=NOW + place * 1000 + 60)
    assert len(history.rows) <= HELD + 4
    assert broken(history, rules=FEW) == (False, 400, 60)


# Runs of which the list told


def test_runs_that_only_the_list_told_of_give_counts_ratio_and_streak() -> None:
    runs = [pipeline(f"{place}", "failed" if place % 2 else "success", at=place * 100) for place in range(1, 10)]
    found = of(listed(History(), *runs, now=NOW + 2000))
    assert found.runs == {Outcome.SUCCESS: 4, Outcome.FAILURE: 5}
    assert found.run_success_ratio == 4 / 9
    assert (found.counts, found.success_ratio) == ({}, None)
    assert (found.sequel.success, found.sequel.failures) == (False, 1)
    assert found.sequel.restores == 4


def test_the_end_of_such_a_run_is_at_most_the_creation_of_the_next_one_of_its_branch() -> None:
    rules = replace(RULES, histograms=("run",))
    late = pipeline("1", "failed", moved=90_000)
    history = listed(History(), late, pipeline("x", branch="x", at=50), pipeline("2", "failed", at=500), rules=rules)
    assert broken(history) == (False, 2, 500)
    assert of(history, rules=rules).histograms["run"] == {}
    known = read_again(history, job("1-t", "1", Outcome.FAILURE, took=30), runs=[late], rules=rules)
    assert broken(known) == (False, 2, 30)
    [histogram] = of(known, rules=rules).histograms["run"].values()
    assert histogram.total == 30


def test_what_moved_is_known_in_part_until_it_is_read() -> None:
    history = read(job("1-t", "1"), runs=[pipeline("1")])
    assert history.runs["1"].whole
    same = listed(history, pipeline("1"), now=NOW + 10)
    assert same.version == history.version
    assert same.runs["1"].whole
    assert same.runs["1"].seen_at == NOW + 10
    later = listed(same, pipeline("1", "running", moved=100), now=NOW + 100)
    assert not later.runs["1"].whole
    assert (incomplete(history, RULES), incomplete(later, RULES)) == ([], ["1"])


def test_a_time_that_is_rounded_to_seconds_is_no_move() -> None:
    history = read(job("1-t", "1"), runs=[pipeline("1", moved=60.7)])
    later = listed(history, pipeline("1", moved=60), now=NOW + 100)
    assert later.version == history.version
    assert later.runs["1"].run.updated_at == NOW + 60.7


def test_whole_is_what_a_read_showed_and_no_older_one() -> None:
    history = listed(read(runs=[pipeline("0")]), pipeline("1", "running", moved=100), now=NOW + 100)
    builds = seen(job("1-t", "1"), at=NOW + 50)
    history = merge(
        history, builds, RULES, NOW + 100, runs=asked(pipeline("1", "pending", moved=5), at=NOW + 50), whole={"1"}
    )
    assert not history.runs["1"].whole


# What must be read


def test_the_newest_the_newest_decided_and_the_first_failed_run_of_each_named_branch_must_be_read() -> None:
    runs = [
        pipeline("1", at=0),
        pipeline("2", "failed", at=100),
        pipeline("3", "canceled", at=200),
        pipeline("4", "failed", at=300),
        pipeline("5", "failed", at=400),
        pipeline("6", "running", at=500),
        pipeline("7", "failed", at=600, branch="feature"),
    ]
    history = listed(History(), *runs)
    assert incomplete(history, RULES) == ["6", "5", "2"]
    children = [
        pipeline("60", "running", at=510, trigger="parent_pipeline", parent="6"),
        pipeline("70", "running", at=610, trigger="parent_pipeline", parent="7"),
    ]
    assert incomplete(listed(history, *children), RULES) == ["60", "6", "5", "2"]
    assert incomplete(History(), RULES) == []


def test_runs_without_a_status_of_their_own_need_not_be_read() -> None:
    assert incomplete(listed(History(), pipeline("sha:main", "")), RULES) == []


def test_the_builds_of_the_runs_that_must_be_read_are_remembered() -> None:
    jobs = [job(f"1-j{place}", "1", at=place / 10) for place in range(150)]
    jobs[7] = jobs[7]._replace(status="failed", outcome=Outcome.FAILURE, concluded_at=NOW + 33)
    history = read(*jobs, runs=[pipeline("1", "failed")], rules=FEW)
    for place in range(2, 20):
        others = [job(f"{place}-{n}", f"{place}", Outcome.FAILURE, at=place * 1000 + n) for n in range(50)]
        run = pipeline(f"{place}", "failed", at=place * 1000)
        history = read_again(history, *others, runs=[run], rules=FEW, now=NOW + place * 1000 + 60)
    assert {one.id for one in jobs} <= history.rows.keys()
    assert incomplete(history, FEW) == []
    assert broken(history, rules=FEW) == (False, 19, 33)
    assert len(history.rows) < 320


# Children


def test_the_parent_of_a_child_is_the_newest_pipeline_of_its_commit_that_is_no_child_and_came_before() -> None:
    def child(run_id: str, at: float, parent: str = "") -> Run:
        return pipeline(run_id, "running", at=at, sha="s", trigger="parent_pipeline", parent=parent)

    history = listed(
        History(),
        pipeline("1", sha="s"),
        pipeline("2", at=100, sha="s"),
        pipeline("3", at=200, sha="other"),
        pipeline("4", at=300, sha="s", branch="x"),
        pipeline("5", at=900, sha="s"),
        child("c1", 50),
        child("c2", 150),
        child("c3", 160, parent="1"),
        child("c4", 170, parent="c3"),
        child("c5", 180, parent="unknown"),
        child("c6", -50),
    )
    roots = {row.run.id: row.root for row in history.runs.values() if row.run.child}
    assert roots == {"c1": "1", "c2": "2", "c3": "1", "c4": "1", "c5": "", "c6": ""}


def test_a_child_that_is_known_before_its_parent_finds_it() -> None:
    child = pipeline("c", "failed", at=10, sha="s", trigger="parent_pipeline")
    history = listed(listed(History(), child), pipeline("p", sha="s"), now=NOW + 1)
    assert broken(history) == (False, 1, 70)
    assert statistics(listed(History(), child), RULES) == []


def test_two_parents_that_name_each_other_are_nobodys() -> None:
    one = pipeline("1", trigger="parent_pipeline", parent="2")
    assert listed(History(), one, pipeline("2", trigger="parent_pipeline", parent="1")).runs["1"].root == ""


def test_builds_of_a_child_have_the_labels_of_the_run_that_they_belong_to() -> None:
    rules = replace(RULES, labels=("trigger", "ref_kind"))
    parent = pipeline("1", trigger="schedule")._replace(ref_kind="merge_request")
    child = pipeline("2", at=10, trigger="parent_pipeline", parent="1", branch=None)
    history = read(job("2-t", "2", at=10, branch=None), runs=[parent, child], rules=rules)
    assert set(history.totals) == {("main", "schedule", "merge_request")}
    assert [found.group for found in statistics(history, rules)] == [("main", "schedule", "merge_request")]


RED_CHILD = pipeline("c1", "failed", at=10, trigger="parent_pipeline", parent="p")


def test_where_a_child_failed_and_its_parent_did_not_its_trigger_jobs_are_asked_once() -> None:
    history = listed(History(), pipeline("p"), RED_CHILD, now=NOW + 99)
    assert (contested(history), broken(history)) == (["p"], (False, 1, 70))
    asked_for = merge(history, (), RULES, NOW + 100, bridged={"p"})
    assert (contested(asked_for), broken(asked_for)) == ([], (False, 1, 70))
    assert asked_for.version == history.version
    # It is run again: then the earlier one may count no longer.
    newer = pipeline("c2", "running", at=200, trigger="parent_pipeline", parent="p")
    again = listed(asked_for, newer, now=NOW + 201)
    assert contested(again) == ["p"]
    replaced = merge(again, (), RULES, NOW + 300, replaced={"c1"}, bridged={"p"})
    assert (contested(replaced), broken(replaced)) == ([], (False, 1, 70))
    dismissed = merge(again, (), RULES, NOW + 300, dismissed={"c1"}, bridged={"p"})
    assert contested(dismissed) == []
    assert broken(dismissed) == (True, 0, None)
    assert "c1" not in incomplete(dismissed, RULES)


def test_where_the_parent_failed_itself_nothing_is_asked() -> None:
    assert contested(listed(History(), pipeline("p", "failed"), RED_CHILD)) == []
    assert contested(listed(History(), pipeline("p"))) == []


def test_a_child_that_was_cancelled_is_asked_for_where_it_alone_keeps_its_run_from_succeeding() -> None:
    cancelled = RED_CHILD._replace(status="canceled", outcome=Outcome.CANCELLATION)
    assert contested(listed(History(), pipeline("p"), cancelled)) == ["p"]
    assert contested(listed(History(), pipeline("p", "canceled"), cancelled)) == []


def test_a_child_that_still_runs_is_asked_for_where_one_that_may_have_replaced_it_has_ended() -> None:
    older = RED_CHILD._replace(status="running", outcome=Outcome.EXECUTING)
    newer = pipeline("c2", "running", at=200, trigger="parent_pipeline", parent="p")
    history = listed(History(), pipeline("p"), older, newer)
    assert contested(history) == []
    ended = newer._replace(status="success", outcome=Outcome.SUCCESS, updated_at=NOW + 300)
    history = listed(history, ended, now=NOW + 301)
    assert (contested(history), sequel(history).success) == (["p"], None)
    history = merge(history, (), RULES, NOW + 302, replaced={"c1"}, bridged={"p"})
    assert (contested(history), sequel(history).success) == ([], True)


def test_a_child_is_counted_as_no_run_of_its_own() -> None:
    history = listed(read(), pipeline("p", at=1), RED_CHILD, now=NOW + 99)
    assert runs_counted(history) == {"failure": 1}


def test_the_same_job_name_in_two_children_is_not_the_same_build() -> None:
    parents = [pipeline(f"{place}", at=place, sha="s") for place in (1, 2)]
    jobs = job("a", "1", name="t", sha="s"), job("b", "2", Outcome.FAILURE, name="t", sha="s")
    assert of(read(*jobs, runs=parents)).flaky_commits == 1
    children = [run._replace(trigger="parent_pipeline", parent="0") for run in parents]
    assert of(read(*jobs, runs=[pipeline("0"), *children])).flaky_commits == 0


# The windows


def test_the_window_holds_the_newest_runs_of_each_branch_label() -> None:
    runs = [pipeline(f"m{place}", at=place) for place in range(5)]
    runs += [pipeline(f"x{place}", at=place, branch="x") for place in range(5)]
    history = listed(History(), *runs, pipeline("old", at=-8 * DAY), rules=FEW)
    assert of(history, rules=FEW).runs == {Outcome.SUCCESS: 3}
    assert of(history, "other", rules=FEW).runs == {Outcome.SUCCESS: 3}
    assert sorted(row.run.id for row in history.runs.values() if row.shown) == ["m2", "m3", "m4", "x2", "x3", "x4"]


def test_runs_that_are_too_old_are_not_in_the_window() -> None:
    history = listed(History(), pipeline("old", "failed", at=-8 * DAY), pipeline("new", "failed", at=-DAY))
    assert of(history).runs == {Outcome.FAILURE: 1}
    assert broken(history) == (False, 2, 60 - 8 * DAY)
    assert history.cut_at == NOW + 6 * DAY
    assert of(aged(history, RULES, NOW + 6 * DAY + 1)).runs == {}


def test_where_builds_are_their_own_runs_the_numbers_are_the_same() -> None:
    history = read_again(read(build("a")), build("b", Outcome.FAILURE, at=1), build("c", Outcome.ALLOWED_FAILURE, at=2))
    found = of(history)
    assert found.runs == {Outcome.SUCCESS: 1, Outcome.FAILURE: 1, Outcome.ALLOWED_FAILURE: 1}
    assert found.run_success_ratio == found.success_ratio == 0.5
    assert found.run_totals == {
        Outcome.SUCCESS: 0,
        Outcome.FAILURE: 1,
        Outcome.ERROR: 0,
        Outcome.TIMEOUT: 0,
        Outcome.CANCELLATION: 0,
        Outcome.SKIP: 0,
    }
    assert history.run_totals == {}
    few = Rules(builds=9, runs=1)
    assert of(recut(history, few, NOW), rules=few).runs == {Outcome.ALLOWED_FAILURE: 1}


def test_memory_is_bounded_however_many_pipelines_come() -> None:
    history, most, most_runs = read(), 0, 0
    for place in range(0, 3000, 30):
        runs = [
            pipeline(
                f"{n}", "failed" if n % 7 else "success", at=n * 60.0, branch=f"release/{n % 50}" if n % 3 else "main"
            )
            for n in range(place, place + 30)
        ]
        builds = [
            job(f"{run.id}-{n}", run.id, Outcome.FAILURE, at=run.created_at - NOW, branch=run.branch)
            for run in runs
            for n in range(10)
        ]
        children = [
            pipeline(f"c{run.id}", at=run.created_at - NOW, trigger="parent_pipeline", parent=run.id) for run in runs
        ]
        history = read_again(history, *builds, runs=[*runs, *children], now=NOW + place * 60.0 + 3600)
        most, most_runs = max(most, len(history.rows)), max(most_runs, len(history.runs))
    assert most < 1300
    assert most_runs < 1500
    assert len(history.totals) == 6


def test_a_run_that_was_cut_and_is_met_again_is_counted_and_judged_once() -> None:
    history = read()
    for place in range(1, 301):
        red = pipeline(f"{place}", "failed", at=place * 1000.0)
        history = listed(history, red, rules=FEW, now=NOW + place * 1000 + 60)
    assert "2" not in history.runs
    again = listed(history, pipeline("2", "success", at=2000, moved=300_000), rules=FEW, now=NOW + 300_000)
    assert broken(again, rules=FEW) == (False, 300, 1060)
    assert runs_counted(again) == {"failure": 300}


# What a run is remembered to have come to


def test_a_run_whose_builds_are_forgotten_is_what_it_was() -> None:
    history = read()
    first = job("1-t", "1", Outcome.TIMEOUT, took=33), job("1-x", "1", Outcome.EXECUTING, took=33)
    history = read_again(history, *first, runs=[pipeline("1", "running")], rules=FEW, now=NOW + 40)
    for place in range(2, 60):
        green = [job(f"{place}-{n}", f"{place}", at=place * 1000) for n in range(9)]
        run = pipeline(f"{place}", at=place * 1000)
        history = read_again(history, *green, runs=[run], rules=FEW, now=NOW + place * 1000 + 60)
    history = without(history, {"1-x"}, FEW, NOW + 60_000)
    assert "1-t" not in history.rows
    row = history.runs["1"]
    assert (row.succeeded, row.decided_at, row.outcome, row.whole) == (False, NOW + 33, Outcome.TIMEOUT, False)
    # The provider says that it moves again: it failed all the same.
    again = listed(history, pipeline("1", "pending", moved=9e5), rules=FEW, now=NOW + 9e5).runs["1"]
    assert (again.succeeded, again.decided_at, again.outcome) == (False, NOW + 33, Outcome.TIMEOUT)


def test_the_latency_of_a_run_is_remembered_though_its_builds_are_not() -> None:
    rules = replace(FEW, runs=50, histograms=("run",))
    history = read(rules=rules)
    for place in range(40):
        jobs = [job(f"{place}-{n}", f"{place}", at=place * 1000) for n in range(9)]
        history = read_again(history, *jobs, runs=[pipeline(f"{place}", at=place * 1000)], rules=rules)
    assert "0-0" not in history.rows
    [histogram] = of(history, rules=rules).histograms["run"].values()
    assert (histogram.counts[-1], histogram.total) == (40, 2400)


# What is counted


def test_a_run_is_counted_once_by_what_it_first_came_to() -> None:
    history = read(job("1-t", "1", Outcome.EXECUTING), runs=[pipeline("1", "running", moved=0)])
    for run in (
        pipeline("1"),
        pipeline("1", "running", moved=90),
        pipeline("1", "failed", moved=99),
        pipeline("1", moved=120),
    ):
        history = listed(history, run, now=(run.updated_at or 0) + 1)
    assert runs_counted(history) == {"success": 1}


def test_what_had_ended_before_the_first_read_is_never_counted_as_a_run() -> None:
    history = listed(History(), pipeline("2", at=-500), now=NOW)
    assert runs_counted(history) == {}
    # An older one that the first page did not show moves now.
    assert runs_counted(listed(history, pipeline("1", at=-900, moved=950), now=NOW + 60)) == {}
    assert runs_counted(listed(history, pipeline("3", at=5), now=NOW + 66)) == {"success": 1}


def test_a_run_that_failed_by_a_build_alone_is_counted_once_it_is_not_retried() -> None:
    red = job("1-test", "1", Outcome.FAILURE, at=1, took=10)
    running = pipeline("1", "running", at=1, moved=1)
    history = read_again(read(runs=[pipeline("0", at=-100)]), red, runs=[running], now=NOW + 12)
    assert (broken(history), runs_counted(history)) == ((False, 1, 11), {})
    assert history.cut_at == NOW + 41
    assert runs_counted(aged(history, RULES, NOW + 41)) == {"failure": 1}
    # Had GitLab retried it, nothing had failed.
    retry = job("2-test", "1", Outcome.EXECUTING, at=11.1)
    retried = read_again(history, retry, runs=[running], now=NOW + 14)
    assert (broken(retried), retried.cut_at > NOW + 41) == ((True, 0, None), True)
    green = read_again(retried, moved(retry, Outcome.SUCCESS), runs=[pipeline("1", at=1, moved=71)], now=NOW + 99)
    assert (runs_counted(green), sequel(green).restores) == ({"success": 1}, 0)


def test_a_new_branch_counts_its_runs_at_once() -> None:
    history = listed(read(runs=[pipeline("0", at=-9)]), pipeline("1", at=1, branch="release/1"), now=NOW + 99)
    assert history.run_totals["release/1",][Outcome.SUCCESS] == 1


def test_time_spent_is_summed_for_success_and_for_all_that_fail() -> None:
    rules = replace(RULES, histograms=("concluded",), buckets=(10, 60))
    history = read(build("a", took=5), rules=rules)
    later = [
        build("b", at=1, took=5),
        build("c", Outcome.FAILURE, at=2, took=20),
        build("d", Outcome.TIMEOUT, at=3, took=90),
        build("e", Outcome.CANCELLATION, at=4, took=1000),
    ]
    for _ in range(2):
        history = read_again(history, *later, rules=rules, now=NOW + 2000)
    found = of(history, rules=rules)
    assert found.seconds == {Outcome.SUCCESS: 5, Outcome.FAILURE: 110}
    assert {outcome: one.counts for outcome, one in found.latencies.items()} == {
        Outcome.SUCCESS: [1, 1, 1],
        Outcome.FAILURE: [0, 1, 2],
    }
    assert [one and one.id for one in found.latencies[Outcome.FAILURE].exemplars] == [None, "c", "d"]
    assert found.latencies[Outcome.FAILURE].total == 110
    assert {outcome: one.id for outcome, one in found.exemplars.items() if outcome is not Outcome.SUCCESS} == {
        Outcome.FAILURE: "c", Outcome.TIMEOUT: "d", Outcome.CANCELLATION: "e",
    }  # fmt: skip
    assert found.histograms == {}
    other = recut(history, replace(rules, buckets=(10,)), NOW)
    assert other.latencies["main",][Outcome.SUCCESS] == (0, 0)


# Opt-in labels


def test_by_job_a_run_is_judged_by_that_job_alone() -> None:
    rules = replace(RULES, labels=("build_name",))
    history = read(runs=[pipeline("0", at=-99)], rules=rules)
    for place in range(3):
        red = pipeline(f"{place + 1}", "failed", at=place * 100 + 1)
        jobs = [
            job(f"{place}-lint", red.id, at=place * 100 + 1, took=10),
            job(f"{place}-test", red.id, Outcome.FAILURE, at=place * 100 + 1, took=20),
        ]
        history = read_again(history, *jobs, runs=[red], rules=rules, now=NOW + place * 100 + 70)
    found = {one.group: one for one in statistics(history, rules)}
    assert found.keys() == {("main", "lint"), ("main", "test")}
    lint, test = found["main", "lint"], found["main", "test"]
    assert (lint.sequel.success, lint.sequel.failures) == (True, 0)
    assert (test.sequel.success, test.sequel.failures, test.sequel.broken_since) == (False, 3, NOW + 21)
    assert (lint.run_totals[Outcome.SUCCESS], test.run_totals[Outcome.FAILURE]) == (3, 3)
    assert (lint.runs, test.runs) == ({Outcome.SUCCESS: 3}, {Outcome.FAILURE: 3})


def test_by_stage_a_run_that_was_under_way_at_the_first_read_is_counted_when_its_stage_ends() -> None:
    rules = replace(RULES, labels=("build_stage",))
    jobs = [job("1-a", "1", stage="test"), job("1-b", "1", Outcome.EXECUTING, stage="test")]
    history = read(*jobs, runs=[pipeline("1", "running")], rules=rules)
    history = read_again(history, moved(jobs[1], Outcome.SUCCESS), rules=rules, now=NOW + 99)
    assert runs_counted(history) == {"success": 1}
    assert runs_counted(read_again(history, *jobs, rules=rules, now=NOW + 120)) == {"success": 1}


def test_by_trigger_a_green_push_hides_no_red_nightly() -> None:
    rules = replace(RULES, labels=("trigger",))
    runs = [pipeline("1", "failed", trigger="schedule"), pipeline("2", at=100)]
    found = {one.group: one.sequel.success for one in statistics(listed(History(), *runs, rules=rules), rules)}
    assert found == {("main", "schedule"): False, ("main", "push"): True}


def test_other_labels_count_nothing_that_had_ended_by_then() -> None:
    history = read_again(read(), job("1-t", "1", at=1), runs=[pipeline("1", at=1)], now=NOW + 99)
    assert runs_counted(history) == {"success": 1}
    for labels in (("build_name",), ("trigger",)):
        rules = replace(RULES, labels=labels)
        assert runs_counted(recut(history, rules, NOW + 100)) == {}
        later = read_again(recut(history, rules, NOW + 100), job("1-t", "1", at=1), rules=rules, now=NOW + 130)
        assert runs_counted(later) == {}


# The default branch


def test_the_default_branch_keeps_its_name() -> None:
    history = read(job("1-t", "1", branch="develop"), runs=[pipeline("1", branch="develop")])
    assert history.names == ()
    later = with_default_branch(history, "develop", RULES, NOW)
    assert (later.names, later.version) == (("develop",), history.version + 1)
    assert with_default_branch(later, "develop", RULES, NOW) is later
    assert with_default_branch(later, None, RULES, NOW).names == ()
    assert with_default_branch(History(), "develop", RULES, NOW).default_branch == "develop"


def test_the_default_branch_is_named_before_all_others_and_stands_for_no_glob() -> None:
    rules = Rules(branches=("release/*", "default", "main"))
    builds = [build("d", branch="trunk[1]", at=-99), build("m", branch="main", at=-50), build("t", branch="trunk1")]
    builds += [build(f"r{place}", branch=f"release/{place}", at=place) for place in range(6)]
    history = with_default_branch(read(*builds, rules=rules), "trunk[1]", rules, NOW)
    assert history.names == ("trunk[1]", "main", "release/5", "release/4", "release/3")


def test_where_the_provider_does_not_say_which_is_the_default_branch_main_and_master_stand_in() -> None:
    rules = Rules(branches=("default",))
    history = read(build("a"), build("b", branch="master"), build("c", branch="default"), rules=rules)
    assert set(history.names) == {"main", "master"}
    assert with_default_branch(history, "x", rules, NOW).names == ()


# Folded


def test_folded_all_is_shown_under_other_and_counters_are_the_sums() -> None:
    rules = replace(RULES, labels=("build_name",), histograms=("concluded",))
    history = read(build("a", name="x"), build("b", branch=None, name="y"), rules=rules)
    history = read_again(history, build("c", at=1, name="x"), build("d", at=2, branch=None), rules=rules, now=NOW + 99)
    [found] = statistics(history, rules, folded=True)
    assert found.group == ("other", "other")
    assert (found.totals[Outcome.SUCCESS], found.run_totals[Outcome.SUCCESS], found.seconds[Outcome.SUCCESS]) == (
        2,
        2,
        120,
    )
    assert found.latencies[Outcome.SUCCESS].counts[-1] == 2
    assert found.counts == {("success", Outcome.SUCCESS): 4}
    assert statistics(History(), rules, folded=True) == []


def test_folded_the_window_is_that_of_one_label() -> None:
    history = read(*(build(f"{n}", at=n, branch="main" if n % 2 else None) for n in range(12)), rules=FEW)
    [found] = statistics(history, FEW, folded=True)
    assert (found.counts, found.oldest_created) == ({("success", Outcome.SUCCESS): 3}, NOW + 9)


def test_folded_the_past_is_that_of_all() -> None:
    history = read(
        *(build(f"{n:03}", Outcome.FAILURE, at=n * 10, branch="main" if n % 2 else None) for n in range(300)), rules=FEW
    )
    assert len(history.past) == 2
    [found] = statistics(history, FEW, folded=True)
    assert found.sequel.success is False
    assert found.last_concluded == {Outcome.FAILURE: NOW + 3050}
    assert found.last_created == NOW + 2990


# Coverage


def test_the_coverage_of_a_branch_is_the_mean_over_the_builds_of_its_newest_decided_run() -> None:
    jobs = [
        job("1-a", "1")._replace(coverage=0.1),
        job("2-a", "2", at=100, name="a")._replace(coverage=0.2),
        job("3-a", "2", at=150, name="a")._replace(coverage=0.5),
        job("2-b", "2", at=100)._replace(coverage=0.9),
        job("2-c", "2", at=100),
        job("4-a", "4", Outcome.EXECUTING, at=500)._replace(coverage=1.0),
    ]
    runs = [pipeline("1"), pipeline("2", at=100), pipeline("4", "running", at=500)]
    assert of(read(*jobs, runs=runs)).coverage == pytest.approx(0.7)
    assert of(read(job("1-x", "1"), runs=[pipeline("1")])).coverage is None
    assert of(read(runs=[pipeline("1", "running")])).coverage is None


# Groups of builds of which the provider told no run


def test_builds_of_a_run_of_which_nothing_else_is_known_are_never_green() -> None:
    history = read(job("1-a", "1"), job("2-b", "2", Outcome.FAILURE, at=100))
    assert broken(history) == (False, 1, 160)
    assert sequel(read(job("1-a", "1"))).success is None
