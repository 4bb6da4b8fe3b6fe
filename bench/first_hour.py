"""The first hour after a start, beside the hour after it: many starts of small sources, few of large ones."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from bench.course import EARLIER, TOKEN, Hours, Ours, Scene, run
from bench.kept import KeptGitLab
from bench.load import START, Size, northflank, pipelines
from bench.table import Cell, Figure, Row, quantile
from bench.watch import Count, Watch, truth_of
from exporter.settings.settings import Settings
from exporter.simulator import Limit, World
from exporter.simulator.loopback import HOUR, MINUTE, Before

SCRAPE = 15.0
MEAN, SLOWEST = 1.25, 1.5
"""Times the mean and the 99th percentile of the second hour that the first may have."""
WINDOWS = (10, 30, 60)
"""Minutes after the start."""
SECONDS = " s"
LIMITS = {"northflank": Limit(1000, HOUR), "gitlab": Limit(600, MINUTE)}


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a source, how much is built, and how often it is started."""

    name: str
    per_hour: float
    """Builds or pipelines."""
    starts: int
    size: Size | None = None
    """Of Northflank; None: it is GitLab."""
    projects: int = 0
    """Of GitLab."""

    def world(self, seed: int, hours: float) -> World:
        """What is built in the start of that number."""
        if self.size is not None:
            return northflank(self.size, per_hour=self.per_hour, hours=hours, seed=seed)
        return pipelines(projects=self.projects, per_hour=self.per_hour, hours=hours, seed=seed)


CASES = {
    "first-1x3": Case("Northflank 1 × 3, 6 builds/h", 6.0, 40, Size(1, 3, 0)),
    "first-2x10": Case("Northflank 2 × 10 + 10 jobs, 40 builds/h", 40.0, 10, Size(2, 10, 5)),
    "first-10x10": Case("Northflank 10 × 10 + 30 jobs, 60 builds/h", 60.0, 4, Size(10, 10, 3)),
    "first-gitlab-3": Case("GitLab 3 projects, 6 pipelines/h", 6.0, 10, projects=3),
    "first-gitlab-50": Case("GitLab 50 projects, 30 pipelines/h", 30.0, 3, projects=50),
    "first-gitlab-500": Case("GitLab 500 projects, 300 pipelines/h", 300.0, 1, projects=500),
}


def settings(kind: str, spend: str | None = None) -> Settings:
    """A configuration as a user would write it: a token and nothing else, or what is spent."""
    source: dict[str, Any] = {"name": kind, "provider": kind, "token": TOKEN}
    if kind == "gitlab":
        source |= {"url": "http://gitlab.example.com", "groups": ["bench"]}
    if spend is not None:
        source["spend"] = spend
    return Settings.model_validate({"sources": [source]})


def begin(scene: Scene, given: Settings, course: Hours, until: float, before: Iterable[Before] = ()) -> Ours:
    """The exporter at its first scrape. Builds that had concluded by then have no delay."""
    history = scene.simulator.history
    if scene.world.gitlab:
        scene.simulator.gitlab = KeptGitLab(scene.world, history, START - EARLIER, course.horizon)
    watch = Watch(truth_of(scene.world, history, START - EARLIER, until))
    collector = scene.exporter(given, before)
    collector.collect()
    reader = Ours(collector, watch, Count())
    reader.scrape(START)
    watch.forget_past(START)
    return reader


def _started(case: Case, seed: int) -> tuple[list[list[float]], list[float], list[float]]:
    """One start: the delays of each window and of the second hour, and the requests of each window."""
    kind = "gitlab" if case.size is None else "northflank"
    course = Hours(0.0, 2.0)
    scene = Scene(case.world(seed, course.total), LIMITS[kind])
    reader = begin(scene, settings(kind), course, course.end)
    run(scene, reader, reader.watch, course)
    windows = [reader.watch.delays(START, START + minutes * MINUTE) for minutes in WINDOWS]
    spent = scene.ledger.minutes
    requests = [float(sum(count for minute, count in spent.items() if minute < minutes)) for minutes in WINDOWS]
    return windows, reader.watch.delays(START + HOUR, course.end), requests


