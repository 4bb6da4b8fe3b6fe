"""Questions under way to their providers, and who waits for them."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Protocol

from exporter.build import Target
from exporter.polling.schedule import Key
from exporter.polling.state import Origin
from exporter.polling.workers import Flight


class Errand(Flight):
    """The flight that asks one question."""

    def __init__(self, batch: "Batch", key: Key) -> None:
        super().__init__()
        self.batch = batch
        self.key = key

    def fly(self) -> None:
        """Ask it."""
        self.batch.asker.ask(self)

    def landed(self) -> None:
        """It was asked, or given up."""
        self.batch.asker.landed(self)


class Asker(Protocol):
    """Who asks, and keeps what comes of it."""

    def ask(self, errand: Errand) -> None:
        """Ask the question, and take the answer in."""

    def landed(self, errand: Errand) -> None:
        """It is under way no more; `Flight.error` says whether it was given up."""


class Batch:
    """Questions that are put in the queue of a source together.

    There can be thousands: while they wait, each is but its key.
    """

    def __init__(self, asker: Asker, origin: Origin, *, free: bool, only: Target | None) -> None:
        self.asker = asker
        self.origin = origin
        self.free = free
        """First reads that are paid from what the server says is left, not from the bucket."""
        self.only = only
        """What discovery finds is read at once, but only this target where there is one."""
        self._keys: deque[Key] = deque()

    def add(self, key: Key) -> None:
        """One more, to be put in the queue once more."""
        self._keys.append(key)

    def take_off(self) -> Errand:
        """The next of them."""
        return Errand(self, self._keys.popleft())


class Round:
    """The questions that one scrape waits for."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.left = set(keys)
        self.done: Future[None] = Future()
        """Ends when all of them have; never fails, and nobody who waits for it can cancel it."""
        self.done.set_running_or_notify_cancel()
        if not self.left:
            self.done.set_result(None)

    def landed(self, keys: Iterable[Key]) -> None:
        """These are under way no more."""
        self.left.difference_update(keys)
        if not self.left and not self.done.done():
            self.done.set_result(None)


class UnderWay:
    """All that is under way, at most once each. The caller holds the collector's lock."""

    def __init__(self) -> None:
        self._batches: dict[Key, Batch] = {}
        self._rounds: list[Round] = []
        self._late: set[Key] = set()
        """For these a scrape has waited in vain: no other scrape waits for them again."""

    def __contains__(self, key: Key) -> bool:
        """Whether the question is."""
        return key in self._batches

    def __bool__(self) -> bool:
        """Whether anything is."""
        return bool(self._batches)

    def begin(self, key: Key, batch: Batch) -> None:
        """The question is from now on."""
        batch.add(key)
        self._batches[key] = batch

    def round(self, concerns: Callable[[Key], bool]) -> Round:
        """To wait for those that concern somebody, but for what is late."""
        made = Round(key for key in self._batches if key not in self._late and concerns(key))
        if made.left:
            self._rounds.append(made)
        return made

    def give_up(self, of: Round) -> None:
        """Wait no longer for what is left of that."""
        if of in self._rounds:
            self._rounds.remove(of)
            self._late |= of.left

    def landed(self, errand: Errand) -> bool:
        """The question is no more; whether anybody still cared."""
        if self._batches.get(errand.key) is not errand.batch:
            return False
        self._end([errand.key])
        return True

    def clear(self) -> None:
        """Nobody cares any more for what is."""
        self._end(list(self._batches))

    def _end(self, keys: list[Key]) -> None:
        for key in keys:
            del self._batches[key]
        self._late.difference_update(keys)
        for one in self._rounds:
            one.landed(keys)
        self._rounds = [one for one in self._rounds if one.left]
