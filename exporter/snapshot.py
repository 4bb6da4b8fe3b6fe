"""What is known at one moment, as the status page and the API take it: references to what does not change. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.build import Build, Target
from exporter.exposition.self_metrics import SourceStatus
from exporter.exposition.series_limit import shown_history
from exporter.history.health import Standing, Standings
from exporter.history.window import History
from exporter.polling.rate_limit import Allowance, starved
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
    page_of_run: Callable[[Target, str], str | None]
    """The same of a run."""
    up: bool | None
    """None: nothing was tried yet."""
    resting_until: float | None
    """While its allowance is exhausted."""
    allowance: Allowance
    targets: int
    errors: tuple[str, ...]
    """Why the last discovery failed, a line each; else, if the source is down, why most of its targets failed."""
    unread: int = 0
    """Targets that were never tried."""
    discovered: bool = True
    """Whether its targets were looked for at least once."""
    has_logs: bool = False
    """Whether the command `builds logs` can read logs of its builds."""


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
        page_of_run=source.provider.page_of_run,
        up=source.state.answered,
        resting_until=bucket.resting_until if now < bucket.resting_until else None,
        allowance=bucket.allowance,
        targets=len(source.targets),
        errors=source.state.discovery.errors or (() if source.state.answered is not False else _most(source)),
        unread=sum(state.health.up is None for state in source.targets.values()),
        discovered=source.state.discovery.tried,
        has_logs=source.provider.has_logs,
    )


def _most(source: Source) -> tuple[str, ...]:
    """The error that most of its targets have, for a source that finds them without a request."""
    errors = Counter(state.health.error for state in source.targets.values() if state.health.up is False)
    return tuple(error for error, _number in errors.most_common(1))


def status_of(source: Source, idle_ttl: float, now: float) -> SourceStatus:
    """How a source stands, for the metrics. `idle_ttl`: the longest pause that is configured, in seconds."""
    targets = dict.fromkeys(source.provider.kinds, 0)
    for target in source.targets:
        targets[target.kind] = targets.get(target.kind, 0) + 1
    bucket, state = source.budget.bucket, source.state
    allowance = bucket.allowance
    return SourceStatus(
        name=source.name,
        up=state.answered,
        resting=now < bucket.resting_until or starved(bucket, now),
        targets=targets,
        longest_pause=idle_ttl * source.budget.price.stretch,
        limit=allowance.limit,
        remaining=allowance.remaining,
        reset_at=allowance.reset_at,
    )


def page_of(known: KnownTarget, build: Build | None = None) -> str | None:
    """The address of the provider's page of a build, or of the target; None where the provider documents none."""
    return known.source.page_of(known.target, build)


def failed_page(known: KnownTarget, standing: Standing) -> str | None:
    """The address of the page of the build that broke it, else of the failed run; None where none is known."""
    if standing.failure is not None and (page := page_of(known, standing.failure)):
        return page
    return known.source.page_of_run(known.target, standing.failed_run) if standing.failed_run else None
