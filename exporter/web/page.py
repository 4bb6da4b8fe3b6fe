"""The status page: `/`, `/targets/…`, its own stylesheet and script, and the README as `/docs`.

It shows what is known, and asks no provider. What is known is taken under the collector's lock as references; all else
is done in a thread beside it.
"""

import gzip
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib import metadata, resources
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from exporter import __version__
from exporter.build import Build, Outcome
from exporter.collector import Collector
from exporter.exposition.render import Format
from exporter.history.window import OTHER, History
from exporter.providers import PROVIDERS
from exporter.snapshot import KnownTarget, Snapshot, page_of
from exporter.web import page_marks, page_words
from exporter.web.external_url import ExternalUrl
from exporter.web.overview import STRIP, Overview, Row, View, choices, find, find_earlier, lenient, line_of, overview
from exporter.web.page_words import OUTCOME_WORDS, plural
from exporter.web.scrape import takes_gzip

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
STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "broken": "Broken",
        "stuck": "Stuck",
        "unread": "Not read",
        "new": "Not read yet",
        "running": "Running",
        "passing": "Passing",
        "quiet": "Quiet",
    }
)
TILES: Final = (
    *(("", "Targets"), ("broken", "Broken"), ("running", "Running")),
    *(("stuck", "Stuck"), ("flaky", "Flaky"), ("unread", "Not read")),
)
STATE_COUNT: Final[Mapping[str, str]] = MappingProxyType(
    {"broken": "broken", "running": "running", "stuck": "stuck", "flaky": "flaky", "unread": "not read"}
)
_ROUND = "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z"
_SQUARE = "M-3 -3h6v6h-6z"
SHAPES: Final[Mapping[Outcome, str]] = MappingProxyType(
    dict.fromkeys(Outcome, _SQUARE)
    | {
        Outcome.SUCCESS: _ROUND,
        Outcome.FAILURE: "M-4 -4l8 8M4 -4l-8 8",
        Outcome.ERROR: "M0 -5l5 9h-10z",
        Outcome.TIMEOUT: "M-4 -5h8l-8 10h8z",
        Outcome.ALLOWED_FAILURE: "M0 -5l5 5l-5 5l-5 -5z",
    }
)
"""What marks a build in the chart, as a path around its point."""


