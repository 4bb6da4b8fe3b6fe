"""A process that is killed again and again counts each build once, and no counter goes back.

`make kills` runs the same for five minutes with fifty kills.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from processes import Running, running
from serving import TOKEN, ask, configuration, gitlab, northflank, simulating

from exporter.simulator.definition import Job
from exporter.simulator.script import Script
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import Entity, Extra, Habits, NorthflankProject, World

SECONDS = float(os.environ.get("KILLS_SECONDS", "14"))
"""For how long there are builds."""
KILLS = int(os.environ.get("KILLS", "4"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
AHEAD = 12.0
"""Seconds until the first build: by then all targets have been read for the first time."""
QUICK = "refresh: {ttl: 1s, idle_ttl: 2s, timeout: 5s}"
COUNTERS = (
    "ci_build_concluded_total",
    "ci_build_runs_concluded_total",
    "ci_build_concluded_seconds_total",
    "ci_build_concluded_latency_seconds_bucket",
)
OUTCOMES = {"success": "success", "failed": "failure", "skipped": "skip", "SUCCESS": "success", "FAILURE": "failure"}
SETTLES = 90.0
"""Seconds after the last build by which everything has been counted, also on a busy machine."""

Series = tuple[str, str, str]
"""The family, the target and the outcome."""


def pipelines(script: Script, chance: random.Random, begin: float) -> Script:
    """The project with a pipeline of two or three jobs every other second."""
    at = begin
    while at < begin + SECONDS:
        ends = "failed" if chance.random() < 0.25 else "success"
        more = [Job("deploy", "deploy", lasts=chance.uniform(0.1, 1.0))] if chance.random() < 0.5 else []
        jobs = [Job("compile", "build", lasts=chance.uniform(0.2, 2.0), queues=0.2)]
        script.pipeline([*jobs, Job("unit", ends=ends, lasts=chance.uniform(0.2, 2.0), queues=0.2), *more], at=at)
        at += chance.uniform(0.5, 3.5)
    return script


def service(name: str, chance: random.Random) -> Entity:
    """A service that builds about every other second."""
    times = [AHEAD + SECONDS * chance.random() for _ in range(int(SECONDS / 2))]
    extras = tuple(Extra(at, run=chance.uniform(0.5, 2.0), succeeds=chance.random() < 0.7) for at in sorted(times))
    habits = Habits(per_hour=0.0, default_share=1.0, flaky=0.0, extras=extras)
    return Entity(id=name, kind="service", project="shop", type="combined", habits=habits)


def truth(
    world: World, simulator: Simulator, scripts: list[Script], now: float
) -> tuple[Counter[Series], dict[str, float]]:
    """What there is to count by the simulator's own record, and the seconds of GitLab's jobs by project."""
    counted: Counter[Series] = Counter()
    seconds: dict[str, float] = {}
    for script in scripts:
        path = script.project.path
        for job in script.newest(now):
            standing = job.at(now)
            counted["ci_build_concluded_total", path, OUTCOMES[standing.status]] += 1
            if standing.ended is not None:
                seconds[path] = seconds.get(path, 0.0) + standing.ended - job.created
        for pipeline in script.pipelines(now):
            counted["ci_build_runs_concluded_total", path, OUTCOMES[pipeline.at(now).status]] += 1
    for entity in world.northflank[0].services:
        for plan in simulator.history.newest(entity, now):
            outcome = OUTCOMES[plan.at(now).status]
            counted["ci_build_concluded_total", entity.id, outcome] += 1
            counted["ci_build_runs_concluded_total", entity.id, outcome] += 1
    return counted, seconds


class Scraped:
    """What scrapes have shown, of which no counter may go back."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.counted: Counter[Series] = Counter()
        self.seconds: dict[str, float] = {}
        self.number = 0

    def scrape(self, url: str) -> None:
        reply = ask(url)
        self.number += 1
        counted: Counter[Series] = Counter()
        seconds: dict[str, float] = {}
        shown: set[str] = set()
        for name in COUNTERS:
            for labels, value in reply.samples(name):
                series = f"{name}{sorted(labels.items())}"
                assert value >= self.last.get(series, 0.0), f"{series} went back from {self.last[series]} to {value}"
                self.last[series] = value
                shown.add(series)
                if name.endswith("concluded_total") and value:
                    counted[name, labels["target"], labels["outcome"]] += int(value)
                if name.endswith("seconds_total"):
                    seconds[labels["target"]] = seconds.get(labels["target"], 0.0) + value
        assert shown >= self.last.keys()
        assert reply.values("ci_build_store_up") == [1.0]
        self.counted, self.seconds = counted, seconds


