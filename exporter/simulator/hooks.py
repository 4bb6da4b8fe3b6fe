"""The bodies of GitLab's webhooks at any moment: Job Hook and Pipeline Hook. Pure.

After `lib/gitlab/data_builder/build.rb` and `pipeline.rb` (GitLab 17).
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from exporter.simulator import gitlab_records as records
from exporter.simulator.pipeline import Builds, Family, Pipeline
from exporter.simulator.plan import Plan
from exporter.simulator.status import COMPLETED
from exporter.simulator.world import GitLabProject

URL = "https://gitlab.example.com"
JOB_HOOK, PIPELINE_HOOK = "Job Hook", "Pipeline Hook"


class Delivery(NamedTuple):
    """One request that GitLab sends."""

    at: float
    """Epoch seconds."""
    event: str
    """The header X-Gitlab-Event."""
    body: dict[str, Any]


def deliveries(project: GitLabProject, builds: Builds, since: float, until: float, url: str = URL) -> list[Delivery]:
    """What is sent after `since` and up to `until`, in the order of time: one for each move of a job or a pipeline.

    The creation of a job is one of its moves, that of a pipeline is none. Trigger jobs have no hook of their own.
    """
    sent = [
        delivery
        for pipeline in builds.pipelines(until)
        for delivery in (
            *_of_jobs(project, pipeline, (since, until), url),
            *_of_pipeline(project, pipeline, builds.family(pipeline), (since, until), url),
        )
    ]
    return sorted(sent, key=lambda delivery: delivery.at)


def _of_jobs(project: GitLabProject, pipeline: Pipeline, between: tuple[float, float], url: str) -> Iterator[Delivery]:
    for job in pipeline.jobs:
        for at in _moments(job.steps if not job.bridge else (), *between):
            yield Delivery(at, JOB_HOOK, job_hook(project, job, pipeline, at, url))


def _of_pipeline(
    project: GitLabProject, pipeline: Pipeline, family: Family, between: tuple[float, float], url: str
) -> Iterator[Delivery]:
    for at in _moments((step for step in pipeline.steps if step[1] != "created"), *between):
        yield Delivery(at, PIPELINE_HOOK, pipeline_hook(project, pipeline, family, at, url))


def _moments(steps: Iterable[tuple[float, str]], since: float, until: float) -> Iterator[float]:
    return (at for at, _ in steps if since < at <= until)


def job_hook(project: GitLabProject, plan: Plan, pipeline: Pipeline, now: float, url: str = URL) -> dict[str, Any]:
    """The body of a Job Hook. `commit.id` is the pipeline's; the reason says `unknown_failure` of what did not fail."""
    status, _, started, ended = plan.at(now)
    earlier = [job for job in pipeline.jobs_at(now) if job.name == plan.name and job.number < plan.number]
    return {
        "object_kind": "build",
        "ref": plan.ref,
        "tag": plan.tag,
        "before_sha": records.parent_of(plan.sha),
        "sha": plan.sha,
        "retries_count": len(earlier),
        "build_id": plan.number,
        "build_name": plan.name,
        "build_stage": plan.stage,
        "build_status": status,
        "build_created_at": _spelled(plan.created),
        "build_started_at": _spelled(started),
        "build_finished_at": _spelled(ended),
        "build_duration": None if started is None else round((ended or now) - started, 6),
        "build_queued_duration": _queued(plan, now),
        "build_allow_failure": plan.allow_failure,
        "build_failure_reason": plan.reason if status == "failed" else "unknown_failure",
        "pipeline_id": pipeline.number,
        "runner": None if started is None else _runner(plan),
        "project_id": project.id,
        "project_name": project.path.replace("/", " / "),
        "user": _user(plan.sha),
        "commit": _commit_of_job(project, pipeline, now, url),
        "repository": {
            "name": project.path.rpartition("/")[2],
            "url": f"git@gitlab.example.com:{project.path}.git",
            "description": None,
            "homepage": f"{url}/{project.path}",
            "git_http_url": f"{url}/{project.path}.git",
            "git_ssh_url": f"git@gitlab.example.com:{project.path}.git",
            "visibility_level": 0,
        },
        "project": _project(project, url),
        "environment": None,
    }


def pipeline_hook(
    project: GitLabProject, pipeline: Pipeline, family: Family, now: float, url: str = URL
) -> dict[str, Any]:
    """The body of a Pipeline Hook: the newest attempts at its jobs; `source_pipeline` is there for children only."""
    commit = records.commit_record(project, pipeline.head.sha, pipeline.head.pushed, url)
    jobs = pipeline.jobs_at(now, retried=False)
    body: dict[str, Any] = {
        "object_kind": "pipeline",
        "object_attributes": _attributes(project, pipeline, now, url),
        "merge_request": _merge_request(project, pipeline, url),
        "user": _user(pipeline.head.sha),
        "project": _project(project, url),
        "commit": {
            "id": commit["id"],
            "message": commit["message"],
            "title": commit["title"],
            "timestamp": commit["created_at"],
            "url": commit["web_url"],
            "author": {"name": commit["author_name"], "email": commit["author_email"]},
        },
        "builds": [_build(job, now) for job in sorted(jobs, key=lambda job: job.number)],
    }
    parent = next((one for one in family if one.number == pipeline.parent), None)
    if parent is not None:
        source = {"id": project.id, "web_url": f"{url}/{project.path}", "path_with_namespace": project.path}
        body["source_pipeline"] = {"project": source, "job_id": pipeline.trigger, "pipeline_id": parent.number}
    return body


