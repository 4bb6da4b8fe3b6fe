"""Faults at random for hours: in the end the metrics are those of an exporter that saw none.

Two exporters read one simulator by one clock. The requests of the first one meet faults, drawn from a seed, until
nothing is built any more; then both show the same. `make soak MINUTES=60` goes from seed to seed for so long.
"""

import gzip
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from prometheus_client.parser import text_string_to_metric_families
from scenes import START, shop
from serving import TOKEN

from exporter.collector import Collector
from exporter.config.secret import EnvToken
from exporter.errors import Unreachable
from exporter.exposition.render import Format
from exporter.http.wire import Request
from exporter.polling.workers import InlinePool
from exporter.settings.settings import Settings
from exporter.simulator import Simulator, World, faults
from exporter.simulator.faults import Effect
from exporter.simulator.loopback import HOUR, Before, Clock, Ledger, connecting
from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.simulator.world import PIPELINES, Entity, GitLabProject, Habits

SCRAPE = 30.0
BUILT, QUIET = 2 * HOUR, 3 * HOUR
"""How long things are built, and how long it may then take until all is as if there had been no faults."""
SECONDS = float(os.environ.get("SOAK_MINUTES", "0")) * 60
RATE = 0.15
"""The share of requests that meet a fault."""
OUTAGE = 0.002
"""The share of requests with which an outage of some minutes begins."""

EFFECTS: tuple[Callable[[Random], Effect], ...] = (
    lambda dice: faults.server_error(dice.choice((500, 502, 503))),
    lambda _: faults.html(),
    lambda _: faults.malformed(),
    lambda _: faults.unauthorized(),
    lambda _: faults.too_many(),
    lambda dice: faults.too_many({"retry-after": str(dice.choice((0, 1, 30, 900)))}),
    lambda _: faults.too_many({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}),
    lambda _: faults.headers({"ratelimit-remaining": "0", "x-ratelimit-remaining": "0"}),
    lambda _: faults.headers({"ratelimit-limit": "1", "x-ratelimit-limit": "-5", "ratelimit-reset": "never"}),
    lambda _: faults.headers({"etag": '\x0b"ab"', "date": "yesterday"}),
    lambda _: faults.instead(200, b""),
    lambda _: faults.instead(200, b"[" * 100_000),
    lambda _: faults.instead(200, b"[" + b'{"id":1},' * 2000 + b"{}]"),
    lambda _: faults.instead(204),
)
"""What goes wrong and says nothing that is untrue of builds: a server that lies about those is believed."""


def at_work() -> World:
    """Services, jobs and projects that build for some hours."""
    habits = Habits(per_hour=3.0, failure=0.3, until=BUILT)
    services = [Entity(f"s{number}", "shop", "service", "combined", habits) for number in range(3)]
    jobs = [Entity(f"j{number}", "shop", "job", "manual", habits) for number in range(2)]
    projects = tuple(GitLabProject(1001 + n, f"group-0/app-{n}", n, PIPELINES[n], habits) for n in range(2))
    return World((shop(*services, jobs=tuple(jobs)),), projects)


class Trouble:
    """Puts faults before the requests of one exporter."""

    def __init__(self, simulator: Simulator, dice: Random) -> None:
        self.simulator = simulator
        self.dice = dice
        self.begun = False
        self.out_until = 0.0
        self.met: Counter[str] = Counter()

    def __call__(self, request: Request, now: float) -> None:
        """Before a request: nothing, a fault, or no connection."""
        if not self.begun or now >= START + BUILT:
            return
        throw = self.dice.random()
        if throw < OUTAGE:
            self.out_until = now + self.dice.uniform(60.0, 900.0)
        if now < self.out_until:
            self.met["outage"] += 1
            raise Unreachable(f"{request.path}: no connection")
        if throw < RATE:
            number = self.dice.randrange(len(EFFECTS))
            self.met[str(number)] += 1
            self.simulator.faults.add("*", EFFECTS[number](self.dice), times=1)


def exporter(simulator: Simulator, clock: Clock, before: tuple[Before, ...] = ()) -> Collector:
    """One that reads both providers of the simulator."""
    known = {"url": "http://simulator", "token": EnvToken(TOKEN)}
    sources = [
        {"name": "nf", "provider": "northflank"} | known,
        {"name": "gl", "provider": "gitlab", "groups": ["group-0"]} | known,
    ]
    settings = Settings.model_validate({"sources": sources})
    pool = InlinePool()
    connect = connecting(simulator, clock, Ledger(), before)
    return Collector(settings, clock=clock, chance=lambda: 0.5, workers=lambda _size: pool, connect=connect)


def builds_and_runs(collector: Collector) -> dict[str, float]:
    """The samples that speak of builds and runs, and whether each target is up."""
    text = gzip.decompress(collector.expose(Format.TEXT)).decode()
    about_reading = ("ci_build_source_", "ci_build_exporter_", "ci_build_target_errors", "ci_build_target_refresh")
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("ci_build_") and not sample.name.startswith(about_reading)
    }


def soaked(seed: int) -> Counter[str]:
    """One world, from its first build until after its last; returns the faults that were met."""
    clock = Clock(START)
    simulator = Simulator(at_work(), clock=clock, seed=seed)
    trouble = Trouble(simulator, Random(seed))
    calm, troubled = exporter(simulator, clock), exporter(simulator, clock, (trouble,))
    calm.collect()
    troubled.collect()
    trouble.begun = True  # not before: what the first read saw is what counters begin with
    for _ in range(int((BUILT + QUIET) / SCRAPE)):
        for collector in (calm, troubled):
            collector.begin()
        clock.now += SCRAPE
    expected, found = builds_and_runs(calm), builds_and_runs(troubled)
    assert {key: found.get(key) for key in expected if found.get(key) != expected[key]} == {}, f"seed {seed}"
    assert found.keys() == expected.keys(), f"seed {seed}"
    return trouble.met


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


def test_after_hours_of_faults_the_metrics_are_those_of_an_exporter_that_saw_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun, met = time.monotonic(), Counter[str]()
    for seed in itertools.count(1):
        met += soaked(seed)
        if time.monotonic() - begun >= SECONDS:
            break
    with capsys.disabled():
        sys.stdout.write(f"\n{seed} worlds, {met.total()} faults: {dict(sorted(met.items()))}\n")
    assert met.total() > 100