def killed(one: Running, after: float, scraped: Scraped) -> None:
    """Scrape for so many seconds, then kill the process."""
    end = time.monotonic() + after
    while (left := end - time.monotonic()) > 0:
        if "event=listening" in one.log:
            scraped.scrape(one.url)
        time.sleep(min(left, 0.2))
    one.stop(signal.SIGKILL)


def moments(chance: random.Random) -> Iterator[float]:
    """How long each process lives, in seconds; some do not come to listen."""
    mean = SECONDS / KILLS
    return (chance.uniform(0.1, 2 * mean - 0.1) for _ in range(KILLS))


@pytest.mark.timeout(SECONDS + 600)
def test_each_build_is_counted_once_however_often_the_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    chance = random.Random(SEED)
    begun = time.time()
    scripts = [
        pipelines(Script(f"shop/app-{number}", id=number + 1, index=number), chance, begun + AHEAD)
        for number in range(4)
    ]
    services = tuple(service(f"service-{number}", chance) for number in range(4))
    world = World((NorthflankProject("shop", "Shop", services, ()),), tuple(script.project for script in scripts))
    scraped = Scraped()
    with simulating(world) as simulator:
        sources = (
            northflank(simulator),
            gitlab(simulator, more="projects: [shop/app-0, shop/app-1, shop/app-2, shop/app-3]"),
        )
        more = f"{QUICK}\nmetrics: {{histograms: [conclude, concluded]}}\nstore: sqlite://{tmp_path / 'state.db'}"
        (tmp_path / "config.yaml").write_text(configuration(*sources, more=more))
        serve = ("serve", f"--config.file={tmp_path / 'config.yaml'}", "--web.listen-address=127.0.0.1:0")
        with running(tmp_path / "log-first", *serve) as first:
            scraped.scrape(first.url)
            assert ask(first.url).values("ci_build_target_up") == [1.0] * 8
            assert time.time() < begun + AHEAD, "the machine is too busy: a build came too early"
            killed(first, begun + AHEAD - time.time(), scraped)
        for number, life in enumerate(moments(chance)):
            with running(tmp_path / f"log-{number}", *serve) as one:
                killed(one, life, scraped)
        with running(tmp_path / "log-last", *serve) as last:
            end = begun + AHEAD + SECONDS + SETTLES
            expected, seconds = truth(world, simulator, scripts, end)
            while scraped.counted != expected and time.time() < end:
                scraped.scrape(last.url)
                time.sleep(0.5)
            scraped.scrape(last.url)
    report(scraped, expected)
    assert scraped.counted == expected
    for path, total in seconds.items():
        assert scraped.seconds[path] == pytest.approx(total, abs=0.002 * expected.total())


def report(scraped: Scraped, expected: Mapping[Series, int]) -> None:
    """The record of a long run."""
    builds = sum(number for (family, _target, _outcome), number in expected.items() if "runs" not in family)
    runs = sum(expected.values()) - builds
    print(f"\n{KILLS} kills, {SECONDS:g} s, {scraped.number} scrapes, {builds} builds, {runs} runs")  # noqa: T201  # seen with -s
