"""Threads that read: a few daemons, so that a provider that never answers holds up nothing else."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from queue import SimpleQueue

import structlog

from exporter.errors import SourceError
from exporter.wire import Answer, Reading, Request, T

log = structlog.get_logger()


READ_LIMIT = 90.0
"""Seconds after which a read is given up, whatever it waits for."""


class Flight(Future[None]):
    """One read under way; it ends without a result, and holds an error if it was abandoned or its job raised one."""

    def __init__(self, job: Callable[["Flight"], None]) -> None:
        super().__init__()
        self.job = job
        self.requests = 0
        """How many it has made."""
        self.late = False
        """A scrape has waited for it in vain: no other scrape waits for it again."""


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
        self._queue: SimpleQueue[Flight | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._running: dict[Flight, float] = {}
        """And when each was begun."""
        self._threads = 0
        self._free = 0
        """Threads without a flight, less the flights without a thread."""

    def submit(self, job: Callable[[Flight], None]) -> Flight:
        """Start the job as soon as a thread is free."""
        flight = Flight(job)
        with self._lock:
            self._free -= 1
            if self._free < 0 and self._threads < self._size:
                self._start_thread()
            self._queue.put(flight)
        return flight

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
            flight.set_exception(Abandoned(f"no answer within {self._limit:g} s"))

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
        while (flight := self._queue.get()) is not None:
            with self._lock:
                self._running[flight] = self._clock()
            error = _error_of(flight)
            with self._lock:
                if self._running.pop(flight, None) is None:
                    return  # abandoned, and this thread with it
                self._free += 1
            _end(flight, error)
        with self._lock:
            self._threads -= 1
            self._free -= 1


def _error_of(flight: Flight) -> BaseException | None:
    """Do the flight's job; what it raises is its own affair, and the thread goes on."""
    try:
        flight.job(flight)
    except BaseException as error:  # a thread that ended by it would be missed for ever
        log.exception("a read broke")
        return error
    return None


def _end(flight: Flight, error: BaseException | None) -> None:
    if error is None:
        flight.set_result(None)
    else:
        flight.set_exception(error)


class Inline:
    """Readers that read one after the other, in the caller's thread: for a clock that is simulated."""

    def __init__(self) -> None:
        self._waiting: deque[Flight] = deque()

    def submit(self, job: Callable[[Flight], None]) -> Flight:
        """Put the job in the queue."""
        flight = Flight(job)
        self._waiting.append(flight)
        return flight

    def drain(self) -> None:
        """Do the jobs in the queue, and those that they put there."""
        while self._waiting:
            flight = self._waiting.popleft()
            _end(flight, _error_of(flight))

    def reap(self) -> None:
        """Nothing is ever stuck."""

    def close(self) -> None:
        """Nothing is open."""


class Round:
    """The reads that one scrape waits for."""

    def __init__(self, flights: Iterable[Flight]) -> None:
        self._flights = [flight for flight in flights if not flight.late]
        self._left = len(self._flights)
        self._lock = threading.Lock()
        self.done: Future[None] = Future()
        """Ends when all of them have; never fails, and nobody who waits for it can cancel it."""
        self.done.set_running_or_notify_cancel()
        if not self._left:
            self.done.set_result(None)
        for flight in self._flights:
            flight.add_done_callback(self._one_ended)

    def _one_ended(self, _flight: Future[None]) -> None:
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self.done.set_result(None)

    def give_up(self) -> None:
        """Mark what has not ended as late."""
        for flight in self._flights:
            flight.late = not flight.done()


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
        if flight.done():
            raise Abandoned  # nobody waits for the rest of it
        flight.requests += 1
        try:
            answer, error = fetch(request), None
        except SourceError as raised:
            answer, error = None, raised