def _attributes(project: GitLabProject, pipeline: Pipeline, now: float, url: str) -> dict[str, Any]:
    status = pipeline.at(now).status
    started, finished = pipeline.started(now), pipeline.finished(now)
    merge_request = pipeline.head.pull_request is not None
    stages = dict.fromkeys(job.stage for job in reversed(pipeline.jobs))
    return {
        "id": pipeline.number,
        "iid": pipeline.number // 2 % 100_000,
        "name": None,
        # Of a merge request it is the source branch, where the API has refs/merge-requests/….
        "ref": _source_branch(pipeline) if merge_request else pipeline.head.ref,
        "tag": pipeline.head.tag,
        "sha": pipeline.head.sha,
        "before_sha": records.parent_of(pipeline.head.sha),
        "source": pipeline.source,
        "status": status,
        "detailed_status": {"success": "passed"}.get(status, status),
        "stages": list(stages),
        "created_at": _spelled(pipeline.created),
        "finished_at": _spelled(finished),
        "duration": None if started is None or finished is None else int(finished - started),
        "queued_duration": None if started is None else int(started - pipeline.created),
        "protected_ref": pipeline.head.ref == project.habits.default,
        "variables": [],
        "url": f"{url}/{project.path}/-/pipelines/{pipeline.number}",
    }


def _build(plan: Plan, now: float) -> dict[str, Any]:
    status, _, started, ended = plan.at(now)
    return {
        "id": plan.number,
        "stage": plan.stage,
        "name": plan.name,
        "status": status,
        "created_at": _spelled(plan.created),
        "started_at": _spelled(started),
        "finished_at": _spelled(ended),
        "duration": None if started is None else round((ended or now) - started, 6),
        "queued_duration": _queued(plan, now),
        "failure_reason": plan.reason if status == "failed" else None,
        "when": plan.when,
        "manual": plan.when in ("manual", "delayed"),
        "allow_failure": plan.allow_failure,
        "user": _user(plan.sha),
        "runner": None if started is None else _runner(plan),
        "artifacts_file": {"filename": None, "size": None},
        "environment": None,
    }


def _commit_of_job(project: GitLabProject, pipeline: Pipeline, now: float, url: str) -> dict[str, Any]:
    status = pipeline.at(now).status
    started, finished = pipeline.started(now), pipeline.finished(now)
    commit = records.commit_record(project, pipeline.head.sha, pipeline.head.pushed, url)
    return {
        "id": pipeline.number,
        "name": None,
        "sha": pipeline.head.sha,
        "message": commit["message"],
        "author_name": commit["author_name"],
        "author_email": commit["author_email"],
        "author_url": f"mailto:{commit['author_email']}",
        "status": status,
        "duration": int(finished - started) if status in COMPLETED and started and finished else None,
        "started_at": _spelled(started),
        "finished_at": _spelled(finished),
    }


def _merge_request(project: GitLabProject, pipeline: Pipeline, url: str) -> dict[str, Any] | None:
    number = pipeline.head.pull_request
    if number is None:
        return None
    return {
        "id": 90_000 + number,
        "iid": number,
        "title": "Ask the stock service once per basket",
        "source_branch": _source_branch(pipeline),
        "source_project_id": project.id,
        "target_branch": project.habits.default,
        "target_project_id": project.id,
        "state": "opened",
        "merge_status": "can_be_merged",
        "detailed_merge_status": "mergeable",
        "url": f"{url}/{project.path}/-/merge_requests/{number}",
    }


def _source_branch(pipeline: Pipeline) -> str:
    return f"change-{pipeline.head.pull_request}"


def _project(project: GitLabProject, url: str) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.path.rpartition("/")[2],
        "description": None,
        "web_url": f"{url}/{project.path}",
        "avatar_url": None,
        "git_ssh_url": f"git@gitlab.example.com:{project.path}.git",
        "git_http_url": f"{url}/{project.path}.git",
        "namespace": project.path.rpartition("/")[0],
        "visibility_level": 0,
        "path_with_namespace": project.path,
        "default_branch": project.habits.default,
        "ci_config_path": None,
    }


def _user(sha: str) -> dict[str, Any]:
    name, username = records.author(sha)
    return {"id": 500, "name": name, "username": username, "avatar_url": None, "email": "[REDACTED]"}


def _runner(plan: Plan) -> dict[str, Any]:
    machine = plan.number % 3 + 1
    return {
        "id": 70 + machine,
        "description": f"linux-medium-{machine}",
        "runner_type": "instance_type",
        "active": True,
        "is_shared": True,
        "tags": [],
    }


def _queued(plan: Plan, now: float) -> float | None:
    pending = next((at for at, word in plan.steps if word == "pending" and at <= now), None)
    _, _, started, ended = plan.at(now)
    return None if pending is None else round((started or ended or now) - pending, 6)


def _spelled(at: float | None) -> str | None:
    """`2024-06-11 03:02:25 UTC`."""
    return None if at is None else datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
