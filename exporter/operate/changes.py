"""What a provider's changing calls look like: each provider gives them as data, `changing` alone sends them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporter.build import Build, Outcome, Target
from exporter.http.wire import Answer, Reading, Request
from exporter.providers import Page


@dataclass(frozen=True, slots=True)
class Change:
    """A request that changes something at a provider. It is sent once, whatever becomes of it."""

    request: Request
    method: str
    body: bytes | None = None
    """JSON."""


@dataclass(frozen=True, slots=True)
class Found:
    """A build, and what its record says beyond it."""

    build: Build
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """As the provider gave it: read it by the functions of `wire` only."""
    message: str | None = None
    """The provider's word on why it ended so."""
    url: str | None = None
    """Of the provider's page about it."""
    ref: str | None = None
    """What it built, be that a branch, a tag or a pull request's branch."""


class Changes(Protocol):
    """What an operator may do at one configured source, and what they may ask beyond what is read for metrics."""

    @property
    def words(self) -> Mapping[str, frozenset[Outcome]]:
        """Common words for a scope, beside the provider's statuses and our outcomes."""

    def of_commit(self, target: Target, sha: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """Give the builds of a commit, the newest first; `limit` or more where there are as many.

        `scope` leaves only these statuses. The sha may be a beginning of 7 characters or more.
        """

    def cancel(self, target: Target, found: Found) -> Change:
        """Give what cancels a build."""

    def retry(self, target: Target, found: Found) -> Change:
        """Give what builds the same commit again. Raises `Refused` where the record does not say how."""

    def changed(self, answer: Answer) -> Build | None:
        """Give the build that a change's answer tells of; None where it tells of none."""

    def found(self, build: Build, record: Mapping[str, Any]) -> Found:
        """Give the build with what its record says beyond it, whatever that holds."""

    def reading_right(self, target: Target) -> str:
        """Give what a token needs to read one build of the target."""

    def changing_right(self, target: Target) -> str:
        """Give what a token needs to cancel and retry its builds."""
