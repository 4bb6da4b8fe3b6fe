"""What to ask, and how often. Pure: the clock is passed in; times are seconds since the epoch.

A *question* is one request that tells what moved: a project's list of services, a job's or a GitLab project's newest
builds. Its *hazard* is how many changes a second it can be expected to tell. A given number of questions finds changes
with the least mean delay where each is asked at intervals in proportion to one over the square root of its hazard.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, inf, sqrt

from exporter.allowance import Budget, first_reads, fullness, rate, spent
from exporter.build import Target
from exporter.window import History

LONGEST_PAUSE = 600.0
"""Seconds between two tries of a question that fails."""
SOONEST = 20.0
"""Seconds that an unfinished build is expected to take at least: asking cannot tell the very moment."""
USUAL = 180.0
"""Seconds that a build is expected to take where nothing is known."""
BURST, BURST_SHARE = 600.0, 0.3
DAY, DAY_SHARE = 86400.0, 0.7
"""Builds come in bursts: the rate at which they arrive is weighed over minutes and over a day."""
FIRST_READ = 10
"""Requests that a first read may take."""
PRIOR = 1 / (3 * 86400.0)
"""Builds a second of a target of which nothing is known."""
LOWEST, HIGHEST = 0.4, 1.5
"""By how much the rate is scaled where the bucket is empty, and where it is full."""
QUIET = 4.0
"""Without a limit: a question is asked after a quarter of the time for which nothing has stirred."""

Key = Target | tuple[str, ...]
"""What a question asks of: a target's builds, or a list: of which source, of what kind, by what name."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How a target builds, as far as its window tells: from it follows the hazard at any later moment."""

    at: float = 0.0
    """When the sums were made."""
    burst: float = 0.0
    day: float = 0.0
    """Sums over the builds, each weighed by its age."""
    unfinished: tuple[float, ...] = ()
    """When each unfinished build was created."""
    durations: tuple[float, ...] = ()
    """What builds took, ascending, in seconds; only where one is unfinished."""
    stirred_at: float = 0.0
    """When something last changed."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and how it stands."""

    key: Key
    hazard: float
    shortest: float
    longest: float
    """Seconds between two askings."""
    asked_at: float = -inf
    stirred_at: float = -inf
    """When what it asks of last changed; now, while something is unfinished."""
    forced_at: float | None = None
    """Ask then, whatever the hazard; None: there is no need."""
    not_before: float = -inf
    """It failed: not before then."""

    @property
    def first(self) -> bool:
        """Whether it was never asked."""
        return self.asked_at == -inf


def pulse(history: History, now: float) -> Pulse:
    """How a target builds, of its history. A run counts once, however many builds it has."""
    runs: dict[str, float] = {}
    unfinished, durations = [], []
    for row in history.rows.values():
        build = row.build
        runs[build.run] = min(build.created_at, runs.get(build.run, inf))
        if build.unfinished:
            unfinished.append(build.created_at)
        elif build.latency is not None:
            durations.append(build.latency)
    ages = [max(0.0, now - created) for created in runs.values()]
    return Pulse(
        at=now,
        burst=sum(exp(-age / BURST) for age in ages) / BURST,
        day=sum(exp(-age / DAY) for age in ages) / DAY,
        unfinished=tuple(unfinished),
        durations=tuple(sorted(durations)) if unfinished else (),
        stirred_at=now,
    )


def hazard(known: Pulse, now: float) -> float:
    """Changes a second that a target can be expected to make: builds that arrive, and builds that end."""
    age = max(0.0, now - known.at)
    arrivals = PRIOR + BURST_SHARE * known.burst * exp(-age / BURST) + DAY_SHARE * known.day * exp(-age / DAY)
    return arrivals + sum(1 / remaining(known.durations, now - created) for created in known.unfinished)


def remaining(durations: Sequence[float], elapsed: float) -> float:
    """Seconds that a build has still to go, by what earlier ones took (ascending); `SOONEST` at least."""
    longer = durations[bisect_right(durations, elapsed) :]
    if longer:
        return max(SOONEST, sum(longer) / len(longer) - elapsed)
    return max(SOONEST, elapsed if durations else USUAL - elapsed, elapsed - USUAL)


