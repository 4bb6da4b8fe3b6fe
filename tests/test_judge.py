"""What a run has come to, of what the provider says and of its builds."""

import pytest
from builds import NOW, build, pipeline
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Build, Outcome, Run
from exporter.history.composite import composite
from exporter.history.judge import Pipeline, Verdict, age_key, of_builds, verdict
from exporter.history.records import RunRow


def job(number: int, outcome: Outcome, name: str = "test", *, at: float = 0.0, took: float = 50.0) -> Build:
    return build(str(number), outcome, run="p", name=name, at=at, took=took)


def waiting(number: int, name: str, status: str) -> Build:
    return job(number, Outcome.WAITING, name)._replace(status=status)


def judged(run: Run, *jobs: Build, whole: bool = True, said: tuple[tuple[float, bool], ...] = ()) -> Verdict:
    return verdict([Pipeline(RunRow(run, NOW, whole=whole, said=said), jobs)])


def short(found: Verdict) -> tuple[bool | None, float | None, Outcome]:
    """Without the build; times after NOW."""
    return found.succeeded, None if found.decided_at is None else found.decided_at - NOW, found.outcome


RED = job(1, Outcome.FAILURE, took=40)


# What the provider says


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("success", (True, 60, Outcome.SUCCESS)),
        ("failed", (False, 60, Outcome.FAILURE)),
        ("canceled", (None, None, Outcome.CANCELLATION)),
        ("skipped", (None, None, Outcome.SKIP)),
        ("running", (None, None, Outcome.EXECUTING)),
        ("created", (None, None, Outcome.WAITING)),
        ("manual", (None, None, Outcome.WAITING)),
    ],
)
def test_a_run_of_which_only_the_list_told_is_as_the_provider_says(
    status: str, expected: tuple[bool | None, float | None, Outcome]
) -> None:
    assert short(judged(pipeline("p", status), whole=False)) == expected


def test_a_cancelled_pipeline_in_which_something_succeeded_is_undecided() -> None:
    jobs = job(1, Outcome.SUCCESS, "lint"), job(2, Outcome.CANCELLATION)
    assert short(judged(pipeline("p", "canceled"), *jobs)) == (None, None, Outcome.CANCELLATION)


def test_between_two_stages_a_pipeline_is_undecided() -> None:
    jobs = job(1, Outcome.SUCCESS, "build"), waiting(2, "test", "created")
    assert short(judged(pipeline("p", "running"), *jobs)) == (None, None, Outcome.EXECUTING)


def test_a_red_pipeline_does_not_wait_for_its_last_job() -> None:
    found = judged(pipeline("p", "running"), RED, job(2, Outcome.EXECUTING, "slow"))
    assert short(found) == (False, 40, Outcome.FAILURE)
    assert found.failure == RED


def test_a_failed_run_is_decided_by_its_first_failure_and_points_at_its_newest_failed_build() -> None:
    first = job(1, Outcome.FAILURE, "a", took=100)
    second = job(2, Outcome.FAILURE, "b", at=5, took=10)
    found = judged(pipeline("p", "failed", moved=101), first, second)
    assert (short(found), found.failure) == ((False, 15, Outcome.FAILURE), second)


def test_a_pipeline_that_failed_without_a_failed_job_failed_when_its_status_moved() -> None:
    found = judged(pipeline("p", "failed", moved=2))
    assert (short(found), found.failure) == ((False, 2, Outcome.FAILURE), None)


def test_an_allowed_failure_fails_no_run() -> None:
    jobs = job(1, Outcome.ALLOWED_FAILURE, "audit"), job(2, Outcome.SUCCESS)
    assert short(judged(pipeline("p"), *jobs)) == (True, 60, Outcome.SUCCESS)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Outcome.ERROR, Outcome.TIMEOUT, Outcome.FAILURE], Outcome.FAILURE),
        ([Outcome.ERROR, Outcome.TIMEOUT], Outcome.TIMEOUT),
        ([Outcome.ERROR], Outcome.ERROR),
    ],
)
def test_a_failed_run_is_a_failure_else_a_timeout_else_an_error(outcomes: list[Outcome], expected: Outcome) -> None:
    jobs = [job(place, outcome, f"j{place}") for place, outcome in enumerate(outcomes)]
    assert judged(pipeline("p", "failed"), *jobs).outcome is expected


