"""What an operator can do at a source: changes, and reads that metrics do not need.

Each provider implements `Operations` in the module `operations` of its folder. What serves never imports these modules,
so `serve` cannot change anything at a provider.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporter.build import Build, Outcome, Target
from exporter.http.wire import Answer, Reading, Request
from exporter.providers import Page


@dataclass(frozen=True, slots=True)
class Change:
    """A request that changes something at a provider. It is sent once and never repeated."""

    request: Request
    method: str
    body: bytes | None = None
    """JSON."""


@dataclass(frozen=True, slots=True)
class BuildDetails:
    """A build, with those fields of its record that only a person needs."""

    build: Build
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The provider's own JSON object: read it only by the functions of `wire`."""
    message: str | None = None
    """Why it ended that way, in the provider's words."""
    url: str | None = None
    """Its page at the provider."""
    ref: str | None = None
    """The branch, the tag or the branch of the pull request that it built."""
    pipeline: str | None = None
    """The id of its run, if the provider shows runs under ids of their own."""
    starts: bool = False
    """Whether the provider says when a build starts."""


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed, and the builds that made it fail."""

    run: str
    builds: tuple[Build, ...]
    """The newest first; none where the run failed without a build (GitLab: invalid YAML, a failed trigger)."""
    url: str | None = None
    """The run's page at the provider."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The target in an address or a URL, and the part of it that a URL points to."""

    target: Target
    build_id: str = ""
    run: str = ""
    commit: str = ""
    configured: bool = True
    """Whether the source's own configuration covers the target, as far as it can be seen without a request."""


class Operations(Protocol):
    """The operations of one configured source."""

    @property
    def scope_words(self) -> Mapping[str, frozenset[Outcome]]:
        """Words for `--scope` besides the provider's statuses and the outcomes."""

    def reference(self, url: str) -> Reference | None:
        """The target that a page of the provider's website shows; None if the URL is no such page."""

    def builds_of_commit(self, target: Target, sha: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """The builds of a commit with these statuses, the newest first: at least `limit`, if there are as many.

        `sha` can be abbreviated to 7 characters. An empty `scope` stands for every status.
        """

    def builds_of_run(self, target: Target, run: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """The builds of a run, with every attempt. Parameters and order as in `builds_of_commit`."""

    def last_failed_run(self, target: Target, branch: str) -> Reading[FailedRun | None]:
        """The newest run that is failed now, after all retries. An empty `branch` stands for every branch."""

    def check_has_logs(self, target: Target) -> None:
        """Raise `Refused` if the provider has no API for logs."""

    def log(self, target: Target, build_id: str) -> Reading[bytes]:
        """The log of a build as it is so far; empty if it has none."""

    def log_lines(self, log: bytes, *, ended: bool) -> list[str]:
        """The lines of a log for a person: without the provider's markers, but with escape sequences.

        Until the build has `ended`, the last line is left out if it can still grow.
        """

    def cancel(self, target: Target, details: BuildDetails) -> Change:
        """The request that cancels a build."""

    def retry(self, target: Target, details: BuildDetails) -> Change:
        """The request that builds the same commit again. Raises `Refused` if the record does not say which."""

    def changed_build(self, answer: Answer) -> Build | None:
        """The build in the answer to a change; None if the answer has none."""

    def details(self, build: Build, record: Mapping[str, Any]) -> BuildDetails:
        """The build together with its record; any JSON object is accepted as a record."""

    def read_permission(self, target: Target) -> str:
        """The permissions that a token needs to read one build of the target."""

    def change_permission(self, target: Target) -> str:
        """The permissions that a token needs to cancel and retry builds of the target."""
