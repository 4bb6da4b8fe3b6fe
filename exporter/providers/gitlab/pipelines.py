"""GitLab's pipelines as runs. Pure.

Pages: https://docs.gitlab.com/api/pipelines/ and https://docs.gitlab.com/api/jobs/#list-all-trigger-jobs-for-a-pipeline.
"""

from collections.abc import Mapping
from typing import Final

from exporter.build import Outcome, Run
from exporter.http.wire import flag, identifier, inner, instant, text
from exporter.providers.contract import Page, Rejected
from exporter.providers.gitlab.outcomes import OUTCOMES
from exporter.providers.pages import nameless

REQUESTS: Final = frozenset({"merge_request_event", "external_pull_request_event"})
"""The `source`s of pipelines whose ref is no branch of the project, whatever it is called."""
ENDED: Final = frozenset({"success", "failed", "canceled", "skipped"})

Record = Mapping[str, object]

_NO_JOB: Final[Record] = {}


def ref_kind(ref: str | None, pipeline: Record, *, tag: bool | None) -> str:
    """`tag`, `merge_request` or `branch`. A ref that nothing tells apart is taken for a branch."""
    if tag:
        return "tag"
    of_request = (text(pipeline, "source") or "").lower() in REQUESTS or bool(inner(pipeline, "merge_request"))
    return "merge_request" if of_request or (ref or "").startswith("refs/merge-requests/") else "branch"


def branch_of(ref: str | None, kind: str) -> str | None:
    """The branch; None for a tag and for a merge request, whose ref may be called like a branch."""
    return ref if kind == "branch" else None


def run_from(record: Record, run_id: str, created_at: float, *, job: Record = _NO_JOB, parent: str = "") -> Run | None:
    """The run of a pipeline's record; None where the record has no status.

    `job` is the record of one of its jobs, which knows whether the ref is a tag: lists of pipelines do not.
    """
    status = (text(record, "status") or "").lower()
    if not status:
        return None
    ref = text(record, "ref") or text(job, "ref")
    kind = ref_kind(ref, record, tag=flag(record, "tag") or flag(job, "tag"))
    return Run(
        id=run_id,
        status=status,
        outcome=OUTCOMES.get(status, Outcome.UNKNOWN),
        created_at=created_at,
        updated_at=instant(record.get("updated_at")),
        branch=branch_of(ref, kind),
        ref_kind=kind,
        trigger=(text(record, "source") or "").lower(),
        sha=text(record, "sha") or text(inner(job, "commit"), "id") or "",
        ref=ref or "",
        parent=parent,
    )


def page_of_runs(records: list[object], cursor: str | None = None) -> Page:
    """The page of `[PIPELINE]`; a record that is no object, or has no id, creation or status, is rejected alone."""
    runs: dict[str, Run] = {}
    rejected: list[Rejected] = []
    for record in records:
        if not isinstance(record, dict):
            rejected.append(nameless("not_an_object", record, rejected))
            continue
        run_id, created_at = identifier(record.get("id")), instant(record.get("created_at"))
        if run_id is None or created_at is None:
            without = nameless("no_id", record, rejected) if run_id is None else Rejected("no_created_at", run_id)
            rejected.append(without)
            continue
        run = run_from(record, run_id, created_at)
        if run is None:
            rejected.append(Rejected("no_status", run_id))
        else:
            runs.setdefault(run_id, run)
    return Page((), cursor, tuple(rejected), tuple(runs.values()))


def bridges_from(records: list[object]) -> dict[str, bool]:
    """The downstream pipelines of `[BRIDGE]`: whether the trigger job, or each that names it, may fail."""
    found: dict[str, bool] = {}
    for record in records:
        if not isinstance(record, dict):
            continue
        downstream = identifier(inner(record, "downstream_pipeline").get("id"))
        if downstream is not None:
            found[downstream] = bool(flag(record, "allow_failure")) and found.get(downstream, True)
    return found
