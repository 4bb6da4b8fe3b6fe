"""When a question is asked again. Pure: clock and chance are passed in; times are float seconds since the epoch."""

from dataclasses import dataclass
from math import inf

LONGEST_PAUSE = 600.0
"""Seconds between two tries of a question that fails."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question stands: one never asked is due at once."""

    due_at: float = -inf
    failures: int = 0
    """In a row."""


def answered(asked_at: float, pause: float) -> Asked:
    """A question that was answered is asked again after the pause, in seconds."""
    return Asked(asked_at + pause)


def failed(before: Asked, now: float, ttl: float, chance: float) -> Asked:
    """A question that failed is asked later each time: the pause doubles from `ttl`, less a chance (0 to 1) of it."""
    failures = before.failures + 1
    pause = min(LONGEST_PAUSE, ttl * 2.0 ** min(failures - 1, 16))
    return Asked(now + pause * (1 - chance / 4), failures)
