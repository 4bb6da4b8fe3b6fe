"""What webhooks deliver, read into builds."""

from collections.abc import Mapping
from typing import Any

import pytest
from driving import gitlab, northflank
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Build, Outcome, Run, Target
from exporter.providers import Delivery
from exporter.providers.gitlab.api import GitLab
from exporter.providers.northflank.api import Northflank

NF = Northflank(northflank())
V4 = GitLab(gitlab("shop/web"))
V3 = GitLab(gitlab("shop/web", v3=True))
PREFIX = "x-northflank-notification-integration-"
WEB = Target("nf", "service", "shop", "web")
MAY = 1_746_093_600.0  # 2025-05-01T10:00:00Z
SHA = "5d1c8f0a" * 5


def notified(event: str = "build:start", kind: str = "service", **build: Any) -> dict[str, Any]:
    told = {
        "id": "quiet-river-7",
        "branch": "main",
        "pullRequestId": None,
        "status": "STARTING",
        "sha": SHA,
        "concluded": False,
        "createdAt": "2025-05-01T10:00:00.250Z",
    }
    data = {"build": told | build, kind: {"id": "web", "name": "Web"}, "project": {"id": "shop", "name": "Shop"}}
    return {"event": event, "data": data | {"user": {"id": "kim"}}}


ENDED: dict[str, Any] = {"status": "SUCCESS", "concluded": True, "success": True, "buildConcludedAt": int(MAY) + 200}


def job(**more: Any) -> dict[str, Any]:
    """A Job Hook as GitLab 16 sends it, of a job that waits for a runner."""
    return {
        "object_kind": "build",
        "ref": "main",
        "tag": False,
        "sha": SHA,
        "retries_count": 0,
        "build_id": 7001,
        "build_name": "unit",
        "build_stage": "test",
        "build_status": "pending",
        "build_created_at": "2025-05-01 10:00:00 UTC",
        "build_started_at": None,
        "build_finished_at": None,
        "build_duration": None,
        "build_queued_duration": 0.07,
        "build_allow_failure": False,
        "build_failure_reason": "unknown_failure",
        "pipeline_id": 900,
        "project_id": 42,
        "project_name": "Shop / web",
        "commit": {"id": 900, "sha": SHA, "status": "running", "started_at": "2025-05-01 09:59:00 UTC"},
        "repository": {"name": "web", "homepage": "https://gitlab.example.com/shop/web"},
        "project": {"id": 42, "web_url": "https://elsewhere.example.com/x/y", "path_with_namespace": "shop/web"},
        "environment": None,
    } | more


CANCELED: dict[str, Any] = {
    "build_status": "canceled",
    "build_started_at": "2025-05-01 10:00:01 UTC",
    "build_finished_at": "2025-05-01 10:00:13 UTC",
}


def pipeline(*builds: Any, **attributes: Any) -> dict[str, Any]:
    told = {"id": 900, "ref": "main", "tag": False, "sha": SHA, "source": "push", "status": "running"}
    return {
        "object_kind": "pipeline",
        "object_attributes": told | attributes,
        "project": {"id": 42, "path_with_namespace": "shop/web", "web_url": "https://gitlab.example.com/shop/web"},
        "commit": {"id": SHA, "message": "x"},
        "builds": list(builds),
    }


def part(number: int, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "stage": "test",
        "name": f"unit-{number}",
        "status": status,
        "created_at": "2025-05-01 10:00:00 UTC",
        "started_at": None,
        "finished_at": None,
        "duration": 17.0,
        "allow_failure": False,
    } | more


def only(told: Delivery) -> Build:
    (build,) = told.builds
    return build


# Northflank


def test_a_notification_tells_the_build_and_its_service() -> None:
    told = NF.event({f"{PREFIX}event-id": "e-1", f"{PREFIX}event-type": "build:start"}, notified())
    assert (told.event, told.targets, told.complete, told.whole, told.key) == ("build:start", (WEB,), True, True, "e-1")
    assert only(told) == Build(
        id="quiet-river-7",
        run="quiet-river-7",
        status="starting",
        outcome=Outcome.EXECUTING,
        concluded=False,
        created_at=MAY + 0.25,
        branch="main",
        sha=SHA,
        trigger="push",
    )


def test_a_build_that_ended_bears_its_end() -> None:
    build = only(NF.event({}, notified("build:success", "service", **ENDED)))
    assert (build.outcome, build.concluded, build.concluded_at) == (Outcome.SUCCESS, True, MAY + 200)


