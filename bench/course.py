"""One run: a world, a reader of it, and a clock that goes from scrape to scrape."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Protocol

from bench.load import START
from bench.watch import Count, Watch, look_at
from exporter.collector import Collector
from exporter.config.secret import EnvToken
from exporter.polling.workers import InlinePool
from exporter.settings.settings import Settings
from exporter.simulator import Limit, Simulator, World
from exporter.simulator.loopback import HOUR, MINUTE, Before, Clock, Ledger, connecting

TOKEN = EnvToken("SIMULATED_TOKEN")
"""Never read: there is no HTTP."""
DRAIN = 2 * HOUR
"""Seconds after the counted hours, in which nothing new begins and what was begun may still be shown."""
EARLIER = 12 * HOUR
"""Seconds before the start: what was created earlier has long concluded."""

Event = tuple[float, Callable[[], None]]
"""Something that happens between two scrapes, and when."""


class Reader(Protocol):
    """What is scraped."""

    def scrape(self, now: float) -> None:
        """Read what is due, and take down what is shown."""


@dataclass(frozen=True, slots=True)
class Ours:
    """The exporter."""

    collector: Collector
    watch: Watch
    count: Count

    def scrape(self, now: float) -> None:
        """As a scrape does; it returns once all is read."""
        self.collector.begin()
        look_at(self.collector, self.watch, self.count, now)


class Scene:
    """A simulator and its clock, at the moment from which the world counts."""

    def __init__(self, world: World, limit: Limit | None) -> None:
        self.world = world
        self.clock = Clock(START)
        self.simulator = Simulator(world, clock=self.clock, rate_limit=limit)
        self.ledger = Ledger()
        self._coming: Event | None = None
        """What happens next, of the events that are under way."""

    def exporter(self, settings: Settings, before: Iterable[Before] = ()) -> Collector:
        """An exporter that reads the simulator."""
        return Collector(
            settings,
            clock=self.clock,
            chance=Random("chance").random,  # seeded: the same table at each run
            workers=lambda _size: InlinePool(),
            connect=connecting(self.simulator, self.clock, self.ledger, before),
        )

    def go(self, reader: Reader, watch: Watch, until: float, scrape: float, events: Iterator[Event]) -> None:
        """Scrape after scrape up to `until`; what happens in between happens at its time."""
        event = self._coming or next(events, None)
        while self.clock.now + scrape <= until:
            now = self.clock.now + scrape
            while event is not None and event[0] <= now:
                self.clock.now = max(self.clock.now, event[0])
                event[1]()
                event = next(events, None)
            self.clock.now = now
            watch.advance(now)
            reader.scrape(now)
        self._coming = event


@dataclass(frozen=True, slots=True)
class Hours:
    """The simulated hours of a run."""

    warm: float
    counted: float

    @property
    def begin(self) -> float:
        """When counting begins; seconds since the epoch."""
        return START + self.warm * HOUR

    @property
    def end(self) -> float:
        """When it ends, and with it all that is begun."""
        return self.begin + self.counted * HOUR

    @property
    def drained(self) -> float:
        """What concludes by then is to be shown by the horizon."""
        return self.end + DRAIN - HOUR / 2

    @property
    def horizon(self) -> float:
        """When the run ends at the latest."""
        return self.end + DRAIN

    @property
    def total(self) -> float:
        """Hours in which something begins."""
        return self.warm + self.counted


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run showed."""

    ledger: Ledger
    hours: Hours
    delays: list[float]
    """Ascending, in seconds."""
    concluded: int
    counted: int
    twice: int
    missed: int


def run(  # noqa: PLR0913  # what is read, by whom, how long; the rest has a default
    scene: Scene, reader: Reader, watch: Watch, hours: Hours, *, scrape: float = 15.0, events: Iterable[Event] = ()
) -> None:
    """Warm up, count, and wait until all is shown."""
    happening = iter(events)
    scene.go(reader, watch, hours.begin, scrape, happening)
    scene.ledger.begin(hours.begin, hours.end)
    for hour in range(round(hours.counted)):
        scene.go(reader, watch, hours.begin + (hour + 1) * HOUR, scrape, happening)
        tell(".")
    scene.go(reader, watch, hours.end, scrape, happening)
    while not watch.done and scene.clock.now + MINUTE <= hours.horizon:
        scene.go(reader, watch, scene.clock.now + MINUTE, scrape, happening)


def tell(text: str) -> None:
    """Progress, for a person who waits."""
    sys.stderr.write(text)
    sys.stderr.flush()