class Pages:
    """The pages over one collector."""

    def __init__(self, collector: Collector, metrics_path: str, external: ExternalUrl) -> None:
        self._collector = collector
        self._external = external
        self._assets = {name: resources.files("exporter.web").joinpath("static", name).read_bytes() for name in MEDIA}
        self._docs = _readme()
        self._environment = _environment()
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
        return await self._answer(request, self._missing, known, path, status=404)

    async def asset(self, request: Request) -> Response:
        """A file of the page's own."""
        name = request.path_params["name"]
        if name not in self._assets:
            return PlainTextResponse("no such file\n", 404)
        headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
        return Response(self._assets[name], media_type=MEDIA[name], headers=headers)

    async def docs(self, _request: Request) -> Response:
        """The README of the version that runs."""
        if not self._docs:
            return PlainTextResponse("the documentation is not installed here\n", 404)
        return PlainTextResponse(self._docs, headers={"X-Content-Type-Options": "nosniff"})

    async def _answer(self, request: Request, render: Callable[..., str], *what: Any, status: int = 200) -> Response:
        compressed = takes_gzip(request.headers.get("accept-encoding", ""))

        def made() -> bytes:
            body = render(*what).encode()
            return gzip.compress(body, 1, mtime=0) if compressed else body

        headers = dict(HEADERS) | ({"Content-Encoding": "gzip"} if compressed else {})
        return HTMLResponse(await run_in_threadpool(made), status, headers)

    def _index(self, view: View) -> str:
        known = self._collector.snapshot()
        seen = overview(known, view)
        return self._render(
            "overview.html",
            known,
            view=view,
            known=known,
            seen=seen,
            choices=choices(known, view),
            empty=_empty(known, view),
            **_headline(known, view, seen),
        )

    def _target(self, known: Snapshot, found: KnownTarget) -> str:
        row = Row(line_of(found, known.at), limit=None)
        branches = [(branch, Row(line_of(found, known.at, branch), branch)) for branch in _branches(found, row.history)]
        first = branches[0][0] if branches else OTHER
        try:
            samples = self._collector.expose_target(found.target, Format.TEXT).decode()
        except KeyError:  # it went since
            samples = ""
        return self._render(
            "target.html",
            known,
            view=View(),
            known=found,
            row=row,
            branches=branches,
            chart=page_marks.chart(row.window, row.p50, row.p90),
            named=any(build.name for build in row.window),
            queries=list(page_words.promql(found.target, first)),
            samples=samples,
        )

    def _missing(self, known: Snapshot, path: str) -> str:
        return self._render("missing.html", known, path=path)

    def _render(self, template: str, at: Snapshot, **what: Any) -> str:
        reloaded, reloaded_at = self._collector.self_metrics.reloaded()
        return self._environment.get_template(template).render(
            now=at.at, reloaded=reloaded, reloaded_at=reloaded_at, **what
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


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    words = ("about", "ago", "instant", "machine_time", "number", "percent", "plural", "round_span", "short", "span")
    environment.globals |= {name: getattr(page_words, name) for name in words}
    environment.globals |= {
        "NONE": page_words.NONE,
        "OUTCOME_WORDS": OUTCOME_WORDS,
        "PROVIDERS": {name: row.title for name, row in PROVIDERS.items()},
        "SHAPES": SHAPES,
        "STATES": STATES,
        "STATE_COUNT": STATE_COUNT,
        "STRIP": STRIP,
        "TILES": TILES,
        "page_of": page_of,
        "pairs": lambda values: [(value, value) for value in values],
        "sparkline": page_marks.sparkline,
        "tally": _tally,
        "version": __version__,
    }
    return environment


def _tally(builds: Sequence[Build]) -> str:
    """The builds of a strip for who does not see it: `30 builds: 24 success, 6 failure; the newest failure`."""
    counted = Counter(build.outcome for build in builds)
    words = ", ".join(f"{counted[outcome]} {word}" for outcome, word in OUTCOME_WORDS.items() if counted[outcome])
    return f"{plural(len(builds), 'build', 'builds')}: {words}; the newest: {OUTCOME_WORDS[builds[0].outcome]}"


def _branches(known: KnownTarget, history: History) -> list[str]:
    """The branch labels, those first that keep their name."""
    names = [name for name in history.names if name in known.standings.branches]
    return [*names, *sorted(known.standings.branches.keys() - set(names))]


def _headline(known: Snapshot, view: View, seen: Overview) -> dict[str, str]:
    """How it stands, in one sentence, the mood of that, and what else there is to say."""
    here = " here" if view.parameters(state="", sort="state", page=1, per_page=50, outcome="") else ""
    said = [
        ("broken" if state == "broken" else "stuck", plural(seen.counts[state], one, many) + here)
        for state, one, many in (
            ("broken", "target is broken", "targets are broken"),
            ("stuck", "target is stuck", "targets are stuck"),
            ("unread", "target cannot be read", "targets cannot be read"),
        )
        if seen.counts[state]
    ]
    down = [source.name for source in known.sources if source.up is False]
    if down:
        return {"mood": "broken", "headline": f"{', '.join(down)} cannot be read", "more": said[0][1] if said else ""}
    if said:
        return {"mood": said[0][0], "headline": said[0][1], "more": ""}
    if not seen.counts["targets"]:
        return {"mood": "quiet", "headline": f"No targets{here}", "more": ""}
    return {"mood": "passing", "headline": f"Nothing is broken{here}", "more": ""}


def _empty(known: Snapshot, view: View) -> str:
    """Why there is no target to show."""
    if known.targets:
        return "Nothing is like that." if view.parameters() else "No target yet."
    if any(source.up is None for source in known.sources):
        return "The sources are being read for the first time."
    return "The sources have nothing that builds, or the configuration leaves it out."


def _readme() -> str:
    try:
        payload = metadata.metadata("ci-build-exporter").get_payload()  # type: ignore[attr-defined]  # it is a message
    except metadata.PackageNotFoundError:
        return ""
    return payload if isinstance(payload, str) else ""
