"""An exporter that reads a simulator in the same process, by a clock that is set by hand."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from serving import TOKEN

from exporter.collector import Collector
from exporter.config.secret import EnvToken
from exporter.errors import Unreachable
from exporter.exposition.render import Format
from exporter.http.fetch import RequestStats
from exporter.http.wire import Request
from exporter.polling.workers import InlinePool
from exporter.reading import Lock
from exporter.settings.settings import Settings, Source
from exporter.simulator import Limit, Simulator, World
from exporter.simulator.loopback import Clock, Ledger, Loopback
from exporter.simulator.world import Entity, Extra, Habits, NorthflankProject
from exporter.store.contract import Store
from exporter.store.memory import MemoryStore

START = 1_795_300_000.0
HOUR = 3600.0
SCRAPE = 15.0
LIST = "/v1/projects/shop/services"
PROJECTS = "/v1/projects"
JOBS = "/v1/projects/shop/jobs"


LONG_AGO = Extra(at=-60_000.0, run=100.0)


def builds_of(name: str, kind: str = "services") -> str:
    return f"/v1/projects/shop/{kind}/{name}/build"


def entity(name: str, *extras: Extra, kind: str = "service", project: str = "shop", per_hour: float = 0.0) -> Entity:
    habits = Habits(per_hour=per_hour, default="main", default_share=1.0, extras=(LONG_AGO, *extras))
    return Entity(id=name, kind=kind, project=project, type="combined", habits=habits)


def shop(*services: Entity, jobs: tuple[Entity, ...] = ()) -> NorthflankProject:
    return NorthflankProject("shop", "Shop", services, jobs)


@dataclass
class Scene:
    """An exporter that reads a simulator, and what it asked since it was last looked at."""

    world: World
    limit: Limit | None = None
    more: dict[str, Any] = field(default_factory=dict)
    sources: tuple[dict[str, Any], ...] = ({},)
    down: set[str] = field(default_factory=set)
    """Paths that cannot be reached, exactly."""
    exposes: bool = True
    """Whether a scrape renders its answer, which takes long where there are many targets."""
    hooks: dict[str, Callable[[], object]] = field(default_factory=dict)
    """What happens once, while that path is asked."""
    store: Callable[[], Store] = MemoryStore
    """Opens the store, anew for each process."""
    lock: Lock | None = None
    """The collector's, where it is not one of its own."""

    def __post_init__(self) -> None:
        self.clock = Clock(START)
        self.simulator = Simulator(self.world, clock=self.clock, rate_limit=self.limit)
        self.asked: list[str] = []
        self.start()

    def start(self) -> None:
        """Another process begins."""
        inline = InlinePool()
        self.collector = Collector(
            self.settings(),
            store=self.store(),
            clock=self.clock,
            chance=lambda: 0.0,
            workers=lambda _size: inline,
            connect=self._connect,
            lock=self.lock,
        )

    def settings(self) -> Settings:
        known = {"provider": "northflank", "url": "http://simulator", "token": EnvToken(TOKEN)}
        sources = [{"name": f"nf{n or ''}"} | known | more for n, more in enumerate(self.sources)]
        return Settings.model_validate({"sources": sources} | self.more)

    def _connect(
        self, source: Source, observe: Callable[[RequestStats], None], _timeout: float, _clock: Callable[[], float]
    ) -> Loopback:
        def before(request: Request, _now: float) -> None:
            self.asked.append(request.path)
            self.hooks.pop(request.path, lambda: None)()
            if request.path in self.down:
                raise Unreachable(f"{request.path} is down")

        return Loopback(self.simulator, self.clock, Ledger(), source=source.name, observe=observe, before=[before])

    def scrape(self, after: float = SCRAPE) -> list[str]:
        """Scrape so many seconds later; the paths that were asked by it."""
        self.clock.now += after
        self.asked.clear()
        assert self.collector.begin().done.done()
        if self.exposes:
            self.collector.expose(Format.TEXT)
        return list(self.asked)

    def scrapes(self, seconds: float, every: float = SCRAPE) -> list[tuple[float, str]]:
        """Scrape for so long; what was asked, each with the seconds since the start."""
        asked = []
        for _ in range(int(seconds / every)):
            asked += [(self.clock.now - START, path) for path in self.scrape(every)]
        return asked

    def samples(self, name: str) -> dict[str, float]:
        """The values of the samples with that name, by target or else by source; those with value 0 too."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(gzip.decompress(self.collector.expose(Format.TEXT)).decode()):
            for sample in family.samples:
                if sample.name == name:
                    key = sample.labels.get("target", sample.labels.get("source", ""))
                    found[key] = found.get(key, 0.0) + sample.value
        return found

    @property
    def up(self) -> dict[str, float]:
        return self.samples("ci_build_target_up")
