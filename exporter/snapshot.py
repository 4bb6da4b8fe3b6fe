"""What is known at one moment, as the status page and the API take it: references to what does not change. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.build import Build, Target
from exporter.history.health import Standings
from exporter.history.window import History
from exporter.polling.rate_limit import Allowance
from exporter.polling.state import Origin
from exporter.store.codec import Packed

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
    """What the last discovery failed of, a line each."""


class KnownTarget(NamedTuple):
    """A target, and what is remembered of it: a tuple, for there can be ten thousand at each look."""

    target: Target
    source: KnownSource
    packed: Packed
    """What is remembered of its builds, at rest."""
    standings: Standings
    up: bool | None
    """Whether the last read succeeded; None: not tried yet."""
    error: str
    """What it failed of, in one line."""
    refreshed_at: float | None
    """When it was last known to be current."""
    hidden: bool
    """Whether the metrics show nothing but that it is up: there were too many series."""

    @property
    def history(self) -> History:
        """What is remembered of its builds: unpacked for whoever asks, so ask once."""
        return self.packed.history


@dataclass(frozen=True, slots=True)
class Known:
    """All sources and targets at one moment."""

    at: float
    sources: tuple[KnownSource, ...]
    targets: tuple[KnownTarget, ...]


def known(
    origins: Iterable[Origin],
    standings: Mapping[Target, Standings],
    hidden: Collection[Target],
    now: float,
) -> Known:
    """What the sources hold now; nothing of it is computed here, for the caller holds the collector's lock."""
    sources, targets = [], []
    for origin in origins:
        source = _source(origin, now)
        sources.append(source)
        targets += [
            KnownTarget(
                target,
                source,
                subject.packed,
                standings.get(target, NOT_READ),
                subject.up,
                "" if subject.up else subject.error,
                subject.refreshed_at,
                target in hidden,
            )
            for target, subject in origin.subjects.items()
        ]
    return Known(now, tuple(sources), tuple(targets))


def _source(origin: Origin, now: float) -> KnownSource:
    budget = origin.purse.budget
    return KnownSource(
        name=origin.name,
        provider=origin.settings.provider,
        title=origin.provider.title,
        url=origin.settings.url,
        page_of=origin.provider.page_of,
        up=origin.up,
        resting_until=budget.resting_until if now < budget.resting_until else None,
        allowance=budget.allowance,
        targets=len(origin.subjects),
        errors=origin.errors,
    )


def page_of(known: KnownTarget, build: Build | None = None) -> str | None:
    """The address of the provider's page of a build, or of the target; None where the provider documents none."""
    return known.source.page_of(known.target, build)
