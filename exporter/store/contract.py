"""What keeps histories, and the rules that every store follows.

A store is read from memory, so `read` never waits for a disk or a network. All other calls may wait: nobody makes them
under the collector's lock.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Protocol

from exporter.build import Target
from exporter.history.window import History

Change = Callable[[History], History]
"""Makes a new history of the newest one. It is pure and may be called more than once."""


class Store(Protocol):
    """Keeps one history per target; a target without one has the empty history."""

    @property
    def up(self) -> bool | None:
        """Whether what is committed outlives the process as it should; None: it is not meant to."""

    def use(self, fingerprints: Mapping[str, str]) -> None:
        """Keep the histories of each source under that fingerprint of the settings that shape them, from now on."""

    def load(self, source: str) -> Iterator[tuple[Target, History]]:
        """Every target of a source that is kept under its fingerprint, with its history."""

    def read(self, target: Target) -> History:
        """The newest history of a target."""

    def update(self, target: Target, change: Change) -> History:
        """Commit what `change` makes of the newest history, and return it."""

    def forget(self, target: Target) -> None:
        """Keep nothing of a target any more."""

    def refuse(self, target: Target) -> None:
        """Leave alone what is kept of a target, because it makes no sense; from now on nothing of it is kept."""

    def changed(self) -> Collection[Target]:
        """The targets that other replicas committed since this was last asked."""

    def progress(self, source: str) -> bytes | None:
        """How the reading of a source stood when that was last kept; None: it was not."""

    def keep_progress(self, source: str, progress: bytes) -> None:
        """Keep how the reading of a source stands. What is lost of it costs requests, but nothing that is shown."""

    def close(self) -> None:
        """Let go of files and connections."""
