"""The builds of every target as a function of the seed, the target and the clock, read at random by time.

Time is cut into spans of four hours. What begins in a span follows from a generator seeded with the span's own number,
so any part of the past (and of the future, which is not shown) is found without what lies between, and nothing grows
with time: spans are kept in caches of bounded size. What callers change lies over it in memory.

A number (GitLab's id) is `((tick * projects + project) * 5 + kind) + 2^31`. Ticks are quarters of a second. A run
begins at a multiple of 16 of them and its jobs take those that follow. `kind` is 0 for first attempts, 1 to 3 in turn
for the retries of three neighbouring spans, 4 for what callers add. Numbers ascend with time; none is given twice.
"""

import hashlib
import math
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from random import Random

from exporter.simulator import fates
from exporter.simulator.fates import Run
from exporter.simulator.plan import Plan
from exporter.simulator.world import DAY, Entity, Extra, GitLabProject, World

Subject = Entity | GitLabProject

SPAN = 4 * 3600
"""Seconds of one piece of the past."""
TICKS = 4
"""A second."""
SLOT = 16
"""Ticks from one run of a target to the next, at least; as many jobs a pipeline may have."""
KINDS = 5
ADDED = 4
BASE = 2**31
REACH = 14 * DAY
"""How long before the simulator's start the past begins."""
SPANS_KEPT = 1 << 15
CHANGES_KEPT = 10_000

FEATURES = ("basket", "dark-mode", "faster-start", "invoices", "login", "new-search", "retry-queue", "translations")