def test_a_job_is_named_as_one() -> None:
    assert NF.event({}, notified(kind="job")).targets == (Target("nf", "job", "shop", "web"),)


def test_the_event_is_that_of_the_body_where_the_header_tells_none() -> None:
    body = notified("build:abort", status="ABORTED", concluded=True)
    assert NF.event({}, body).event == NF.event({f"{PREFIX}event-type": "nonsense"}, body).event == "build:abort"


@pytest.mark.parametrize("build", [{"status": "BUILDING"}, {"status": None}, {"createdAt": None}, {"id": None}])
def test_an_end_that_the_build_does_not_show_tells_no_build(build: Mapping[str, Any]) -> None:
    told = NF.event({}, notified("build:failure", **build))
    assert (told.builds, told.targets) == ((), (WEB,))


@pytest.mark.parametrize(
    ("event", "record", "outcome"),
    [
        ("build:failure", {"status": "FAILED", "success": False}, Outcome.FAILURE),
        ("build:success", {"status": None, "success": True}, Outcome.SUCCESS),
        ("build:failure", {"status": "SUCCESS", "success": False}, Outcome.FAILURE),
        ("build:failure", {"status": "EVICTED"}, Outcome.FAILURE),
        ("build:success", {"status": None}, Outcome.SUCCESS),
        ("build:abort", {"status": "STOPPED"}, Outcome.CANCELLATION),
        ("build:abort", {"status": "CRASHED", "success": False}, Outcome.ERROR),
    ],
)
def test_how_a_build_ended_is_told_without_a_known_status(event: str, record: dict[str, Any], outcome: Outcome) -> None:
    told = NF.event({}, notified(event, concluded=True, buildConcludedAt=int(MAY) + 200, **record))
    assert (only(told).outcome, only(told).concluded, told.complete) == (outcome, True, True)


@pytest.mark.parametrize(
    ("event", "record"),
    [
        ("build:failure", {"status": "SUCCESS"}),
        ("build:failure", {"status": "FAILED", "success": True}),
        ("build:success", {"status": "FAILURE"}),
        ("build:success", {"status": "SUCCESS", "success": False}),
        ("build:abort", {"status": "SUCCESS"}),
    ],
)
def test_an_event_that_its_build_denies_tells_no_build(event: str, record: dict[str, Any]) -> None:
    assert NF.event({}, notified(event, concluded=True, **record)).builds == ()


def test_a_pull_requests_build_has_no_branch_of_ours_and_is_settled() -> None:
    told = NF.event({}, notified(pullRequestId=3, branch="main"))
    assert (only(told).branch, told.whole) == (None, True)
    assert not NF.event({}, notified(branch=None)).whole


@pytest.mark.parametrize("body", [None, 1, "x", [], {}, {"event": "job-run:start"}, {"event": ["build:start"]}])
def test_what_is_not_of_builds_is_other(body: object) -> None:
    assert NF.event({f"{PREFIX}event-type": "backup:success"}, body) == Delivery("other")
    assert V4.event({"x-gitlab-event": "Push Hook"}, body) == Delivery("other")


# GitLab


def test_a_job_hook_tells_the_job() -> None:
    told = V4.event({"x-gitlab-event": "Job Hook"}, job())
    assert (told.event, told.complete, told.whole) == ("job", True, False)
    assert told.targets == (Target("gl", "project", "shop/web", "shop/web"), Target("gl", "project", "42", "42"))
    assert told.targets[0].handle == "42"
    assert only(told) == Build(
        id="7001",
        run="900",
        status="pending",
        outcome=Outcome.PENDING,
        concluded=False,
        created_at=MAY,
        branch="main",
        sha=SHA,
        name="unit",
        stage="test",
    )


def test_the_body_decides_what_a_delivery_is_whatever_its_header_says() -> None:
    told = V4.event({"x-gitlab-event": "Push Hook"}, job(**CANCELED))
    build = only(told)
    assert (told.event, build.outcome, build.started_at, build.concluded_at) == (
        "job",
        Outcome.CANCELLATION,
        MAY + 1,
        MAY + 13,
    )


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({"build_status": "success"}, Outcome.SUCCESS),
        ({"build_status": "failed"}, Outcome.FAILURE),
        ({"build_status": "failed", "build_failure_reason": "runner_system_failure"}, Outcome.ERROR),
        ({"build_status": "failed", "build_failure_reason": "job_execution_timeout"}, Outcome.TIMEOUT),
        ({"build_status": "failed", "build_allow_failure": True}, Outcome.ALLOWED_FAILURE),
        ({"build_status": "success", "build_failure_reason": "job_execution_timeout"}, Outcome.SUCCESS),
    ],
)
def test_the_reason_of_a_failure_counts_only_where_there_is_one(more: Mapping[str, Any], outcome: Outcome) -> None:
    assert only(V4.event({}, job(**more))).outcome is outcome


