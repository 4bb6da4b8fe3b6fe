"""What a provider's answers say of its rate limit. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a provider last said of its rate limit; None where it did not."""

    limit: float | None = None
    """Requests a period."""
    remaining: float | None = None
    reset_at: float | None = None
    """When the period ends, seconds since the epoch."""


_EPOCH = 1e8
"""A reset above this is a time; below it, the seconds that are left (Northflank)."""


def allowance_of(headers: Mapping[str, str], now: float) -> Allowance | None:
    """What an answer's headers (names in lower case) say; None where they say nothing.

    `x-ratelimit-reset` is in seconds from now (Northflank), `ratelimit-reset` in seconds since the epoch (GitLab).
    """
    for prefix in ("x-ratelimit-", "ratelimit-"):
        limit, remaining, reset = (_number(headers.get(prefix + word)) for word in ("limit", "remaining", "reset"))
        if limit is not None or remaining is not None:
            reset_at = reset if reset is None or reset > _EPOCH else now + reset
            return Allowance(limit, remaining, reset_at)
    return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
