"""What the collector holds of a source and of a target."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Protocol
from urllib.parse import urlsplit

from cachetools import LRUCache

from exporter.build import Build, Target
from exporter.config.secret import same_secret
from exporter.config.values import Spend
from exporter.errors import Unauthorized
from exporter.exposition.self_metrics import SourceStatus
from exporter.history.window import History, Rules
from exporter.http.conditional import EtagCache
from exporter.http.fetch import Fetch, RequestStats
from exporter.http.wire import Answer, Request
from exporter.polling.list_status import covers
from exporter.polling.rate_limit import Budget
from exporter.polling.schedule import Pulse
from exporter.polling.workers import Inline, Readers
from exporter.providers import Look, Provider, Rejected, provider_of
from exporter.settings.settings import Settings, Source
from exporter.store.codec import NOTHING, Packed

DEFAULT_SPEND = Spend(share=0.4)


class Connection(Protocol):
    """What answers a source's requests, or raises a `SourceError`."""

    def __call__(self, request: Request, /) -> Answer:
        """Answer one request."""

    def close(self) -> None:
        """Let go of what is open."""


Connect = Callable[[Source, Callable[[RequestStats], None], float, Callable[[], float]], Connection]
"""Makes a source's connection from its settings, what each request is told to, a request's seconds, and the clock."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How the asking of a question goes. Times are seconds since the epoch."""

    at: float = -inf
    """When what was last answered was asked; never: it comes before all others."""
    failures: int = 0
    """In a row."""
    not_before: float = -inf
    """It failed: not before then."""

    @property
    def first(self) -> bool:
        """Whether it was never answered."""
        return self.at == -inf


@dataclass(slots=True)
class Subject:
    """One target: what is remembered of it, and how its reading goes."""

    target: Target
    packed: Packed = NOTHING
    """What is remembered of its builds, at rest."""
    pulse: Pulse = field(default_factory=Pulse)
    asked: Asked = field(default_factory=Asked)
    look: Look | None = None
    """What the list told before the last read; None: no list tells of it."""
    wanted_at: float | None = None
    """When it must be read whatever its hazard."""
    repeats: int = 0
    """Reads in a row that did not show what the look had told."""
    due_at: float = -inf
    """When a look or a delivery last made `wanted_at` so; a read that began before does not do."""
    announced: bool | None = None
    """Whether a delivery told of its last conclusion in time; None: it has seen none since it is read."""
    swept_at: float = -inf
    """When a largest page was last read."""
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

    @property
    def history(self) -> History:
        """What is remembered of its builds: unpacked for whoever asks, so ask once."""
        return self.packed.history

    @history.setter
    def history(self, history: History) -> None:
        self.packed = Packed(history)

    @property
    def known(self) -> bool:
        """Whether its builds were read once."""
        return self.packed.baseline is not None

    @property
    def unfinished(self) -> tuple[Build, ...]:
        """Its builds that somebody or something is working on, oldest first."""
        return self.packed.unfinished

    @property
    def empty(self) -> bool:
        """Whether it was read and has no builds."""
        return self.known and self.packed.empty

    @property
    def covered(self) -> bool:
        """Whether a list tells all that moves."""
        return self.look is not None and covers(self.look, self.unfinished)


@dataclass(slots=True)
class Webhook:
    """What came of a source's deliveries."""

    heard_at: float = -inf
    """When the last one came."""
    seen: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(10_000))
    """The keys of those that came."""
    projects: dict[str, bool] = field(default_factory=dict)
    """Whether they told in time of the last conclusion in a project: a provider's webhook is set up for whole ones."""
    strangers: LRUCache[tuple[Target, ...], bool] = field(default_factory=lambda: LRUCache(10_000))
    """Targets that are not read, and for which discovery has looked or is about to."""
    discover_at: float = inf
    """When discovery must look for one of those."""


@dataclass(slots=True)
class Purse:
    """The budget of all sources with one origin and token."""

    budget: Budget
    resting: bool = False
    """Whether the log has said that it rests."""


