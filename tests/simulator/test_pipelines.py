"""Pipelines as GitLab has them, built by hand and looked at at any time."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.definition import NEVER, Action, Job, When
from exporter.simulator.pipeline import status_steps
from exporter.simulator.script import Script, ScriptedPipeline
from exporter.simulator.status import statuses

AT = 1_000.0


def run_of(*jobs: Job, at: float = AT, **more: Any) -> ScriptedPipeline:
    """A pipeline that is processed the moment that a job moves; jobs are pending for no time where they do not say."""
    return Script(lag=0.0, spacing=0.0).pipeline(jobs, at=at, **more)


def a(name: str, stage: str = "test", **more: Any) -> Job:
    return Job(name, stage, **{"queues": 0.0, "lasts": 10.0, **more})


def standing(run: ScriptedPipeline, at: float) -> dict[str, str]:
    """The status of each job and trigger job."""
    return {job.name: job.at(at).status for bridge in (False, True) for job in jobs_of(run, at, bridge=bridge)}


def jobs_of(run: ScriptedPipeline, at: float, *, bridge: bool) -> list[Any]:
    return run.record.jobs_at(at, bridges=bridge, retried=False)


@pytest.mark.parametrize(
    ("jobs", "status"),
    [
        ("skipped", "skipped"),
        ("skipped manual?", "skipped"),
        ("manual?", "skipped"),
        ("success", "success"),
        ("success skipped failed? canceled? manual?", "success"),
        ("failed? canceled?", "success"),
        ("created", "created"),
        ("created failed? manual?", "created"),
        ("preparing failed?", "preparing"),
        ("canceled", "canceled"),
        ("canceled success skipped manual? failed?", "canceled"),
        ("canceled failed", "failed"),
        ("pending", "pending"),
        ("pending created skipped", "pending"),
        ("pending success", "running"),
        ("running failed", "running"),
        ("success created", "running"),
        ("failed created", "running"),
        ("failed created manual", "manual"),
        ("failed waiting_for_resource manual", "waiting_for_resource"),
        ("success manual", "manual"),
        ("manual", "manual"),
        ("scheduled success", "scheduled"),
        ("scheduled manual", "manual"),
        ("success preparing", "preparing"),
        ("success canceling", "canceling"),
        ("success failed", "failed"),
        ("failed skipped", "failed"),
    ],
)
def test_the_status_of_a_pipeline_follows_from_its_jobs_in_gitlabs_order(jobs: str, status: str) -> None:
    """`?` is a job that may fail."""
    assert statuses((job.removesuffix("?"), job.endswith("?")) for job in jobs.split()) == status


def test_a_stage_begins_when_the_one_before_has_succeeded() -> None:
    run = run_of(a("compile", "build"), a("unit"), a("lint", lasts=20), a("deploy", "deploy"))

    assert standing(run, AT + 5) == {"compile": "running", "unit": "created", "lint": "created", "deploy": "created"}
    assert standing(run, AT + 25) == {"compile": "success", "unit": "success", "lint": "running", "deploy": "created"}
    assert [run.status(AT + at) for at in (5, 25, 35, 40)] == ["running", "running", "running", "success"]


def test_between_two_stages_the_next_is_not_started_yet() -> None:
    run = Script(lag=3.0, spacing=0.0).pipeline([a("compile", "build"), a("unit")], at=AT)

    assert standing(run, AT + 14) == {"compile": "success", "unit": "created"}
    assert run.status(AT + 14) == "running"
    assert standing(run, AT + 16) == {"compile": "success", "unit": "running"}
    assert (run.status(AT + 27), run.status(AT + 29)) == ("running", "success")


def test_later_stages_are_skipped_after_a_failure_and_not_after_one_that_is_allowed() -> None:
    failed = run_of(a("compile", "build", ends="failed"), a("unit"), a("report", when="always"))
    allowed = run_of(a("audit", "build", ends="failed", allow_failure=True), a("unit"))

    assert standing(failed, AT + 99) == {"compile": "failed", "unit": "skipped", "report": "success"}
    assert (failed.status(AT + 99), allowed.status(AT + 99)) == ("failed", "success")
    assert standing(allowed, AT + 99) == {"audit": "failed", "unit": "success"}


def test_a_job_for_failures_runs_after_one_only() -> None:
    failed = run_of(a("compile", "build", ends="failed"), a("tell", "after", when="on_failure"))
    fine = run_of(a("compile", "build"), a("tell", "after", when="on_failure"))

    assert (standing(failed, AT + 99)["tell"], standing(fine, AT + 99)["tell"]) == ("success", "skipped")
    assert (failed.status(AT + 99), fine.status(AT + 99)) == ("failed", "success")


def test_a_failed_pipeline_is_called_running_until_its_last_job_has_ended() -> None:
    run = run_of(a("unit", ends="failed"), a("slow", lasts=100))

    assert (run.status(AT + 50), run.updated_at(AT + 50)) == ("running", AT)
    assert (run.status(AT + 150), run.updated_at(AT + 150)) == ("failed", AT + 100)


def test_an_update_is_a_move_of_the_status_and_not_of_a_job() -> None:
    run = run_of(*(a(f"job-{n}", lasts=10.0 + n) for n in range(9)))

    assert {run.updated_at(AT + at) for at in range(18)} == {AT}
    assert run.updated_at(AT + 100) == AT + 18


def test_an_optional_manual_job_is_passed_by_and_can_be_played_hours_later() -> None:
    run = run_of(
        a("unit"), a("demo", "review", when="manual"), a("deploy", "deploy"), a("deploy-eu", "deploy", when="manual")
    )
    run.play("deploy-eu", at=AT + 7200)

    assert standing(run, AT + 99) == {"unit": "success", "demo": "manual", "deploy": "success", "deploy-eu": "manual"}
    assert [run.status(AT + at) for at in (99, 7205, 7300)] == ["success", "running", "success"]
    assert [run.updated_at(AT + at) - AT for at in (99, 7205, 7300)] == [20, 7200, 7210]
    assert run.record.finished(AT + 7300) == AT + 7210


def test_a_gate_holds_the_pipeline_until_somebody_plays_it() -> None:
    run = run_of(a("unit"), a("approve", "gate", when="manual", allow_failure=False), a("deploy", "deploy"))
    run.play("approve", at=AT + 600)

    assert standing(run, AT + 500) == {"unit": "success", "approve": "manual", "deploy": "created"}
    assert [run.status(AT + at) for at in (500, 605, 615, 625)] == ["manual", "running", "running", "success"]
    assert run.updated_at(AT + 500) == AT + 10


def test_a_failure_beside_a_gate_is_called_manual() -> None:
    run = run_of(a("unit", ends="failed"), a("approve", when="manual", allow_failure=False))
    assert run.status(AT + 500) == "manual"


def test_a_pipeline_of_nothing_but_optional_manual_jobs_is_skipped() -> None:
    run = run_of(a("one", when="manual"), a("two", when="manual"))
    run.play("one", at=AT + 50)

    assert [run.status(AT + at) for at in (20, 55, 70)] == ["skipped", "running", "success"]


def test_a_delayed_job_is_scheduled_and_can_be_played_before_its_time() -> None:
    run = run_of(a("unit"), a("roll-out", "deploy", when="delayed", start_in=300))
    early = run_of(a("unit"), a("roll-out", "deploy", when="delayed", start_in=300)).play("roll-out", at=AT + 60)

    assert [run.status(AT + at) for at in (60, 315, 330)] == ["scheduled", "running", "success"]
    assert [early.status(AT + at) for at in (59, 65, 80)] == ["scheduled", "running", "success"]


def test_a_retry_by_hand_makes_a_new_job_and_brings_skipped_ones_back_to_life() -> None:
    run = run_of(a("unit", ends=("failed", "success")), a("deploy", "deploy"))
    run.retry("unit", at=AT + 100)

    first, second = run.job("unit", 0), run.job("unit", 1)
    assert (standing(run, AT + 50)["deploy"], run.status(AT + 50)) == ("skipped", "failed")
    assert second.number > first.number
    assert (second.created, first.retried) == (AT + 100, AT + 100)
    assert [job.number for job in run.jobs(AT + 105) if job.name == "unit"] == [second.number]
    assert {job.number for job in run.jobs(AT + 105, retried=True)} >= {first.number, second.number}
    assert standing(run, AT + 105) == {"unit": "running", "deploy": "created"}
    assert [run.status(AT + at) for at in (105, 115, 125)] == ["running", "running", "success"]


def test_a_retry_of_the_only_job_is_running_and_not_pending() -> None:
    run = run_of(a("unit", ends=("failed", "success"), queues=(0.0, 30.0)))
    run.retry("unit", at=AT + 100)

    assert (standing(run, AT + 110), run.status(AT + 110)) == ({"unit": "pending"}, "running")


def test_gitlabs_own_retry_comes_before_anybody_sees_the_pipeline_failed() -> None:
    run = Script(spacing=0.0).pipeline([a("unit", ends=("failed", "success"), retries=1), a("deploy", "deploy")], at=AT)

    assert [job.at(AT + 99).status for job in run.jobs(AT + 99, retried=True) if job.name == "unit"] == [
        "success",
        "failed",
    ]
    assert {status for _, status in run.record.steps} == {"created", "pending", "running", "success"}


def test_a_retry_some_minutes_later_is_in_the_job() -> None:
    run = run_of(a("unit", ends=("failed", "success"), retries=1, retry_after=300))

    assert [run.status(AT + at) for at in (200, 315, 330)] == ["failed", "running", "success"]


def test_all_that_failed_can_be_tried_again_at_once() -> None:
    run = run_of(a("a", ends=("failed", "success")), a("b", ends=("failed", "success")), a("c"), a("d", "deploy"))
    run.retry_all(at=AT + 100)

    assert [len([job for job in run.jobs(AT + 200, retried=True) if job.name == name]) for name in "abcd"] == [
        2,
        2,
        1,
        1,
    ]
    assert [run.status(AT + at) for at in (50, 105, 200)] == ["failed", "running", "success"]


def test_a_cancelled_pipeline_is_canceled_where_nothing_failed() -> None:
    run = run_of(a("lint"), a("test", lasts=100), a("deploy", "deploy"), a("demo", "deploy", when="manual")).cancel(
        AT + 50
    )
    failed = run_of(a("lint", ends="failed"), a("test", lasts=100)).cancel(at=AT + 50)

    assert standing(run, AT + 60) == {"lint": "success", "test": "canceled", "deploy": "canceled", "demo": "canceled"}
    assert (run.status(AT + 60), run.updated_at(AT + 60)) == ("canceled", AT + 50)
    assert failed.status(AT + 60) == "failed"


def test_what_was_canceled_can_be_tried_again() -> None:
    run = run_of(a("test", lasts=(100, 10)), a("deploy", "deploy")).cancel(at=AT + 50).retry_all(at=AT + 90)

    assert [run.status(AT + at) for at in (60, 95, 200)] == ["canceled", "running", "success"]


def test_a_single_canceled_job_has_the_later_stages_skipped() -> None:
    run = run_of(a("lint"), a("test", lasts=100), a("deploy", "deploy")).cancel(at=AT + 50, job="test")

    assert standing(run, AT + 60) == {"lint": "success", "test": "canceled", "deploy": "skipped"}
    assert run.status(AT + 60) == "canceled"


def test_a_job_can_take_a_while_to_be_canceled() -> None:
    run = run_of(a("test", lasts=100, cancels_in=20)).cancel(at=AT + 50)

    assert [standing(run, AT + at)["test"] for at in (60, 75)] == ["canceling", "canceled"]
    assert [run.status(AT + at) for at in (60, 75)] == ["canceling", "canceled"]


def test_a_pipeline_with_invalid_yaml_has_failed_at_once_and_has_no_jobs() -> None:
    run = Script().pipeline([], at=AT)

    assert (run.status(AT), run.updated_at(AT + 99), run.jobs(AT + 99)) == ("failed", AT, [])
    assert run.record.yaml_errors


def test_a_job_that_needs_another_does_not_wait_for_the_stage() -> None:
    run = run_of(
        a("fast", "build"), a("slow", "build", lasts=100), a("unit", needs=("fast",)), a("other", needs=("gone",))
    )

    assert standing(run, AT + 15) == {"fast": "success", "slow": "running", "unit": "running", "other": "success"}


def test_what_needs_a_job_that_did_not_run_is_skipped() -> None:
    run = run_of(a("demo", "build", when="manual"), a("unit", needs=("demo",)), a("lint"))
    run.play("demo", at=AT + 100)

    assert standing(run, AT + 50) == {"demo": "manual", "unit": "skipped", "lint": "success"}
    assert standing(run, AT + 150) == {"demo": "success", "unit": "success", "lint": "success"}


def child_run(*child: Job, depend: bool = False, **more: Any) -> ScriptedPipeline:
    return run_of(
        a("prepare", "build"), a("children", lasts=1.0, **more).triggering(child, depend=depend), a("deploy", "deploy")
    )


def test_a_child_is_a_pipeline_of_its_own_of_the_same_commit() -> None:
    run = child_run(a("a"), a("b", ends="failed"))
    child = run.child("children")

    assert not child.exists(AT + 10)
    assert child.exists(AT + 11)
    assert (child.record.source, child.record.head) == ("parent_pipeline", run.record.head)
    assert (child.record.parent, child.record.trigger) == (run.id, run.job("children").number)
    assert child.id > run.id
    assert {job.name for job in child.jobs(AT + 15)} == {"a", "b"}
    assert {job.name for job in run.jobs(AT + 15)} == {"prepare", "deploy"}


def test_a_parent_that_does_not_depend_on_its_child_goes_on_without_it() -> None:
    run = child_run(a("a", lasts=500, ends="failed"))

    assert standing(run, AT + 15) == {"prepare": "success", "deploy": "running", "children": "success"}
    assert (run.status(AT + 600), run.child("children").status(AT + 600)) == ("success", "failed")
    assert run.updated_at(AT + 600) == AT + 21


def test_a_parent_that_depends_on_its_child_waits_for_it_and_fails_with_it() -> None:
    red, green = child_run(a("a", ends="failed"), depend=True), child_run(a("a"), depend=True)
    allowed = child_run(a("a", ends="failed"), depend=True, allow_failure=True)

    assert standing(red, AT + 15) == {"prepare": "success", "deploy": "created", "children": "running"}
    assert standing(red, AT + 50) == {"prepare": "success", "deploy": "skipped", "children": "failed"}
    assert [run.status(AT + 50) for run in (red, green, allowed)] == ["failed", "success", "success"]


def test_a_trigger_job_that_is_run_again_makes_another_child() -> None:
    children = [a("a", ends="failed")], [a("a")]
    run = run_of(a("children", lasts=1.0).triggering(*children, depend=True)).retry("children", at=AT + 100)

    first, second = run.child("children", 0), run.child("children", 1)
    assert (first.status(AT + 200), second.status(AT + 200)) == ("failed", "success")
    assert second.id > first.id
    assert second.record.trigger == run.job("children", 1).number
    assert [run.status(AT + at) for at in (50, 105, 200)] == ["failed", "running", "success"]
    assert not second.exists(AT + 100)


def test_a_retry_in_a_child_sets_its_parent_running_again() -> None:
    run = child_run(a("a", ends=("failed", "success")), depend=True)
    run.child("children").retry("a", at=AT + 100)

    assert standing(run, AT + 105) == {"prepare": "success", "deploy": "created", "children": "pending"}
    assert [run.status(AT + at) for at in (50, 105, 200)] == ["failed", "running", "success"]
    assert standing(run, AT + 200) == {"prepare": "success", "deploy": "success", "children": "success"}
    with pytest.raises(LookupError):
        _ = run.child("children", 1).record


def test_a_child_with_invalid_yaml_fails_its_trigger_job() -> None:
    run = run_of(a("children", lasts=1.0).triggering([]))

    assert (run.status(AT + 50), run.child("children").status(AT + 50)) == ("failed", "failed")
    assert run.job("children").reason == "downstream_pipeline_creation_failed"


def test_a_trigger_job_that_fails_makes_no_child() -> None:
    run = run_of(a("children", ends="failed").triggering([a("a")]))

    assert run.status(AT + 50) == "failed"
    assert not run.child("children").exists(AT + 50)


def test_cancelling_a_parent_cancels_its_children() -> None:
    run = child_run(a("a", lasts=500).triggering([a("deep", lasts=500)]), depend=True).cancel(at=AT + 40)
    run = child_run(a("a", lasts=500), depend=True).cancel(at=AT + 40)

    assert (run.status(AT + 50), run.child("children").status(AT + 50)) == ("canceled", "canceled")


def test_what_gitlab_would_refuse_has_no_effect_and_is_said() -> None:
    run = run_of(a("unit"), a("demo", when="manual"))
    run.retry("unit", at=AT + 5).play("unit", at=AT + 50).retry("demo", at=AT + 50).play("nobody", at=AT + 50)
    run.cancel(at=AT + 60).child("unit").cancel(at=AT + 60)

    assert [(action.what, action.job) for action in run.refused] == [
        ("retry", "unit"), ("play", "unit"), ("retry", "demo"), ("play", "nobody"), ("cancel", None), ("cancel", None),
    ]  # fmt: skip
    assert run.status(AT + 99) == "success"


def test_an_action_at_the_moment_of_an_end_comes_after_it() -> None:
    run = run_of(a("unit", ends=("failed", "success"))).retry("unit", at=AT + 10)

    assert not run.refused
    assert run.status(AT + 20) == "success"


def test_a_job_can_hang() -> None:
    run = run_of(a("unit", lasts=NEVER))
    assert (run.status(AT + 10**9), standing(run, AT + 10**9)) == ("running", {"unit": "running"})


def test_a_pipeline_of_many_jobs_has_them_all_at_one_moment_and_in_one_order() -> None:
    run = run_of(*(a(f"job-{n}", f"stage-{n // 100}") for n in range(250)))
    numbers = [job.number for job in run.jobs(AT)]

    assert len(set(numbers)) == 250
    assert numbers == sorted(numbers, reverse=True)
    assert {job.created for job in run.jobs(AT)} == {AT}


def test_a_branch_that_was_deleted_is_gone_until_somebody_pushes_to_it_again() -> None:
    script = Script(default_branch="develop")
    script.pipeline([a("unit")], at=AT, ref="feature")
    script.delete_branch("feature", at=AT + 100)
    again = script.pipeline([a("unit")], at=AT + 200, ref="feature")
    script.pipeline([a("unit")], at=AT, ref="v1", tag=True)

    there = {at: script.branch("feature", AT + at) for at in (-1, 50, 150, 250)}
    assert {at: head is not None for at, head in there.items()} == {-1: False, 50: True, 150: False, 250: True}
    assert script.branch("develop", 0.0) is not None
    assert script.branch("main", AT) is script.branch("v1", AT + 99) is None
    assert again.record.head == there[250]


def test_what_is_said_later_does_not_change_what_was_before() -> None:
    script = Script()
    first = script.pipeline([a("unit", ends=("failed", "success")), a("demo", "deploy", when="manual")], at=AT)
    before = [*script.newest(AT + 50)], [*script.pipelines(AT + 50)]
    numbers = first.id, first.job("unit").number
    script.pipeline([a("unit")], at=AT + 40)
    first.retry("unit", at=AT + 100).play("demo", at=AT + 300)
    script.pipeline([a("unit")], at=AT + 60)

    assert numbers == (first.id, first.job("unit", 0).number)
    seen = {plan.number: plan.at(AT + 30) for plan in script.newest(AT + 30)}
    assert seen == {plan.number: plan.at(AT + 30) for plan in before[0]}


STATES = ("success", "success", "success", "failed", "canceled")
ATTEMPTS = st.lists(st.sampled_from(STATES), min_size=1, max_size=3).map(tuple)


@st.composite
def some_jobs(draw: st.DrawFn, depth: int = 0) -> list[Job]:
    jobs = []
    for n in range(draw(st.integers(1, 5))):
        when: When = draw(
            st.sampled_from(("on_success", "on_success", "on_success", "manual", "delayed", "on_failure", "always"))
        )
        job = Job(
            f"job-{n}",
            draw(st.sampled_from(("a", "b", "c"))),
            draw(ATTEMPTS),
            draw(st.integers(1, 90)),
            draw(st.integers(0, 20)),
            when,
            start_in=draw(st.integers(1, 200)),
            allow_failure=draw(st.sampled_from((None, None, False, True))),
            retries=draw(st.integers(0, 2)),
            retry_after=draw(st.sampled_from((0.1, 60.0))),
            played_after=draw(st.sampled_from((None, 30.0, 900.0))),
        )
        if depth < 2 and draw(st.integers(0, 4)) == 0:
            child = draw(some_jobs(depth + 1)) if draw(st.integers(0, 5)) else []
            job = job.triggering(child, depend=draw(st.booleans()))
        jobs.append(job)
    return jobs


ACTIONS = st.lists(
    st.builds(
        Action,
        st.integers(0, 2_000).map(lambda at: AT + at),
        st.sampled_from(("play", "retry", "cancel")),
        st.sampled_from((None, *(f"job-{n}" for n in range(5)))),
        st.sampled_from(((), (("job-0", 0),), (("job-1", 0),), (("job-2", 1),))),
    ),
    max_size=6,
)


def acted(run: ScriptedPipeline, actions: list[Action]) -> ScriptedPipeline:
    for action in actions:
        run._act(action)  # what play, retry and cancel do for one child
    return run


@settings(deadline=None)
@given(some_jobs(), ACTIONS)
def test_a_pipeline_that_is_processed_at_once_says_at_any_time_what_its_jobs_come_to(
    jobs: list[Job], actions: list[Action]
) -> None:
    run = acted(run_of(*jobs), actions)

    for pipeline in run._script.family_of(run._root):
        folded = replace(pipeline, steps=status_steps(pipeline.jobs, pipeline.created)) if pipeline.jobs else pipeline
        for at in {at for steps in (pipeline.steps, folded.steps) for at, _ in steps}:
            pair = {pipeline.at(at).status, folded.at(at).status}
            # What ended and began anew within one moment is running to the one, and may be pending to the other.
            assert len(pair) == 1 or pair == {"pending", "running"}


@settings(deadline=None)
@given(some_jobs(), ACTIONS, st.floats(0.0, 5.0))
def test_time_only_goes_forward_and_everything_comes_to_rest(
    jobs: list[Job], actions: list[Action], lag: float
) -> None:
    script = Script(lag=lag)
    run = acted(script.pipeline(jobs, at=AT), actions)

    family = script.family_of(run._root)
    for steps in [pipeline.steps for pipeline in family] + [job.steps for pipeline in family for job in pipeline.jobs]:
        assert all(before < after and was != becomes for (before, was), (after, becomes) in pairwise(steps))
    plans = [*script.newest(AT + 10**6)]
    assert all(one.number > other.number and one.created >= other.created for one, other in pairwise(plans))
    late, moving = AT + 10**6, {"pending", "running"}
    ends = {"success", "failed", "canceled", "skipped", "manual"}
    assert not {plan.at(late).status for plan in plans} & {"pending", "running", "scheduled", "canceling"}
    for pipeline in family:
        waiting = [job for job in pipeline.jobs if job.at(late).status in moving]  # for a child at a gate
        assert pipeline.at(late).status in (moving if waiting else ends)


@settings(deadline=None)
@given(some_jobs(), ACTIONS, st.integers(0, 2_000))
def test_what_is_done_later_leaves_the_past_as_it_was(jobs: list[Job], actions: list[Action], seconds: int) -> None:
    script, now = Script(), AT + seconds
    run = acted(script.pipeline(jobs, at=AT), [action for action in actions if action.at <= now])
    before = seen(script, now)
    acted(run, [action for action in actions if action.at > now])

    assert seen(script, now) == before


def seen(script: Script, now: float) -> list[Any]:
    pipelines = [(one.number, one.at(now)) for one in script.pipelines(now)]
    return [*pipelines, *((plan.number, plan.name, plan.at(now), plan.retried <= now) for plan in script.newest(now))]
