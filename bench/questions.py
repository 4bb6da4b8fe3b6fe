"""Processor time that it takes to know what is due among many targets."""

import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from statistics import median

from bench.course import TOKEN
from bench.load import START
from bench.table import Cell, Figure, Row
from exporter.build import Target
from exporter.polling.hazard import Pulse
from exporter.polling.polls import Asked
from exporter.polling.state import (
    Budget,
    Digest,
    DiscoveryState,
    Polling,
    Source,
    SourceReader,
    SourceState,
    TargetState,
    bucket_of,
)
from exporter.polling.tracking import Agenda
from exporter.polling.workers import InlinePool
from exporter.providers.gitlab.settings import GitLabSource
from exporter.settings.settings import Refresh

TARGETS, RUNNING, CHANGED = 10_000, 300, 100
"""Of which so many build something, and so many change from one scrape to the next."""
SCRAPES = 40
SCRAPE = 15.0
SCRAPE_LIMIT, PRICE_LIMIT = 20, 100
"""Milliseconds."""


def _target(number: int, dice: Random) -> TargetState:
    day = dice.lognormvariate(0, 1.5) / 3600
    usual = dice.lognormvariate(5, 0.6)
    running = number < RUNNING
    durations = tuple(sorted(usual * dice.lognormvariate(0, 0.6) for _ in range(100))) if running else ()
    pulse = Pulse(
        START,
        burst=day * dice.random(),
        day=day,
        unfinished=(START - 300 * dice.random(),) if running else (),
        durations=durations,
        usual=usual,
    )
    target = Target("gitlab", "project", f"bench/app-{number}", f"bench/app-{number}")
    asked = Asked(START - 300 * dice.random())
    return TargetState(target, Digest(START, pulse=pulse, empty=False), Polling(asked=asked))


def row(_hours: float) -> Row:
    """Ten thousand projects, scraped every 15 s."""
    dice = Random("questions")
    settings = GitLabSource(name="gitlab", provider="gitlab", token=TOKEN, url="http://gitlab.example.com")
    state = SourceState(discovery=DiscoveryState(asked=Asked(START), tried=True))
    source = Source(SourceReader(settings, InlinePool()), state, Budget(bucket_of(settings, START)))
    for number in range(TARGETS):
        made = _target(number, dice)
        state.targets[made.target] = made
    agenda, now = Agenda(START, dice.random), START
    scrapes: list[float] = []
    prices: list[float] = []
    states = list(state.targets.values())
    for _ in range(SCRAPES):
        now += SCRAPE
        for made in dice.sample(states, CHANGED):
            made.polling = replace(made.polling, asked=Asked(now))
        prices_due = agenda.queue.needs_price(now)
        begun = time.process_time()
        agenda.follow([source], Refresh(), source.budget.bucket, now)
        agenda.queue.ready(now)
        (prices if prices_due else scrapes).append(1000 * (time.process_time() - begun))
    cells: dict[str, Cell] = {
        "ms a scrape: median": Figure(median(scrapes), limit=SCRAPE_LIMIT, digits=1),
        "largest": Figure(max(scrapes), digits=1),
        "ms with a new price: median": Figure(median(prices[1:]), limit=PRICE_LIMIT, digits=1),
        "largest of them": Figure(max(prices[1:]), digits=1),
    }
    return Row(f"{TARGETS:,} projects, of which {RUNNING} build", cells)


ROWS: dict[str, Callable[[float], Row]] = {"questions": row}
