from builds import NOW, build
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Build, Outcome
from exporter.history.runs import age_key, newest_runs, runs


def test_one_failed_test_among_ten_passing_jobs_makes_the_run_a_failed_one() -> None:
    jobs = [build(str(place), run="p1", name=f"job {place}", at=place) for place in range(10)]
    [run] = runs([*jobs, build("99", Outcome.FAILURE, run="p1", name="test", at=3, took=7)])
    assert (run.failed, run.succeeded, run.decided) == (True, False, True)
    assert run.decided_at == NOW + 10
    assert run.failure
    assert run.failure.id == "99"


def test_a_run_takes_each_job_by_its_newest_attempt() -> None:
    failed = build("9", Outcome.FAILURE, run="p1", name="test", at=0)
    retried = build("10", Outcome.SUCCESS, run="p1", name="test", at=100, took=5)
    other = build("8", Outcome.SUCCESS, run="p1", name="lint", at=0, took=1)
    [run] = runs([retried, failed, other])
    assert (run.failed, run.succeeded, run.failure) == (False, True, None)
    assert run.created_at == NOW
    assert run.decided_at == NOW + 105


def test_a_later_attempt_that_fails_makes_a_green_run_red() -> None:
    [run] = runs([build("2", Outcome.ERROR, run="p", name="t", at=9), build("1", run="p", name="t")])
    assert run.failed


def test_of_two_attempts_of_one_instant_the_greater_number_is_the_newer() -> None:
    [run] = runs([build("100", run="p", name="t"), build("99", Outcome.FAILURE, run="p", name="t")])
    assert run.succeeded
    assert age_key(build("99")) < age_key(build("100"))


def test_an_allowed_failure_fails_no_run() -> None:
    [run] = runs([build("1", Outcome.ALLOWED_FAILURE, run="p", name="audit"), build("2", run="p", name="test")])
    assert run.succeeded


def test_a_run_with_nothing_but_cancelled_builds_is_undecided() -> None:
    [run] = runs([build("1", Outcome.CANCELLATION, run="p", name="a"), build("2", Outcome.SKIP, run="p", name="b")])
    assert (run.failed, run.succeeded, run.decided, run.decided_at) == (False, False, False, None)


def test_a_run_has_failed_while_others_of_its_builds_still_run() -> None:
    [run] = runs([build("1", Outcome.EXECUTING, run="p", name="a"), build("2", Outcome.TIMEOUT, run="p", name="b")])
    assert run.failed


def test_a_run_has_not_succeeded_while_one_of_its_builds_is_unfinished() -> None:
    [run] = runs([build("1", Outcome.PENDING, run="p", name="a"), build("2", run="p", name="b")])
    assert (run.decided, run.decided_at) == (False, None)


def test_a_manual_build_that_waits_holds_up_no_success() -> None:
    [run] = runs([build("1", Outcome.WAITING, run="p", name="deploy"), build("2", run="p", name="test")])
    assert run.succeeded


def test_a_failed_run_is_decided_by_its_first_failure_and_points_at_its_newest_build() -> None:
    [run] = runs(
        [
            build("1", Outcome.FAILURE, run="p", name="a", at=0, took=100),
            build("2", Outcome.FAILURE, run="p", name="b", at=5, took=10),
        ]
    )
    assert run.decided_at == NOW + 15
    assert run.failure
    assert run.failure.id == "2"


def test_a_run_whose_builds_tell_no_end_is_decided_at_no_known_time() -> None:
    [run] = runs([build("1", Outcome.FAILURE)._replace(concluded_at=None)])
    assert (run.failed, run.decided_at) == (True, None)


def test_runs_come_oldest_first_and_those_of_one_instant_by_their_number() -> None:
    found = runs([build("c", run="100"), build("b", run="99"), build("a", run="7", at=1), build("d", run="8", at=-1)])
    assert [run.id for run in found] == ["8", "99", "100", "7"]


def test_without_builds_there_are_no_runs() -> None:
    assert runs([]) == []


BUILDS = st.lists(
    st.builds(
        build,
        st.integers(0, 50).map(str),
        st.sampled_from(Outcome),
        at=st.integers(0, 5),
        run=st.sampled_from(["1", "2", "10", "x"]),
        name=st.sampled_from(["", "unit", "lint"]),
    ),
    unique_by=lambda one: one.id,
    max_size=12,
)


@given(BUILDS)
def test_from_the_newest_on_they_are_the_same_runs_each_with_its_builds(builds: list[Build]) -> None:
    found = list(newest_runs(builds))
    assert [run for run, _members in found] == runs(builds)[::-1]
    assert all({build.run for build in members} == {run.id} for run, members in found)
    assert sorted(build for _run, members in found for build in members) == sorted(builds)
