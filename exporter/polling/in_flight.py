"""Polls in flight, and the scrapes that wait for them. The caller holds the collector's lock."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from exporter.polling.polls import Poll
from exporter.polling.workers import Job


class Waiter:
    """The polls that one scrape waits for."""

    def __init__(self, polls: Iterable[Poll]) -> None:
        self.left = set(polls)
        self.empty = not self.left
        """Whether there was nothing to wait for."""
        self.done: Future[None] = Future()
        """Ends when all of them have; it never fails, and it cannot be cancelled."""
        self.done.set_running_or_notify_cancel()
        if not self.left:
            self.done.set_result(None)

    def ended(self, polls: Iterable[Poll]) -> None:
        """Wait no longer for these: they are no longer in flight."""
        self.left.difference_update(polls)
        if not self.left and not self.done.done():
            self.done.set_result(None)


class InFlight:
    """The polls in flight, each at most once."""

    def __init__(self) -> None:
        self._jobs: dict[Poll, Job] = {}
        self._waiters: list[Waiter] = []
        self._late: set[Poll] = set()
        """A scrape waited for these in vain: no other scrape waits for them again."""

    def __contains__(self, poll: Poll) -> bool:
        """Whether the poll is in flight."""
        return poll in self._jobs

    def __bool__(self) -> bool:
        """Whether any poll is in flight."""
        return bool(self._jobs)

    def begin(self, poll: Poll, job: Job) -> None:
        """Note that the job is in flight for the poll from now on."""
        self._jobs[poll] = job

    def wait(self, covers: Callable[[Poll], bool]) -> Waiter:
        """A waiter for the polls that a scrape is interested in, except those that are late."""
        waiter = Waiter(poll for poll in self._jobs if poll not in self._late and covers(poll))
        if waiter.left:
            self._waiters.append(waiter)
        return waiter

    def abandon(self, waiter: Waiter) -> None:
        """Stop waiting: what is left of it is late."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._late |= waiter.left

    def end(self, poll: Poll, job: Job) -> bool:
        """Note that the job has ended; whether it was still the one in flight for the poll."""
        if self._jobs.get(poll) is not job:
            return False
        self._end([poll])
        return True

    def clear(self) -> None:
        """Drop all jobs in flight."""
        self._end(list(self._jobs))

    def _end(self, polls: list[Poll]) -> None:
        for poll in polls:
            del self._jobs[poll]
        self._late.difference_update(polls)
        for waiter in self._waiters:
            waiter.ended(polls)
        self._waiters = [waiter for waiter in self._waiters if waiter.left]
