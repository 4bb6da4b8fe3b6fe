"""What to poll, and how often. Pure: the clock is passed in; times are seconds since the epoch.

A poll is one request that shows what changed: a list of services, or the newest builds of a target. Each poll is
weighed by the delay that is expected to have accrued since it was last made.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, inf

from exporter.history.window import History
from exporter.polling.polls import Poll
from exporter.polling.rate_limit import TokenBucket, first_reads, price, rate, spent

LONGEST_PAUSE = 600.0
"""Seconds between two tries of a candidate that fails."""
SOONEST = 60.0
"""Seconds that a build is expected to go on at least which has run for longer than any before it."""
USUAL = 180.0
"""Seconds that a build is expected to take where nothing is known."""
BURST, BURST_SHARE = 600.0, 0.3
DAY, DAY_SHARE = 86400.0, 0.7
"""Builds come in bursts: the rate at which they arrive is weighed over minutes and over a day."""
FIRST_READ = 10
"""Requests that a first read may take."""
PRIOR = 1 / (3 * 86400.0)
"""Builds a second of a target of which nothing is known."""
ARRIVAL = 0.02
"""What it counts that a build arrived unseen, against one that ended unseen."""
SHORTER = 4
"""A build that is not known of is expected to take no longer than the shortest fourth."""
TOLERANCE = 1.0
"""Seconds: scrapes do not come at equal intervals to the millisecond."""
QUIET = 4.0
"""Without a limit: a candidate is asked after a quarter of the time for which nothing has stirred."""


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
    stirred_at: float = 0.0
    """When something last changed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A poll that could be made, and what speaks for it."""

    poll: Poll
    shortest: float
    longest: float
    """Seconds between two askings."""
    asked_at: float = -inf
    accrued: float = 0.0
    """Seconds of delay that must be expected to have accrued since."""
    steady: bool = True
    """It is asked again and again; else only when it is forced."""
    stirred_at: float = -inf
    """When what it asks of last changed; now, while something is unfinished."""
    forced_at: float | None = None
    """Ask then, whatever the hazard; None: there is no need."""
    not_before: float = -inf
    """It failed: not before then."""
    requests: int = 1
    """How many it takes; `accrued` is of each of them."""

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
        usual=sorted(durations)[len(durations) // SHORTER] if durations else USUAL,
        stirred_at=now,
    )


def accrued(known: Pulse, asked_at: float, now: float) -> float:
    """Seconds of delay that must be expected to have accrued since it was asked last, over all that may have happened.

    A build that arrived counts a little from then on, and in full once it will have ended as well; one that was running
    from when it will have ended.
    """
    since = now - asked_at
    age = max(0.0, now - known.at)
    rate = PRIOR + BURST_SHARE * known.burst * exp(-age / BURST) + DAY_SHARE * known.day * exp(-age / DAY)
    ended = max(0.0, since - known.usual)
    arrivals = rate * (ARRIVAL * since * since + (1 - ARRIVAL) * ended * ended) / 2
    return arrivals + sum(overdue(known.durations, asked_at - at, now - at) for at in known.unfinished)


def overdue(durations: Sequence[float], before: float, elapsed: float) -> float:
    """Seconds for which a build must be expected to have ended, that ran before and of which nothing is known since.

    `durations` are what earlier ones took, in seconds, ascending; beyond them a build goes on about as long again.
    """
    longer = durations[bisect_right(durations, before) :]
    mean = max(SOONEST, before if durations else USUAL)
    since = max(0.0, elapsed - max(0.0, before))  # some builds were created in the future, by what is told
    fallback = max(0.0, since - mean * (1 - exp(-since / mean)))  # the difference of two that are almost equal
    return (sum(max(0.0, elapsed - duration) for duration in longer) + fallback) / (len(longer) + 1)


def overrun(known: Pulse, now: float) -> float:
    """When an unfinished build will have gone on for longer than nine in ten do: something newer may hide its end.

    A build that has done so already is looked for again after a third of the time that it has taken. Infinite where
    nothing is unfinished.
    """
    if not known.unfinished:
        return inf
    usual = known.durations[len(known.durations) * 9 // 10] if known.durations else 2 * USUAL
    return min(max(at + usual, now + max(SOONEST, (now - at) / 3)) for at in known.unfinished)


def plan(candidates: Iterable[Candidate], bucket: TokenBucket, now: float) -> list[Candidate]:
    """The candidates to ask now, the most pressing first, as far as the bucket reaches.

    First reads come first, and are paid from what the server says is left; then the forced ones; then those of which
    the delay that has accrued is worth a request.
    """
    if now < bucket.resting_until:
        return []
    ready = [candidate for candidate in candidates if candidate.not_before <= now]
    first = [candidate for candidate in ready if candidate.first]
    forced = [candidate for candidate in ready if not candidate.first and _is_forced(candidate, now)]
    forced.sort(key=lambda candidate: candidate.forced_at or now)
    steady = [q for q in ready if q.steady and not q.first and not _is_forced(q, now)]
    spend = rate(bucket, now)
    if spend is None:
        return [*first, *forced, *_due(steady, None, now)]
    due = _due(steady, price(bucket), now)
    if sum(candidate.requests / candidate.longest for candidate in steady) <= spend:
        # Each can be asked within its longest pause, if those that have waited for that long go first.
        due.sort(key=lambda candidate: _late(candidate, now) < 1)
    affordable = first_reads(bucket, now)
    if affordable <= 0:  # they are paid from the bucket like others, but each by what it may take
        return [*first[: max(0, int(bucket.level / FIRST_READ))], *[*forced, *due][: max(0, int(bucket.level / 2))]]
    freely = len(first) if affordable == inf else ceil(affordable / FIRST_READ)
    return [*first[:freely], *[*forced, *due][: max(0, int(bucket.level))]]


def _due(steady: Iterable[Candidate], worth: float | None, now: float) -> list[Candidate]:
    """Those to be asked, the most pressing first. `worth` is the price of a request; None: there is no limit."""
    due = [candidate for candidate in steady if _pressing(candidate, worth, now) >= 1]
    return sorted(due, key=lambda candidate: _pressing(candidate, worth, now), reverse=True)


def _pressing(candidate: Candidate, worth: float | None, now: float) -> float:
    """From 1 on it is to be asked. `worth` is the price of a request; None: there is no limit."""
    since = now - candidate.asked_at
    if since < candidate.shortest - TOLERANCE:
        return 0.0
    late = _late(candidate, now)
    if worth is None:
        quiet = max(candidate.shortest, (now - candidate.stirred_at) / QUIET)
        return max(late, (since + TOLERANCE) / quiet)
    return max(late, candidate.accrued / worth)


def _late(candidate: Candidate, now: float) -> float:
    """From 1 on it has waited for as long as it may."""
    return (now - candidate.asked_at + TOLERANCE) / candidate.longest


def free(candidate: Candidate, bucket: TokenBucket, now: float) -> bool:
    """Whether the candidate is a first read that is paid from what the server says is left, not from the bucket."""
    return candidate.first and first_reads(bucket, now) > 0


def pledged(bucket: TokenBucket, *, free: bool) -> TokenBucket:
    """The bucket once a candidate is put in the queue."""
    return replace(bucket, pledged=bucket.pledged + FIRST_READ) if free else spent(bucket, 1)


def settled(bucket: TokenBucket, requests: int, *, free: bool) -> TokenBucket:
    """The bucket once a candidate is answered, which took so many requests."""
    return replace(bucket, pledged=bucket.pledged - FIRST_READ) if free else spent(bucket, requests - 1)


def requests_a_second(candidates: Iterable[Candidate], bucket: TokenBucket, now: float) -> float:
    """How many requests a second the candidates come to at most as they stand now, but for forced reads."""
    steady = [candidate for candidate in candidates if candidate.steady]
    spend = rate(bucket, now)
    if spend is not None:
        return min(spend, sum(candidate.requests / candidate.shortest for candidate in steady))
    quiet = ((candidate, (now - candidate.stirred_at) / QUIET) for candidate in steady)
    return sum(each.requests / min(each.longest, max(each.shortest, wanted)) for each, wanted in quiet)


def _is_forced(candidate: Candidate, now: float) -> bool:
    return candidate.forced_at is not None and candidate.forced_at <= now


def retry_at(failures: int, now: float, ttl: float, chance: float) -> float:
    """When to ask again what has so often failed in a row: after a pause that doubles from `ttl`, a chance less."""
    wait = min(LONGEST_PAUSE, ttl * 2.0 ** min(failures - 1, 16))
    return now + wait * (1 - chance / 4)