def test_a_build_whose_end_is_not_told_fails_its_run_at_no_known_time() -> None:
    assert short(judged(pipeline("p", "running"), RED._replace(concluded_at=None))) == (False, None, Outcome.FAILURE)
    other = job(2, Outcome.FAILURE, "b", at=30)
    assert short(judged(pipeline("p", "running"), RED._replace(concluded_at=None), other)) == (
        False, 80, Outcome.FAILURE,
    )  # fmt: skip


# Gates


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([Outcome.SUCCESS], True),
        ([Outcome.SUCCESS, Outcome.ALLOWED_FAILURE], True),
        ([], None),
        ([Outcome.SUCCESS, Outcome.CANCELLATION], None),
        ([Outcome.SUCCESS, Outcome.FAILURE], False),
    ],
)
def test_a_gate_counts_as_success_if_something_succeeded_and_nothing_failed_or_was_cancelled(
    others: list[Outcome],
    expected: bool | None,  # noqa: FBT001
) -> None:
    jobs = [job(place, outcome, f"j{place}") for place, outcome in enumerate(others)]
    gate = waiting(99, "deploy", "manual")
    assert judged(pipeline("p", "manual"), gate, *jobs).succeeded is expected
    if expected:
        assert judged(pipeline("p", "manual"), gate, *jobs, whole=False).succeeded is None


# Attempts


def test_a_retry_that_somebody_starts_changes_nothing_until_it_has_succeeded() -> None:
    retry = job(2, Outcome.EXECUTING, at=400)
    assert short(judged(pipeline("p", "running", moved=401), RED, retry)) == (False, 40, Outcome.FAILURE)
    green = job(2, Outcome.SUCCESS, at=400, took=20)
    # Later stages still run: it stays failed since the same moment.
    assert short(judged(pipeline("p", "running", moved=401), RED, green)) == (False, 40, Outcome.FAILURE)
    assert short(judged(pipeline("p", "success", moved=421), RED, green)) == (True, 421, Outcome.SUCCESS)


@pytest.mark.parametrize("outcome", [Outcome.CANCELLATION, Outcome.SKIP, Outcome.PENDING, Outcome.UNKNOWN])
def test_an_attempt_that_neither_succeeded_nor_failed_replaces_nothing(outcome: Outcome) -> None:
    assert short(judged(pipeline("p", "running"), RED, job(2, outcome, at=400))) == (False, 40, Outcome.FAILURE)


def test_a_retry_that_fails_fails_since_the_same_moment() -> None:
    again = job(2, Outcome.FAILURE, at=400)
    found = judged(pipeline("p", "failed", moved=451), RED, again)
    assert (short(found), found.failure) == ((False, 40, Outcome.FAILURE), again)


def test_a_run_that_was_repaired_and_fails_again_fails_since_then() -> None:
    green, red = job(2, Outcome.SUCCESS, at=400), job(3, Outcome.FAILURE, "deploy", at=900)
    said = ((NOW + 41, False), (NOW + 451, True))
    found = judged(pipeline("p", "failed", moved=951), RED, green, red, said=said)
    assert (short(found), found.failure) == ((False, 950, Outcome.FAILURE), red)


def test_the_providers_own_retry_fails_nothing() -> None:
    retry = job(2, Outcome.EXECUTING, at=40.2)
    assert short(judged(pipeline("p", "running"), RED, retry)) == (None, None, Outcome.EXECUTING)
    cancelled = job(2, Outcome.CANCELLATION, at=40.2)
    assert judged(pipeline("p", "canceled"), RED, cancelled).succeeded is None
    red = job(2, Outcome.FAILURE, at=69, took=10)
    assert short(judged(pipeline("p", "failed", moved=79), RED, red)) == (False, 79, Outcome.FAILURE)


def test_an_attempt_half_a_minute_later_is_no_retry_of_the_provider() -> None:
    assert judged(pipeline("p", "running"), RED, job(2, Outcome.EXECUTING, at=70.1)).succeeded is False


