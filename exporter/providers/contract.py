"""What a provider does: it reads pages of builds and runs, and finds targets.

A new provider is one folder beside this file that implements `Provider`, one row in `PROVIDERS`, and one folder of
test data.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from exporter.build import Build, Outcome, Run, Target
from exporter.errors import SourceError
from exporter.http.wire import Reading


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """How a provider's headers report its rate limit: `PREFIXlimit`, `PREFIXremaining`, `PREFIXreset`."""

    prefix: str
    """In lower case."""
    period: float
    """Seconds in which `limit` requests are allowed."""
    documented: float = 0.0
    """How many these are by the provider's documentation; a limit far below it is not believed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record, or a part of one, that cannot be used."""

    reason: str
    """The record was left out: `not_an_object`, `no_id`, `no_created_at`, `no_status` (runs only).

    The build was kept without the time that cannot be: `concluded_before_created`, `started_out_of_order`.
    """
    id: str
    """The id of the build or run; where the record has none, what tells it from the other records without one."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list of builds or runs, in the server's order."""

    builds: tuple[Build, ...]
    cursor: str | None = None
    """What the same provider takes to read the next page; only the provider reads it. None: this is the last page."""
    rejected: tuple[Rejected, ...] = ()
    runs: tuple[Run, ...] = ()
    """The runs that the page's records mention, each once; none where a build is its own run."""


@dataclass(frozen=True, slots=True)
class About:
    """What the provider says about a target as a whole."""

    default_branch: str | None
    """None where it has none, or the provider does not say."""
    path: str | None
    """The provider's own spelling of what the configuration writes; None where that stands."""
    handle: str
    """As in `Target`."""


@dataclass(frozen=True, slots=True)
class BuildStatus:
    """The state of a target's newest build in a list, without a read of its builds."""

    status: str
    """The provider's own word, lower-cased."""
    outcome: Outcome
    moved_at: float | None
    """When it took this status; UTC seconds since the epoch."""
    step: int = 0
    """How far a build with this status has come: of two looks at one build, the later has never the lower step."""


class RunChange(NamedTuple):
    """A run that changed lately, as one request for many targets shows it."""

    id: str
    status: str
    """The provider's own word, lower-cased."""
    outcome: Outcome
    updated_at: float
    """UTC seconds since the epoch."""
    child: bool = False
    """Whether it is a child pipeline."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What one request for many targets shows of one of them: the runs that changed since a moment."""

    runs: frozenset[RunChange] = frozenset()
    complete: bool = True
    """Whether these are all; else the target must be read to know."""
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A service or a job as the list of its project shows it."""

    id: str
    name: str
    builds: bool
    """Whether it is of a kind that builds."""
    target: Target | None
    """None where it does not build, or is not wanted."""
    look: BuildStatus | None = None
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
    statuses: Mapping[Target, BuildStatus | None] = field(default_factory=dict)
    """Of the targets whose list shows their newest build; None where it did not."""
    default_branches: Mapping[Target, str] = field(default_factory=dict)
    """Of the targets whose list names their default branch."""


OTHER_EVENT: Final = "other"
"""The event of a delivery that is not about builds."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The content of one delivery of a provider's webhook."""

    event: str
    """What it is about, in one of a few words: it becomes a label. `other` where it is not about builds."""
    targets: tuple[Target, ...] = ()
    """The target that it names, in each of the ways in which the configuration may name it."""
    builds: tuple[Build, ...] = ()
    """As far as it has them; none where the target must be read."""
    complete: bool = False
    """Whether it has all that must be known of each build, but for the branch."""
    whole: bool = False
    """Whether it has all builds of their run, and the branch; where not, a build is new only to a run that is known.

    Else a run would be taken to have succeeded by the first of its builds.
    """
    key: str = ""
    """The same for a repeat of the same delivery; empty where the delivery has nothing of the kind."""
    runs: tuple[Run, ...] = ()
    """The run that it is about, where it has the run's own record; of a child pipeline with its parent."""


Tell = Callable[[Mapping[Target, BuildStatus | None]], None]
"""Takes targets as discovery finds them, each with its newest build in a list (None: no list shows it)."""


def unheard(_targets: Mapping[Target, BuildStatus | None]) -> None:
    """Ignore what discovery finds on its way."""


def settled(target: Target, about: About | None) -> Target:
    """The target under the provider's own path and number, where the provider told them."""
    if about is None:
        return target
    path = about.path or target.project
    name = path if target.name == target.project else target.name
    return replace(target, project=path, name=name, handle=about.handle or target.handle)


