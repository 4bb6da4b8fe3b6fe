"""What is set off in a target and when: pushes, pull requests, tags and schedules, from seeded dice. Pure."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from exporter.simulator.numbers import BASE, TICKS
from exporter.simulator.world import DAY, Entity, Extra, GitLabProject

Subject = Entity | GitLabProject

SPAN = 4 * 3600
"""Seconds of one piece of the past."""
SLOT = 16
"""Ticks from one run of a target to the next, at least."""
FEATURES = ("basket", "dark-mode", "faster-start", "invoices", "login", "new-search", "retry-queue", "translations")


@dataclass(frozen=True, slots=True)
class Run:
    """What somebody set off: a push, a pull request, a tag."""

    number: int
    at: float
    sha: str
    ref: str
    tag: bool = False
    pull_request: int | None = None
    source: str = "push"
    broken: bool = False
    """It fails for sure, however often it is tried."""
    lasts: float | None = None
    """Seconds, where that is not left to chance."""
    succeeds: bool | None = None
    """None is left to chance."""


class Runs:
    """The runs of every target. `start` (epoch seconds) is the moment from which the world counts.

    `projects` is how many projects of GitLab there are.
    """

    def __init__(self, seed: int, start: float, projects: int) -> None:
        self.seed, self.start = seed, start
        self._projects = projects

    def of(self, subject: Subject, span: int) -> Iterator[tuple[int, Run]]:
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
        nightly = self._nightly(subject, span)
        for slot in sorted(extras.keys() | drawn | nightly):
            at = span * SPAN + (slot * SLOT + slot * 0.377 % 0.9) / TICKS
            if slot in extras or at < self.start + habits.until:
                run = self._set_off(subject, at, slot, extras.get(slot))
                yield slot, self._scheduled(subject, run) if slot in nightly - extras.keys() else run

    def _nightly(self, subject: Subject, span: int) -> set[int]:
        """The slot in which the schedule runs."""
        seconds = subject.habits.nightly
        within = None if seconds is None else (seconds - span * SPAN % DAY)
        return {int(within * TICKS // SLOT)} if within is not None and 0 <= within < SPAN else set()

    def _scheduled(self, subject: Subject, run: Run) -> Run:
        broken = run.at >= self.start + subject.habits.broken_from
        return Run(run.number, run.at, run.sha, subject.habits.default, source="schedule", broken=broken)

    def _set_off(self, subject: Subject, at: float, slot: int, extra: Extra | None) -> Run:
        stride, index = (self._projects, subject.index) if isinstance(subject, GitLabProject) else (1, 0)
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


def poisson(mean: float, dice: Random) -> int:
    """A count with that mean, by Knuth's product of uniforms; for means of some hundreds at most."""
    limit, product, count = math.exp(-mean), dice.random(), 0
    while product > limit:
        product *= dice.random()
        count += 1
    return count
