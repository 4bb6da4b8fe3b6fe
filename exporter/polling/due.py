"""When each candidate is due: a heap of due times, which is made anew only when the price is.

Mutable, and without effects beyond itself; the caller holds the collector's lock. Times are seconds since the epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

from exporter.polling.polls import Discover, Poll, PollTarget
from exporter.polling.pricing import Demand, Price, followed, longest_pause, pause, stretched
from exporter.polling.rate_limit import TokenBucket, available, capacity, lasting
from exporter.polling.schedule import TOLERANCE, Candidate, Ready

OFTENEST, SELDOMEST = 15.0, 60.0
"""Seconds from one price to the next: the fewer candidates there are, the sooner."""
A_CANDIDATE = 0.006
"""Seconds more for each candidate."""
BEGINS = 0.1
"""The share of candidates that were asked for the first time, from which the price is made at once, and anew."""
DELAYED = 4.0
"""Candidates that only confirm what is known are asked up to a fourth sooner, each by a share of its own."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A candidate in the queue."""

    candidate: Candidate
    share: float
    """A number from 0 to 1, drawn once: it spreads what began at the same time."""
    spread: bool = False
    """It was asked once: the second time comes at a moment of its own."""
    due_at: float = inf


class DueQueue:
    """The candidates of one budget, each with the moment at which it is due."""

    def __init__(self, now: float, chance: Callable[[], float]) -> None:
        self.price = Price()
        self._chance = chance
        self._since = now
        self._priced_at = -inf
        self._new = 0
        """How many were asked for the first time since the price was made."""
        self._entries: dict[Poll, _Entry] = {}
        self._heap: list[tuple[float, int, _Entry]] = []
        """Those that wait, and items that no longer hold: their entry has another due time by now."""
        self._ready: dict[_Entry, None] = {}
        self._number = count()

    def put(self, candidate: Candidate, now: float) -> None:
        """Take in a candidate that is new, or that has changed."""
        entry = self._entries.get(candidate.poll)
        if entry is not None and entry.candidate == candidate:
            return
        if entry is None:
            entry = self._entries[candidate.poll] = _Entry(candidate, self._chance())
            self._first_asked(entry, candidate, never=True)
        elif entry.candidate.asked_at != candidate.asked_at:
            self._first_asked(entry, candidate, never=entry.candidate.first)
        entry.candidate = candidate
        self._ready.pop(entry, None)
        entry.due_at = _due_at(entry, 0.0 if candidate.first else pause(candidate, self.price, now))
        heappush(self._heap, (entry.due_at, next(self._number), entry))

    def _first_asked(self, entry: _Entry, candidate: Candidate, *, never: bool) -> None:
        is_new = never and not candidate.first
        self._new += is_new
        entry.spread = is_new and candidate.asked_at >= self._since

    def drop(self, poll: Poll) -> None:
        """Forget a candidate."""
        entry = self._entries.pop(poll, None)
        if entry is not None:
            entry.due_at = inf
            self._ready.pop(entry, None)

    @property
    def _begins(self) -> bool:
        return self._new > BEGINS * len(self._entries)

    def needs_price(self, now: float) -> bool:
        """Whether the price should be made anew."""
        age = now - self._priced_at
        usual = min(SELDOMEST, OFTENEST + A_CANDIDATE * len(self._entries))
        return age >= usual - TOLERANCE or age < 0 or self._begins

    def reprice(self, bucket: TokenBucket, now: float) -> None:
        """Make the price anew, and all due times with it."""
        entries = [entry for entry in self._entries.values() if not entry.candidate.first]
        asked = [entry.candidate for entry in entries]
        price = stretched(asked, lasting(bucket, now))
        demand = Demand(asked, price, now)
        solved = replace(price, worth=demand.worth(available(bucket, now)))
        elapsed = inf if self._begins or now < self._priced_at else now - self._priced_at
        self.price = followed(self.price, solved, elapsed, max(0.0, bucket.level) / capacity(bucket, now))
        self._priced_at, self._new = now, 0
        for wait, places in demand.pauses(self.price.worth):
            for place in places:
                entries[place].due_at = _due_at(entries[place], wait)
        self._ready.clear()
        self._heap = [(entry.due_at, place, entry) for place, entry in enumerate(self._entries.values())]
        self._number = count(len(self._heap))
        heapify(self._heap)

    def ready(self, now: float) -> list[Ready]:
        """Those that are due now, in no order. They stay due until they are taken in anew."""
        heap = self._heap
        while heap and heap[0][0] <= now + TOLERANCE:
            at, _number, entry = heappop(heap)
            if entry.due_at == at:
                self._ready[entry] = None
        return [self._ready_now(entry, now) for entry in self._ready]

    def _ready_now(self, entry: _Entry, now: float) -> Ready:
        candidate = entry.candidate
        if candidate.first:
            return Ready(candidate, 1.0)
        since = now + TOLERANCE - candidate.asked_at
        late = since / max(TOLERANCE, entry.due_at - candidate.asked_at)
        promised = candidate.steady and self.price.stretch <= 1
        return Ready(candidate, late, promised and since >= longest_pause(candidate, self.price))


def _due_at(entry: _Entry, wait: float) -> float:
    """When a candidate is due that is worth a request so many seconds after it was asked."""
    candidate = entry.candidate
    if candidate.first:
        return candidate.not_before
    if not candidate.steady and isinstance(candidate.poll, PollTarget):
        wait -= wait / DELAYED * entry.share
    if (
        entry.spread
        and not isinstance(candidate.poll, Discover)
        and not any(known.unfinished for known in candidate.pulses)
    ):
        soonest = min(wait, candidate.shortest)
        wait -= (wait - soonest) * entry.share
    at = candidate.asked_at + wait
    if candidate.forced_at is not None:
        at = min(at, candidate.forced_at)
    return max(at, candidate.not_before)