class Provider(Protocol):
    """One configured source, as the collector sees it.

    A reading raises the `SourceError` that is thrown into it, or `BadPayload`; nothing else, whatever is answered.
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
    def lists_runs(self) -> bool:
        """Whether the API has a list of runs, each with a status of its own."""

    @property
    def has_logs(self) -> bool:
        """Whether the API has the logs of builds."""

    @property
    def limit_headers(self) -> LimitHeaders:
        """The headers in which an answer reports the rate limit."""

    @property
    def secret_header(self) -> str:
        """The header, in lower case, in which a delivery bears the webhook's secret."""

    def headers(self, token: str) -> dict[str, str]:
        """The headers of every request."""

    def discover(self, listed: Collection[str] = (), tell: Tell = unheard) -> Reading[Discovery]:
        """Every target that the configuration asks for, but for those of lists that are read anyway (`listed`).

        `tell` is called with targets as they are found, so that the first can be read before the last is listed.
        """

    def about(self, target: Target) -> Reading[About | None]:
        """The provider's record of the target; None, and no request, where the provider has no such record."""

    def builds(
        self, target: Target, size: int, cursor: str | None = None, scope: tuple[str, ...] = ()
    ) -> Reading[Page]:
        """One page of at most `size` builds (1 to 100), the newest first; `scope` leaves only these statuses."""

    def single(self, target: Target) -> bool:
        """Whether one build of the target can be read by itself with a right to read only."""

    def build(self, target: Target, build_id: str) -> Reading[Page]:
        """One build, as a page of one."""

    def runs(  # noqa: PLR0913  # which runs, and which page of them
        self,
        target: Target,
        *,
        updated_after: float | None,
        size: int,
        children: bool = False,
        ref: str | None = None,
        cursor: str | None = None,
    ) -> Reading[Page]:
        """One page of at most `size` runs (1 to 100), without builds; empty, and no request, unless `lists_runs`.

        With `updated_after` (the server's time, UTC seconds) those that changed since, the latest change first. Without
        it, or with `ref` (runs of that ref only), the newest first. `children`: the child pipelines instead.
        """

    def builds_of(self, target: Target, run_id: str, cursor: str | None = None) -> Reading[Page]:
        """One page of at most 100 builds of a run, every attempt."""

    def bridges(self, target: Target, run_id: str) -> Reading[Mapping[str, bool]]:
        """The child runs that a run's trigger jobs name now, by id: whether the trigger job may fail."""

    def branch_exists(self, target: Target, branch: str) -> Reading[bool]:
        """Whether the branch still exists; True, and no request, where the provider cannot be asked."""

    def list_of(self, target: Target) -> str | None:
        """The list that shows the target's newest build; None where no list does."""

    def statuses(self, name: str) -> Reading[Mapping[Target, BuildStatus | None]]:
        """The newest build of each wanted target in a list; None where the list does not show it."""

    def page_of(self, target: Target, build: Build | None = None) -> str | None:
        """The address of the provider's page of a build, or of the target; None where it documents none."""

    def page_of_run(self, target: Target, run_id: str) -> str | None:
        """The address of the provider's page of a run; None where it documents none."""

    def shows_changes(self, target: Target) -> bool:
        """Whether `changes` can show the target."""

    def changes(self, targets: Collection[Target], since: float) -> Reading[Mapping[Target, Changes]]:
        """The runs of many targets that changed since then, by the server's clock, child pipelines too.

        A target that the answer does not show, for whatever reason, is left out. `NotFound`, `Forbidden` and
        `Unauthorized`: the server will not answer such a request. Any other error: not for so many targets.
        """

    def event(self, headers: Mapping[str, str], body: object) -> Delivery:
        """The content of a delivery, from its headers (names in lower case) and its JSON, whatever that is."""


class BuildsAreRuns:
    """What a provider answers whose builds are their own runs: nothing is asked of runs, branches and the target."""

    __slots__ = ()

    @property
    def has_logs(self) -> bool:
        """No."""
        return False

    @property
    def lists_runs(self) -> bool:
        """No."""
        return False

    def runs(  # noqa: PLR0913  # as in `Provider`
        self,
        target: Target,  # noqa: ARG002  # nothing is asked, here and below
        *,
        updated_after: float | None,  # noqa: ARG002
        size: int,  # noqa: ARG002
        children: bool = False,  # noqa: ARG002
        ref: str | None = None,  # noqa: ARG002
        cursor: str | None = None,  # noqa: ARG002
    ) -> Reading[Page]:
        """No runs."""
        yield from ()
        return Page(())

    def bridges(self, target: Target, run_id: str) -> Reading[Mapping[str, bool]]:  # noqa: ARG002
        """No child runs."""
        yield from ()
        return {}

    def branch_exists(self, target: Target, branch: str) -> Reading[bool]:  # noqa: ARG002
        """True: the provider is not asked about branches."""
        yield from ()
        return True

    def about(self, target: Target) -> Reading[About | None]:  # noqa: ARG002
        """None: the provider has no default branch."""
        yield from ()
        return None

    def shows_changes(self, target: Target) -> bool:  # noqa: ARG002
        """No."""
        return False

    def changes(
        self,
        targets: Collection[Target],  # noqa: ARG002
        since: float,  # noqa: ARG002
    ) -> Reading[Mapping[Target, Changes]]:
        """Nothing."""
        yield from ()
        return {}

    def page_of_run(self, target: Target, run_id: str) -> str | None:  # noqa: ARG002
        """None: no page of a run is documented."""
        return None
