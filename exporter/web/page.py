"""The status page: `/`, `/targets/…`, its own stylesheet and script, the README as `/docs`, and what is not found.

It shows what is known, and asks no provider. What is known is taken under the collector's lock as references; all else
is done in a thread beside it.
"""

import gzip
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import resources
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from exporter.collector import Collector
from exporter.exposition.render import Format
from exporter.history.window import OTHER
from exporter.snapshot import KnownTarget, Snapshot
from exporter.web import page_marks, page_words
from exporter.web.external_url import ExternalUrl
from exporter.web.overview import Row, View, choices, find, find_earlier, lenient, line_of, ordered_branches, overview
from exporter.web.page_docs import documentation
from exporter.web.page_render import environment
from exporter.web.page_state import empty, headline, last_read, similar
from exporter.web.scrape import Scrapes, takes_gzip

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing but our own stylesheet, script and icon: whatever a branch is called, nothing else runs."""
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
)
FOREVER: Final = "public, max-age=31536000, immutable"
MEDIA: Final[Mapping[str, str]] = MappingProxyType(
    {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
)


class Pages:
    """The pages over one collector."""

    def __init__(self, collector: Collector, metrics_path: str, external: ExternalUrl, scrapes: Scrapes) -> None:
        self._collector, self._external, self._scrapes = collector, external, scrapes
        self._assets = {name: resources.files("exporter.web").joinpath("static", name).read_bytes() for name in MEDIA}
        self._docs = documentation()
        self._metrics_path = metrics_path
        self._environment = environment()
        self._environment.globals |= {
            "asset": self._asset_link,
            "at": external.path,
            "link": self._link,
            "metrics_path": metrics_path,
            "target_link": self._target_link,
            "has_docs": bool(self._docs),
            "revision": os.environ.get("CI_BUILD_EXPORTER_REVISION", ""),
        }

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/", self.index),
            Route("/targets/{path:any}", self.target),
            Route("/static/{name}", self.asset),
            Route("/docs", self.docs),
        ]

    async def index(self, request: Request) -> Response:
        """All targets, or those that the parameters choose."""
        return await self._answer(request, self._index, lenient(request.query_params))

    async def target(self, request: Request) -> Response:
        """One target, at `/targets/` and its address; an address in its older form leads there."""
        path = request.path_params["path"]
        known = await run_in_threadpool(self._collector.snapshot)
        found = find(known, path)
        if found is not None:
            return await self._answer(request, self._target, known, found)
        earlier = find_earlier(known, path, request.query_params.get("kind", ""))
        if earlier is not None:
            return RedirectResponse(self._target_link(earlier), 308, HEADERS)
        return await self._answer(request, self._no_target, known, path, status=404)

    async def asset(self, request: Request) -> Response:
        """A file of the page's own."""
        name = request.path_params["name"]
        if name not in self._assets:
            return PlainTextResponse("no such file\n", 404)
        headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
        return Response(self._assets[name], media_type=MEDIA[name], headers=headers)

    async def docs(self, request: Request) -> Response:
        """The README of the version that runs."""
        if not self._docs:
            return PlainTextResponse("the documentation is not installed here\n", 404)
        return await self._answer(request, lambda origin: self._render("docs.html", origin, text=self._docs))

    async def not_found(self, request: Request, _error: Exception) -> Response:
        """A page with a way back for a browser, a line for others."""
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse("Not Found", 404)
        path = request.url.path
        return await self._answer(request, lambda origin: self._render("missing.html", origin, path=path), status=404)

    async def _answer(self, request: Request, render: Callable[..., str], *what: Any, status: int = 200) -> Response:
        compressed = takes_gzip(request.headers.get("accept-encoding", ""))
        origin = f"{request.url.scheme}://{request.url.netloc}"

        def made() -> bytes:
            body = render(origin, *what).encode()
            return gzip.compress(body, 1, mtime=0) if compressed else body

        headers = dict(HEADERS) | ({"Content-Encoding": "gzip"} if compressed else {})
        return HTMLResponse(await run_in_threadpool(made), status, headers)

    def _index(self, origin: str, view: View) -> str:
        known = self._collector.snapshot()
        seen = overview(known, view)
        return self._render(
            "overview.html",
            origin,
            known,
            view=view,
            known=known,
            seen=seen,
            choices=choices(known, view),
            empty=empty(known, view),
            **headline(known, view, seen),
        )

    def _target(self, origin: str, known: Snapshot, found: KnownTarget) -> str:
        row = Row(line_of(found, known.at, whole=True), limit=None)
        ordered = ordered_branches(found, known.at)
        branches = [Row(line_of(found, known.at, branch), branch, history=row.history) for branch in ordered]
        first = branches[0] if branches else row
        try:
            samples = self._collector.expose_target(found.target, Format.TEXT).decode()
        except KeyError:  # it went since
            samples = ""
        return self._render(
            "target.html",
            origin,
            known,
            view=View(),
            known=found,
            row=row,
            first=first,
            branches=branches,
            chart=page_marks.chart(row.window, row.p50, row.p90),
            named=any(build.name for build in row.window),
            commands=list(page_words.commands(found, first)),
            queries=list(page_words.promql(found.target, first.branch or OTHER)),
            samples=samples,
            page=(self._external.origin or origin) + self._target_link(found),
        )

    def _no_target(self, origin: str, known: Snapshot, address: str) -> str:
        near = [find(known, one) for one in similar(address, known)]
        return self._render("missing.html", origin, known, address=address, similar=[one for one in near if one])

    def _render(self, template: str, origin: str, at: Snapshot | None = None, **what: Any) -> str:
        known = at or self._collector.snapshot()
        reloaded, reloaded_at = self._collector.self_metrics.reloaded()
        return self._environment.get_template(template).render(
            now=known.at,
            reloaded=reloaded,
            reloaded_at=reloaded_at,
            read_at=last_read(known),
            scraped_at=self._scrapes.last,
            unscraped=self._scrapes.missing(known.at),
            scrape=page_words.scrape_config(self._external.origin or origin, self._external.path(self._metrics_path)),
            **what,
        )

    def _asset_link(self, name: str) -> str:
        """Its address, another one whenever its content is."""
        return self._external.path(f"/static/{name}?v={sha256(self._assets[name]).hexdigest()[:12]}")

    def _link(self, view: View, **changed: Any) -> str:
        """The page's address with that view, changed."""
        parameters = view.parameters(**changed)
        return self._external.path(f"/?{urlencode(parameters)}" if parameters else "/")

    def _target_link(self, known: KnownTarget) -> str:
        return self._external.path(f"/targets/{quote(known.target.address)}")
