"""What the collector holds of a source and of its targets, besides their histories."""

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
from exporter.history.window import History, Rules
from exporter.http.conditional import EtagCache
from exporter.http.fetch import Fetch, RequestStats
from exporter.http.wire import Answer, Request
from exporter.polling.hazard import Pulse, pulse
from exporter.polling.list_status import covers
from exporter.polling.looks import Look, Looks
from exporter.polling.polls import NEVER, Asked
from exporter.polling.pricing import Price
from exporter.polling.rate_limit import TokenBucket
from exporter.polling.run_walk import under_way
from exporter.polling.workers import InlinePool, WorkerPool
from exporter.providers import BuildStatus, Provider, Rejected, provider_of
from exporter.settings.settings import Settings
from exporter.settings.settings import Source as SourceSettings

DEFAULT_SPEND = Spend(share=0.4)
REMEMBERED = 10_000
"""Keys of each cache of a source."""


class Connection(Protocol):
    """Answers a source's requests, or raises a `SourceError`."""

    def __call__(self, request: Request, /) -> Answer:
        """Answer one request."""

    def close(self) -> None:
        """Close what is open."""


Observe = Callable[[RequestStats], None]
Connect = Callable[[SourceSettings, Observe, float, Callable[[], float]], Connection]
"""Makes a source's connection of its settings, what takes note of each request, the seconds of one, and the clock."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What scheduling needs of a history, made once at each commit."""

    baseline: float | None = None
    cut_at: float = inf
    """When something in it grows too old."""
    unfinished: tuple[Build, ...] = ()
    """The unfinished builds, oldest first."""
    empty: bool = True
    """Whether it has no builds."""
    pulse: Pulse = field(default_factory=Pulse)
    under_way: bool = False
    """Whether a run is under way, though perhaps none of its builds is unfinished at the moment."""
    version: int = -1

    @property
    def known(self) -> bool:
        """Whether the builds were read at least once."""
        return self.baseline is not None


def digest(history: History, now: float, before: Digest | None = None) -> Digest:
    """The digest of a history. `now` is the server's time; `before`, of the version before, keeps an equal pulse."""
    same = before is not None and before.version == history.version
    return Digest(
        baseline=history.baseline,
        cut_at=history.cut_at,
        unfinished=tuple(history.unfinished),
        empty=not history.rows,
        pulse=before.pulse if same and before else pulse(history, now),
        under_way=before.under_way if same and before else bool(history.runs and under_way(history)),
        version=history.version,
    )


@dataclass(frozen=True, slots=True)
class Polling:
    """How the reading of a target is scheduled."""

    asked: Asked = NEVER
    status: BuildStatus | None = None
    """What the list showed before the last read; None: no list covers the target."""
    wanted_at: float | None = None
    """When the target must be read, whatever delay is expected."""
    repeats: int = 0
    """Reads in a row that did not show what the list had shown."""
    due_at: float = -inf
    """When a list or a delivery last made it due; a read that began before that does not settle it."""
    announced: bool | None = None
    """Whether a delivery reported its last conclusion in time; None: none was seen since it is read."""
    swept_at: float = -inf
    """When a largest page was last read."""
    listed_at: float = -inf
    """When the list of its runs was last read."""
    lists_refused_at: float | None = None
    """When the provider last refused that list; None: it did not."""
    about_at: float = -inf
    """When the target's own record was last asked for."""
    look: Look | None = None
    """What the last request for the changes of many targets showed; None: it did not show the target."""
    current_at: float = -inf
    """When such a request last showed that the target is as it is known: as good as a read."""
    apart: bool = False
    """Such requests have failed since: the target is polled by itself."""
    unlisted: bool = False
    """Such a request showed a change, and the list of runs was not read since."""
    child_since: float = inf
    """When the earliest child pipeline among these changes changed, by the server's clock."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a target can be read."""

    up: bool | None = None
    """Whether the last read succeeded; None: it was not tried yet."""
    error: str = ""
    """Why the last read failed, in one line."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Failed reads by reason."""
    refreshed_at: float | None = None
    """When the data was last known to be current."""

    def failed(self, reason: str) -> Mapping[str, int]:
        """The errors with one more."""
        return {**self.errors, reason: self.errors.get(reason, 0) + 1}


