"""What a provider allows, and how much of it we spend: a token bucket that follows the server's headers. Pure.

A bucket belongs to one origin and token: sources that share both share it. Times are seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from math import exp, inf, isfinite

from exporter.providers.contract import LimitHeaders

CAPACITY = 60.0
HELD = 15.0
"""The bucket holds so many requests, or what comes in within so many seconds where that is more."""
CHEAPEST, DEAREST = 0.01, 10_000.0
LONGEST_STEP = 60.0
RESERVE = 0.2
"""The share of the limit that first reads leave to others."""
HIGHEST_SHARE = 0.8
"""Of what the server allows, whatever the configuration says."""
TRICKLE = 0.1
"""The share of the rate that is spent even where the server says that little is left: it may be wrong."""
SHORTEST_REST = 30.0
LONGEST_GUESS = 600.0
"""Seconds of the longest rest where the server does not say how long; never longer than the limit's period."""
LONGEST_REST = 3700.0
"""Seconds of the longest rest, whatever the server says."""
FIRST_PRICE = 3.0
"""What a request costs before anything is learned, in seconds of delay."""
DRIFT = 0.0015
"""By how much the price moves in a second, as a share of itself, where the bucket is full or empty rather than half."""
SWING = 0.3
"""The natural logarithm of how much dearer a request is at once where the bucket is empty rather than half full."""

_EPOCH = 1e8
"""A reset above this is a time; below it, the seconds that are left."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a provider last said of its rate limit; None where it did not."""

    limit: float | None = None
    """Requests a period."""
    remaining: float | None = None
    reset_at: float | None = None
    """When the period ends."""
    period: float = 3600.0
    """Seconds."""


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """What may be spent now. A bucket without any limit known holds back nothing."""

    share: float = 0.4
    """Of what the server allows."""
    per_second: float | None = None
    """Requests a second, instead of a share."""
    allowance: Allowance = Allowance()
    level: float = CAPACITY
    """Requests in the bucket; negative once a read took more than was foreseen."""
    fullness: float = 1.0
    """How full the bucket was, 0 to 1."""
    at: float = 0.0
    """When that was the level."""
    cost: float = FIRST_PRICE
    """What a request costs while the bucket is half full, in seconds of delay."""
    pledged: int = 0
    """Requests that first reads under way may still make."""
    resting_until: float = 0.0
    rests: int = 0
    """In a row."""


def allowance_of(headers: Mapping[str, str], reported: LimitHeaders, now: float) -> Allowance | None:
    """The rate limit that an answer's headers (names in lower case) report; None where they report none.

    A reset is in seconds since the epoch, or in seconds from now.
    """
    limit, remaining, reset = (_number(headers.get(reported.prefix + word)) for word in ("limit", "remaining", "reset"))
    if limit is None and remaining is None:
        return None
    reset_at = reset if reset is None or reset > _EPOCH else now + reset
    return Allowance(limit, remaining, reset_at, reported.period)


def rate(bucket: TokenBucket, now: float) -> float | None:
    """Requests a second to spend; None: there is no limit."""
    allowance = bucket.allowance
    allowed = None if not allowance.limit else allowance.limit / allowance.period
    if bucket.per_second is not None:
        wanted = bucket.per_second if allowed is None else min(bucket.per_second, HIGHEST_SHARE * allowed)
    elif allowed is None:
        return None
    else:
        wanted = bucket.share * allowed
    if allowance.remaining is not None and allowance.reset_at is not None and allowance.reset_at > now:
        left = allowance.remaining / (allowance.reset_at - now)
        wanted = max(TRICKLE * wanted, min(wanted, left))
    return wanted


def capacity(bucket: TokenBucket, now: float) -> float:
    """Requests that the bucket holds at most."""
    return max(CAPACITY, HELD * (rate(bucket, now) or 0.0))


def refilled(bucket: TokenBucket, now: float) -> TokenBucket:
    """The bucket at `now`, with what came in since, and the price moved by how full the bucket is."""
    wanted, most = rate(bucket, now), capacity(bucket, now)
    if wanted is None:
        return replace(bucket, level=most, fullness=1.0, at=now)
    elapsed = max(0.0, now - bucket.at)
    level = min(most, bucket.level + elapsed * wanted, _left(bucket, now))
    full = max(0.0, level) / most
    drift = (0.5 - full) * 2 * DRIFT * min(elapsed, LONGEST_STEP)
    cost = min(DEAREST, max(CHEAPEST, bucket.cost * exp(drift)))
    return replace(bucket, level=level, fullness=full, at=now, cost=cost)


def _left(bucket: TokenBucket, now: float) -> float:
    """What the server says is left, but for one request: it may be wrong."""
    reported = bucket.allowance
    if reported.remaining is None or reported.reset_at is None or reported.reset_at <= now:
        return inf
    return max(1.0, reported.remaining)


def spent(bucket: TokenBucket, requests: int) -> TokenBucket:
    """The bucket after requests were made."""
    return replace(bucket, level=bucket.level - requests)


def price(bucket: TokenBucket) -> float:
    """What a request costs now: the delay, in seconds, that must be expected to have accrued before it is made."""
    return bucket.cost * exp((0.5 - bucket.fullness) * 2 * SWING)


def with_allowance(bucket: TokenBucket, allowance: Allowance | None) -> TokenBucket:
    """The bucket by what the last answer said."""
    return bucket if allowance is None else replace(bucket, allowance=allowance)


def first_reads(bucket: TokenBucket, now: float) -> float:
    """How many requests first reads may make beside those under way: what is left, down to a fifth of the limit."""
    allowance = bucket.allowance
    if allowance.limit is None or allowance.remaining is None:
        return inf
    over = allowance.reset_at is not None and allowance.reset_at <= now  # what was left then is no longer of interest
    remaining = allowance.limit if over else allowance.remaining
    return remaining - RESERVE * allowance.limit - bucket.pledged


def affords_first(bucket: TokenBucket, now: float) -> bool:
    """Whether a first read that was put in the queue may still begin."""
    return now >= bucket.resting_until and first_reads(bucket, now) + bucket.pledged > 0


def after_429(bucket: TokenBucket, retry_after: float | None, now: float) -> TokenBucket:
    """The bucket after a 429: it rests as long as the server says, or till the reset, or longer each time."""
    rests = bucket.rests + (now >= bucket.resting_until)  # what was under way when the rest began tells nothing new
    reset_at = bucket.allowance.reset_at
    if retry_after is not None and retry_after > 0:
        pause = retry_after
    elif reset_at is not None and 0 < reset_at - now <= LONGEST_REST:
        pause = reset_at - now
    else:
        longest = min(LONGEST_GUESS, max(SHORTEST_REST, bucket.allowance.period))
        pause = min(longest, SHORTEST_REST * 2.0 ** min(rests - 1, 16))
    until = now + min(pause, LONGEST_REST)
    return replace(bucket, rests=rests, resting_until=max(bucket.resting_until, until), level=min(bucket.level, 1.0))


def after_answer(bucket: TokenBucket) -> TokenBucket:
    """The bucket after an answer that was no 429."""
    return replace(bucket, rests=0) if bucket.rests else bucket


def skew_of(headers: Mapping[str, str], now: float) -> float:
    """Seconds by which our clock is ahead of the server's, by its `Date`; 0 where that cannot be read."""
    try:
        return now - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return 0.0


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