def test_an_attempt_that_began_before_the_failed_one_ended_is_no_retry_of_it() -> None:
    assert judged(pipeline("p", "running"), RED, job(2, Outcome.EXECUTING, at=20)).succeeded is False


def test_in_a_pipeline_that_was_seen_failed_a_quick_retry_is_a_persons() -> None:
    found = judged(pipeline("p", "running", moved=51), RED, job(2, Outcome.EXECUTING, at=50), said=((NOW + 41, False),))
    assert short(found) == (False, 40, Outcome.FAILURE)


def test_a_pipeline_that_failed_after_a_retry_of_the_provider_failed_since_then() -> None:
    quick, red = job(2, Outcome.SUCCESS, at=40.2), job(3, Outcome.FAILURE, "lint", at=200)
    found = judged(pipeline("p", "failed", moved=251), RED, quick, red)
    assert (short(found), found.failure) == ((False, 250, Outcome.FAILURE), red)


def test_of_two_attempts_of_one_instant_the_greater_number_is_the_newer() -> None:
    jobs = build("100", run="p", name="t"), build("99", Outcome.FAILURE, run="p", name="t", took=3)
    assert judged(pipeline("p", moved=61), *jobs).succeeded
    assert age_key(build("99")) < age_key(build("100"))


# What has succeeded moves again


@pytest.mark.parametrize("status", ["running", "canceled", "pending", "manual", "skipped"])
def test_what_has_succeeded_stays_so_since_the_same_moment(status: str) -> None:
    played = job(2, Outcome.EXECUTING, "deploy")
    found = judged(pipeline("p", status, moved=900), job(1, Outcome.SUCCESS), played, said=((NOW + 60, True),))
    assert short(found) == (True, 60, Outcome.SUCCESS)


def test_what_has_succeeded_twice_succeeded_since_the_first_time() -> None:
    found = judged(pipeline("p", moved=900), job(1, Outcome.SUCCESS), said=((NOW + 60, True),))
    assert short(found) == (True, 60, Outcome.SUCCESS)


def test_what_has_succeeded_fails_when_a_build_does() -> None:
    played = job(2, Outcome.FAILURE, "deploy", at=500)
    found = judged(pipeline("p", "running", moved=540), job(1, Outcome.SUCCESS), played, said=((NOW + 60, True),))
    assert short(found) == (False, 550, Outcome.FAILURE)


# Known in part


def test_a_failed_build_is_not_outweighed_by_a_word_that_may_tell_of_a_later_attempt() -> None:
    assert judged(pipeline("p", moved=500), RED, whole=False).succeeded is False


def test_builds_of_a_pipeline_known_in_part_do_not_make_it_green() -> None:
    assert judged(pipeline("p", "running"), job(1, Outcome.SUCCESS), whole=False).succeeded is None


# Child pipelines


def child(run_id: str, status: str = "success", *, at: float = 10.0, moved: float = 100.0) -> Pipeline:
    jobs = {"success": Outcome.SUCCESS, "failed": Outcome.FAILURE}.get(status)
    builds = [build(f"{run_id}-1", jobs, run=run_id, name="test", at=at, took=moved - 1)] if jobs else []
    return Pipeline(RunRow(pipeline(run_id, status, at=at, moved=moved, trigger="parent_pipeline"), NOW), builds)


def with_children(status: str, *children: Pipeline, moved: float = 60.0) -> tuple[bool | None, float | None, Outcome]:
    parent = Pipeline(RunRow(pipeline("p", status, moved=moved), NOW, whole=True), [job(1, Outcome.SUCCESS, "prep")])
    return short(verdict([parent, *children]))


def test_a_red_child_makes_the_run_red_whatever_its_parent_and_a_green_one_say() -> None:
    assert with_children("success", child("c1", "failed"), child("c2", at=20)) == (False, 109, Outcome.FAILURE)


def test_a_run_succeeded_when_the_last_of_its_children_did() -> None:
    assert with_children("success", child("c1"), child("c2", at=20)) == (True, 120, Outcome.SUCCESS)


def test_a_parent_that_waits_for_its_children_says_itself_when_it_succeeded() -> None:
    assert with_children("success", child("c1"), moved=115) == (True, 115, Outcome.SUCCESS)


