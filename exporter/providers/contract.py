"""What a provider gives: pages of builds and the targets that it found, and the reads that it must have.

A new provider is one file beside this one that implements `Provider`, one row in `PROVIDERS`, and one folder
of test data.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from exporter.build import Build, Outcome, Target
from exporter.errors import SourceError
from exporter.http.wire import Reading


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """How a provider's headers report its rate limit: `PREFIXlimit`, `PREFIXremaining`, `PREFIXreset`."""

    prefix: str
    """In lower case."""
    period: float
    """Seconds in which `limit` requests are allowed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record, or a part of one, that cannot be used."""

    reason: str
    """The record was left out: `not_an_object`, `no_id`, `no_created_at`.

    The build was kept without the time that cannot be: `concluded_before_created`, `started_out_of_order`.
    """
    id: str
    """The build's; empty where the record has none."""


@dataclass(frozen=True, slots=True)
class Page:
    """Builds as told, in the server's order."""

    builds: tuple[Build, ...]
    cursor: str | None = None
    """What the same provider takes to read the next page, and nobody else reads; None: this is the last page."""
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What a list tells of a target's newest build without a read of its builds."""

    status: str
    """The provider's own word, lower-cased."""
    outcome: Outcome
    moved_at: float | None
    """When it took this status; UTC seconds since the epoch."""
    step: int = 0
    """How far a build with this status has come: of two looks at one build, the later has never the lower step."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A service or a job as the list of its project shows it."""

    id: str
    name: str
    builds: bool
    """Whether it is of a kind that builds."""
    target: Target | None
    """None where it does not build, or is not wanted."""
    look: Look | None = None
    """None where the list does not tell."""


@dataclass(frozen=True, slots=True)
class ServiceList:
    """The services of a project, in the server's order."""

    services: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class Discovery:
    """The targets of a source, each once."""

    targets: tuple[Target, ...]
    faults: tuple[SourceError, ...] = ()
    """What could not be listed; where there is one, the list of targets is partial."""
    notes: tuple[str, ...] = ()
    """What the configuration names and the provider does not have, a line each, beginning with the key."""
    looks: Mapping[Target, Look | None] = field(default_factory=dict)
    """Of the targets whose list can tell; None where it did not."""


OTHER_EVENT: Final = "other"
"""What a delivery tells of that no reader knows."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a provider's webhook told."""

    event: str
    """Of what it tells, in one of a few words: it becomes a label. `other` where that is nothing of builds."""
    targets: tuple[Target, ...] = ()
    """The target that it names, in each of the ways in which the configuration may name it."""
    builds: tuple[Build, ...] = ()
    """As far as it tells them; none where the target must be read."""
    complete: bool = False
    """Whether it tells all that must be known of each build, but for the branch."""
    whole: bool = False
    """Whether it tells all builds of their run, and the branch; where not, a build is new only to a run that is known.

    Else a run would be taken to have succeeded by the first of its builds.
    """
    key: str = ""
    """By which a repeat of the same delivery is known; empty where it bears nothing of the kind."""


Tell = Callable[[Mapping[Target, Look | None]], None]
"""Takes targets as discovery finds them, with what a list tells of each (None: no list does)."""


def unheard(_targets: Mapping[Target, Look | None]) -> None:
    """Take in nothing."""


class Provider(Protocol):
    """One configured source, as the collector sees it.

    A read ends with the `SourceError` thrown into it, or with `BadPayload`.
    """

    @property
    def title(self) -> str:
        """Its name, as a person writes it, and which API is read where that is not today's."""

    @property
    def vocabulary(self) -> tuple[tuple[str, Outcome], ...]:
        """Every status that the provider documents with its outcomes, as they are in `Build`."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its targets."""

    @property
    def ordered(self) -> bool:
        """Whether the API documents that the newest builds come first."""

    @property
    def limit_headers(self) -> LimitHeaders:
        """The headers in which an answer reports the rate limit."""

    @property
    def secret_header(self) -> str:
        """The header, in lower case, in which a delivery bears the webhook's secret."""

    def headers(self, token: str) -> dict[str, str]:
        """Give the headers that every request bears."""

    def discover(self, listed: Collection[str] = (), tell: Tell = unheard) -> Reading[Discovery]:
        """Give every target that the configuration asks for, but for those of lists that are read anyway.

        `tell` is told of targets as they are found, so that the first can be read before the last is listed.
        """

    def builds(
        self, target: Target, size: int, cursor: str | None = None, scope: tuple[str, ...] = ()
    ) -> Reading[Page]:
        """Give one page of at most `size` builds (1 to 100), the newest first; `scope` leaves only these statuses."""

    def single(self, target: Target) -> bool:
        """Whether one build of the target can be read by itself with a right to read only."""

    def list_of(self, target: Target) -> str | None:
        """Give the list that tells how the target's newest build stands; None where no list does."""

    def looks(self, name: str) -> Reading[Mapping[Target, Look | None]]:
        """Give what a list tells of each wanted target in it; None where it tells nothing."""

    def page_of(self, target: Target, build: Build | None = None) -> str | None:
        """Give the address of the provider's page of a build, or of the target; None where it documents none."""

    def run(self, target: Target, build: Build) -> Reading[Page]:
        """Give the builds of the run that a build belongs to, each attempt; where the API has no runs, that build."""

    def moved(self, target: Target, since: float) -> Reading[Mapping[str, float]]:
        """Give when each run last changed that did since a time of the server's; none where the API does not tell."""

    def build(self, target: Target, build_id: str) -> Reading[Page]:
        """Give one build, as a page of one."""

    def event(self, headers: Mapping[str, str], body: object) -> Delivery:
        """Give what a delivery tells, of its headers (names in lower case) and its JSON, whatever that is."""
