"""Sources that are too large for their rate limit, and one without a limit: who waits, and for how long."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from operator import itemgetter
from statistics import fmean

from bench.course import Hours, Scene, run
from bench.first_hour import LIMITS, begin, settings
from bench.load import START, Size, northflank, pipelines
from bench.northflank import deliveries
from bench.table import Cell, Figure, Row, quantile
from exporter.http.wire import Request
from exporter.simulator.loopback import HOUR, MINUTE

SIZE = Size(30, 10, 3)
QUESTIONS = 30 + 90
"""Lists of services, and jobs."""
WARM, COUNTED = 1.0, 6.0
"""Hours."""
DISCOVERY = 15.0
"""Requests an hour that an even split leaves to discovery."""
READS = 2
"""Of a service for each of its builds: when it begins and when it ends."""
UNEVEN = 1.5
"""Times an even split that a question waits at most."""
SECONDS = " s"


@dataclass(slots=True)
class Waits:
    """How long each question waits between two requests, and how many requests each second has."""

    since: float
    until: float
    last: dict[tuple[str, str], float] = field(default_factory=dict)
    """When a request was last made, by operation and path."""
    longest: dict[tuple[str, str], float] = field(default_factory=dict)
    seconds: Counter[int] = field(default_factory=Counter)

    def __call__(self, request: Request, now: float) -> None:
        """Take note of a request."""
        key = (request.operation, request.path)
        if self.since <= now < self.until:
            self.seconds[int(now)] += 1
        self._waited(key, now)
        self.last[key] = now

    def _waited(self, key: tuple[str, str], now: float) -> None:
        waited = min(now, self.until) - max(self.since, self.last.get(key, self.since))
        self.longest[key] = max(waited, self.longest.get(key, 0.0))

    def end(self) -> None:
        """Count the waits that have not ended."""
        for key in self.last:
            self._waited(key, self.until)

    def of(self, operation: str, part: str = "") -> float:
        """The longest wait of the questions with that operation whose path has that part."""
        return max((s for (name, path), s in self.longest.items() if name == operation and part in path), default=0.0)


@dataclass(frozen=True, slots=True)
class Case:
    """One row."""

    name: str
    per_hour: float
    spend: str | None = None
    webhooks: bool = False

    @property
    def allowed(self) -> float:
        """Requests an hour that are ours."""
        return 800.0 if self.spend else 400.0


CASES = {
    "large-0": Case("nothing built", 0.0),
    "large-30": Case("30 builds/h", 30.0),
    "large-100": Case("100 builds/h", 100.0),
    "large-30-spend": Case("30 builds/h, `spend: 80%`", 30.0, spend="80%"),
    "large-30-webhooks": Case("30 builds/h, webhooks", 30.0, webhooks=True),
    "large-100-webhooks": Case("100 builds/h, webhooks", 100.0, webhooks=True),
}


def row(case: Case, _hours: float) -> Row:
    """The case as a line of the table."""
    course = Hours(WARM, COUNTED)
    scene = Scene(northflank(SIZE, per_hour=case.per_hour, hours=course.total, seed=1), LIMITS["northflank"])
    waits = Waits(course.begin, course.end)
    reader = begin(scene, settings("northflank", case.spend), course, course.drained, [waits])
    happened = deliveries(scene, reader.collector, course) if case.webhooks else ()
    run(scene, reader, reader.watch, course, events=sorted(happened, key=itemgetter(0)))
    waits.end()
    delays = reader.watch.delays(course.begin, course.end)
    operations, reads = scene.ledger.operations, scene.ledger.reads
    of_services = sum(number for path, number in reads.items() if "/services/" in path)
    needed = READS * case.per_hour * SIZE.services / (SIZE.services + SIZE.jobs)
    even = QUESTIONS / (case.allowed - needed - DISCOVERY) * HOUR
    bound = None if case.webhooks else UNEVEN * even
    cells: dict[str, Cell] = {
        "requests/h": Figure(scene.ledger.total / COUNTED, limit=case.allowed),
        "lists": Figure(operations["services"] / COUNTED),
        "reads of services": Figure(of_services / COUNTED),
        "reads of jobs": Figure((operations["builds"] - of_services) / COUNTED),
        "discovery": Figure((operations["projects"] + operations["jobs"]) / COUNTED),
        "an even split": Figure(even, SECONDS),
        "a list waits": Figure(waits.of("services"), SECONDS, bound),
        "a job waits": Figure(waits.of("builds", "/jobs/"), SECONDS, bound),
        "delay: mean": Figure(fmean(delays) if delays else 0.0, SECONDS, None if case.webhooks else even / 2),
        "p99": Figure(quantile(delays, 0.99), SECONDS),
        "builds": Figure(len(delays)),
        "never shown": Figure(sum(delay == inf for delay in delays), limit=0),
    }
    return Row(case.name, cells)


UNNAMED_PROJECTS, UNNAMED_PIPELINES = 1000, 600.0
FIVE_MINUTES, FIVE_SECONDS = 300, 5


def unnamed(_hours: float) -> Row:
    """A thousand projects of a server that names no limit."""
    course = Hours(0.25, 1.0)
    world = pipelines(projects=UNNAMED_PROJECTS, per_hour=UNNAMED_PIPELINES, hours=course.total)
    scene = Scene(world, None)
    waits = Waits(START + MINUTE, course.end)
    reader = begin(scene, settings("gitlab"), course, course.end, [waits])
    run(scene, reader, reader.watch, course)
    delays = reader.watch.delays(course.begin, course.end)
    minutes = sorted(scene.ledger.minutes.values())
    cells: dict[str, Cell] = {
        "requests/min": Figure(scene.ledger.total / 60, limit=300),
        "largest minute": Figure(quantile(minutes, 1.0)),
        "delay: median": Figure(quantile(delays, 0.5), SECONDS),
        "p99": Figure(quantile(delays, 0.99), SECONDS),
        "a project waits": Figure(waits.of("pipelines"), SECONDS),
        "most in five seconds of five minutes": Figure(100 * _largest_share(waits), " %", 10, digits=1),
    }
    return Row("1,000 projects, 600 pipelines/h", cells)


def _largest_share(waits: Waits) -> float:
    """The largest share of five minutes' requests that five seconds of them take."""
    begin_at, end_at = int(waits.since), int(waits.until) - FIVE_MINUTES
    shares = []
    for start in range(begin_at, end_at, FIVE_MINUTES):
        of_second = [waits.seconds[start + second] for second in range(FIVE_MINUTES)]
        fives = (sum(of_second[place : place + FIVE_SECONDS]) for place in range(FIVE_MINUTES - FIVE_SECONDS + 1))
        shares.append(max(fives) / max(1, sum(of_second)))
    return max(shares, default=0.0)


ROWS: dict[str, Callable[[float], Row]] = {
    **{name: partial(row, case) for name, case in CASES.items()},
    "unnamed-gitlab": unnamed,
}
