"""How fast the data of a target grows old: the builds that must be expected to have begun or ended unseen. Pure.

Times are seconds since the epoch.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt

from exporter.history.window import History

SOONEST = 60.0
"""Seconds that a build is expected to go on at least which has run for longer than any before it."""
USUAL = 180.0
"""Seconds that a build is expected to take where nothing is known."""
BURST, BURST_SHARE = 600.0, 0.3
DAY, DAY_SHARE = 86400.0, 0.7
"""Builds come in bursts: the rate at which they arrive is weighed over minutes and over a day."""
PRIOR = 1 / (3 * 86400.0)
"""Builds per second that are assumed for a target without known builds."""
ARRIVAL = 0.02
"""What it counts that a build arrived unseen, against one that ended unseen."""
SHORTER = 4
"""A build that is not known of is expected to take no longer than the shortest fourth."""
LIKE = 2
"""Targets whose usual durations have the same logarithm, in so many steps for each factor of e, are summed up."""


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
    usual: float = USUAL
    """What the shorter of them took."""
    targets: int = 1
    """How many it is the sum of."""


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
        usual=sorted(durations)[len(durations) // SHORTER] if durations else USUAL,
    )


def arrival_rate(known: Pulse, now: float) -> float:
    """Builds a second that must be expected."""
    age = max(0.0, now - known.at)
    return (
        known.targets * PRIOR + BURST_SHARE * known.burst * exp(-age / BURST) + DAY_SHARE * known.day * exp(-age / DAY)
    )


def accrued(known: Pulse, asked_at: float, now: float) -> float:
    """Seconds of delay that must be expected to have accrued since it was asked last, over all that may have happened.

    A build that arrived counts a little from then on, and in full once it will have ended as well; one that was running
    from when it will have ended.
    """
    since = now - asked_at
    ended = max(0.0, since - known.usual)
    arrivals = arrival_rate(known, now) * (ARRIVAL * since * since + (1 - ARRIVAL) * ended * ended) / 2
    return arrivals + sum(overdue(known.durations, asked_at - at, now - at) for at in known.unfinished)


def overdue(durations: Sequence[float], before: float, elapsed: float) -> float:
    """Seconds for which a build must be expected to have ended, that ran before and of which nothing is known since.

    `durations` are what earlier ones took, in seconds, ascending; beyond them a build goes on about as long again.
    """
    first = bisect_right(durations, before)
    ended = durations[first : max(first, bisect_right(durations, elapsed))]
    mean = max(SOONEST, before if durations else USUAL)
    since = max(0.0, elapsed - max(0.0, before))  # some builds were created in the future, by what is told
    fallback = max(0.0, since - mean * (1 - exp(-since / mean)))  # the difference of two that are almost equal
    return (len(ended) * elapsed - sum(ended) + fallback) / (len(durations) - first + 1)


def overrun(known: Pulse, now: float) -> float:
    """When an unfinished build will have gone on for longer than nine in ten do: something newer may hide its end.

    A build that has done so already is looked for again after a third of the time that it has taken. Infinite where
    nothing is unfinished.
    """
    if not known.unfinished:
        return inf
    usual = known.durations[len(known.durations) * 9 // 10] if known.durations else 2 * USUAL
    return min(max(at + usual, now + max(SOONEST, (now - at) / 3)) for at in known.unfinished)


def quiet_pause(rate: float, usual: float, worth: float) -> float:
    """Seconds after which so much delay has accrued where nothing runs: the inverse of `accrued`, for one rate."""
    square = 2 * worth / rate
    seconds = sqrt(square / ARRIVAL)
    if seconds <= usual:
        return seconds
    return (1 - ARRIVAL) * usual + sqrt(square - ARRIVAL * (1 - ARRIVAL) * usual * usual)


def together(pulses: Iterable[Pulse], now: float) -> tuple[Pulse, ...]:
    """The pulses of targets that one request shows: those that build nothing now are summed up, by like durations."""
    sums: dict[int, Pulse] = {}
    running: list[Pulse] = []
    for known in pulses:
        if known.unfinished:
            running.append(known)
            continue
        age = max(0.0, now - known.at)
        burst, day = known.burst * exp(-age / BURST), known.day * exp(-age / DAY)
        key = round(LIKE * log(max(1.0, known.usual)))
        one = sums.get(key)
        sums[key] = (
            Pulse(now, burst, day, usual=known.usual, targets=known.targets)
            if one is None
            else replace(one, burst=one.burst + burst, day=one.day + day, targets=one.targets + known.targets)
        )
    return (*sums.values(), *running)
