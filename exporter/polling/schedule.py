"""What to poll now, of what is due. Pure: the clock is passed in; times are seconds since the epoch.

A poll is one request that shows what changed: a list of services, or the newest builds of a target.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import NamedTuple

from exporter.polling.hazard import Pulse
from exporter.polling.polls import Poll, PollTarget
from exporter.polling.rate_limit import TokenBucket, capacity, first_reads, spent

LONGEST_PAUSE = 600.0
"""Seconds between two tries of a candidate that fails."""
FIRST_READ = 10
"""Requests that a first read may take."""
TOLERANCE = 1.0
"""Seconds: scrapes do not come at equal intervals to the millisecond."""
KEPT = 0.25
"""The share of the bucket that forced reads leave to others which are due."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A poll that can be made, and how often that is worth it. Nothing of it changes while time passes."""

    poll: Poll
    shortest: float
    longest: float
    """Seconds between two askings."""
    asked_at: float = -inf
    pulses: tuple[Pulse, ...] = ()
    """Of the targets that it shows, by the server's clock; none: it is asked after its longest pause."""
    skew: float = 0.0
    """Seconds by which our clock is ahead of the server's."""
    cost: float = 1.0
    """Requests that it takes on average."""
    steady: bool = True
    """Pulses are why it is asked; else it confirms what is known, or finds targets."""
    slack: float = 1.0
    """How many times its longest pause may be stretched before the longest pauses of all others are."""
    forced_at: float | None = None
    """Ask then, whatever the hazard; None: there is no need."""
    not_before: float = -inf
    """It failed: not before then."""

    @property
    def first(self) -> bool:
        """Whether it was never asked."""
        return self.asked_at == -inf


class Ready(NamedTuple):
    """A candidate that is due."""

    candidate: Candidate
    late: float
    """How long it has waited, as a multiple of the pause that is worth it; from 1 on it is due."""
    overdue: bool = False
    """Whether it has waited for a longest pause that can be kept."""


def plan(ready: Iterable[Ready], bucket: TokenBucket, now: float) -> list[Candidate]:
    """The candidates to ask now, the most pressing first, as far as the bucket reaches.

    First reads come first, and are paid from what the server says is left; then the forced ones, which leave a part of
    the bucket to others; then those that have waited for longest, compared with how long is worth it.
    """
    if now < bucket.resting_until:
        return []
    due = [one for one in ready if one.candidate.not_before <= now]
    first = [one.candidate for one in due if one.candidate.first]
    first.sort(key=lambda candidate: isinstance(candidate.poll, PollTarget))  # lists and looks come before
    forced = [one.candidate for one in due if not one.candidate.first and is_forced(one.candidate, now)]
    forced.sort(key=lambda candidate: candidate.forced_at or now)
    others = [one for one in due if not one.candidate.first and not is_forced(one.candidate, now)]
    others.sort(key=lambda one: (not one.overdue, -one.late))
    level, affordable = bucket.level, first_reads(bucket, now)
    if affordable <= 0:  # they are paid from the bucket like others, but each by what it may take
        chosen, level = first[: max(0, int(level / FIRST_READ))], level / 2
    else:
        chosen = first if affordable == inf else first[: ceil(affordable / FIRST_READ)]
    kept = min(len(others), KEPT * capacity(bucket, now))
    forced = forced[: max(0, int(level - kept))]
    return [*chosen, *forced, *[one.candidate for one in others][: max(0, int(level) - len(forced))]]


def is_forced(candidate: Candidate, now: float) -> bool:
    """Whether it is to be asked now, whatever the hazard."""
    return candidate.forced_at is not None and candidate.forced_at <= now


def free(candidate: Candidate, bucket: TokenBucket, now: float) -> bool:
    """Whether the candidate is a first read that is paid from what the server says is left, not from the bucket."""
    return candidate.first and first_reads(bucket, now) > 0


def pledged(bucket: TokenBucket, *, free: bool) -> TokenBucket:
    """The bucket once a candidate is put in the queue."""
    return replace(bucket, pledged=bucket.pledged + FIRST_READ) if free else spent(bucket, 1)


def settled(bucket: TokenBucket, requests: int, *, free: bool, forced: bool = False) -> TokenBucket:
    """The bucket once a candidate is answered, which took so many requests."""
    if free:
        return replace(bucket, pledged=bucket.pledged - FIRST_READ)
    return spent(bucket, requests - 1, forced=requests if forced else 0)


def retry_at(failures: int, now: float, ttl: float, chance: float) -> float:
    """When to ask again what has so often failed in a row: after a pause that doubles from `ttl`, a chance less."""
    wait = min(LONGEST_PAUSE, ttl * 2.0 ** min(failures - 1, 16))
    return now + wait * (1 - chance / 4)