class History:
    """What was built in `world`. `start` (epoch seconds) is the moment from which the world counts."""

    def __init__(self, world: World, seed: int, start: float) -> None:
        self.seed, self.start = seed, start
        self._projects = max(1, len(world.gitlab))
        self._first = int(max(0.0, start - REACH) // SPAN)
        self._changes: dict[str, dict[int, Plan]] = {}
        self._lock = threading.Lock()
        self._begun = lru_cache(SPANS_KEPT)(self._begin)
        self._placed = lru_cache(SPANS_KEPT)(self._place)

    def newest(self, subject: Subject, now: float, below: int | None = None) -> Iterator[Plan]:
        """Its builds that exist at `now`, the newest first; with numbers under `below`, where it is given."""
        last = int(now // SPAN)
        span = last if below is None else min(last, self._span(subject, below))
        changes = self._changes.get(subject.key)
        while span >= self._first:
            plans: Iterable[Plan] = self._placed(subject, span)
            if changes:
                ours = [plan for plan in changes.values() if self._span(subject, plan.number) == span]
                plans = _overlaid(plans, ours) if ours else plans
            for plan in plans:
                if (below is None or plan.number < below) and (span != last or plan.created <= now):
                    yield plan
            span -= 1

    def find(self, subject: Subject, number: int, now: float) -> Plan | None:
        """The build of that number, None where there is none at `now`."""
        changed = self._changes.get(subject.key, {}).get(number)
        if changed is not None:
            return changed if changed.created <= now else None
        span = self._span(subject, number)
        plans = self._placed(subject, span) if self._first <= span <= now // SPAN else ()
        return next((plan for plan in plans if plan.number == number and plan.created <= now), None)

    def run(self, subject: Subject, run: int, now: float) -> list[Plan]:
        """The builds of a run that exist at `now`, the newest first; empty where there is no such run."""
        stride, index = self._stride(subject)
        tick, project = divmod(run - BASE, stride)
        span = tick // TICKS // SPAN
        if project != index or not self._first <= span <= now // SPAN:
            return []
        plans = {plan.number: plan for plan in self._begun(subject, span) if plan.run == run}
        plans |= {number: plan for number, plan in self._changes.get(subject.key, {}).items() if plan.run == run}
        return [plans[number] for number in sorted(plans, reverse=True) if plans[number].created <= now]

    def change(self, subject: Subject, plan: Plan) -> None:
        """Puts `plan` in the place of the one with its number; a new number is one more build."""
        with self._lock:
            changes = {**self._changes.get(subject.key, {}), plan.number: plan}
            while len(changes) > CHANGES_KEPT:
                del changes[next(iter(changes))]
            self._changes = {**self._changes, subject.key: changes}

    def add(self, subject: Subject, now: float, like: Plan, word: str) -> Plan:
        """One more attempt at `like`, created at `now`; it runs about as long as its kind does and ends with `word`."""
        number = self._free_number(subject, now)
        dice = Random(f"{self.seed}/{subject.key}/added/{number}")  # noqa: S311
        if isinstance(subject, Entity):
            steps = fates.northflank_steps(now, fates.about(subject.habits.median, dice), word, dice)
            plan = replace(like, number=number, run=number, steps=steps)
        else:
            running = now + fates.about(5.0, dice)
            end = running + fates.about(subject.habits.median / 2, dice)
            plan = replace(like, number=number, steps=((now, "pending"), (running, "running"), (end, word)))
        self.change(subject, plan)
        return plan

    def _free_number(self, subject: Subject, now: float) -> int:
        taken = self._changes.get(subject.key, {})
        tick = int(now * TICKS)
        while self._number(subject, tick, ADDED) in taken:
            tick += 1
        return self._number(subject, tick, ADDED)

    def _stride(self, subject: Subject) -> tuple[int, int]:
        """How many projects share the ticks, and which of them this is."""
        return (self._projects, subject.index) if isinstance(subject, GitLabProject) else (1, 0)

    def _number(self, subject: Subject, tick: int, kind: int) -> int:
        stride, index = self._stride(subject)
        return BASE + (tick * stride + index) * KINDS + kind

    def _span(self, subject: Subject, number: int) -> int:
        return (number - BASE) // KINDS // self._stride(subject)[0] // TICKS // SPAN

    def _place(self, subject: Subject, span: int) -> tuple[Plan, ...]:
        """The plans whose numbers lie in `span`, the newest first: retries can come from the two spans before."""
        earlier = range(max(span - 2, self._first), span + 1)
        plans = [
            plan
            for begun in earlier
            for plan in self._begun(subject, begun)
            if self._span(subject, plan.number) == span
        ]
        return tuple(sorted(plans, key=lambda plan: plan.number, reverse=True))

    def _begin(self, subject: Subject, span: int) -> tuple[Plan, ...]:
        """The plans of the runs that begin in `span`, with their numbers."""
        plans: list[Plan] = []
        retries: set[int] = set()
        for slot, run in self._runs(subject, span):
            dice = Random(f"{self.seed}/{subject.key}/{span}/{slot}")  # noqa: S311
            if isinstance(subject, Entity):
                made = fates.northflank(run, subject.habits, dice)
            else:
                made = fates.gitlab(run, subject.steps, subject.habits, dice)
            fresh = int(run.at * TICKS)
            for plan in made:
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
                number = self._number(subject, tick, kind)
                run_number = plan.run if isinstance(subject, GitLabProject) else number
                plans.append(replace(plan, number=number, run=run_number))
        return tuple(plans)

    def _runs(self, subject: Subject, span: int) -> Iterator[tuple[int, Run]]:
        """What is set off in a span, and in which of its slots."""
        habits = subject.habits
        dice = Random(f"{self.seed}/{subject.key}/{span}")  # noqa: S311
        slots = SPAN * TICKS // SLOT
        extras: dict[int, Extra] = {}
        for extra in habits.extras:
            if (self.start + extra.at) // SPAN == span:
                extras[int((self.start + extra.at) % SPAN) * TICKS // SLOT] = extra
        mean = habits.per_hour * SPAN / 3600
        if habits.steady:
            drawn = {int((n + dice.random() / 3) * slots / mean) for n in range(int(mean))}
        else:
            drawn = {dice.randrange(slots) for _ in range(poisson(mean, dice))}
        for slot in sorted(extras.keys() | drawn):
            at = span * SPAN + (slot * SLOT + slot * 0.377 % 0.9) / TICKS
            if slot in extras or at < self.start + habits.until:
                yield slot, self._set_off(subject, at, slot, extras.get(slot))

    def _set_off(self, subject: Subject, at: float, slot: int, extra: Extra | None) -> Run:
        stride, index = self._stride(subject)
        number = BASE + int(at * TICKS) * stride + index
        sha = hashlib.sha1(f"{self.seed}/{subject.key}/{number}".encode(), usedforsecurity=False).hexdigest()
        habits = subject.habits
        broken = at >= self.start + habits.broken_from
        if extra is not None:
            return Run(number, at, sha, habits.default, lasts=extra.run, succeeds=extra.succeeds, broken=broken)
        dice = Random(sha)  # noqa: S311
        throw = dice.random()
        if throw < habits.default_share:
            source = "schedule" if slot % 9 == 0 else "push"
            return Run(number, at, sha, habits.default, source=source, broken=broken)
        rest = (throw - habits.default_share) / (1 - habits.default_share)
        return _aside(Run(number, at, sha, ""), rest, dice, gitlab=isinstance(subject, GitLabProject))


def _aside(run: Run, throw: float, dice: Random, *, gitlab: bool) -> Run:
    """A run that is not of the default branch: of a feature's, a release's, a pull request or a tag."""
    feature = f"feature/{dice.choice(FEATURES)}"
    week = int(run.at // (7 * DAY))
    version = f"{week // 26 % 10}.{week % 26}"
    if throw < 0.5:  # noqa: PLR2004
        return replace(run, ref=feature)
    if throw < 0.7:  # noqa: PLR2004
        return replace(run, ref=f"release/{version}")
    if throw < 0.94 or not gitlab:  # noqa: PLR2004
        request = 200 + int(run.at // DAY) % 700 + dice.randrange(20)
        if not gitlab:
            # Some of the pull requests come from forks, whose branch has the name of ours.
            return replace(run, ref="main" if dice.random() < 0.2 else feature, pull_request=request)  # noqa: PLR2004
        ref = f"refs/merge-requests/{request}/head"
        return replace(run, ref=ref, pull_request=request, source="merge_request_event")
    return replace(run, ref=f"v{version}.{dice.randrange(10)}", tag=True)


def _overlaid(plans: Iterable[Plan], changes: Iterable[Plan]) -> list[Plan]:
    """`plans` with those of `changes` in their places and among them, the newest first."""
    merged = {plan.number: plan for plan in plans} | {plan.number: plan for plan in changes}
    return sorted(merged.values(), key=lambda plan: plan.number, reverse=True)


def poisson(mean: float, dice: Random) -> int:
    """A count with that mean, by Knuth's product of uniforms; for means of some hundreds at most."""
    limit, product, count = math.exp(-mean), dice.random(), 0
    while product > limit:
        product *= dice.random()
        count += 1
    return count
