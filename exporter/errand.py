"""A question under way to its provider."""

from typing import Protocol

from exporter.build import Target
from exporter.cadence import Key
from exporter.readers import Flight
from exporter.source import Origin


class Errand(Flight):
    """The flight that asks one question of a source."""

    __slots__ = ("_asker", "free", "key", "only", "origin")

    def __init__(self, asker: "Asker", origin: Origin, key: Key, *, free: bool, only: Target | None) -> None:
        super().__init__()
        self._asker = asker
        self.origin = origin
        self.key = key
        self.free = free
        """A first read that is paid from what the server says is left, not from the bucket."""
        self.only = only
        """What discovery finds is read at once, but only this target where there is one."""

    def fly(self) -> None:
        """Ask it."""
        self._asker.ask(self)

    def landed(self) -> None:
        """It was asked, or given up."""
        self._asker.landed(self)


class Asker(Protocol):
    """Who asks, and keeps what comes of it."""

    def ask(self, errand: Errand) -> None:
        """Ask the question, and take the answer in."""

    def landed(self, errand: Errand) -> None:
        """It is under way no more; `Flight.error` says whether it was given up."""
