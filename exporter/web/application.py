"""The Starlette application: `/metrics`, `/probe`, the life-cycle endpoints, the status page and its API."""

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from exporter.build import Target
from exporter.collector import Collector
from exporter.errors import ConfigError, ListenError
from exporter.exposition.gzip_members import LEVEL
from exporter.exposition.render import Format
from exporter.polling.polls import EVERYTHING, Scope, only
from exporter.web import api
from exporter.web.external_url import ExternalUrl
from exporter.web.page import Pages
from exporter.web.scrape import SCRAPE_TIMEOUT, Scrapes, form, patience, takes_gzip
from exporter.web.webhook import deliver

P = ParamSpec("P")

FIRST_READ = 30.0
"""Seconds that the read at the start may take before scrapes no longer wait for it."""
TAKEN = ("/probe", "/docs")
TAKEN_BELOW = ("/-/", "/webhooks/", "/api/", "/static/", "/targets/")
"""Paths that other endpoints have."""
RECENT = 1.0
"""Seconds for which an answer is given again, if nothing has moved."""


class AnyText(PathConvertor):
    """The rest of a path, whatever it contains: Starlette's own `path` ends at a line break."""

    regex = "(?s:.*)"


register_url_convertor("any", AnyText())


async def settle(collector: Collector, seconds: float, stopping: asyncio.Event, scope: Scope = EVERYTHING) -> None:
    """Poll what is due and wait for it, and for what discovery finds by it, at most until the server stops.

    The collector's lock is taken in another thread: nothing that holds it keeps the event loop from a health check.
    """
    deadline = time.monotonic() + seconds
    for _ in range(3):
        asked = await run_in_threadpool(collector.begin, scope)
        left = deadline - time.monotonic()
        if asked.empty or left <= 0:
            break
        stop = asyncio.ensure_future(stopping.wait())
        done = asyncio.ensure_future(asyncio.wrap_future(asked.done))
        await asyncio.wait((done, stop), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not asked.done.done():
            await run_in_threadpool(collector.abandon, asked)
            break


@dataclass(frozen=True, slots=True)
class Recent:
    """An answer, as it was put together."""

    at: float
    """By the collector's clock."""
    turn: int
    body: bytes


def _kind(request: Request) -> tuple[Format, bool]:
    """The format that a request wants, and whether compressed."""
    return form(request.headers.get("accept", "")), takes_gzip(request.headers.get("accept-encoding", ""))


def _response(body: bytes, wanted: Format, compressed: bool) -> Response:  # noqa: FBT001  # called by place
    headers = {"Content-Type": wanted.value, "Vary": "Accept, Accept-Encoding"}
    if compressed:
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers)


