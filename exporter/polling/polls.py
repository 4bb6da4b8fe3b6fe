"""What can be asked of a source: a target's builds, a list that covers many targets, and which targets there are."""

from dataclasses import dataclass
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
class Discover:
    """Ask which targets there are."""

    source: str


Poll = PollTarget | PollList | Discover


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller is interested in: everything, or one source, or one target of it."""

    source: str | None = None
    target: Target | None = None
    reads: bool = True
    """Whether to read targets, or only to find out which there are."""

    def covers(self, poll: Poll, list_name: str | None = None) -> bool:
        """Whether a poll can say something of interest. `list_name`: the list that covers the target of the scope."""
        if self.source is not None and poll.source != self.source:
            return False
        match poll:
            case PollTarget(target):
                return self.reads and (self.target is None or target == self.target)
            case PollList(_, name):
                return self.reads and (self.target is None or name == list_name)
            case Discover():
                return True


EVERYTHING: Final = Scope()
ONLY_DISCOVERY: Final = Scope(reads=False)


def only(target: Target) -> Scope:
    """The scope of one target."""
    return Scope(source=target.source, target=target)
