"""Thirty targets of Northflank under an allowance of a thousand requests an hour."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from random import Random

import orjson

from bench.course import EARLIER, TOKEN, Event, Hours, Ours, Scene, Seen, run
from bench.load import START, clustered
from bench.naive import Naive
from bench.table import Cell, Figure, Row, quantile
from bench.watch import Count, Watch, truth_of
from exporter.collector import Collector
from exporter.polling.rate_limit import CAPACITY
from exporter.settings.settings import Settings
from exporter.simulator import SIMULATOR_TOKEN, Limit
from exporter.simulator.loopback import HOUR
from exporter.simulator.message import Request
from exporter.simulator.northflank import shown
from exporter.simulator.plan import STARTED, Plan
from exporter.simulator.world import Entity

LIMIT = Limit(1000, HOUR)
MOST = 400
"""Requests an hour, of ours."""
WARM = 1.0
"""Hours."""
SECONDS = " s"
ENDS = {
    "SUCCESS": "build:success",
    "FAILURE": "build:failure",
    "CRASHED": "build:failure",
    "SUBMISSION_FAILURE": "build:failure",
    "ABORTED": "build:abort",
}
"""What a build's last status is told as."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row: who reads, and under which conditions."""

    name: str
    median: float = 180.0
    """Seconds that a build runs."""
    per_hour: float = 40.0
    """Builds."""
    other: float = 0.0
    """Requests an hour that another client makes with the same token."""
    naive: bool = False
    webhooks: bool = False
    """Whether each build's start and end are delivered, as they happen."""
    lost: float = 0.0
    """The share of the deliveries that never come."""
    most: float = MOST
    """Requests an hour, at most."""
    build_status: bool = True
    """Whether the list of services tells of their newest builds."""
    delays: tuple[float | None, float | None] = (None, None)
    """Limits of the median and of the 99th percentile, in seconds."""


CASES = {
    "northflank-1m": Case("builds of 1 min", 60.0, delays=(35, 240)),
    "northflank-3m": Case("builds of 3 min", delays=(25, 200)),
    "northflank-10m": Case("builds of 10 min", 600.0, delays=(35, 240)),
    "northflank-busy": Case("3 min, 120 builds/h", per_hour=120.0),
    "northflank-shared": Case("3 min, another client spends 300/h", other=300.0),
    "northflank-no-status": Case("3 min, without change detection", build_status=False),
    "northflank-webhooks": Case("3 min, with webhooks", webhooks=True, most=MOST / 10, delays=(15, 15)),
    "northflank-lost-webhooks": Case("3 min, with webhooks of which 5 % are lost", webhooks=True, lost=0.05),
    "northflank-naive": Case("3 min, naive reader (100 builds of each target, every minute)", naive=True),
}


def settings() -> Settings:
    """A configuration as a user would write it: a token and nothing else."""
    return Settings.model_validate({"sources": [{"name": "northflank", "provider": "northflank", "token": TOKEN}]})


def simulate(case: Case, hours: float) -> Seen:
    """Read the case's world for so many hours."""
    course = Hours(WARM, hours)
    world = clustered(per_hour=case.per_hour, median=case.median, hours=course.total)
    scene = Scene(world, LIMIT)
    scene.simulator.northflank.build_status = case.build_status
    truth = truth_of(world, scene.simulator.history, START - EARLIER, course.drained)
    watch, count = Watch(truth), Count()
    events: Iterable[Event] = _spending(scene, case.other, course) if case.other else ()
    reader: Ours | Naive
    if case.naive:
        reader = Naive(scene, settings().sources[0], watch)
        reader.scrape(START)
    else:
        collector = scene.exporter(settings())
        collector.collect()
        reader = Ours(collector, watch, count)
        if case.webhooks:
            happened = sorted(deliveries(scene, collector, course), key=itemgetter(0))
            dice = Random("lost")
            events = [event for event in happened if dice.random() >= case.lost]
        reader.scrape(START)
    watch.forget_past(START)
    run(scene, reader, watch, course, events=events)
    concluded, counted, twice, missed = count.sums(truth)
    if case.naive:
        concluded = sum(conclusion.at > START for conclusions in truth.values() for conclusion in conclusions)
        counted, twice, missed = 0, 0, len(watch.waiting(course.end))
    return Seen(scene.ledger, course, watch.delays(course.begin, course.end), concluded, counted, twice, missed)


def _spending(scene: Scene, per_hour: float, course: Hours) -> Iterator[Event]:
    """Another client's requests, evenly spread."""
    question = Request("GET", "/v1/projects", headers={"authorization": f"Bearer {SIMULATOR_TOKEN}"})

    def spend() -> None:
        scene.simulator.answer(question)

    pause = HOUR / per_hour
    return ((START + n * pause, spend) for n in range(int((course.total + 2) * per_hour)))


def deliveries(scene: Scene, collector: Collector, course: Hours) -> Iterable[Event]:
    """What Northflank's notification integration sends."""
    for project in scene.world.northflank:
        for entity in (*project.services, *project.jobs):
            for plan in scene.simulator.history.newest(entity, course.horizon):
                if plan.created < START:
                    break
                yield from _delivered(collector, entity, plan)


def _delivered(collector: Collector, entity: Entity, plan: Plan) -> Iterator[Event]:
    started = next((at for at, status in plan.steps if status in STARTED), plan.created)
    ended, status = plan.steps[-1]
    for at, event in ((started, "build:start"), (ended, ENDS[status])):
        parts = {"project": {"id": entity.project}, entity.kind: {"id": entity.id}, "build": shown(plan, entity, at)}
        headers = {"x-northflank-notification-integration-event-id": f"{entity.key}/{plan.number}/{event}"}
        body = orjson.dumps({"event": event, "data": parts})
        yield at, partial(_deliver, collector, headers, body)


def _deliver(collector: Collector, headers: Mapping[str, str], body: bytes) -> None:
    collector.delivered("northflank", headers, body)


def row(case: Case, hours: float) -> Row:
    """The case as a line of the table."""
    seen = simulate(case, hours)
    ours = not case.naive
    median, slow = case.delays
    most = case.most if ours else None
    cells: dict[str, Cell] = {
        "requests/h": Figure(seen.ledger.total / hours, limit=most),
        "largest hour": Figure(max(seen.ledger.hours.values(), default=0), limit=most and most + CAPACITY),
        "429s": Figure(seen.ledger.codes[429], limit=0 if ours else None),
        "delay: median": Figure(quantile(seen.delays, 0.5), SECONDS, median),
        "p99": Figure(quantile(seen.delays, 0.99), SECONDS, slow),
        "largest": Figure(quantile(seen.delays, 1.0), SECONDS),
        "builds concluded": Figure(seen.concluded),
        "counted": Figure(seen.counted) if ours else "–",
        "twice": Figure(seen.twice, limit=0) if ours else "–",
        "missed": Figure(seen.missed, limit=0 if ours else None),
    }
    return Row(case.name, cells)


ROWS: dict[str, Callable[[float], Row]] = {name: partial(row, case) for name, case in CASES.items()}