class Endpoints:
    """The handlers, over one collector."""

    def __init__(
        self,
        collector: Collector,
        reload: Callable[[], None],
        stopping: asyncio.Event,
        *,
        lifecycle: bool,
        self_scrape: float = 0.0,
    ) -> None:
        self.scrapes = Scrapes(collector.now)
        self._self_scrape = self_scrape
        self._collector = collector
        self._stopping = stopping
        self._reload = reload
        self._lifecycle = lifecycle
        self._took = 0.0
        self._recent: dict[tuple[Format, bool], Recent] = {}
        self._one_at_a_time = asyncio.Lock()

    async def metrics(self, request: Request) -> Response:
        """Everything, after waiting for what is due as long as the scrape allows.

        Nothing new is asked or put together within a second of the last answer of the kind, unless something moved.
        """
        kind = _kind(request)
        self.scrapes.last = self._collector.now
        recent = self._fresh(kind)
        if recent is None:
            await self._wait(request, EVERYTHING)
            async with self._one_at_a_time:  # what one scrape has put together serves those that waited with it
                recent = self._fresh(kind)
                if recent is None:
                    now, turn = self._collector.now, self._collector.self_metrics.version
                    recent = self._recent[kind] = Recent(now, turn, await self._timed(self._exposed, *kind))
        return _response(recent.body, *kind)

    def _fresh(self, kind: tuple[Format, bool]) -> Recent | None:
        """The last answer of the kind, if it is a second old at most and nothing has moved since."""
        recent = self._recent.get(kind)
        same = recent is not None and recent.turn == self._collector.self_metrics.version
        return recent if recent and same and 0 <= self._collector.now - recent.at < RECENT else None

    def _exposed(self, wanted: Format, compressed: bool) -> bytes:  # noqa: FBT001  # called by place
        body = self._collector.expose(wanted)
        return body if compressed else gzip.decompress(body)

    async def probe(self, request: Request) -> Response:
        """One configured target alone: `?target=ADDRESS`; with `source=NAME` the address may lack the source."""
        source, name = request.query_params.get("source", ""), request.query_params.get("target", "")
        if not name or not (source or "/" in name):
            return PlainTextResponse("write /probe?target=ADDRESS, for example gitlab/project/shop/web\n", 400)
        source = source or name.partition("/")[0]
        target = self._find(source, name)
        if target is None:
            await self._wait(request, Scope(source=source, reads=False))
            target = self._find(source, name)
        if target is None:
            known = "source" if source not in self._collector.sources() else "target"
            return PlainTextResponse(f"no such {known}; the command targets lists what is read\n", 404)
        self.scrapes.last = self._collector.now
        await self._wait(request, only(target))
        wanted, compressed = _kind(request)
        body = await self._timed(self._collector.expose_target, target, wanted)
        return _response(gzip.compress(body, LEVEL) if compressed else body, wanted, compressed)

    def _find(self, source: str, name: str) -> Target | None:
        wanted = {name, f"{source}/{name}"}
        return next(
            (target for target in self._collector.targets() if target.source == source and target.address in wanted),
            None,
        )

    async def _wait(self, request: Request, scope: Scope) -> None:
        seconds = patience(request.headers.get(SCRAPE_TIMEOUT), self._collector.timeout, self._took)
        await settle(self._collector, seconds, self._stopping, scope)

    async def _timed(self, expose: Callable[P, bytes], *what: P.args, **how: P.kwargs) -> bytes:
        """What is put together in a thread of its own; how long that took is kept in mind for the next scrape."""
        begun = time.perf_counter()
        body = await run_in_threadpool(expose, *what, **how)
        self._took = time.perf_counter() - begun
        self._collector.self_metrics.scrape_duration.set(self._took)
        return body

    async def healthy(self, _request: Request) -> Response:
        """Whether the process answers."""
        return PlainTextResponse("ci-build-exporter is healthy.\n")

    async def ready(self, _request: Request) -> Response:
        """Whether everything was tried once."""
        if await run_in_threadpool(self._collector.ready):
            return PlainTextResponse("ci-build-exporter is ready.\n")
        return PlainTextResponse("the first read is not done yet\n", 503)

    async def reload(self, _request: Request) -> Response:
        """Read the configuration again; a bad one keeps the running one."""
        if not self._lifecycle:
            return PlainTextResponse("reloading by request is not enabled; see --web.enable-lifecycle\n", 403)
        try:
            await run_in_threadpool(self._reload)
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", 500)
        return PlainTextResponse("reloaded\n")

    async def webhook(self, request: Request) -> Response:
        """A provider's delivery to one source."""
        return await deliver(self._collector, request)

    @asynccontextmanager
    async def lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        """Read once at the start, so that the first scrape is full."""
        first = asyncio.create_task(self._read())
        yield
        first.cancel()
        self._collector.close()

    async def _read(self) -> None:
        """Read once; then again and again where the exporter scrapes itself."""
        await settle(self._collector, FIRST_READ, self._stopping)
        while self._self_scrape and not self._stopping.is_set():
            self.scrapes.last = self._collector.now
            await asyncio.sleep(self._self_scrape)
            await settle(self._collector, FIRST_READ, self._stopping)


def usable_path(path: str) -> str:
    """The path of the metrics. Raises ListenError where it is none, or is another endpoint's."""
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", path):
        raise ListenError(
            f'--web.telemetry-path: "{path}" is no path; it begins with / and goes on in plain characters'
        )
    if path in TAKEN or path.startswith(TAKEN_BELOW):
        raise ListenError(f"--web.telemetry-path: {path} is taken by another endpoint; write /metrics")
    return path


def application(  # noqa: PLR0913  # most of them by name
    collector: Collector,
    path: str = "/metrics",
    reload: Callable[[], None] = lambda: None,
    *,
    lifecycle: bool = False,
    stopping: asyncio.Event | None = None,
    external: ExternalUrl | None = None,
    self_scrape: float = 0.0,
) -> Starlette:
    """The exporter's web side; `reload` reads the configuration again or raises ConfigError.

    `external` is the address under which people reach it. Every `self_scrape` seconds, if not 0, it reads by itself.

    Once `stopping` is set, scrapes are answered without waiting any longer.
    """
    endpoints = Endpoints(collector, reload, stopping or asyncio.Event(), lifecycle=lifecycle, self_scrape=self_scrape)
    routes = [
        Route(path, endpoints.metrics),
        Route("/probe", endpoints.probe),
        Route("/webhooks/{source}", endpoints.webhook, methods=["POST"]),
        Route("/-/healthy", endpoints.healthy),
        Route("/-/ready", endpoints.ready),
        Route("/-/reload", endpoints.reload, methods=["POST", "PUT"]),
    ]
    external = external or ExternalUrl()
    routes += api.routes(collector, external)
    handlers: dict[Any, ExceptionHandler] = {}
    if path != "/":
        pages = Pages(collector, path, external, endpoints.scrapes)
        routes += pages.routes
        handlers[404] = pages.not_found
    made = Starlette(routes=routes, lifespan=endpoints.lifespan, exception_handlers=handlers)
    made.router.redirect_slashes = False  # it would redirect to whatever host the request names
    return made
