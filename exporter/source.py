"""What the collector holds of a source and of a target."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from cachetools import LRUCache

from exporter.allowance import Allowance
from exporter.build import Target
from exporter.cadence import Asked
from exporter.fetch import Fetch, Observation
from exporter.meters import SourceStatus
from exporter.providers import PROVIDERS, Provider, Rejected
from exporter.readers import Inline, Readers
from exporter.settings import Refresh, Settings, Source
from exporter.window import History, Rules
from exporter.wire import Answer, Request

HOUR = 3600.0


class Connection(Protocol):
    """What answers a source's requests, or raises a `SourceError`."""

    def __call__(self, request: Request, /) -> Answer:
        """Answer one request."""

    def close(self) -> None:
        """Let go of what is open."""


Connect = Callable[[Source, Callable[[Observation], None], float, Callable[[], float]], Connection]
"""Makes a source's connection from its settings, what each request is told to, a request's seconds, and the clock."""


@dataclass(frozen=True, slots=True)
class Report:
    """How the reading of a source goes, for a person."""

    status: SourceStatus
    errors: tuple[str, ...]
    """What went wrong last, a line each."""
    requests_an_hour: float
    """As its targets stand now."""


@dataclass(slots=True)
class Subject:
    """One target: what is remembered of it, and how its reading goes."""

    target: Target
    history: History = field(default_factory=History)
    asked: Asked = field(default_factory=Asked)
    up: bool | None = None
    """Whether the last read succeeded; None: not tried yet."""
    error: str = ""
    """What the last read failed of, in one line."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed reads by reason."""
    refreshed_at: float | None = None
    """When it was last known to be current."""
    absences: int = 0
    """Complete lists without it, in a row."""


@dataclass(slots=True)
class Origin:
    """One configured source, and what became of reading it."""

    settings: Source
    provider: Provider
    fetch: Connection
    readers: Readers | Inline
    """Its own, so that a source that hangs takes no thread from another."""
    subjects: dict[Target, Subject] = field(default_factory=dict)
    discovery: Asked = field(default_factory=Asked)
    discovered: bool | None = None
    """Whether the last discovery succeeded; None: it was not tried, or it asked nothing."""
    errors: tuple[str, ...] = ()
    """What the last discovery failed of, and what it found wrong, a line each."""
    discovery_cost: int = 0
    """Requests that the last discovery made."""
    tried: bool = False
    """Whether a discovery has ended, well or not."""
    read: Counter[bool] = field(default_factory=Counter)
    """How the reads of the last round went, so far."""
    read_before: Counter[bool] = field(default_factory=Counter)
    """How those of the round before went: it stands until one of the last has ended."""
    requests: int = 0
    """How many were made."""
    resting_until: float = 0.0
    rests: int = 0
    """In a row."""
    allowance: Allowance = field(default_factory=Allowance)
    met: LRUCache[tuple[Target, Rejected], bool] = field(default_factory=lambda: LRUCache(10_000))
    """Rejected records that were counted: they stand on the page at the next read too."""

    @property
    def name(self) -> str:
        """The label `source`."""
        return self.settings.name

    @property
    def up(self) -> bool | None:
        """Whether the last discovery or any read of the last round succeeded; None: nothing was tried."""
        reads = self.read or self.read_before
        if self.discovered is None and not reads:
            return None
        return bool(self.discovered) or reads[True] > 0

    def close(self) -> None:
        """Let go of threads and connections."""
        self.readers.close()
        self.fetch.close()

    def begin_round(self) -> None:
        """Count the reads that begin now apart from those before."""
        if self.read:
            self.read_before, self.read = self.read, Counter()

    def status(self, now: float) -> SourceStatus:
        """How it stands, for the metrics."""
        targets = Counter(dict.fromkeys(self.provider.kinds, 0))
        targets.update(target.kind for target in self.subjects)
        return SourceStatus(self.name, self.up, now < self.resting_until, targets, self.allowance)

    def report(self, now: float, refresh: Refresh) -> Report:
        """How it stands, for a person."""
        failed = (f"{subject.target.address}: {subject.error}" for subject in self.subjects.values() if subject.error)
        pauses = [refresh.ttl if subject.history.unfinished else refresh.idle_ttl for subject in self.subjects.values()]
        hourly = sum(HOUR / pause for pause in pauses) + self.discovery_cost * HOUR / refresh.discovery
        return Report(self.status(now), (*self.errors, *failed), hourly)


def connect(
    source: Source, observe: Callable[[Observation], None], timeout: float, clock: Callable[[], float]
) -> Connection:
    """The connection to a source over HTTP; each request takes at most `timeout` seconds and is told to `observe`."""
    provider = PROVIDERS[source.provider](source)
    return Fetch(
        source=source.name,
        url=source.url,
        headers=lambda: provider.headers(source.token.read()),
        observe=observe,
        timeout=timeout,
        ca_file=source.tls.ca_file,
        insecure_skip_verify=source.tls.insecure_skip_verify,
        clock=clock,
    )


def origin_of(source: Source, fetch: Connection, readers: Readers | Inline) -> Origin:
    """A source as configured, before anything of it is known."""
    return Origin(source, PROVIDERS[source.provider](source), fetch, readers)


def rules_of(settings: Settings) -> Rules:
    """What the configuration says of windows."""
    return Rules(
        builds=settings.window.builds,
        age=settings.window.age,
        branches=settings.metrics.branches,
        labels=settings.metrics.labels,
        histograms=settings.metrics.histograms,
        buckets=settings.metrics.latency_buckets,
    )
