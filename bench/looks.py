"""GitLab, where one GraphQL request shows what changed in a hundred projects, and where it is refused."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.course import EARLIER, TOKEN, Hours, Ours, Scene
from bench.kept import KeptGitLab
from bench.load import START, pipelines, play
from bench.table import Cell, Figure, Row, quantile
from bench.watch import Count, Watch, truth_of
from exporter.http.wire import Request
from exporter.settings.settings import Settings
from exporter.simulator import Limit
from exporter.simulator.loopback import HOUR, MINUTE

LIMIT = Limit(600, MINUTE)
WARM = 0.5
"""Hours, first reads included."""
SCRAPE = 15.0
WINDOW = 6 * HOUR
"""Seconds: first reads take most of a run's processor time, and go back so far."""
DRAIN = 900.0
"""Seconds after the counted hours in which what concluded may still be shown."""
BURST, SPAN = 5.0, 300.0
"""No five seconds are to take more than a tenth of what five minutes do."""
PLAYED = 0.02
"""Manual jobs that somebody plays, one to six hours later: a share of the pipelines."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row."""

    name: str
    projects: int = 500
    per_hour: float = 300.0
    """Pipelines."""
    limit: Limit | None = LIMIT
    ttl: float = 15.0
    idle_ttl: float = 120.0
    graphql: bool = True
    most: float | None = None
    """Requests a minute."""
    median: float | None = None
    p99: float | None = None
    """Seconds of delay."""
    spread: bool = False
    """Whether the largest five seconds are held against their limit."""


CASES = {
    "looks-500": Case("500 projects", most=300, median=12, p99=40),
    "looks-500-refused": Case("500 projects, GraphQL refused", graphql=False, most=320),
    "looks-500-idle": Case("500 projects, an idle hour", per_hour=0.0, most=40),
    "looks-500-idle-refused": Case("500 projects, an idle hour, GraphQL refused", per_hour=0.0, graphql=False),
    "looks-1000": Case(
        "1,000 projects, 600 pipelines/h, no limit named, 30 s and 5 min",
        *(1000, 600.0, None, 30.0, 300.0),
        most=300,
        median=20,
        p99=45,
        spread=True,
    ),
    "looks-1000-refused": Case(
        "the same, GraphQL refused", *(1000, 600.0, None, 30.0, 300.0), graphql=False, spread=False
    ),
}


def settings(case: Case) -> Settings:
    """One group, half of the allowance."""
    gitlab = {"name": "gitlab", "provider": "gitlab", "url": "http://gitlab.example.com", "token": TOKEN}
    source = gitlab | {"groups": ["bench"]} | ({"spend": "50%"} if case.limit else {})
    refresh = {"ttl": case.ttl, "idle_ttl": case.idle_ttl}
    return Settings.model_validate({"sources": [source], "refresh": refresh, "window": {"age": WINDOW}})


def scene_of(case: Case, course: Hours) -> Scene:
    """The world, its lists kept while nothing moves."""
    hours = course.total if case.per_hour else -1.0
    scene = Scene(pipelines(projects=case.projects, per_hour=case.per_hour or 300.0, hours=hours), case.limit)
    play(scene.world, scene.simulator.history, per_hour=PLAYED * case.per_hour, hours=course.total)
    kept = KeptGitLab(scene.world, scene.simulator.history, START - EARLIER, course.end + DRAIN)
    kept.graphql = kept.graphql if case.graphql else None
    scene.simulator.gitlab = kept
    return scene


def row(case: Case, hours: float) -> Row:
    """The case as a line of the table."""
    course = Hours(WARM, hours)
    scene = scene_of(case, course)
    truth = truth_of(scene.world, scene.simulator.history, START - EARLIER, course.end + DRAIN - 2 * SCRAPE)
    watch, count = Watch(truth), Count()
    moments: list[float] = []

    def note(_request: Request, now: float) -> None:
        moments.append(now)

    collector = scene.exporter(settings(case), [note])
    collector.collect()
    reader = Ours(collector, watch, count)
    reader.scrape(START)
    watch.forget_past(START)
    scene.go(reader, watch, course.begin, SCRAPE, iter(()))
    scene.ledger.begin(course.begin, course.end)
    scene.go(reader, watch, course.end + DRAIN, SCRAPE, iter(()))
    ledger, delays = scene.ledger, watch.delays(course.begin, course.end)
    concluded, counted, twice, missed = count.sums(truth)
    largest = largest_share([at for at in moments if course.begin <= at < course.end])
    cells: dict[str, Cell] = {
        "requests/min": Figure(ledger.total / hours / 60, limit=case.most),
        "of these, GraphQL": Figure(ledger.operations["graphql"] / hours / 60, digits=1),
        "largest minute": Figure(max(ledger.minutes.values(), default=0)),
        "429s": Figure(ledger.codes[429], limit=0),
        "delay: median": Figure(quantile(delays, 0.5), " s", case.median),
        "p99": Figure(quantile(delays, 0.99), " s", case.p99),
        "largest": Figure(quantile(delays, 1.0), " s"),
        "largest 5 s of 5 min": Figure(100 * largest, " %", 10 if case.spread else None),
        "jobs concluded": Figure(concluded),
        "counted": Figure(counted),
        "twice": Figure(twice, limit=0),
        "missed": Figure(missed, limit=0),
    }
    return Row(case.name, cells)


def largest_share(moments: list[float]) -> float:
    """The largest share of the requests of five minutes that fell into five seconds of them; `moments` ascend."""
    largest = 0.0
    for place, at in enumerate(moments):
        if at + BURST > moments[-1]:
            break
        middle = at + BURST / 2
        within = bisect_left(moments, at + BURST) - place
        around = bisect_left(moments, middle + SPAN / 2) - bisect_left(moments, middle - SPAN / 2)
        largest = max(largest, within / around)
    return largest


ROWS: dict[str, Callable[[float], Row]] = {name: partial(row, case) for name, case in CASES.items()}
