"""What can be asked of a source: a target's builds, a list that covers many targets, and which targets there are."""

from dataclasses import dataclass
from math import inf
from typing import Final

from exporter.build import Target


@dataclass(frozen=True, slots=True)
class PollTarget:
    """Ask for the builds of one target."""

    target: Target

    @property
    def source(self) -> str:
        """The name of the source that is asked."""
        return self.target.source


@dataclass(frozen=True, slots=True)
class PollList:
    """Ask for a list that shows the newest build of each of its targets."""

    source: str
    name: str


@dataclass(frozen=True, slots=True)
class PollChanges:
    """Ask which runs of many targets changed, by one request for up to a hundred targets."""

    source: str


@dataclass(frozen=True, slots=True)
class Discover:
    """Ask which targets there are."""

    source: str


Poll = PollTarget | PollList | PollChanges | Discover


@dataclass(frozen=True, slots=True)
class Asked:
    """How the asking of a poll goes. Times are seconds since the epoch."""

    at: float = -inf
    """When the last answered request was sent; never: it comes before all others."""
    failures: int = 0
    """In a row."""
    not_before: float = -inf
    """After a failure: the earliest next try."""

    @property
    def first(self) -> bool:
        """Whether it was never answered."""
        return self.at == -inf


NEVER: Final = Asked()
"""It was not asked yet."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller is interested in: everything, or one source, or one target of it."""

    source: str | None = None
    target: Target | None = None
    reads: bool = True
    """Whether to read targets, or only to find out which there are."""

    def covers(self, poll: Poll, list_name: str | None = None, *, changes: bool = False) -> bool:
        """Whether a poll can say something of interest.

        `list_name`: the list that covers the target of the scope. `changes`: its changes can be asked for with others'.
        """
        if self.source is not None and poll.source != self.source:
            return False
        match poll:
            case PollTarget(target):
                return self.reads and (self.target is None or target == self.target)
            case PollList(_, name):
                return self.reads and (self.target is None or name == list_name)
            case PollChanges():
                return self.reads and (self.target is None or changes)
            case Discover():
                return True


EVERYTHING: Final = Scope()
ONLY_DISCOVERY: Final = Scope(reads=False)


def only(target: Target) -> Scope:
    """The scope of one target."""
    return Scope(source=target.source, target=target)
