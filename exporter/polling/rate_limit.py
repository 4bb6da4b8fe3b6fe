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
LONGEST_HELD = 60.0
"""Seconds from one scrape to the next for which the bucket holds all that comes in."""
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
"""Seconds of the longest rest that is believed."""
UNNAMED = 5.0
"""Requests a second that are spent where neither the server nor the configuration names a limit."""
NONSENSE = 0.01
"""A limit below this share of the documented one is ignored."""
BALANCED = 600.0
"""Seconds in which what the bucket holds beyond its half is spent."""
SHARED = 0.5
"""The share of the rate that forced reads can take from what is asked because of its hazard."""
REMEMBERED = 600.0
"""Seconds over which it is averaged how many requests forced reads take."""

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
    """What may be spent now."""

    share: float = 0.4
    """Of what the server allows."""
    per_second: float | None = None
    """Requests a second, instead of a share."""
    allowance: Allowance = Allowance()
    level: float = CAPACITY
    """Requests in the bucket; negative once a read took more than was foreseen."""
    at: float = 0.0
    """When that was the level."""
    interval: float = HELD
    """Seconds from one scrape to the next, on average."""
    forced: float = 0.0
    """Requests a second that forced reads have taken of late."""
    heard_at: float = -inf
    """When the allowance was reported that governs."""
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


def usual_rate(bucket: TokenBucket) -> float:
    """Requests a second to spend, whatever is left now."""
    allowance = bucket.allowance
    allowed = allowance.limit / allowance.period if allowance.limit else None
    if bucket.per_second is not None:
        return bucket.per_second if allowed is None else min(bucket.per_second, HIGHEST_SHARE * allowed)
    return UNNAMED if allowed is None else bucket.share * allowed


def rate(bucket: TokenBucket, now: float) -> float:
    """Requests a second to spend."""
    wanted, allowance = usual_rate(bucket), bucket.allowance
    named = allowance.limit or bucket.per_second is not None
    if named and allowance.remaining is not None and allowance.reset_at is not None and allowance.reset_at > now:
        left = allowance.remaining / (allowance.reset_at - now)
        wanted = max(TRICKLE * wanted, min(wanted, left))
    return wanted


def starved(bucket: TokenBucket, now: float) -> bool:
    """Whether the server says that so little is left that only a trickle is spent."""
    return rate(bucket, now) <= TRICKLE * usual_rate(bucket) * (1 + 1e-9)


def capacity(bucket: TokenBucket, now: float) -> float:
    """Requests that the bucket holds at most."""
    return max(CAPACITY, min(LONGEST_HELD, max(HELD, bucket.interval)) * rate(bucket, now))


def refilled(bucket: TokenBucket, now: float) -> TokenBucket:
    """The bucket at `now`, with what came in since."""
    elapsed = max(0.0, now - bucket.at)
    interval = bucket.interval
    if elapsed >= 1:  # else it is the same scrape
        interval += (min(LONGEST_HELD, elapsed) - interval) / 4
    level = min(capacity(bucket, now), bucket.level + elapsed * rate(bucket, now), _left(bucket, now))
    forced = bucket.forced * exp(-elapsed / REMEMBERED)
    return replace(bucket, level=level, at=now, interval=interval, forced=forced)


def lasting(bucket: TokenBucket, now: float) -> float:
    """Requests a second that are left beside forced reads, in the long run."""
    wanted = rate(bucket, now)
    return max(SHARED * wanted, wanted - bucket.forced)


def available(bucket: TokenBucket, now: float) -> float:
    """Requests a second that can be spent beside forced reads now: more while the bucket is more than half full.

    What comes in from one scrape to the next is spent at once, so that it is half of that fuller than on average.
    """
    wanted = rate(bucket, now)
    level = bucket.level - wanted * min(bucket.interval, LONGEST_HELD) / 2
    return max(SHARED * wanted, wanted - bucket.forced + (level - capacity(bucket, now) / 2) / BALANCED)


def _left(bucket: TokenBucket, now: float) -> float:
    """What the server says is left, but for one request: it may be wrong."""
    reported = bucket.allowance
    if reported.remaining is None or reported.reset_at is None or reported.reset_at <= now:
        return inf
    return max(1.0, reported.remaining)


def spent(bucket: TokenBucket, requests: int, *, forced: int = 0) -> TokenBucket:
    """The bucket after requests were made; `forced` were made by a forced read."""
    return replace(bucket, level=bucket.level - requests, forced=bucket.forced + forced / REMEMBERED)


def makes_sense(allowance: Allowance, documented: float) -> bool:
    """Whether the limit can be true; `documented` is what the provider allows in a period as a rule."""
    return allowance.limit is None or allowance.limit >= NONSENSE * documented


def with_allowance(bucket: TokenBucket, allowance: Allowance | None, now: float) -> TokenBucket:
    """The bucket by what the last answer said. Of limits that differ, the lowest that was heard in a period governs.

    A reset that is further away than two periods is taken for one period away.
    """
    if allowance is None:
        return bucket
    known = bucket.allowance
    if allowance.reset_at is not None and allowance.reset_at - now > 2 * allowance.period:
        allowance = replace(allowance, reset_at=now + allowance.period)
    if known.limit is not None and now - bucket.heard_at < known.period:
        if allowance.limit is None:
            allowance = replace(allowance, limit=known.limit)
        elif allowance.limit > known.limit:
            return bucket
    return replace(bucket, allowance=allowance, heard_at=now)


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
    """The bucket after a 429: it rests as long as the server says, or till the reset, or longer each time.

    A rest of more than `LONGEST_REST` makes no sense and is ignored.
    """
    rests = bucket.rests + (now >= bucket.resting_until)  # what was under way when the rest began tells nothing new
    reset_at = bucket.allowance.reset_at
    if retry_after is not None and 0 < retry_after <= LONGEST_REST:
        pause = retry_after
    elif reset_at is not None and 0 < reset_at - now <= LONGEST_REST:
        pause = reset_at - now
    else:
        longest = min(LONGEST_GUESS, max(SHORTEST_REST, bucket.allowance.period))
        pause = min(longest, SHORTEST_REST * 2.0 ** min(rests - 1, 16))
    return replace(
        bucket, rests=rests, resting_until=max(bucket.resting_until, now + pause), level=min(bucket.level, 1.0)
    )


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