def test_the_id_of_the_commit_is_the_pipelines_where_nothing_else_tells() -> None:
    old = job()
    del old["pipeline_id"]
    assert only(V4.event({}, old)).run == "900"


def test_an_old_servers_build_hook_tells_no_creation_and_names_its_page() -> None:
    old = job(build_status="running", build_started_at="2025-05-01 10:00:05 UTC")
    for key in ("build_created_at", "project", "pipeline_id"):
        del old[key]
    told = V3.event({"x-gitlab-event": "Build Hook"}, old)
    assert (told.event, told.complete, only(told).run, only(told).started_at) == ("job", False, f"{SHA}:main", MAY + 5)
    assert [target.name for target in told.targets] == ["shop/web", "42"]
    assert V3.event({}, old | {"build_status": "pending", "build_started_at": None}).builds == ()


def test_a_pipeline_hook_tells_all_its_jobs() -> None:
    ended = part(2, "failed", finished_at="2025-05-01 10:01:00 UTC", started_at="2025-05-01 10:00:30 UTC")
    told = V4.event({}, pipeline(part(1, "skipped", when="manual", failure_reason="script_failure"), ended))
    assert (told.event, told.complete, told.whole) == ("pipeline", True, True)
    assert [(build.id, build.outcome, build.branch, build.run) for build in told.builds] == [
        ("1", Outcome.SKIP, "main", "900"),
        ("2", Outcome.FAILURE, "main", "900"),
    ]


def test_a_merge_requests_pipeline_is_of_no_branch() -> None:
    told = V4.event({}, pipeline(part(1, "running"), source="merge_request_event"))
    assert (only(told).branch, told.whole) == (None, True)


def test_a_pipeline_without_its_source_does_not_settle_the_branch_but_in_v3() -> None:
    old = pipeline(part(1, "running"), source=None)
    assert (V4.event({}, old).whole, V3.event({}, old).whole) == (False, True)


def test_a_pipeline_hook_tells_the_run() -> None:
    ended = {"created_at": "2025-05-01 09:59:00 UTC", "finished_at": "2025-05-01 10:07:00 UTC"}
    (run,) = V4.event({}, pipeline(part(1, "failed"), status="failed", source="schedule", **ended)).runs
    assert run == Run(
        id="900",
        status="failed",
        outcome=Outcome.FAILURE,
        created_at=MAY - 60,
        updated_at=MAY + 420,
        branch="main",
        trigger="schedule",
        sha=SHA,
        ref="main",
    )
    (again,) = V4.event({}, pipeline(status="running", **ended)).runs
    assert (again.status, again.updated_at) == ("running", None)


def test_a_pipeline_without_a_job_is_told_as_a_run() -> None:
    told = V4.event({}, pipeline(status="failed", created_at="2025-05-01 09:59:00 UTC"))
    assert ([run.status for run in told.runs], told.builds) == (["failed"], ())


def test_a_child_pipeline_names_its_parent_and_one_that_another_project_started_has_none() -> None:
    source = {"project": {"id": 42}, "pipeline_id": 899, "job_id": 3401}
    created = {"created_at": "2025-05-01 09:59:00 UTC"}
    child = pipeline(part(1, "running"), source="parent_pipeline", **created) | {"source_pipeline": source}
    (run,) = V4.event({}, child).runs
    assert (run.child, run.parent, run.branch) == (True, "899", "main")
    assert only(V4.event({}, child)).trigger == "parent_pipeline"
    other = pipeline(source="pipeline", **created) | {"source_pipeline": source}
    (run,) = V4.event({}, other).runs
    assert (run.child, run.parent) == (False, "")


def test_a_child_of_a_merge_requests_pipeline_is_of_no_branch() -> None:
    request = {"id": 1, "iid": 7, "source_branch": "main"}
    created = {"created_at": "2025-05-01 09:59:00 UTC"}
    told = V4.event({}, pipeline(part(1, "running"), source="parent_pipeline", **created) | {"merge_request": request})
    assert (only(told).branch, only(told).ref_kind) == (None, "merge_request")
    assert [(run.branch, run.ref_kind) for run in told.runs] == [(None, "merge_request")]