def stretch(questions: Sequence[Question], spend: float) -> float:
    """The λ for which questions asked every λ/√hazard seconds, within their bounds, make `spend` requests a second.

    Infinite where even the longest intervals make more.
    """
    free = list(questions)
    bound = 0.0
    while free:
        left = spend - bound
        if left <= 0:
            return inf
        factor = sum(sqrt(question.hazard) for question in free) / left
        pinned = [question for question in free if factor / sqrt(question.hazard) > question.longest]
        pinned = pinned or [question for question in free if factor / sqrt(question.hazard) < question.shortest]
        if not pinned:
            return factor
        longest = factor / sqrt(pinned[0].hazard) > pinned[0].longest
        bound += sum(1 / (question.longest if longest else question.shortest) for question in pinned)
        gone = {question.key for question in pinned}
        free = [question for question in free if question.key not in gone]
    return 0.0 if bound <= spend else inf


def pause(question: Question, factor: float | None, now: float) -> float:
    """Seconds between two askings. `factor` is the λ of `stretch`; None: there is no limit to keep."""
    wanted = (now - question.stirred_at) / QUIET if factor is None else factor / sqrt(question.hazard)
    return min(question.longest, max(question.shortest, wanted))


def plan(questions: Iterable[Question], budget: Budget, now: float, gap: float) -> list[Question]:
    """The questions to ask now, the most pressing first, as far as the budget reaches.

    `gap` is the time between two looks at the plan, in seconds: a question is asked at the look nearest to its time.
    First reads come first, and are paid from what the server says is left; then the forced ones.
    """
    if now < budget.resting_until:
        return []
    ready = [question for question in questions if question.not_before <= now]
    first = [question for question in ready if question.first]
    forced = [question for question in ready if not question.first and _is_forced(question, now)]
    taken = {question.key for question in (*first, *forced)}
    steady = [question for question in ready if question.key not in taken and question.hazard > 0]
    spend = rate(budget, now)
    factor = None
    if spend is not None:
        scale = LOWEST + (HIGHEST - LOWEST) * fullness(budget)
        factor = stretch(steady, scale * max(spend / 2, spend - budget.forced))
    waits = {question.key: (now - question.asked_at) / pause(question, factor, now) for question in steady}
    half = {question.key: min(gap, question.shortest) / 2 / pause(question, factor, now) for question in steady}
    due = [question for question in steady if waits[question.key] + half[question.key] >= 1]
    due.sort(key=lambda question: waits[question.key], reverse=True)
    forced.sort(key=lambda question: question.forced_at or now)
    if spend is None:
        return [*first, *forced, *due]
    free = max(0, ceil(first_reads(budget) / FIRST_READ)) if first_reads(budget) < inf else len(first)
    return [*first[:free], *[*first[free:], *forced, *due][: max(0, int(budget.level))]]


def pledged(budget: Budget, question: Question, now: float) -> Budget:
    """The budget once the question is put in the queue: a first read has a purse of its own, while that lasts."""
    if question.first and first_reads(budget) > 0:
        return replace(budget, pledged=budget.pledged + FIRST_READ)
    return spent(budget, 1, forced=int(not question.first and _is_forced(question, now)))


def settled(budget: Budget, question: Question, requests: int) -> Budget:
    """The budget once the question is answered, which took so many requests."""
    if question.first and budget.pledged >= FIRST_READ:
        return replace(budget, pledged=budget.pledged - FIRST_READ)
    return spent(budget, max(0, requests - 1))


def requests_a_second(questions: Sequence[Question], budget: Budget, now: float) -> float:
    """How many requests a second the questions come to as they stand now, but for forced reads."""
    steady = [question for question in questions if question.hazard > 0]
    spend = rate(budget, now)
    factor = None if spend is None else stretch(steady, spend)
    asked = sum(1 / pause(question, factor, now) for question in steady)
    return asked if spend is None else min(asked, spend)


def _is_forced(question: Question, now: float) -> bool:
    return question.forced_at is not None and question.forced_at <= now


def retry_at(failures: int, now: float, ttl: float, chance: float) -> float:
    """When to ask again what has so often failed in a row: after a pause that doubles from `ttl`, a chance less."""
    wait = min(LONGEST_PAUSE, ttl * 2.0 ** min(failures - 1, 16))
    return now + wait * (1 - chance / 4)
