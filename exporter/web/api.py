"""`/api/v1`: what the status page shows, as JSON. `openapi.yaml` beside it is its contract."""

import gzip
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Final, Literal
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.build import Build, Outcome
from exporter.collector import Collector
from exporter.snapshot import KnownSource, KnownTarget, Snapshot, failed_page, page_of
from exporter.web.external_url import ExternalUrl
from exporter.web.overview import Row, View, builds_of, faults, find, find_earlier, line_of, overview
from exporter.web.scrape import takes_gzip

PREFIX: Final = "/api/v1"
JSON: Final = "application/json"


class Wanted(BaseModel):
    """Which builds of a target are asked for."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    kind: Literal["", "service", "job", "project"] = ""
    """Only with an address in its older form, which has no kind."""
    branch: str = ""
    outcome: Outcome | Literal[""] = ""


def routes(collector: Collector, external: ExternalUrl) -> list[Route]:
    """Where it is."""
    contract = resources.files("exporter.web").joinpath("openapi.yaml").read_bytes()

    async def targets(request: Request) -> Response:
        """The targets that the parameters choose, a page of them."""
        wrong = faults(request.query_params)
        if wrong:
            return _refused(wrong)
        view = View.model_validate(dict(request.query_params))
        return await _answer(request, lambda: listed(collector.snapshot(), view, external))

    async def builds(request: Request) -> Response:
        """The builds of one target's window."""
        wrong = faults(request.query_params, Wanted)
        if wrong:
            return _refused(wrong)
        wanted = Wanted.model_validate(dict(request.query_params))
        known = await run_in_threadpool(collector.snapshot)
        address = request.path_params["address"]
        found = find(known, address) or find_earlier(known, address, wanted.kind)
        if found is None:
            return _json({"error": "no such target"}, 404)
        return await _answer(request, lambda: window(known, found, wanted, external))

    async def described(_request: Request) -> Response:
        """The contract."""
        return Response(contract, media_type="application/yaml")

    return [
        Route(f"{PREFIX}/targets", targets),
        Route(f"{PREFIX}/targets/{{address:any}}/builds", builds),
        Route(f"{PREFIX}/openapi.yaml", described),
    ]


def listed(known: Snapshot, view: View, external: ExternalUrl) -> dict[str, Any]:
    """What `/targets` answers."""
    seen = overview(known, view, whole=True)
    return {
        "at": known.at,
        "counts": seen.counts,
        "total": seen.total,
        "page": seen.page,
        "pages": seen.pages,
        "per_page": view.per_page,
        "sources": [_source(source) for source in known.sources],
        "targets": [
            _target(row, external) | {"builds": [_build(row.known, build) for build in row.builds]} for row in seen.rows
        ],
    }


def window(known: Snapshot, found: KnownTarget, wanted: Wanted, external: ExternalUrl) -> dict[str, Any]:
    """What `/targets/…/builds` answers."""
    builds = [
        build
        for build in builds_of(found.history, wanted.branch)
        if not wanted.outcome or build.outcome == wanted.outcome
    ]
    return {
        "at": known.at,
        "target": _target(Row(line_of(found, known.at, whole=True)), external),
        "total": len(builds),
        "builds": [_build(found, build) for build in builds],
    }


def _source(source: KnownSource) -> dict[str, Any]:
    told = source.allowance
    return {
        "name": source.name,
        "provider": source.provider,
        "url": source.url,
        "up": source.up,
        "resting_until": source.resting_until,
        "targets": source.targets,
        "errors": list(source.errors),
        "allowance": {"limit": told.limit, "remaining": told.remaining, "reset_at": told.reset_at},
    }


def _target(row: Row, external: ExternalUrl) -> dict[str, Any]:
    known, standing = row.known, row.standing
    target = known.target
    return {
        "source": target.source,
        "kind": target.kind,
        "project": target.project,
        "target": target.name,
        "address": target.address,
        "page": external.absolute(f"/targets/{quote(target.address)}"),
        "url": page_of(known),
        "state": row.state,
        "up": known.up,
        "error": known.error or None,
        "refreshed_at": known.refreshed_at,
        "broken": standing.broken,
        "broken_branch": standing.broken_branch or None,
        "broken_since": standing.broken_since,
        "consecutive_failures": standing.failures,
        "failed_build": _build(known, standing.failure) if standing.failure else None,
        "failed_url": failed_page(known, standing),
        "running": row.running,
        "stuck": row.stuck,
        "flaky_commits": standing.flaky_commits,
        "success_ratio": standing.success_ratio,
        "p50_seconds": row.p50,
        "p90_seconds": row.p90,
        "last_created_at": standing.last_created,
        "branches": sorted(known.standings.branches),
    }


def _build(known: KnownTarget, build: Build) -> dict[str, Any]:
    return {
        "id": build.id,
        "run": build.run,
        "status": build.status,
        "outcome": build.outcome.value,
        "concluded": build.concluded,
        "branch": build.branch,
        "sha": build.sha,
        "name": build.name,
        "stage": build.stage,
        "created_at": build.created_at,
        "started_at": build.started_at,
        "concluded_at": build.concluded_at,
        "url": page_of(known, build),
    }


async def _answer(request: Request, made: Callable[[], Mapping[str, Any]]) -> Response:
    compressed = takes_gzip(request.headers.get("accept-encoding", ""))
    return await run_in_threadpool(lambda: _json(made(), compressed=compressed))


def _refused(wrong: Mapping[str, str]) -> Response:
    return _json({"error": "; ".join(f"{name}: {fault}" for name, fault in wrong.items())}, 400)


def _json(content: Mapping[str, Any], status: int = 200, *, compressed: bool = False) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
    body = orjson.dumps(content)
    if compressed:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, 1, mtime=0)
    return Response(body, status, headers, media_type=JSON)
