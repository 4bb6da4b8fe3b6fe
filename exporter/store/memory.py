"""Histories in memory, encoded: the default store, which a restart empties."""

import threading
from collections.abc import Collection, Iterator, Mapping
from weakref import ref

from exporter.build import Target
from exporter.history.window import History
from exporter.store.arena import Slots
from exporter.store.codec import decode, encode
from exporter.store.contract import Change

TOGETHER = 64
"""Histories in one chunk of memory, half a megabyte of them: a change moves what follows it in its chunk."""
EMPTY = History()


class MemoryStore:
    """Keeps each history encoded, at a tenth of the size of its records; those in use are shared decoded."""

    up = None
    """Nothing outlives the process."""

    def __init__(self) -> None:
        self._slots = Slots(TOGETHER)
        self._lock = threading.RLock()
        self._places: dict[Target, int] = {}
        self._decoded: dict[Target, ref[History]] = {}

    def load(self, source: str) -> Iterator[tuple[Target, History]]:
        """Every target of a source that is kept, with its history."""
        for target in [target for target in self._places if target.source == source]:
            yield target, self.read(target)

    def read(self, target: Target) -> History:
        """The newest history of a target; whoever reads it at the same time shares it."""
        with self._lock:
            shared = self._decoded.get(target)
            history = shared() if shared else None
            if history is None:
                place = self._places.get(target)
                if place is None:
                    return EMPTY
                history = decode(self._slots.get(place))
                self._decoded[target] = ref(history)
            return history

    def update(self, target: Target, change: Change) -> History:
        """Commit what `change` makes of the newest history, and return it."""
        with self._lock:
            before = self.read(target)
            history = change(before)
            if history is not before:
                self.put(target, history, encode(history))
            return history

    def put(self, target: Target, history: History, stored: bytes) -> None:
        """Keep a history, whose stored form that is."""
        with self._lock:
            place = self._places.get(target)
            self._places[target] = self._slots.put(stored)
            if place is not None:
                self._slots.drop(place)
            self._decoded[target] = ref(history)

    def stored(self, target: Target) -> bytes | None:
        """The stored form of a target's history; None where there is none."""
        with self._lock:
            place = self._places.get(target)
            return None if place is None else self._slots.get(place)

    def forget(self, target: Target) -> None:
        """Keep nothing of a target any more."""
        with self._lock:
            self._decoded.pop(target, None)
            place = self._places.pop(target, None)
            if place is not None:
                self._slots.drop(place)

    def use(self, fingerprints: Mapping[str, str]) -> None:
        """Nothing was kept under other settings."""

    def refuse(self, target: Target) -> None:
        """Everything in it was made by this process."""

    def changed(self) -> Collection[Target]:
        """None: there are no other replicas."""
        return ()

    def progress(self, source: str) -> bytes | None:  # noqa: ARG002  # it is the same for all
        """None: a new process begins anew."""
        return None

    def keep_progress(self, source: str, progress: bytes) -> None:
        """It is of no use after the process."""

    def close(self) -> None:
        """Nothing is open."""
