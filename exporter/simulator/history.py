"""The builds of every target as a function of the seed, the target and the clock, read at random by time.

Time is cut into spans of four hours. What begins in a span follows from a generator seeded with the span's own number,
so any part of the past (and of the future, which is not shown) is found without what lies between, and nothing grows
with time: spans are kept in caches of bounded size. What callers change lies over it in memory.

Here is how that goes at Northflank; the projects of GitLab have pipelines of their own (`seeded.py`, `script.py`).

A number of Northflank is `tick * 5 + kind + 2^31`. Ticks are quarters of a second. A run begins at a multiple of 16 of
them. `kind` is 0 for first attempts, 1 to 3 in turn for the retries of three neighbouring spans, 4 for what callers
add. Numbers ascend with time; none is given twice.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from random import Random

from exporter.simulator import fates
from exporter.simulator.numbers import BASE, TICKS
from exporter.simulator.pipeline import Builds
from exporter.simulator.plan import Plan
from exporter.simulator.runs import SPAN, Runs, Subject
from exporter.simulator.seeded import CHANGES_KEPT, Seeded
from exporter.simulator.spans import ADDED, KINDS, SPANS_KEPT, Spans
from exporter.simulator.world import Entity, GitLabProject, World


class History:
    """What was built in `world`. `start` (epoch seconds) is the moment from which the world counts."""

    def __init__(self, world: World, seed: int, start: float) -> None:
        self.seed, self.start = seed, start
        projects = max(1, len(world.gitlab))
        self._runs = Runs(seed, start, projects)
        self._spans = Spans(self._runs, projects)
        self._first = self._spans.first
        self._seeded: dict[str, Seeded] = {}
        self._changes: dict[str, dict[int, Plan]] = {}
        self._lock = threading.Lock()
        self._begun = lru_cache(SPANS_KEPT)(self._begin)
        self._placed = lru_cache(SPANS_KEPT)(self._place)

    def of(self, project: GitLabProject) -> Builds:
        """The pipelines of a project of GitLab."""
        return project.script or self._seeded_of(project)

    def _seeded_of(self, project: GitLabProject) -> Seeded:
        with self._lock:
            return self._seeded.setdefault(project.key, Seeded(project, self._spans))

    def newest(self, subject: Subject, now: float, below: int | None = None) -> Iterator[Plan]:
        """Its builds that exist at `now`, the newest first; with numbers under `below`, where it is given."""
        if isinstance(subject, GitLabProject):
            yield from self.of(subject).newest(now, below)
            return
        last = int(now // SPAN)
        span = last if below is None else min(last, _span(below))
        changes = self._changes.get(subject.key)
        while span >= self._first:
            plans: Iterable[Plan] = self._placed(subject, span)
            if changes:
                ours = [plan for plan in changes.values() if _span(plan.number) == span]
                plans = _overlaid(plans, ours) if ours else plans
            for plan in plans:
                if (below is None or plan.number < below) and (span != last or plan.created <= now):
                    yield plan
            span -= 1

    def find(self, subject: Entity, number: int, now: float) -> Plan | None:
        """The build of that number, None where there is none at `now`."""
        changed = self._changes.get(subject.key, {}).get(number)
        if changed is not None:
            return changed if changed.created <= now else None
        span = _span(number)
        plans = self._placed(subject, span) if self._first <= span <= now // SPAN else ()
        return next((plan for plan in plans if plan.number == number and plan.created <= now), None)

    def change(self, subject: Subject, plan: Plan) -> None:
        """Puts `plan` in the place of the one with its number; of Northflank, a new number is one more build."""
        if isinstance(subject, GitLabProject):
            self._seeded_of(subject).change(plan)
            return
        with self._lock:
            changes = {**self._changes.get(subject.key, {}), plan.number: plan}
            while len(changes) > CHANGES_KEPT:
                del changes[next(iter(changes))]
            self._changes = {**self._changes, subject.key: changes}

    def add(self, subject: Entity, now: float, like: Plan, word: str) -> Plan:
        """One more build like that, created at `now`; it runs about as long as its kind does and ends with `word`."""
        number = self._free_number(subject, now)
        dice = Random(f"{self.seed}/{subject.key}/added/{number}")  # noqa: S311
        steps = fates.northflank_steps(now, fates.about(subject.habits.median, dice), word, dice)
        plan = replace(like, number=number, run=number, steps=steps)
        self.change(subject, plan)
        return plan

    def shift(self, subject: Subject, now: float) -> None:
        """One more build in the list of a target that has some."""
        newest = next(iter(self.newest(subject, now)), None)
        if newest is None:
            return
        if isinstance(subject, GitLabProject):
            self.of(subject).push(now)
        else:
            word = newest.steps[-1][1]
            self.add(subject, now, newest, word if word in ("SUCCESS", "FAILURE") else "SUCCESS")

    def _free_number(self, subject: Entity, now: float) -> int:
        taken = self._changes.get(subject.key, {})
        tick = int(now * TICKS)
        while _number(tick, ADDED) in taken:
            tick += 1
        return _number(tick, ADDED)

    def _place(self, subject: Entity, span: int) -> tuple[Plan, ...]:
        """The plans whose numbers lie in `span`, the newest first: retries can come from the two spans before."""
        earlier = range(max(span - 2, self._first), span + 1)
        plans = [plan for begun in earlier for plan in self._begun(subject, begun) if _span(plan.number) == span]
        return tuple(sorted(plans, key=lambda plan: plan.number, reverse=True))

    def _begin(self, subject: Entity, span: int) -> tuple[Plan, ...]:
        """The plans of the runs that begin in `span`, with their numbers."""
        plans: list[Plan] = []
        retries: set[int] = set()
        for slot, run in self._runs.of(subject, span):
            dice = Random(f"{self.seed}/{subject.key}/{span}/{slot}")  # noqa: S311
            fresh = int(run.at * TICKS)
            for plan in fates.northflank(run, subject.habits, dice):
                tick, kind = fresh, 0
                if plan.again:
                    tick, kind = int(plan.created * TICKS), 1 + span % 3
                    while tick in retries:
                        tick += 1
                    retries.add(tick)
                    if tick >= (span + 3) * SPAN * TICKS:
                        continue
                else:
                    fresh += 1
                number = _number(tick, kind)
                plans.append(replace(plan, number=number, run=number))
        return tuple(plans)


def _number(tick: int, kind: int) -> int:
    return BASE + tick * KINDS + kind


def _span(number: int) -> int:
    return (number - BASE) // KINDS // TICKS // SPAN


def _overlaid(plans: Iterable[Plan], changes: Iterable[Plan]) -> list[Plan]:
    """`plans` with those of `changes` in their places and among them, the newest first."""
    merged = {plan.number: plan for plan in plans} | {plan.number: plan for plan in changes}
    return sorted(merged.values(), key=lambda plan: plan.number, reverse=True)
