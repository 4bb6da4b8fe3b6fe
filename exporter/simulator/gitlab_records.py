"""GitLab's records as JSON: a job of v4, a build of v3, and what surrounds them."""

import hashlib
from typing import Any

from exporter.simulator.pipeline import Head, Pipeline
from exporter.simulator.plan import Plan
from exporter.simulator.words import iso, iso_or_none
from exporter.simulator.world import GitLabProject

AUTHORS = (
    ("Ada Lindqvist", "ada"),
    ("Bo Marchetti", "bo"),
    ("Chidi Okafor", "chidi"),
    ("Dagny Voss", "dagny"),
    ("Emre Aydin", "emre"),
)
TITLES = (
    "Ask the stock service once per basket",
    "Drop the old login form",
    "Give the invoice number its own column",
    "Keep the connection to the search service open",
    "Make the empty basket say something kind",
    "Move the price rules out of the template",
    "Retry a payment that timed out",
    "Update the pinned images",
)


def project_record(project: GitLabProject, url: str, activity: float) -> dict[str, Any]:
    """A project, as `projects/:id` and `groups/:id/projects` give it."""
    namespace, _, name = project.path.rpartition("/")
    return {
        "id": project.id,
        "description": None,
        "name": name.replace("-", " ").capitalize(),
        "name_with_namespace": project.path.replace("/", " / "),
        "path": name,
        "path_with_namespace": project.path,
        "created_at": iso(0.0),
        "default_branch": project.habits.default,
        "tag_list": list(project.topics),
        "topics": list(project.topics),
        "web_url": f"{url}/{project.path}",
        "last_activity_at": iso(activity),
        "namespace": {"name": namespace, "path": namespace.rpartition("/")[2], "kind": "group", "full_path": namespace},
        "archived": project.archived,
        "jobs_enabled": project.jobs_enabled,
        "builds_access_level": "enabled" if project.jobs_enabled else "disabled",
        "visibility": "private",
    }


def pipeline_record(project: GitLabProject, pipeline: Pipeline, now: float, url: str) -> dict[str, Any]:
    """A pipeline, as the lists and each of its jobs have it."""
    status, since = pipeline.at(now)
    return {
        "id": pipeline.number,
        "iid": pipeline.number // 2 % 100_000,
        "project_id": project.id,
        "sha": pipeline.head.sha,
        "ref": pipeline.head.ref,
        "status": status,
        "source": pipeline.source,
        "created_at": iso(pipeline.created),
        "updated_at": iso(since),
        "web_url": f"{url}/{project.path}/-/pipelines/{pipeline.number}",
    }


def pipeline_details(project: GitLabProject, pipeline: Pipeline, now: float, url: str) -> dict[str, Any]:
    """A pipeline, asked for by its number."""
    started, finished = pipeline.started(now), pipeline.finished(now)
    told = [job.coverage for job in pipeline.jobs_at(now, retried=False) if job.at(now).status == "success"]
    coverage = [one for one in told if one is not None]
    user = {name: _user(pipeline.head.sha, url)[name] for name in ("id", "username", "name", "state", "web_url")}
    return {
        **pipeline_record(project, pipeline, now, url),
        "before_sha": parent_of(pipeline.head.sha),
        "tag": pipeline.head.tag,
        "yaml_errors": pipeline.yaml_errors,
        "user": user,
        "started_at": iso_or_none(started),
        "finished_at": iso_or_none(finished),
        "committed_at": None,
        "duration": None if started is None or finished is None else int(finished - started),
        "queued_duration": None if started is None else int(started - pipeline.created),
        "coverage": f"{sum(coverage) / len(coverage):.2f}" if coverage else None,
        "name": None,
    }


def bridge_record(
    project: GitLabProject, plan: Plan, pipelines: tuple[dict[str, Any], dict[str, Any] | None], now: float, url: str
) -> dict[str, Any]:
    """A trigger job; `pipelines` are its own and the child that it made."""
    job = job_record(project, plan, pipelines[0], now, url)
    without = ("artifacts", "artifacts_file", "runner", "runner_manager", "artifacts_expire_at", "tag_list")
    return {name: value for name, value in job.items() if name not in without} | {"downstream_pipeline": pipelines[1]}