@dataclass(slots=True)
class TargetState:
    """One target. Each part is frozen, and replaced as a whole."""

    target: Target
    digest: Digest = Digest()
    polling: Polling = Polling()
    health: Health = Health()
    absences: int = 0
    """Complete lists without it, in a row."""

    @property
    def empty(self) -> bool:
        """Whether it was read and has no builds."""
        return self.digest.known and self.digest.empty

    @property
    def covered(self) -> bool:
        """Whether a list, or a request for the changes of many targets, shows everything that can change."""
        if self.polling.look is not None:
            trusted = self.digest.known and not self.polling.apart and not self.polling.asked.failures
            return trusted and self.polling.look.settled and not self.digest.under_way
        return self.polling.status is not None and covers(self.polling.status, self.digest.unfinished)


@dataclass(slots=True)
class Webhook:
    """What a source's deliveries have shown."""

    heard_at: float = -inf
    """When the last one came."""
    seen: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(REMEMBERED))
    """The keys of those that came."""
    projects: dict[str, bool] = field(default_factory=dict)
    """Whether they reported the last conclusion in a project in time: a webhook is set up for whole projects."""
    strangers: LRUCache[tuple[Target, ...], bool] = field(default_factory=lambda: LRUCache(REMEMBERED))
    """Targets that are not read, and for which discovery has looked or is about to."""
    discover_at: float = inf
    """When discovery must look for one of those."""


@dataclass(frozen=True, slots=True)
class DiscoveryState:
    """How the discovery of a source went last."""

    asked: Asked = NEVER
    succeeded: bool | None = None
    """None: it was not tried, or it needed no request."""
    tried: bool = False
    """Whether one has ended since the configuration was read."""
    errors: tuple[str, ...] = ()
    """Why it failed, a line each."""
    notes: tuple[str, ...] = ()
    """What the configuration names and it did not find, a line each."""
    requests: int = 0
    """How many it made."""


class Budget:
    """The token bucket that all sources with one server and token share."""

    def __init__(self, bucket: TokenBucket) -> None:
        self.bucket = bucket
        self.price = Price()
        """What a request is worth, as it was last computed."""
        self.rest_logged = False
        """Whether the log has said that it rests."""
        self.stretch_logged = False
        """Whether the log has said that longest pauses cannot be kept."""
        self.ignored_logged = False
        """Whether the log has said that a limit is ignored."""

    def update(self, change: Callable[[TokenBucket], TokenBucket]) -> None:
        """Replace the bucket by what `change` makes of it."""
        self.bucket = change(self.bucket)


@dataclass(slots=True)
class SourceState:
    """What is known of a source; a reload keeps it where server and provider are the same."""

    targets: dict[Target, TargetState] = field(default_factory=dict)
    webhook: Webhook = field(default_factory=Webhook)
    lists: dict[str, Asked] = field(default_factory=dict)
    """By the name of the list."""
    looks: Looks = field(default_factory=Looks)
    costs: dict[str, float] = field(default_factory=dict)
    """Requests that a poll takes on average: `idle` and `running` targets, and each list by its name."""
    discovery: DiscoveryState = DiscoveryState()
    short: bool = True
    """Whether its pages are newest first, so that short reads are enough."""
    skew: float = 0.0
    """Seconds by which our clock is ahead of the server's."""
    answered: bool | None = None
    """Whether any request of the newest round was answered, a 429 included; None: none was made."""
    answered_in: int = -1
    """That round: the number of the scrape that began its jobs."""
    aliases: dict[Target, Target] = field(default_factory=dict)
    """From a target as it was configured to the same under the provider's own name."""
    met: LRUCache[tuple[Target, Rejected], bool] = field(default_factory=lambda: LRUCache(REMEMBERED))
    """Rejected records that were counted: the next read meets them again."""
    kept_at: float = -inf
    """When the store was last told how its reading stands."""

    def note(self, round_: int, *, answered: bool) -> None:
        """Take note whether a request of a round was answered; one of an earlier round says nothing any more."""
        if round_ > self.answered_in:
            self.answered, self.answered_in = answered, round_
        elif round_ == self.answered_in:
            self.answered = self.answered or answered