def row(case: Case, _hours: float) -> Row:
    """The case as a line of the table."""
    starts = [_started(case, seed) for seed in range(1, case.starts + 1)]
    later = sorted(delay for _windows, delays, _requests in starts for delay in delays)
    cells: dict[str, Cell] = {
        "starts": Figure(case.starts),
        "second hour: mean": Figure(fmean(later), SECONDS, digits=1),
        "p99": Figure(quantile(later, 0.99), SECONDS),
    }
    for place, minutes in enumerate(WINDOWS):
        delays = sorted(delay for windows, _later, _requests in starts for delay in windows[place])
        spent = fmean(requests[place] for _windows, _later, requests in starts) * 60 / minutes
        cells |= {
            f"first {minutes} min: mean": Figure(fmean(delays), SECONDS, MEAN * fmean(later), digits=1),
            f"p99 of {minutes}": Figure(quantile(delays, 0.99), SECONDS, SLOWEST * quantile(later, 0.99)),
            f"requests/h of {minutes}": Figure(spent),
        }
    return Row(case.name, cells)


# A change of load

CHANGE = 2.0
"""Hours after the start at which the load changes."""
STARTS = 4
BUSY = 60.0
"""Builds an hour."""
CHANGES = {"quiet-busy": ("quiet, then 60 builds/h", 0.0, BUSY), "busy-quiet": ("60 builds/h, then 4", BUSY, 4.0)}


def changing(name: str, before: float, after: float, _hours: float) -> Row:
    """The first hour after a change of load, beside the second."""
    windows: list[list[float]] = [[] for _ in WINDOWS]
    later: list[float] = []
    for seed in range(1, STARTS + 1):
        course = Hours(0.0, CHANGE + 2.0)
        change = START + CHANGE * HOUR
        world = northflank(Size(2, 10, 5), per_hour=after, hours=course.total, seed=seed, before=(before, CHANGE))
        scene = Scene(world, LIMITS["northflank"])
        reader = begin(scene, settings("northflank"), course, course.end)
        run(scene, reader, reader.watch, course)
        for place, minutes in enumerate(WINDOWS):
            windows[place] += reader.watch.delays(change, change + minutes * MINUTE)
        later += reader.watch.delays(change + HOUR, course.end)
    later.sort()
    cells: dict[str, Cell] = {
        "starts": Figure(STARTS),
        "second hour: mean": Figure(fmean(later), SECONDS, digits=1),
        "p99": Figure(quantile(later, 0.99), SECONDS),
    }
    for minutes, delays in zip(WINDOWS, windows, strict=True):
        delays.sort()
        cells |= {
            f"first {minutes} min: mean": Figure(fmean(delays), SECONDS, MEAN * fmean(later), digits=1),
            f"p99 of {minutes}": Figure(quantile(delays, 0.99), SECONDS, SLOWEST * quantile(later, 0.99)),
        }
    return Row(f"Northflank 2 × 10 + 10 jobs: {name}", cells)


def rare(_hours: float) -> Row:
    """Three services of which one is built twice a day."""
    delays: list[float] = []
    requests = 0
    for seed in range(1, 5):
        course = Hours(0.0, 48.0)
        world = northflank(Size(1, 3, 0), per_hour=2 / 24, hours=course.total, seed=seed, cluster=1)
        scene = Scene(world, LIMITS["northflank"])
        reader = begin(scene, settings("northflank"), course, course.end)
        run(scene, reader, reader.watch, course)
        delays += reader.watch.delays(START, course.end)
        requests += scene.ledger.total
    delays.sort()
    cells: dict[str, Cell] = {
        "requests/h": Figure(requests / 4 / 48, limit=400),
        "builds": Figure(len(delays)),
        "delay: mean": Figure(fmean(delays), SECONDS, 12, digits=1),
        "p99": Figure(quantile(delays, 0.99), SECONDS),
    }
    return Row("Northflank 1 × 3, two builds a day", cells)


def _rows() -> Iterator[tuple[str, Callable[[float], Row]]]:
    yield from ((name, partial(row, case)) for name, case in CASES.items())
    yield from ((name, partial(changing, *given)) for name, given in CHANGES.items())
    yield "rare-1x3", rare


ROWS: dict[str, Callable[[float], Row]] = dict(_rows())
