"""What is known at one moment, as the status page and the API take it: references to what does not change. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.build import Build, Target
from exporter.exposition.self_metrics import SourceStatus
from exporter.exposition.series_limit import shown_history
from exporter.history.health import Standings
from exporter.history.window import History
from exporter.polling.rate_limit import Allowance
from exporter.polling.state import Source

NOT_READ = Standings()


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source, and how reading it goes. Times are seconds since the epoch."""

    name: str
    provider: str
    title: str
    """The provider's name, as a person writes it, and which of its APIs where it has several."""
    url: str
    page_of: Callable[[Target, Build | None], str | None]
    """The address of the provider's page of a build of a target, or of the target."""
    up: bool | None
    """None: nothing was tried yet."""
    resting_until: float | None
    """While its allowance is exhausted."""
    allowance: Allowance
    targets: int
    errors: tuple[str, ...]
    """Why the last discovery failed, a line each."""


class KnownTarget(NamedTuple):
    """A target, and what is remembered of it: a tuple, since there can be ten thousand in each snapshot."""

    target: Target
    source: KnownSource
    read: Callable[[Target], History]
    """Reads its history from the store."""
    standings: Standings
    up: bool | None
    """Whether the last read succeeded; None: it was not tried yet."""
    error: str
    """Why it failed, in one line."""
    refreshed_at: float | None
    """When it was last known to be current."""
    hidden: bool
    """Whether the metrics show only whether it is up: there were too many series."""
    folded: bool = False
    """Whether the metrics show all its branches as one, for the same reason."""

    @property
    def history(self) -> History:
        """What is remembered of its builds, with the branches that are shown. Each call decodes it: ask once."""
        return shown_history(self.read(self.target), folded=self.folded)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All sources and targets at one moment."""

    at: float
    sources: tuple[KnownSource, ...]
    targets: tuple[KnownTarget, ...]


def snapshot(  # noqa: PLR0913, PLR0917  # what there is, what is shown of it, and when
    sources: Iterable[Source],
    read: Callable[[Target], History],
    standings: Mapping[Target, Standings],
    hidden: Collection[Target],
    folded: Collection[Target],
    now: float,
) -> Snapshot:
    """What the sources hold now; nothing is computed here, since the caller holds the collector's lock."""
    known_sources, known_targets = [], []
    for source in sources:
        known = _source(source, now)
        known_sources.append(known)
        known_targets += [
            KnownTarget(
                target,
                known,
                read,
                standings.get(target, NOT_READ),
                state.health.up,
                "" if state.health.up else state.health.error,
                state.health.refreshed_at,
                target in hidden,
                target in folded,
            )
            for target, state in source.targets.items()
        ]
    return Snapshot(now, tuple(known_sources), tuple(known_targets))


def _source(source: Source, now: float) -> KnownSource:
    bucket = source.budget.bucket
    return KnownSource(
        name=source.name,
        provider=source.reader.settings.provider,
        title=source.provider.title,
        url=source.reader.settings.url,
        page_of=source.provider.page_of,
        up=source.state.answered,
        resting_until=bucket.resting_until if now < bucket.resting_until else None,
        allowance=bucket.allowance,
        targets=len(source.targets),
        errors=source.state.discovery.errors,
    )


def status_of(source: Source, now: float) -> SourceStatus:
    """How a source stands, for the metrics."""
    targets = dict.fromkeys(source.provider.kinds, 0)
    for target in source.targets:
        targets[target.kind] = targets.get(target.kind, 0) + 1
    bucket, state = source.budget.bucket, source.state
    allowance = bucket.allowance
    return SourceStatus(
        name=source.name,
        up=state.answered,
        resting=now < bucket.resting_until,
        targets=targets,
        limit=allowance.limit,
        remaining=allowance.remaining,
        reset_at=allowance.reset_at,
    )


def page_of(known: KnownTarget, build: Build | None = None) -> str | None:
    """The address of the provider's page of a build, or of the target; None where the provider documents none."""
    return known.source.page_of(known.target, build)
