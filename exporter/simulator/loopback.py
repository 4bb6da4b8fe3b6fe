"""A source's connection to a simulator in the same process, for tests and benchmarks.

It opens no socket, its clock is set by hand, and a ledger counts the requests.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from exporter.errors import SourceError
from exporter.http.fetch import RequestStats
from exporter.http.http_errors import RequestContext, error_for_status
from exporter.http.wire import Answer, Request
from exporter.settings.settings import Source
from exporter.simulator import SIMULATOR_TOKEN, Simulator
from exporter.simulator.message import Answer as Told
from exporter.simulator.message import Request as Question

MINUTE, HOUR = 60.0, 3600.0


class Clock:
    """A clock that stands still until `now` is set; seconds since the epoch."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time it was set to."""
        return self.now


class Ledger:
    """Counts requests from `begin` on. Before that it keeps only the time of the last request of each path."""

    def __init__(self) -> None:
        self.since = float("inf")
        self.until = float("inf")
        self.last: dict[str, float] = {}
        """The time of the last answered request for a list of builds, by path."""
        self._empty()

    def _empty(self) -> None:
        self.hours: Counter[int] = Counter()
        self.minutes: Counter[int] = Counter()
        self.codes: Counter[int] = Counter()
        self.operations: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        """Answered requests for lists of builds, by path."""
        self.bytes = 0
        """Of the bodies of lists of builds, before compression."""
        self.longest_gap = 0.0
        """Seconds between two answered requests for the same list of builds."""

    def begin(self, now: float, until: float) -> None:
        """Count the requests between `now` and `until`."""
        self._empty()
        self.since, self.until = now, until

    def note(self, request: Request, status: int, size: int, now: float) -> None:
        """Count one request with its status and the size of its body in bytes."""
        counted = self.since <= now < self.until
        if request.operation == "builds" and status < 300:  # noqa: PLR2004  # the class of statuses
            if counted:
                self.longest_gap = max(self.longest_gap, now - self.last.get(request.path, now))
                self.bytes += size
                self.reads[request.path] += 1
            self.last[request.path] = now
        if counted:
            self.hours[int((now - self.since) // HOUR)] += 1
            self.minutes[int((now - self.since) // MINUTE)] += 1
            self.codes[status] += 1
            self.operations[request.operation] += 1

    @property
    def total(self) -> int:
        """The requests that were counted."""
        return self.codes.total()


Before = Callable[[Request, float], None]
"""Called before each request with the request and the time, for example to add a fault to the simulator."""


class Loopback:
    """One source's connection. It raises the errors that a connection over HTTP would raise."""

    def __init__(  # noqa: PLR0913  # the two ends, and their observers
        self,
        simulator: Simulator,
        clock: Clock,
        ledger: Ledger,
        *,
        source: str,
        observe: Callable[[RequestStats], None],
        before: Iterable[Before] = (),
    ) -> None:
        self._simulator, self._clock, self._ledger = simulator, clock, ledger
        self._source, self._observe, self._before = source, observe, tuple(before)

    def __call__(self, request: Request, *, tag: str = "") -> Answer:
        """The answer if its status is 2xx or 304; any other status is raised as a `SourceError`."""
        now = self._clock()
        for call in self._before:
            call(request, now)
        told = self._simulator.answer(_question(request, tag))
        self._ledger.note(request, told.status, len(told.body), now)
        self._observe(RequestStats(request.operation, str(told.status), 0.0, told.headers, now))
        if not 200 <= told.status < 300 and told.status != 304:  # noqa: PLR2004  # the class of statuses
            raise self._refusal(request, told, now)
        return Answer(told.status, told.body, told.headers, now)

    def _refusal(self, request: Request, told: Told, now: float) -> SourceError:
        asked = RequestContext(self._source, "http://simulator", request.path, timeout=10.0, connect_timeout=10.0)
        return error_for_status(told.status, told.headers, told.body, asked, now=now)

    def close(self) -> None:
        """Nothing is open."""


def connecting(
    simulator: Simulator, clock: Clock, ledger: Ledger, before: Iterable[Before] = ()
) -> Callable[[Source, Callable[[RequestStats], None], float, Callable[[], float]], Loopback]:
    """A function that connects a collector's source to the simulator."""

    def connect(
        source: Source, observe: Callable[[RequestStats], None], _timeout: float, _clock: Callable[[], float]
    ) -> Loopback:
        return Loopback(simulator, clock, ledger, source=source.name, observe=observe, before=before)

    return connect


def _question(request: Request, tag: str = "") -> Question:
    query: dict[str, list[str]] = {}
    for name, value in request.params:
        query.setdefault(name, []).append(value)
    headers = {"authorization": f"Bearer {SIMULATOR_TOKEN}"} | ({"if-none-match": tag} if tag else {})
    if request.query is not None:
        return Question("POST", request.path, query, headers, request.query)
    return Question("GET", request.path, query, headers)
