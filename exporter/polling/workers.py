"""Threads that read: a few daemons, so that a provider that never answers delays nothing else."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

import structlog

from exporter.errors import SourceError
from exporter.http.wire import Answer, Reading, Request, T

log = structlog.get_logger()


READ_LIMIT = 90.0
"""Seconds after which a job is abandoned, whatever it waits for."""


class Job(Protocol):
    """One piece of reading: it runs once in a worker, and ends once, with an error or without."""

    requests: int
    """How many it has made."""
    ended: bool

    def run(self) -> None:
        """Do it, outside any lock."""

    def end(self, error: BaseException | None = None) -> None:
        """Take note that it is done, or was abandoned. Called once."""


class Counted(Protocol):
    """What counts the requests of a reading, and says when nobody waits for it any more."""

    requests: int
    ended: bool


@dataclass(slots=True)
class Alone:
    """A reading outside of any pool: nothing abandons it."""

    requests: int = 0
    ended: bool = False


class Abandoned(Exception):
    """The job took longer than any may; what it still brings is thrown away."""


class FairLock:
    """A lock for which only one of the workers waits at a time.

    A plain lock is not fair: a scrape that waits for it beside sixteen workers has to wait for most of them. Here it
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


class WorkerPool:
    """At most `size` jobs at a time; one that takes more than `limit` seconds is abandoned and its thread replaced."""

    def __init__(self, size: int, limit: float = READ_LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._limit = limit
        self._clock = clock
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._running: dict[Job, float] = {}
        """And when each began."""
        self._threads = 0
        self._free = 0
        """Threads without a job, less the jobs without a thread."""

    def submit(self, job: Job) -> None:
        """Let the job start as soon as a thread is free."""
        with self._lock:
            self._free -= 1
            if self._free < 0 and self._threads < self._size:
                self._start_thread()
            self._queue.put(job)

    def reap(self) -> None:
        """Abandon what is stuck: the job ends with `Abandoned`, and another thread takes the place of the stuck one."""
        now = self._clock()
        with self._lock:
            stuck = [job for job, started_at in self._running.items() if now - started_at > self._limit]
            for job in stuck:
                del self._running[job]
                self._threads -= 1
                if self._free < 0:
                    self._start_thread()
        for job in stuck:
            job.end(Abandoned(f"no answer within {self._limit:g} s"))

    def close(self) -> None:
        """Let the threads end once they are idle."""
        with self._lock:
            for _ in range(self._threads):
                self._queue.put(None)

    def _start_thread(self) -> None:
        self._threads += 1
        self._free += 1
        threading.Thread(target=self._work, name="worker", daemon=True).start()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                self._running[job] = self._clock()
            error = _error_of(job.run)
            with self._lock:
                if self._running.pop(job, None) is None:
                    return  # abandoned, and this thread with it
                self._free += 1
            _end(job, error)
        with self._lock:
            self._threads -= 1
            self._free -= 1


class InlinePool:
    """Jobs run one after the other in the caller's thread: for a clock that is simulated."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._busy = False

    def submit(self, job: Job) -> None:
        """Run the job, and those that it submits, unless one is running: then it comes after that."""
        self._waiting.append(job)
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting:
                next_job = self._waiting.popleft()
                _end(next_job, _error_of(next_job.run))
        finally:
            self._busy = False

    def reap(self) -> None:
        """Nothing is ever stuck."""

    def close(self) -> None:
        """Nothing is open."""


def _error_of(act: Callable[[], None]) -> BaseException | None:
    """Do that and return what it raises, so that the thread goes on."""
    try:
        act()
    except BaseException as error:  # a thread that ended here would be missing for good
        log.exception("a job broke")
        return error
    return None


def _end(job: Job, error: BaseException | None) -> None:
    _error_of(lambda: job.end(error))


def drive(
    reading: Reading[T], fetch: Callable[[Request], Answer], turn: AbstractContextManager[object], job: Counted
) -> T:
    """The result of a reading: what it asks for is fetched outside of `turn`, all else is done inside it.

    `turn` is a lock that workers share and nobody else takes: one of them parses at a time, since threads that compute
    side by side only make a scrape wait.
    """
    answer, error = None, None
    while True:
        with turn:
            try:
                request = reading.throw(error) if error else reading.send(answer)  # type: ignore[arg-type]  # starts
            except StopIteration as end:
                result: T = end.value
                return result
        if job.ended:
            raise Abandoned  # nobody waits for the rest of it
        job.requests += 1
        try:
            answer, error = fetch(request), None
        except SourceError as raised:
            answer, error = None, raised