@dataclass(slots=True)
class Origin:
    """One configured source, and what became of reading it."""

    settings: Source
    provider: Provider
    fetch: Connection
    readers: Readers | Inline
    purse: Purse
    subjects: dict[Target, Subject] = field(default_factory=dict)
    webhook: Webhook = field(default_factory=Webhook)
    lists: dict[str, Asked] = field(default_factory=dict)
    """By the name of the list."""
    discovery: Asked = field(default_factory=Asked)
    discovered: bool | None = None
    """Whether the last discovery succeeded; None: it was not tried, or it asked nothing."""
    errors: tuple[str, ...] = ()
    """What the last discovery failed of, a line each."""
    notes: tuple[str, ...] = ()
    """What the configuration names and the last discovery did not find, a line each."""
    discovery_cost: int = 0
    """Requests that the last discovery made."""
    tried: bool = False
    """Whether a discovery has ended, well or not."""
    short: bool = True
    """Whether its pages are newest first, so that short reads will do."""
    skew: float = 0.0
    """Seconds by which our clock is ahead of the server's."""
    read: Counter[bool] = field(default_factory=Counter)
    """How the reads of the last round went, so far."""
    read_before: Counter[bool] = field(default_factory=Counter)
    """How those of the round before went: it stands until one of the last has ended."""
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

    @property
    def tried_all(self) -> bool:
        """Whether everything of it was tried once."""
        return self.tried and all(subject.up is not None for subject in self.subjects.values())

    def begin_round(self) -> None:
        """Count the reads that begin now apart from those before."""
        if self.read:
            self.read_before, self.read = self.read, Counter()

    def admits(self, headers: Mapping[str, str]) -> bool | None:
        """Whether a delivery with these headers bears the webhook's secret; None: there is no webhook.

        Raises `Unauthorized` where the secret cannot be read.
        """
        webhook = self.settings.webhook
        return same_secret(webhook.secret.read(), headers.get(self.provider.secret_header, "")) if webhook else None

    def close(self) -> None:
        """Let go of its threads and connections."""
        self.readers.close()
        self.fetch.close()

    def status(self, now: float) -> SourceStatus:
        """How it stands, for the metrics."""
        targets = Counter(dict.fromkeys(self.provider.kinds, 0))
        targets.update(target.kind for target in self.subjects)
        budget = self.purse.budget
        return SourceStatus(self.name, self.up, now < budget.resting_until, targets, budget.allowance)

    def listed(self, name: str) -> Iterator[Subject]:
        """The subjects of which the list of that name tells."""
        for target, subject in self.subjects.items():
            if subject.look is not None and self.provider.list_of(target) == name:
                yield subject


def connect(
    source: Source, observe: Callable[[RequestStats], None], timeout: float, clock: Callable[[], float]
) -> Connection:
    """The connection to a source over HTTP; each request takes at most `timeout` seconds and is told to `observe`."""
    return EtagCache(fetch_of(source, observe, timeout, clock))


def fetch_of(
    source: Source, observe: Callable[[RequestStats], None], timeout: float, clock: Callable[[], float]
) -> Fetch:
    """The same as it is beneath: without a memory of answers."""
    provider = provider_of(source)
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


def origin_of(
    source: Source, fetch: Connection, readers: Readers | Inline, purse: Purse, before: Origin | None = None
) -> Origin:
    """A source as configured; of what was known of it before, if it is the same server still, nothing is lost."""
    origin = Origin(source, provider_of(source), fetch, readers, purse)
    if before and (before.settings.provider, before.settings.url) == (source.provider, source.url):
        origin.subjects, origin.webhook = before.subjects, before.webhook
    return origin


def budget_of(source: Source, now: float) -> Budget:
    """The budget that the configuration gives a source, before anything is known of the server's limit."""
    spend = source.spend or DEFAULT_SPEND
    return Budget(share=spend.share or 0.0, per_second=spend.per_second, at=now)


def purse_of(source: Source, purses: dict[int, Purse], before: Mapping[int, Purse], now: float) -> Purse:
    """The purse of all sources with the same server and token, of `purses` or new there; what it held `before` goes on.

    Purses are kept by the hash of their key, which has the token.
    """
    key = hash(purse_key(source))
    if key not in purses:
        purse = Purse(budget_of(source, now))
        if key in before:
            wished = purse.budget
            kept = replace(before[key].budget, share=wished.share, per_second=wished.per_second, pledged=0)
            purse = Purse(kept, before[key].resting)
        purses[key] = purse
    return purses[key]


def purse_key(source: Source) -> tuple[str, str]:
    """What sources have in common that share an allowance: the server, and the token where it can be read."""
    parts = urlsplit(source.url)
    try:
        token = source.token.read()
    except Unauthorized:
        token = f"of {source.name}"
    return parts.netloc, token


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