def branch_record(project: GitLabProject, name: str, head: Head, url: str) -> dict[str, Any]:
    """A branch that is there."""
    default = name == project.habits.default
    return {
        "name": name,
        "commit": commit_record(project, head.sha, head.pushed, url),
        "merged": False,
        "protected": default,
        "developers_can_push": False,
        "developers_can_merge": False,
        "can_push": True,
        "default": default,
        "web_url": f"{url}/{project.path}/-/tree/{name}",
    }


def trace(plan: Plan, now: float) -> str:
    """The log of a job, as far as it is written at `now`: a line every ten seconds."""
    status, _, started, ended = plan.at(now)
    if started is None:
        return ""
    lines = ["Running with gitlab-runner 17.4.0", f"$ make {plan.name}"]
    lines += [
        f"{seconds:6d}s {plan.name}: step {seconds // 10}" for seconds in range(0, int((ended or now) - started), 10)
    ]
    if status == "success":
        lines.append("Job succeeded")
    elif ended is not None:
        lines.append("ERROR: Job failed: exit code 1" if status == "failed" else "ERROR: Job canceled")
    return "\n".join([*lines, ""])


def job_record(project: GitLabProject, plan: Plan, pipeline: dict[str, Any], now: float, url: str) -> dict[str, Any]:
    """A job of v4. `duration` and `queued_duration` grow while it is unfinished, as they do there."""
    status, _, started, ended = plan.at(now)
    pending = next((moment for moment, word in plan.steps if word == "pending" and moment <= now), None)
    queued = None if pending is None else round((started or ended or now) - pending, 6)
    archive = ended is not None and started is not None and plan.stage == "build"
    job: dict[str, Any] = {
        "id": plan.number,
        "status": status,
        "stage": plan.stage,
        "name": plan.name,
        "ref": plan.ref,
        "tag": plan.tag,
        "coverage": plan.coverage if status == "success" else None,
        "allow_failure": plan.allow_failure,
        "created_at": iso(plan.created),
        "started_at": iso_or_none(started),
        "finished_at": iso_or_none(ended),
        "erased_at": None,
        "duration": None if started is None else round((ended or now) - started, 6),
        "queued_duration": queued,
        "user": _user(plan.sha, url),
        "commit": commit_record(project, plan.sha, plan.pushed, url),
        "pipeline": pipeline,
    }
    if status == "failed":
        job["failure_reason"] = plan.reason or "script_failure"
    job["web_url"] = f"{url}/{project.path}/-/jobs/{plan.number}"
    job["project"] = {"ci_job_token_scope_enabled": False}
    if archive:
        job["artifacts_file"] = {"filename": "artifacts.zip", "size": 48_211}
    job["artifacts"] = _artifacts(archive=archive) if started is not None else []
    job["runner"] = _runner(plan.number) if started is not None else None
    job["runner_manager"] = _machine(plan.number, started) if started is not None else None
    job["artifacts_expire_at"] = iso((ended or now) + 30 * 86_400) if archive else None
    job["archived"] = False
    job["tag_list"] = []
    return job


def build_record(project: GitLabProject, plan: Plan, now: float, url: str) -> dict[str, Any]:
    """A build of v3."""
    status, _, started, ended = plan.at(now)
    commit = commit_record(project, plan.sha, plan.pushed, url)
    user = _user(plan.sha, url)
    runner = None if started is None else {name: _runner(plan.number)[name] for name in ("id", "description", "active")}
    names = ("author_email", "author_name", "created_at", "id", "message", "short_id", "title")
    return {
        "commit": {name: commit[name] for name in names},
        "coverage": None,
        "created_at": iso(plan.created),
        "download_url": None,
        "finished_at": iso_or_none(ended),
        "id": plan.number,
        "name": plan.name,
        "ref": plan.ref,
        "runner": runner,
        "stage": plan.stage,
        "started_at": iso_or_none(started),
        "status": status,
        "tag": plan.tag,
        "user": None if plan.source == "schedule" else {
            "avatar_url": None,
            "bio": None,
            "created_at": user["created_at"],
            "id": user["id"],
            "is_admin": False,
            "linkedin": "",
            "name": user["name"],
            "skype": "",
            "state": "active",
            "twitter": "",
            "username": user["username"],
            "web_url": user["web_url"],
            "website_url": "",
        },
    }  # fmt: skip