@pytest.mark.parametrize("status", ["running", "created", "canceled", "canceling", "manual"])
def test_a_child_that_did_not_succeed_keeps_its_run_from_it(status: str) -> None:
    assert with_children("success", child("c1", status))[0] is None


def test_a_skipped_child_is_in_nobodys_way() -> None:
    assert with_children("success", child("c1", "skipped", moved=1)) == (True, 60, Outcome.SUCCESS)


def test_a_run_whose_child_is_unfinished_is_not_shown_as_a_success() -> None:
    assert with_children("success", child("c1", "running")) == (None, None, Outcome.EXECUTING)
    assert with_children("success", child("c1", "canceled")) == (None, None, Outcome.CANCELLATION)


def test_a_child_created_after_its_parent_had_succeeded_does_not_undo_that_until_it_fails() -> None:
    assert with_children("success", child("c1", "running", at=500)) == (True, 60, Outcome.SUCCESS)
    assert with_children("success", child("c1", "failed", at=500)) == (False, 599, Outcome.FAILURE)


def test_a_child_that_is_retried_stays_red_until_it_is_green() -> None:
    row = RunRow(pipeline("c", "running", at=10, moved=500, trigger="parent_pipeline"), NOW, said=((NOW + 100, False),))
    assert with_children("success", Pipeline(row, ())) == (False, 100, Outcome.FAILURE)
    green = row._replace(run=row.run._replace(status="success", outcome=Outcome.SUCCESS, updated_at=NOW + 600))
    assert with_children("success", Pipeline(green, ())) == (True, 600, Outcome.SUCCESS)


def test_a_run_that_a_child_made_red_stays_so_until_the_child_that_replaced_it_succeeded() -> None:
    red = child("c1", "failed", at=10)
    red = red._replace(row=red.row._replace(dismissed=True, replaced=True))
    assert with_children("success", red, child("c2", "running", at=500)) == (False, 109, Outcome.FAILURE)
    assert with_children("success", red, child("c2", "failed", at=500)) == (False, 109, Outcome.FAILURE)
    assert with_children("success", red, child("c2", at=500)) == (True, 600, Outcome.SUCCESS)
    allowed = red._replace(row=red.row._replace(replaced=False))
    assert with_children("success", allowed, child("c2", "running", at=500)) == (True, 60, Outcome.SUCCESS)


def test_a_child_that_failed_after_the_one_that_replaced_it_had_succeeded_changes_nothing() -> None:
    red = child("c1", "failed", at=10, moved=900)
    red = red._replace(row=red.row._replace(dismissed=True, replaced=True))
    assert with_children("success", red, child("c2", at=500)) == (True, 60, Outcome.SUCCESS)


# GitLab v3: no word for runs

V3 = pipeline("p", "")


def test_where_the_provider_has_no_word_the_builds_have() -> None:
    green = job(1, Outcome.SUCCESS, took=40), job(2, Outcome.SUCCESS, "lint", took=70)
    assert short(judged(V3, *green)) == (True, 70, Outcome.SUCCESS)
    assert short(judged(V3, *green, RED._replace(id="3"))) == (False, 40, Outcome.FAILURE)
    assert short(judged(V3, *green, job(3, Outcome.EXECUTING, "slow"))) == (None, None, Outcome.EXECUTING)
    assert short(judged(V3, *green, job(3, Outcome.CANCELLATION, "slow"))) == (None, None, Outcome.CANCELLATION)
    assert short(judged(V3, *green, waiting(3, "later", "created"))) == (
        None, None, Outcome.EXECUTING,
    )  # fmt: skip
    assert short(judged(V3, *green, waiting(3, "deploy", "manual"))) == (
        True, 70, Outcome.SUCCESS,
    )  # fmt: skip


def test_where_the_provider_has_no_word_a_run_known_in_part_is_never_green() -> None:
    assert judged(V3, job(1, Outcome.SUCCESS), whole=False).succeeded is None
    assert judged(V3, RED, whole=False).succeeded is False