class SourceReader:
    """What reads a source by one configuration; a reload replaces it."""

    def __init__(self, settings: SourceSettings, workers: WorkerPool | InlinePool) -> None:
        self.settings = settings
        self.provider: Provider = provider_of(settings)
        self.workers = workers
        self.connection: Connection

    def admits(self, headers: Mapping[str, str]) -> bool | None:
        """Whether a delivery with these headers bears the webhook's secret; None: there is no webhook.

        Raises `Unauthorized` where the secret cannot be read.
        """
        webhook = self.settings.webhook
        return same_secret(webhook.secret.read(), headers.get(self.provider.secret_header, "")) if webhook else None

    def close(self) -> None:
        """End its threads and close its connections."""
        self.workers.close()
        self.connection.close()


@dataclass(slots=True)
class Source:
    """One configured source: what reads it, what is known of it, and what it may spend."""

    reader: SourceReader
    state: SourceState
    budget: Budget

    @property
    def name(self) -> str:
        """The label `source`."""
        return self.reader.settings.name

    @property
    def provider(self) -> Provider:
        """What reads its answers."""
        return self.reader.provider

    @property
    def targets(self) -> dict[Target, TargetState]:
        """Its targets."""
        return self.state.targets

    @property
    def tried_all(self) -> bool:
        """Whether everything of it was tried once."""
        return self.state.discovery.tried and all(state.health.up is not None for state in self.targets.values())

    def listed(self, name: str) -> Iterator[TargetState]:
        """The targets that the list of that name covers."""
        for target, state in self.targets.items():
            if state.polling.status is not None and self.provider.list_of(target) == name:
                yield state


def connect(source: SourceSettings, observe: Observe, timeout: float, clock: Callable[[], float]) -> Connection:
    """The connection to a source over HTTP with its ETag cache; each request takes at most `timeout` seconds."""
    return EtagCache(fetch_of(source, observe, timeout, clock))


def fetch_of(source: SourceSettings, observe: Observe, timeout: float, clock: Callable[[], float]) -> Fetch:
    """The connection without the ETag cache."""
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


def state_after_reload(source: SourceSettings, before: Source) -> SourceState:
    """What is still known of a source after a reload: everything, unless its server or provider changed.

    Discovery, lists and looks begin anew, since other targets may be configured.
    """
    was = before.reader.settings
    if (was.provider, was.url) != (source.provider, source.url):
        return SourceState()
    discovery = DiscoveryState(succeeded=before.state.discovery.succeeded)
    return replace(before.state, discovery=discovery, lists={}, looks=Looks())


def bucket_of(source: SourceSettings, now: float) -> TokenBucket:
    """The token bucket that the configuration gives a source, before the server's limit is known."""
    spend = source.spend or DEFAULT_SPEND
    return TokenBucket(share=spend.share or 0.0, per_second=spend.per_second, at=now)


def budget_of(source: SourceSettings, budgets: dict[int, Budget], before: Mapping[int, Budget], now: float) -> Budget:
    """The budget of all sources with this server and token, of `budgets` or new; what it held `before` stays.

    Budgets are kept by the hash of their key, since the key contains the token.
    """
    key = hash(_budget_key(source))
    if key not in budgets:
        budget = Budget(bucket_of(source, now))
        if key in before:
            wished = budget.bucket
            kept = replace(before[key].bucket, share=wished.share, per_second=wished.per_second, pledged=0)
            budget = Budget(kept)
            budget.rest_logged = before[key].rest_logged
        budgets[key] = budget
    return budgets[key]


def _budget_key(source: SourceSettings) -> tuple[str, str]:
    """What sources have in common that share an allowance: the server, and the token where it can be read."""
    try:
        token = source.token.read()
    except Unauthorized:
        token = f"of {source.name}"
    return urlsplit(source.url).netloc, token


def rules_of(settings: Settings) -> Rules:
    """What the configuration says of windows."""
    return Rules(
        builds=settings.window.builds,
        runs=settings.window.runs,
        age=settings.window.age,
        remember=max(settings.window.age, settings.window.remember),
        branches=settings.metrics.branches,
        labels=settings.metrics.labels,
        histograms=settings.metrics.histograms,
        buckets=settings.metrics.latency_buckets,
    )
