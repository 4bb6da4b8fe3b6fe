"""An exporter on a real socket, and what a scrape of it says."""

import asyncio
import atexit
import gzip
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from exporter.collector import Collector
from exporter.reading import Lock
from exporter.settings import load
from exporter.settings.settings import Settings
from exporter.simulator.faults import Effect
from exporter.simulator.message import Answer
from exporter.simulator.server import Simulator
from exporter.simulator.world import World
from exporter.web.access import Access
from exporter.web.application import application
from exporter.web.connections import Limits
from exporter.web.external_url import behind, external_url
from exporter.web.server import listen, server_of
from exporter.web.web_file import WebFile

TOKEN = "SIMULATED_TOKEN"  # the name of a variable
PATIENCE = 100.0
"""Seconds after which what was waited for is not going to come, however busy the machine is."""
LATE = "refresh: {timeout: 60s}"
"""As long as may be: a busy machine is late for no read, and what waits for a provider that hangs is seen to wait."""


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_795_300_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        plain = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return plain.decode()

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of the samples with that name and, among others, these labels."""
        return [value for of_sample, value in self.samples(name) if labels.items() <= of_sample.items()]

    def samples(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        """The labels and values of the samples with that name."""
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name
        ]

    def value(self, name: str, **labels: str) -> float:
        (value,) = self.values(name, **labels)
        return value

    def targets(self, source: str, up: float = 1.0) -> set[str]:
        """The names of the source's targets that are up, or down."""
        found = self.samples("ci_build_target_up")
        return {labels["target"] for labels, value in found if labels["source"] == source and value == up}


def ask(
    url: str,
    path: str = "/metrics",
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    context: ssl.SSLContext | None = None,
) -> Reply:
    netloc = urlsplit(url).netloc
    connection = (
        http.client.HTTPSConnection(netloc, timeout=PATIENCE, context=context)
        if url.startswith("https:")
        else http.client.HTTPConnection(netloc, timeout=PATIENCE)
    )
    try:
        return ask_over(connection, path, headers, method)
    finally:
        connection.close()


def ask_over(
    connection: http.client.HTTPConnection,
    path: str = "/metrics",
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> Reply:
    connection.request(method, path, headers=dict(headers or {}))
    response = connection.getresponse()
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@dataclass
class Exporter:
    url: str
    collector: Collector

    def ask(
        self,
        path: str = "/metrics",
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        context: ssl.SSLContext | None = None,
    ) -> Reply:
        return ask(self.url, path, headers, method, context)

    def scrape(self, timeout: float | None = None) -> Reply:
        return self.ask(headers={} if timeout is None else {"X-Prometheus-Scrape-Timeout-Seconds": str(timeout)})


@contextmanager
def serving(  # noqa: PLR0913  # most of them by name, and seldom
    settings: Settings,
    clock: Callable[[], float] = time.time,
    *,
    path: str = "/metrics",
    reload: Callable[[Collector], None] = lambda _: None,
    lifecycle: bool = False,
    web: WebFile | None = None,
    limits: Limits | None = None,
    external: str = "",
    lock: Lock | None = None,
) -> Iterator[Exporter]:
    """The exporter on a free port. What fails is asked again without chance."""
    collector = Collector(settings, clock=clock, chance=lambda: 0.0, lock=lock)
    listening = listen("127.0.0.1:0")
    stopping = asyncio.Event()
    at = external_url(external)
    app = application(collector, path, lambda: reload(collector), lifecycle=lifecycle, stopping=stopping, external=at)
    answering = behind(at.prefix, Access(app, web) if web else app)
    server = server_of(answering, web.context() if web else None, stopping, limits)
    thread = threading.Thread(target=server.run, args=([listening],), name="exporter", daemon=True)
    thread.start()
    try:
        scheme = "https" if web and web.context() else "http"
        yield Exporter(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}", collector)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()


@contextmanager
def simulating(world: World, clock: Callable[[], float] = time.time, **conditions: float) -> Iterator[Simulator]:
    with Simulator(world, clock=clock, **conditions) as simulator:  # type: ignore[arg-type]  # latency alone
        yield simulator


def settings(*sources: str, more: str = "", name: str = "config.yaml") -> Settings:
    """The settings of a file with these sources, each a YAML flow mapping without its token."""
    return load.read(configuration(*sources, more=more), name, Path())


def configuration(*sources: str, more: str = "") -> str:
    """The text of that file; it says `LATE` unless `more` is of `refresh` too."""
    if "refresh:" not in more:
        more = f"{more}\n{LATE}"
    lines = [f"  - {{token: {{env: {TOKEN}}}, {source}}}\n" for source in sources]
    return f"sources:\n{''.join(lines)}{more}\n"


def northflank(simulator: Simulator | str, name: str = "northflank", more: str = "") -> str:
    return f"name: {name}, provider: northflank, url: {_url(simulator)}{more and ', '}{more}"


def gitlab(simulator: Simulator | str, name: str = "gitlab", more: str = "groups: [group-0]") -> str:
    return f"name: {name}, provider: gitlab, url: {_url(simulator)}, {more}"


def _url(simulator: Simulator | str) -> str:
    return simulator if isinstance(simulator, str) else simulator.url


@cache
def refused_url() -> str:
    """An address at which nobody listens; its port is held, so that nobody will."""
    taken = socket.socket()
    atexit.register(taken.close)
    taken.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{taken.getsockname()[1]}"


def held(gate: Event) -> Effect:
    """A fault: the right answer, but not before the gate is open."""

    def once_open(answer: Answer) -> Answer:
        gate.wait(PATIENCE)
        return answer

    return Effect(once_open)


def eventually(what: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait until it is so; the longer it takes, the less often is it looked at."""
    begun = time.monotonic()
    while not what():
        waited = time.monotonic() - begun
        assert waited < within, "it did not come"
        time.sleep(min(1.0, 0.02 + waited / 20))
