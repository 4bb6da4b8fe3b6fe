"""The bodies of GitLab's webhooks, beside what the API says at the same moment."""

import json
from datetime import UTC, datetime
from typing import Any

from asking import NOW, Clock, read, simulator

from exporter.simulator import Job, Script, scripted
from exporter.simulator.hooks import JOB_HOOK, PIPELINE_HOOK, Delivery, deliveries, job_hook, pipeline_hook
from exporter.simulator.script import ScriptedPipeline


def family(**more: Any) -> tuple[Script, ScriptedPipeline]:
    script = Script("shop/web", **more)
    tests = Job("tests", lasts=1.0).triggering([Job("a", ends="failed"), Job("b")], depend=True)
    run = script.pipeline(
        [Job("compile", "build", ends=("failed", "success")), tests, Job("ship", "ship", when="manual")], at=NOW
    )
    return script, run.retry("compile", at=NOW + 300)


def sent(script: Script, until: float = NOW + 10_000) -> list[Delivery]:
    return deliveries(script.project, script, NOW - 1, until)


def test_a_job_hook_has_the_keys_of_a_real_one() -> None:
    script, run = family()
    body = job_hook(script.project, run.job("compile", 0), run.record, NOW + 200)

    assert body["object_kind"] == "build"
    assert (body["build_id"], body["build_name"], body["build_stage"]) == (
        run.job("compile", 0).number,
        "compile",
        "build",
    )
    assert (body["build_status"], body["build_failure_reason"]) == ("failed", "script_failure")
    assert body["commit"]["id"] == body["pipeline_id"] == run.id
    assert body["project"]["path_with_namespace"] == "shop/web"
    created = datetime.strptime(body["build_created_at"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    assert created.timestamp() == int(NOW)
    again = job_hook(script.project, run.job("compile", 1), run.record, NOW + 310)
    assert (again["retries_count"], again["build_failure_reason"]) == (1, "unknown_failure")


def test_a_pipeline_hook_has_the_newest_attempts_and_names_no_parent_where_there_is_none() -> None:
    script, run = family()
    body = pipeline_hook(script.project, run.record, script.family(run.record), NOW + 5_000)

    assert [(build["name"], build["stage"], build["status"]) for build in body["builds"]] == [
        ("ship", "ship", "skipped"), ("compile", "build", "success"),
    ]  # fmt: skip
    assert body["object_attributes"]["stages"] == ["build", "test", "ship"]
    assert (body["object_attributes"]["id"], body["object_attributes"]["status"]) == (run.id, "failed")
    assert body["object_attributes"]["source"] == "push"
    assert "source_pipeline" not in body


def test_the_pipeline_hook_of_a_child_names_its_parent() -> None:
    script, run = family()
    child = run.child("tests")
    body = pipeline_hook(script.project, child.record, script.family(child.record), NOW + 5_000)

    assert body["object_attributes"]["source"] == "parent_pipeline"
    assert body["source_pipeline"] == {
        "project": {"id": 1, "web_url": "https://gitlab.example.com/shop/web", "path_with_namespace": "shop/web"},
        "pipeline_id": run.id,
        "job_id": run.job("tests").number,
    }
    assert {build["failure_reason"] for build in body["builds"]} == {"script_failure", None}


def test_the_hook_of_a_merge_request_says_its_branch_and_the_request() -> None:
    script = Script()
    run = script.pipeline([Job("unit")], at=NOW, merge_request=7)
    body = pipeline_hook(script.project, run.record, (run.record,), NOW + 5)

    assert body["object_attributes"]["source"] == "merge_request_event"
    assert (body["merge_request"]["iid"], body["object_attributes"]["ref"]) == (
        7,
        body["merge_request"]["source_branch"],
    )


def test_every_move_of_a_job_or_a_pipeline_is_sent_once_and_none_of_trigger_jobs() -> None:
    script, run = family()
    everything = sent(script)
    jobs = [delivery for delivery in everything if delivery.event == JOB_HOOK]
    pipelines = [delivery for delivery in everything if delivery.event == PIPELINE_HOOK]

    records = [run.record, run.child("tests").record]
    moves = [status for record in records for _, status in record.steps if status != "created"]
    assert sorted(one.body["object_attributes"]["status"] for one in pipelines) == sorted(moves)
    assert len(jobs) == sum(len(job.steps) for record in records for job in record.jobs if not job.bridge)
    assert [delivery.at for delivery in everything] == sorted(delivery.at for delivery in everything)
    assert "tests" not in {delivery.body["build_name"] for delivery in jobs}
    json.dumps([delivery.body for delivery in everything])
    assert sent(script, NOW + 30) == [delivery for delivery in everything if delivery.at <= NOW + 30]


def test_the_newest_delivery_of_a_job_says_what_the_api_says() -> None:
    script, _ = family()
    for now in (NOW + 30, NOW + 100, NOW + 310, NOW + 400, NOW + 5_000):
        newest = {one.body["build_id"]: one.body["build_status"] for one in sent(script, now) if one.event == JOB_HOOK}
        states = {one.body["object_attributes"]["id"]: one.body["object_attributes"]["status"]
                  for one in sent(script, now) if one.event == PIPELINE_HOOK}  # fmt: skip
        server = simulator(scripted(script), Clock(now))

        jobs = read(server, "/api/v4/projects/1/jobs")
        assert {job["id"]: job["status"] for job in jobs} == newest
        assert {job["pipeline"]["id"]: job["pipeline"]["status"] for job in jobs} == states