def test_where_the_provider_has_no_word_a_retry_repairs_a_run() -> None:
    assert short(judged(V3, RED, job(2, Outcome.EXECUTING, at=400))) == (False, 40, Outcome.FAILURE)
    assert short(judged(V3, RED, job(2, Outcome.SUCCESS, at=400))) == (True, 450, Outcome.SUCCESS)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("skipped", Outcome.SKIP),
        ("success skipped", Outcome.SUCCESS),
        ("success manual", Outcome.SUCCESS),
        ("manual", Outcome.SKIP),
        ("created", Outcome.WAITING),
        ("created skipped", Outcome.PENDING),
        ("preparing", Outcome.PENDING),
        ("canceled", Outcome.CANCELLATION),
        ("canceled success skipped", Outcome.CANCELLATION),
        ("pending created", Outcome.PENDING),
        ("running failed", Outcome.EXECUTING),
        ("pending success", Outcome.EXECUTING),
        ("waiting_for_resource success", Outcome.PENDING),
        ("scheduled success", Outcome.WAITING),
        ("scheduled created", Outcome.WAITING),
        ("preparing success", Outcome.PENDING),
        ("created success", Outcome.EXECUTING),
        ("created success manual", Outcome.EXECUTING),
        ("failed success", Outcome.FAILURE),
        ("failed canceled", Outcome.FAILURE),
    ],
)
def test_the_status_of_a_pipeline_is_made_of_its_jobs_in_gitlabs_order(statuses: str, expected: Outcome) -> None:
    words = {
        "success": Outcome.SUCCESS,
        "failed": Outcome.FAILURE,
        "canceled": Outcome.CANCELLATION,
        "skipped": Outcome.SKIP,
        "running": Outcome.EXECUTING,
        "pending": Outcome.PENDING,
        "preparing": Outcome.PENDING,
        "waiting_for_resource": Outcome.PENDING,
    }
    jobs = [job(1, words.get(status, Outcome.WAITING), status)._replace(status=status) for status in statuses.split()]
    assert composite(jobs) is expected


# Some of a run's builds


def test_some_builds_of_a_run_are_judged_by_themselves() -> None:
    one, two = job(1, Outcome.SUCCESS, "a", took=30), job(2, Outcome.SUCCESS, "b", took=20)
    assert short(of_builds([one])) == (True, 30, Outcome.SUCCESS)
    assert short(of_builds([one, two])) == (True, 30, Outcome.SUCCESS)
    assert short(of_builds([one, RED])) == (False, 40, Outcome.FAILURE)
    assert short(of_builds([one, job(3, Outcome.CANCELLATION, "c")])) == (None, None, Outcome.CANCELLATION)
    assert short(of_builds([one, job(3, Outcome.EXECUTING, "c")])) == (None, None, Outcome.EXECUTING)


def test_a_job_that_succeeded_and_is_run_again_still_succeeded() -> None:
    again = job(2, Outcome.EXECUTING, "a", at=400)
    assert short(of_builds([job(1, Outcome.SUCCESS, "a"), again])) == (True, 50, Outcome.SUCCESS)
    assert short(of_builds([job(1, Outcome.SUCCESS, "a"), job(2, Outcome.SUCCESS, "a", at=400)])) == (
        True, 50, Outcome.SUCCESS,
    )  # fmt: skip


def test_a_job_that_failed_stays_failed_since_then_while_others_of_its_stage_run() -> None:
    green, other = job(2, Outcome.SUCCESS, at=400), job(3, Outcome.EXECUTING, "other")
    assert short(of_builds([RED, job(2, Outcome.FAILURE, at=400)])) == (False, 40, Outcome.FAILURE)
    assert short(of_builds([RED, green, other])) == (False, 40, Outcome.FAILURE)
    assert short(of_builds([RED, green])) == (True, 450, Outcome.SUCCESS)


# Any order


@given(st.permutations([
    RED,
    job(2, Outcome.SUCCESS, at=400),
    job(3, Outcome.CANCELLATION, "lint", at=400),
    job(4, Outcome.FAILURE, "deploy", at=900),
    job(5, Outcome.EXECUTING, "deploy", at=2000),
]))  # fmt: skip
def test_the_order_of_the_builds_changes_nothing(jobs: list[Build]) -> None:
    found = judged(pipeline("p", "running", moved=2001), *jobs, said=((NOW + 451, True),))
    assert (short(found), found.failure and found.failure.id) == ((False, 950, Outcome.FAILURE), "4")
