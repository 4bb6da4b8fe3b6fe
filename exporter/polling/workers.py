"""Threads that read: a few daemons, so that a provider that never answers holds up nothing else."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import Protocol

import structlog

from exporter.errors import SourceError
from exporter.http.wire import Answer, Reading, Request, T

log = structlog.get_logger()


READ_LIMIT = 90.0
"""Seconds after which a read is given up, whatever it waits for."""


class Flight:
    """One read under way; it ends without a result, and holds an error if it was abandoned or raised one."""

    def __init__(self) -> None:
        self.requests = 0
        """How many it has made."""
        self.ended = False
        self.error: BaseException | None = None

    def take_off(self) -> "Flight":
        """The flight that a thread takes: itself, for it is one alone."""
        return self

    def fly(self) -> None:
        """Read: in a thread of the readers, outside of any lock."""

    def landed(self) -> None:
        """Take in that it has ended."""

    def end(self, error: BaseException | None = None) -> None:
        """It has ended: to be said once."""
        self.ended, self.error = True, error
        _error_of(self.landed)


class Departure(Protocol):
    """What may be put in the queue, once for each flight."""

    def take_off(self) -> Flight:
        """The flight whose turn it is."""


class Abandoned(Exception):
    """A read that took longer than any read may; what it may still bring is thrown away."""


class Turnstile:
    """A lock behind which only one of the readers waits at a time.

    A lock is not fair: a scrape that waits for it beside sixteen readers has to wait for most of them. Behind this it
    waits for one.
    """

    def __init__(self, lock: AbstractContextManager[object]) -> None:
        self._lock = lock
        self._turn = threading.RLock()

    def __enter__(self) -> None:
        self._turn.acquire()
        self._lock.__enter__()

    def __exit__(self, *raised: object) -> None:
        self._lock.__exit__(None, None, None)
        self._turn.release()


class Readers:
    """At most `size` reads at a time; one that takes more than `limit` seconds is abandoned, its thread replaced."""

    def __init__(self, size: int, limit: float = READ_LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._limit = limit
        self._clock = clock
        self._queue: SimpleQueue[Departure | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._running: dict[Flight, float] = {}
        """And when each was begun."""
        self._threads = 0
        self._free = 0
        """Threads without a flight, less the flights without a thread."""

    def submit(self, departure: Departure) -> None:
        """Let the next flight of that start as soon as a thread is free."""
        with self._lock:
            self._free -= 1
            if self._free < 0 and self._threads < self._size:
                self._start_thread()
            self._queue.put(departure)

    def drain(self) -> None:
        """The threads do what is in the queue."""

    def reap(self) -> None:
        """Abandon what is stuck: the flight ends with `Abandoned`, and another thread takes the stuck one's place."""
        now = self._clock()
        with self._lock:
            stuck = [flight for flight, started_at in self._running.items() if now - started_at > self._limit]
            for flight in stuck:
                del self._running[flight]
                self._threads -= 1
                if self._free < 0:
                    self._start_thread()
        for flight in stuck:
            flight.end(Abandoned(f"no answer within {self._limit:g} s"))

    def close(self) -> None:
        """Let the threads end once they are idle."""
        with self._lock:
            for _ in range(self._threads):
                self._queue.put(None)

    def _start_thread(self) -> None:
        self._threads += 1
        self._free += 1
        threading.Thread(target=self._work, name="reader", daemon=True).start()

    def _work(self) -> None:
        while (departure := self._queue.get()) is not None:
            flight = departure.take_off()
            with self._lock:
                self._running[flight] = self._clock()
            error = _error_of(flight.fly)
            with self._lock:
                if self._running.pop(flight, None) is None:
                    return  # abandoned, and this thread with it
                self._free += 1
            flight.end(error)
        with self._lock:
            self._threads -= 1
            self._free -= 1


def _error_of(act: Callable[[], None]) -> BaseException | None:
    """Do that; what it raises is its own affair, and the thread goes on."""
    try:
        act()
    except BaseException as error:  # a thread that ended by it would be missed for ever
        log.exception("a read broke")
        return error
    return None


class Inline:
    """Readers that read one after the other, in the caller's thread: for a clock that is simulated."""

    def __init__(self) -> None:
        self._waiting: deque[Departure] = deque()

    def submit(self, departure: Departure) -> None:
        """Put the next flight of that in the queue."""
        self._waiting.append(departure)

    def drain(self) -> None:
        """Start the flights in the queue, and those that they put there."""
        while self._waiting:
            flight = self._waiting.popleft().take_off()
            flight.end(_error_of(flight.fly))

    def reap(self) -> None:
        """Nothing is ever stuck."""

    def close(self) -> None:
        """Nothing is open."""


def drive(
    reading: Reading[T], fetch: Callable[[Request], Answer], lock: AbstractContextManager[object], flight: Flight
) -> T:
    """What the reading gives in the end: what it asks for is fetched outside the lock, all else is done inside."""
    answer, error = None, None
    while True:
        with lock:
            try:
                request = reading.throw(error) if error else reading.send(answer)  # type: ignore[arg-type]  # starts
            except StopIteration as end:
                result: T = end.value
                return result
        if flight.ended:
            raise Abandoned  # nobody waits for the rest of it
        flight.requests += 1
        try:
            answer, error = fetch(request), None
        except SourceError as raised:
            answer, error = None, raised