def test_a_tags_pipeline_is_a_run_of_no_branch() -> None:
    told = V4.event({}, pipeline(part(1, "running"), tag=True, ref="main", created_at="2025-05-01 09:59:00 UTC"))
    assert (only(told).branch, only(told).ref_kind) == (None, "tag")
    assert [(run.branch, run.ref_kind) for run in told.runs] == [(None, "tag")]


@pytest.mark.parametrize("missing", ["id", "status", "created_at"])
def test_a_pipeline_that_lacks_what_a_run_needs_tells_none(missing: str) -> None:
    body = pipeline(part(1, "running"), **{"created_at": "2025-05-01 09:59:00 UTC", missing: None})
    assert V4.event({}, body).runs == ()


def test_what_a_job_hook_says_of_its_pipeline_lags_behind_and_is_not_used() -> None:
    assert V4.event({}, job(commit={"id": 900, "sha": SHA, "status": "canceled"})).runs == ()


def test_v3_is_told_runs_without_a_status() -> None:
    for body in (pipeline(part(1, "running"), part(2, "failed")), job()):
        (run,) = V3.event({}, body).runs
        assert (run.id, run.status, run.created_at, run.branch) == (f"{SHA}:main", "", MAY, "main")
    assert V3.event({}, pipeline(part(1, "running"), {"id": 2})).runs == ()


def test_a_pipeline_with_a_job_that_cannot_be_read_tells_none() -> None:
    assert V4.event({}, pipeline(part(1, "running"), {"id": 2})).builds == ()
    assert not V4.event({}, pipeline(part(1, "running") | {"status": None})).complete


def test_a_repeat_is_known_by_its_key_and_another_step_of_the_same_event_is_none() -> None:
    event = {"x-gitlab-event-uuid": "u-1"}
    bodies = (job(), job(), job(**CANCELED), job(build_id=7002), pipeline(), pipeline(status="success"))
    assert len({V4.event(event, body).key for body in bodies}) == 5
    stable = event | {"idempotency-key": "k-1"}
    assert V4.event(stable, job()).key == V4.event(stable, job(**CANCELED)).key == "k-1"
    assert V4.event({}, job()).key == ""


def test_a_server_below_a_path_is_known_by_the_rest_of_it() -> None:
    below = GitLab(gitlab("shop/web").model_copy(update={"url": "https://example.com/git"}))
    body = job(project=None, repository={"homepage": "http://internal/git/shop/web"})
    assert [target.name for target in below.event({}, body).targets] == ["shop/web", "42"]


# Whatever comes

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
times = st.sampled_from(["2025-05-01 10:00:00 UTC", "2025-05-01T10:00:00Z"]) | anything
words = st.sampled_from(["pending", "running", "SUCCESS", "failed", "skipped"]) | anything


def like(shape: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the keys of the shape, any of them with any value."""
    values = {
        key: st.just(value) | (like(value) if isinstance(value, dict) else anything) for key, value in shape.items()
    }
    return st.fixed_dictionaries({}, optional=values)


HOOKS = st.sampled_from(["build", "pipeline"]) | anything
BODIES = (
    anything
    | like(notified("build:success", "service", **ENDED))
    | like(job(**CANCELED))
    | like(pipeline())
    | st.fixed_dictionaries({"object_kind": HOOKS, "builds": st.lists(like(part(1, "running")) | anything) | anything})
)
NAMES = st.sampled_from([f"{PREFIX}event-type", f"{PREFIX}event-id", "idempotency-key", "x-gitlab-event-uuid"])
EVENTS = {"build:start", "build:success", "build:failure", "build:abort", "job", "pipeline", "other"}


@given(st.dictionaries(NAMES, st.text() | st.sampled_from(sorted(EVENTS))), BODIES)
def test_whatever_is_delivered_is_read_or_left_alone(headers: Mapping[str, str], body: object) -> None:
    for provider in (NF, V4, V3):
        told = provider.event(headers, body)
        assert told.event in EVENTS
        assert all(target.source == provider.source.name for target in told.targets)
        assert all(build.concluded or build.concluded_at is None for build in told.builds)
        assert all(run.id and run.created_at > 0 for run in told.runs)
        assert len(told.key) <= 250
