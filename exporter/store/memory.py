"""Histories in memory, encoded: the default store, which a restart empties."""

import threading
from collections.abc import Collection, Iterator
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
                place = self._places.get(target)
                self._places[target] = self._slots.put(encode(history))
                if place is not None:
                    self._slots.drop(place)
                self._decoded[target] = ref(history)
            return history

    def forget(self, target: Target) -> None:
        """Keep nothing of a target any more."""
        with self._lock:
            self._decoded.pop(target, None)
            place = self._places.pop(target, None)
            if place is not None:
                self._slots.drop(place)

    def changed(self) -> Collection[Target]:
        """None: there are no other replicas."""
        return ()
