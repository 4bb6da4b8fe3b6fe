"""What GitLab's webhooks deliver, in the words of its API. Pure.

Page: https://docs.gitlab.com/user/project/integrations/webhook_events/#job-events and #pipeline-events. The body
decides what a delivery is: servers were seen that send jobs under the header of another event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from exporter.build import PARENT_PIPELINE
from exporter.http.wire import flag, identifier, inner, text
from exporter.providers.gitlab.pipelines import ENDED, Record


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
    """Whether nothing of the jobs is left out that the API has, but for the pipeline's source."""
    settled: bool
    """Whether it says if the ref is a branch: a merge request's pipeline may bear the name of one."""
    pipeline: Record
    """As the pipelines API has it; of a job's delivery only what it has of it."""
    parent: str = ""
    """The id of a child pipeline's parent."""


def hooked(body: Record, root: str) -> Hooked | None:
    """The delivery; None where it is not about a job or a pipeline. `root` is the path of the server's own address."""
    readers = {"build": _job, "pipeline": _pipeline}
    read = readers.get(text(body, "object_kind") or "")
    return read(body, root) if read else None


def key_of(headers: Mapping[str, str], told: Hooked) -> str:
    """The same for a repeat of the delivery; empty where the headers have nothing of the kind.

    `X-Gitlab-Event-UUID` is the same for all that one event brings about, so the content belongs to the key.
    """
    stable = identifier(headers.get("idempotency-key"))
    if stable is not None:
        return stable
    event = identifier(headers.get("x-gitlab-event-uuid"))
    if event is None:
        return ""
    what = [(record.get("id"), record.get("status")) for record in (told.pipeline, *told.records)]
    return sha256(repr((event, told.event, what)).encode(errors="replace")).hexdigest()


def _job(body: Record, root: str) -> Hooked:
    commit = inner(body, "commit")
    created, started, ended = (body.get(f"build_{what}_at") for what in ("created", "started", "finished"))
    # Of a Job Hook `commit.id` is the pipeline's id, and older servers have it nowhere else.
    pipeline = {"id": body.get("pipeline_id") or commit.get("id")}
    ref, status = text(body, "ref"), text(body, "build_status")
    record = {
        "id": body.get("build_id"),
        "status": status,
        # Servers before 13 leave it out. A build that is known keeps what was read.
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
        "pipeline": pipeline,
    }
    return Hooked(
        event="job",
        number=_number(body),
        path=_path(body, root),
        records=(record,),
        complete=None not in (created, ref, status, identifier(pipeline["id"])),
        settled=False,
        pipeline=pipeline,
    )


def _pipeline(body: Record, root: str) -> Hooked:
    told = inner(body, "object_attributes")
    ref, source, request = text(told, "ref"), text(told, "source"), inner(body, "merge_request")
    ended = (text(told, "status") or "").lower() in ENDED
    pipeline = {
        **{key: told.get(key) for key in ("id", "status", "source", "sha", "ref", "tag", "created_at")},
        # It has no `updated_at`; a pipeline that runs again keeps the end of the first time.
        "updated_at": told.get("finished_at") if ended else None,
        "merge_request": request,
    }
    common = {"ref": ref, "tag": told.get("tag"), "commit": {"id": told.get("sha")}, "pipeline": pipeline}
    jobs = body.get("builds")
    records = [{**job, **common} for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    return Hooked(
        event="pipeline",
        number=_number(body),
        path=_path(body, root),
        records=tuple(records),
        complete=None not in (ref, identifier(told.get("id")), *(text(record, "status") for record in records)),
        settled=source is not None or bool(flag(told, "tag")) or bool(request),
        pipeline=pipeline,
        # Of a pipeline that another project started, `source_pipeline` is no parent.
        parent=identifier(inner(body, "source_pipeline").get("pipeline_id")) or "" if source == PARENT_PIPELINE else "",
    )


def _number(body: Record) -> str | None:
    return identifier(body.get("project_id")) or identifier(inner(body, "project").get("id"))


def _path(body: Record, root: str) -> str | None:
    """The project's path; where servers leave it out, from the address of its page, whatever host that names."""
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
