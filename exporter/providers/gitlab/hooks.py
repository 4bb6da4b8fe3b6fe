"""What GitLab's webhooks deliver, told as its API tells it. Pure.

Page: https://docs.gitlab.com/user/project/integrations/webhook_events/#job-events and #pipeline-events. The body
decides what a delivery is: servers were seen that send jobs under the header of another event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from exporter.http.wire import flag, identifier, inner, text

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Hooked:
    """A delivery in the words of the API."""

    event: str
    """`job` or `pipeline`."""
    number: str | None
    """The project's."""
    path: str | None
    records: tuple[Record, ...]
    """Jobs, as the jobs API has them."""
    complete: bool
    """Whether nothing of the jobs is left out that the API tells, but for the pipeline's source."""
    settled: bool
    """Whether it tells if the ref is a branch: a merge request's pipeline may bear the name of one."""


def hooked(body: Record, root: str) -> Hooked | None:
    """The delivery; None where it is no job's and no pipeline's. `root` is the path of the server's own address."""
    readers = {"build": _job, "pipeline": _pipeline}
    read = readers.get(text(body, "object_kind") or "")
    return read(body, root) if read else None


def key_of(headers: Mapping[str, str], told: Hooked) -> str:
    """By what a repeat of the delivery is known; empty where nothing tells.

    `X-Gitlab-Event-UUID` is the same for all that one event brings about, so what is told belongs to it.
    """
    stable = identifier(headers.get("idempotency-key"))
    if stable is not None:
        return stable
    event = identifier(headers.get("x-gitlab-event-uuid"))
    if event is None:
        return ""
    what = [(record.get("id"), record.get("status")) for record in told.records]
    return sha256(repr((event, told.event, what)).encode(errors="replace")).hexdigest()


def _job(body: Record, root: str) -> Hooked:
    commit = inner(body, "commit")
    created, started, ended = (body.get(f"build_{what}_at") for what in ("created", "started", "finished"))
    # Of a Job Hook `commit.id` is the pipeline's id, and older servers have it nowhere else.
    pipeline = body.get("pipeline_id") or commit.get("id")
    ref, status = text(body, "ref"), text(body, "build_status")
    record = {
        "id": body.get("build_id"),
        "status": status,
        # Servers before 13 do not tell it. What a build that is known keeps is what was read.
        "created_at": created or started or ended,
        "started_at": started,
        "finished_at": ended,
        "ref": ref,
        "tag": body.get("tag"),
        "name": body.get("build_name"),
        "stage": body.get("build_stage"),
        "allow_failure": body.get("build_allow_failure"),
        "failure_reason": body.get("build_failure_reason"),
        "commit": {"id": text(body, "sha") or text(commit, "sha")},
        "pipeline": {"id": pipeline},
    }
    return Hooked(
        event="job",
        number=identifier(body.get("project_id")),
        path=_path(body, root),
        records=(record,),
        complete=None not in (created, ref, status, identifier(pipeline)),
        settled=False,
    )


def _pipeline(body: Record, root: str) -> Hooked:
    pipeline = inner(body, "object_attributes")
    ref, source = text(pipeline, "ref"), text(pipeline, "source")
    common = {
        "ref": ref,
        "tag": pipeline.get("tag"),
        "commit": {"id": pipeline.get("sha")},
        "pipeline": {"id": pipeline.get("id"), "source": source},
    }
    jobs = body.get("builds")
    records = [{**job, **common} for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    return Hooked(
        event="pipeline",
        number=identifier(inner(body, "project").get("id")),
        path=_path(body, root),
        records=tuple(records),
        complete=None not in (ref, identifier(pipeline.get("id")), *(text(record, "status") for record in records)),
        settled=source is not None or bool(flag(pipeline, "tag")),
    )


def _path(body: Record, root: str) -> str | None:
    """The project's path; of servers that do not tell it, out of its page's address, whatever host that names."""
    project = inner(body, "project")
    told = project.get("path_with_namespace")
    if isinstance(told, str):
        return identifier(told)
    page = text(project, "web_url") or text(inner(body, "repository"), "homepage") or ""
    try:
        path = urlsplit(page).path
    except ValueError:
        return None
    return identifier(path.removeprefix(root).strip("/"))
