"""GitLab's jobs as builds, and the runs that they mention. Pure.

Pages: https://docs.gitlab.com/api/jobs/; of v3, `doc/api/builds.md` of GitLab 8.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from exporter.build import CONCLUDED, Build, Outcome, Run
from exporter.http.wire import flag, identifier, inner, instant, number, text
from exporter.providers.contract import Page, Rejected
from exporter.providers.gitlab.outcomes import OUTCOMES, failure_of
from exporter.providers.gitlab.pipelines import branch_of, ref_kind, run_from
from exporter.providers.pages import in_order, page_from

Api = Literal["v3", "v4"]

_PERCENT: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,20})?")


def page_of_jobs(records: list[object], api: Api, cursor: str | None = None) -> Page:
    """The page of `[JOB]` with the runs of its jobs: v4, their `pipeline` objects; v3, made of commit and ref."""

    def build_from(record: Mapping[str, object], id_: str, created_at: float) -> tuple[Build, tuple[Rejected, ...]]:
        return _build_from(record, id_, created_at, api)

    page = page_from(records, "created_at", build_from, cursor)
    runs = _pipelines(records) if api == "v4" else _of_commits(page.builds)
    return Page(page.builds, page.cursor, page.rejected, runs)


def _build_from(
    record: Mapping[str, object], build_id: str, created_at: float, api: Api
) -> tuple[Build, tuple[Rejected, ...]]:
    status = (text(record, "status") or "unknown").lower()
    failed = status == "failed"
    outcome = failure_of(record) if failed else OUTCOMES.get(status, Outcome.UNKNOWN)
    ended_at = instant(record.get("finished_at"))
    concluded = ended_at is not None if outcome is Outcome.UNKNOWN else outcome in CONCLUDED
    started_at = instant(record.get("started_at"))
    started_at, ended_at, dropped = in_order(build_id, created_at, started_at, ended_at if concluded else None)
    pipeline = inner(record, "pipeline")
    sha = text(inner(record, "commit"), "id") or text(pipeline, "sha") or ""
    ref = text(record, "ref")
    kind = ref_kind(ref, pipeline, tag=flag(record, "tag"))
    pipeline_id = identifier(pipeline.get("id")) if api == "v4" else None
    build = Build(
        id=build_id,
        run=pipeline_id or (f"{sha}:{ref or ''}" if sha else build_id),
        status=status,
        outcome=outcome,
        concluded=concluded,
        created_at=created_at,
        started_at=started_at,
        concluded_at=ended_at,
        branch=branch_of(ref, kind),
        sha=sha,
        name=text(record, "name") or "",
        stage=text(record, "stage") or "",
        trigger=(text(pipeline, "source") or "").lower(),
        ref_kind=kind,
        # Hooks bear `unknown_failure` also where nothing failed.
        reason=(text(record, "failure_reason") or "") if failed else "",
        coverage=_coverage(record),
    )
    return build, dropped


def _coverage(record: Mapping[str, object]) -> float | None:
    """The test coverage, 0 to 1; the API has it in per cent, as a number or as text."""
    written = text(record, "coverage")
    if written is not None:
        match = _PERCENT.fullmatch(written.removesuffix("%").strip())
        percent = float(match[0]) if match else None
    else:
        percent = number(record, "coverage")
    return percent / 100 if percent is not None and 0 <= percent <= 100 else None  # noqa: PLR2004  # per cent


def _pipelines(records: list[object]) -> tuple[Run, ...]:
    """The pipelines of jobs, each once."""
    runs: dict[str, Run] = {}
    dated: set[str] = set()
    for record in records:
        if not isinstance(record, dict):
            continue
        pipeline = inner(record, "pipeline")
        run_id = identifier(pipeline.get("id"))
        if run_id is None or run_id in dated:
            continue
        created_at = instant(pipeline.get("created_at"))
        # Servers before 12 leave the creation out; that of its earliest job comes close.
        near = instant(record.get("created_at")) if created_at is None else created_at
        run = None if near is None else run_from(pipeline, run_id, near, job=record)
        if run is None:
            continue
        if created_at is not None:
            dated.add(run_id)
        if run_id in dated or run_id not in runs or run.created_at < runs[run_id].created_at:
            runs[run_id] = run
    return tuple(runs.values())


def _of_commits(builds: tuple[Build, ...]) -> tuple[Run, ...]:
    """The runs of v3: the builds of one commit and ref. They have no status of their own."""
    runs: dict[str, Run] = {}
    for build in builds:
        known = runs.get(build.run)
        if not build.sha or (known is not None and known.created_at <= build.created_at):
            continue
        runs[build.run] = Run(
            id=build.run,
            status="",
            outcome=Outcome.UNKNOWN,
            created_at=build.created_at,
            branch=build.branch,
            ref_kind=build.ref_kind,
            sha=build.sha,
            ref=build.run.removeprefix(f"{build.sha}:"),
        )
    return tuple(runs.values())
