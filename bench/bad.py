"""Servers that say wrong things of their allowance: how often they are asked, and how soon all is read again."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import gitlab, northflank
from bench.course import EARLIER, Hours, Ours, Scene
from bench.load import START, clustered, pipelines
from bench.table import Cell, Figure, Row
from bench.watch import Count, Watch, truth_of
from exporter.settings.settings import Settings
from exporter.simulator import Limit, faults
from exporter.simulator.faults import Effect
from exporter.simulator.loopback import HOUR, MINUTE

SCRAPE = 15.0
RESETS = 2
"""Within so many periods of the allowance all must be read again."""
PAST = "Wed, 21 Oct 2015 07:28:00 GMT"


@dataclass(frozen=True, slots=True)
class Server:
    """A provider with its usual load."""

    name: str
    settings: Callable[[], Settings]
    limit: Limit
    prefix: str
    """Of the headers that tell the allowance."""
    lasts: float
    """Hours that it misbehaves."""
    most: float
    """Requests an hour that are ours to spend."""

    def scene(self, course: Hours) -> Scene:
        """Its world at the start."""
        if self.name == "Northflank":
            return Scene(clustered(per_hour=40.0, median=180.0, hours=course.total), self.limit)
        return Scene(pipelines(projects=50, per_hour=30.0, hours=course.total), self.limit)

    def says(self, remaining: str, reset: float | None = None) -> dict[str, str]:
        """Headers with that remainder, and with that reset in epoch seconds."""
        told = {"limit": str(self.limit.requests), "remaining": remaining}
        if reset is not None:
            told["reset"] = str(int(reset))
        return {self.prefix + name: value for name, value in told.items()}


SERVERS = (
    Server("Northflank", northflank.settings, northflank.LIMIT, "x-ratelimit-", 2.0, northflank.MOST),
    Server("GitLab", gitlab.settings, gitlab.LIMIT, "ratelimit-", 0.5, 320.0 * HOUR / MINUTE),
)

Lie = Callable[[Server], Effect]

LIES: dict[str, tuple[str, Lie]] = {
    "silent": ("429 without headers", lambda _: faults.too_many()),
    "past": ("429, reset in the past", lambda server: faults.too_many(server.says("0", START - HOUR))),
    "date": ("429, Retry-After a date in the past", lambda _: faults.too_many({"retry-after": PAST})),
    "plenty": ("429, says that 90 % is left", lambda server: faults.too_many(server.says(str(_plenty(server))))),
    "nothing": ("200, says that nothing is left", lambda server: faults.headers(server.says("0"))),
}


def _plenty(server: Server) -> int:
    return server.limit.requests * 9 // 10


def row(server: Server, name: str, lie: Lie, _hours: float) -> Row:
    """An hour of honesty, the lie, and what comes after."""
    course = Hours(1.0, server.lasts)
    scene = server.scene(course)
    truth = truth_of(scene.world, scene.simulator.history, START - EARLIER, course.end)
    watch, count = Watch(truth), Count()
    collector = scene.exporter(server.settings())
    collector.collect()
    reader = Ours(collector, watch, count)
    reader.scrape(START)
    watch.forget_past(START)
    scene.go(reader, watch, course.begin, SCRAPE, iter(()))
    scene.ledger.begin(course.begin, course.end)
    scene.simulator.faults.add("*", lie(server))
    scene.go(reader, watch, course.end, SCRAPE, iter(()))
    scene.simulator.faults.clear()
    latest = course.end + 10 * server.limit.seconds
    while watch.waiting(course.end) and scene.clock.now < latest:
        scene.go(reader, watch, scene.clock.now + SCRAPE, SCRAPE, iter(()))
    after = float("inf") if watch.waiting(course.end) else scene.clock.now - course.end
    cells: dict[str, Cell] = {
        "lasts": f"{server.lasts:g} h",
        "requests/h meanwhile": Figure(scene.ledger.total / server.lasts, limit=server.most),
        "429s": Figure(scene.ledger.codes[429]),
        "all read again after": Figure(after, " s"),
        "in resets": Figure(after / server.limit.seconds, limit=RESETS, digits=2),
    }
    return Row(f"{server.name}: {name}", cells)


ROWS: dict[str, Callable[[float], Row]] = {
    f"bad-{server.name.lower()}-{key}": partial(row, server, *lie) for server in SERVERS for key, lie in LIES.items()
}
