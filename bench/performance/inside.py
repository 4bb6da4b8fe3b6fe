"""All that the benchmarks call of the exporter's inside; the rest is measured over HTTP, of processes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.performance.provider import Connected, Northflank
from exporter.build import Target
from exporter.collector import Collector
from exporter.config.secret import EnvToken
from exporter.exposition.render import Format
from exporter.exposition.series_limit import SeriesLimit
from exporter.polling.polls import only
from exporter.polling.workers import InlinePool
from exporter.settings.settings import Settings
from exporter.simulator.loopback import Clock

TOKEN = EnvToken("SIMULATED_TOKEN")
"""Never read where there is no HTTP."""
MOST = 10_000_000
"""Series: as many as there are."""
LONG = 86400.0
"""Seconds: nothing is due before."""


def settings(url: str = "http://northflank.invalid", **refresh: float) -> Settings:
    """To read the made-up provider at the URL, and to bound nothing."""
    source = {"name": "northflank", "provider": "northflank", "url": url, "token": TOKEN}
    return Settings.model_validate({"sources": [source], "refresh": refresh, "metrics": {"max_series": MOST}})


@dataclass
class Loop:
    """A collector and the provider that it reads, in this process and thread, with a clock that is set."""

    northflank: Northflank
    clock: Clock = field(init=False)
    collector: Collector = field(init=False)

    def __post_init__(self) -> None:
        """Before anything is read; the format is asked for, as by a first scrape."""
        self.clock = Clock(self.northflank.start)
        self.collector = Collector(
            settings(),
            clock=self.clock,
            chance=lambda: 0.0,
            workers=lambda _size: InlinePool(),
            connect=lambda *_: Connected(self.northflank),
        )
        self.exposed()

    def read(self) -> None:
        """Read all that is due."""
        self.collector.collect()

    def round(self) -> None:
        """Every target has had a build, and is read."""
        self.northflank.rounds += 1
        self.clock.now += 600.0
        self.read()

    def change(self, targets: list[Target]) -> None:
        """These have had a build, and they alone are read."""
        self.clock.now += 600.0
        for target in targets:
            self.northflank.more[int(target.name.removeprefix("service-"))] += 1
            self.collector.begin(only(target))

    def exposed(self) -> bytes:
        """The answer to a scrape, gzip."""
        return self.collector.expose(Format.TEXT)


@contextmanager
def rendering() -> Iterator[list[float]]:
    """Where each rendering of a target leaves the seconds of processor time that it took."""
    taken: list[float] = []
    show: Callable[..., None] = SeriesLimit.show

    def timed(*arguments: object) -> None:
        begun = time.thread_time()
        show(*arguments)
        taken.append(time.thread_time() - begun)

    SeriesLimit.show = timed  # type: ignore[method-assign,assignment]  # it has no seam for a watch, and wants none
    try:
        yield taken
    finally:
        SeriesLimit.show = show  # type: ignore[method-assign]
