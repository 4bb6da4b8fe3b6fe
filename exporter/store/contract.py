"""What keeps histories, and the rules that every store follows."""

from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from exporter.build import Target
from exporter.history.window import History

Change = Callable[[History], History]
"""Makes a new history of the newest one. It is pure and may be called more than once."""


class Store(Protocol):
    """Keeps one history per target; a target without one has the empty history."""

    def load(self, source: str) -> Iterator[tuple[Target, History]]:
        """Every target of a source that is kept, with its history."""

    def read(self, target: Target) -> History:
        """The newest history of a target."""

    def update(self, target: Target, change: Change) -> History:
        """Commit what `change` makes of the newest history, and return it."""

    def forget(self, target: Target) -> None:
        """Keep nothing of a target any more."""

    def changed(self) -> Collection[Target]:
        """The targets that other replicas committed since this was last asked."""
