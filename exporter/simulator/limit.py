"""How many requests a provider allows, and how many of them are left."""

import threading
from typing import NamedTuple


class Limit(NamedTuple):
    """So many requests in a window of so many seconds, counted from its first request."""

    requests: int
    seconds: float


class Allowance:
    """What is left of a limit. Safe to use from several threads."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._used = 0

    def spend(self, now: float) -> tuple[bool, int, float]:
        """Counts one request: whether it is allowed, how many are left, and in how many seconds the window is over."""
        with self._lock:
            if now >= self._began + self.limit.seconds or now < self._began:
                self._began, self._used = now, 0
            self._used += 1
            left = self.limit.requests - self._used
            return left >= 0, max(0, left), self._began + self.limit.seconds - now