def commit_record(project: GitLabProject, sha: str, pushed: float, url: str) -> dict[str, Any]:
    """A commit that was pushed at some time."""
    name, username = author(sha)
    # Written some minutes before it was pushed; commits bear an offset where all else bears `Z`.
    when = iso(max(0.0, pushed - 30 - int(sha[:4], 16) % 900)).replace("Z", "+00:00")
    title = TITLES[int(sha[4:8], 16) % len(TITLES)]
    return {
        "id": sha,
        "short_id": sha[:8],
        "created_at": when,
        "parent_ids": [parent_of(sha)],
        "title": title,
        "message": f"{title}\n\nIt was asked for twice this week, and the tests say that it holds.\n",
        "author_name": name,
        "author_email": f"{username}@example.com",
        "authored_date": when,
        "committer_name": name,
        "committer_email": f"{username}@example.com",
        "committed_date": when,
        "trailers": {},
        "extended_trailers": {},
        "web_url": f"{url}/{project.path}/-/commit/{sha}",
    }


def parent_of(sha: str) -> str:
    """The commit before."""
    return hashlib.sha1(sha.encode(), usedforsecurity=False).hexdigest()


def author(sha: str) -> tuple[str, str]:
    """Name and user name of who wrote a commit."""
    return AUTHORS[int(sha[8:12], 16) % len(AUTHORS)]


def _user(sha: str, url: str) -> dict[str, Any]:
    name, username = author(sha)
    return {
        "id": 500 + AUTHORS.index((name, username)),
        "username": username,
        "name": name,
        "state": "active",
        "locked": False,
        "avatar_url": f"{url}/uploads/-/system/user/avatar/{username}.png",
        "web_url": f"{url}/{username}",
        "created_at": "2021-03-02T08:15:30.000Z",
        **dict.fromkeys(("bio", "location", "public_email", "skype", "linkedin", "twitter", "discord"), ""),
        **dict.fromkeys(("website_url", "organization", "job_title", "pronouns"), ""),
        "bot": False,
        "work_information": None,
        "followers": 0,
        "following": 0,
        "local_time": "9:41 AM",
    }


def _artifacts(*, archive: bool) -> list[dict[str, Any]]:
    trace = {"file_type": "trace", "size": 3_140, "filename": "job.log", "file_format": None}
    kept = {"file_type": "archive", "size": 48_211, "filename": "artifacts.zip", "file_format": "zip"}
    return [kept, trace] if archive else [trace]


def _runner(number: int) -> dict[str, Any]:
    machine = number % 3 + 1
    return {
        "id": 70 + machine,
        "description": f"linux-medium-{machine}",
        "ip_address": f"192.0.2.{machine}",
        "active": True,
        "paused": False,
        "is_shared": True,
        "runner_type": "instance_type",
        "name": "gitlab-runner",
        "online": True,
        "status": "online",
    }


def _machine(number: int, started: float) -> dict[str, Any]:
    return {
        "id": 9_000 + number % 3,
        "system_id": f"s_{number % 3:012x}",
        "version": "17.4.0",
        "revision": "1e2f3a4b",
        "platform": "linux",
        "architecture": "amd64",
        "created_at": "2024-09-19T10:00:00.000Z",
        "contacted_at": iso(started),
        "ip_address": "192.0.2.20",
        "status": "online",
    }
