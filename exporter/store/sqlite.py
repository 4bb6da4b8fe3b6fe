"""Histories in an SQLite file, for one replica: each change is committed there before it can be read.

All of it is held in memory as well, as the memory store does, so that reading never waits for a disk. If the file can
no longer be written, that goes on alone; what was not written is tried again.
"""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import structlog

from exporter.build import Target
from exporter.history.window import History
from exporter.store.codec import StoredRecordError, decode, encode
from exporter.store.contract import Change
from exporter.store.memory import MemoryStore
from exporter.store.state_file import Named, StateFile, StateFileError, open_file

log = structlog.get_logger()
Result = TypeVar("Result")

RETRY = 10.0
"""Seconds after which a file that could not be written is tried again."""
EXPIRES = 30 * 86400.0
"""Seconds for which records of other settings, and of sources that are no longer configured, are kept."""


class SqliteStore:
    """Keeps histories in memory and in a file."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._memory = MemoryStore()
        self._lock = threading.RLock()
        """Of all that is written; `read` does not need it."""
        self._fingerprints: dict[str, str] = {}
        self._unwritten: set[Target] = set()
        """Targets whose newest record, or that there is none any more, is not in the file."""
        self._refused: set[Target] = set()
        """Targets whose record in the file cannot be read, and is left alone."""
        self._retry_at = 0.0
        self._file: StateFile | None = None
        self._up = True
        try:
            self._file = open_file(path)
        except StateFileError as error:
            self._failed(str(error))
        else:
            if self._file.unwritable:
                self._failed(self._file.unwritable)

    @property
    def up(self) -> bool:
        """Whether everything that was committed is in the file."""
        return self._up

    def use(self, fingerprints: Mapping[str, str]) -> None:
        """Keep the histories of each source under that fingerprint from now on; old records of others expire."""
        with self._lock:
            moved = {name for name, of in fingerprints.items() if self._fingerprints.get(name, of) != of}
            self._fingerprints = dict(fingerprints)
            self._refused = {target for target in self._refused if target.source not in moved}
            for source in moved:
                for _readable in self._readable(source):
                    pass
            if self._up:
                current = list(self._fingerprints.items())
                self._tried(lambda file: file.expire(time.time() - EXPIRES, current), None)

    def load(self, source: str) -> Iterator[tuple[Target, History]]:
        """Every target of a source that is kept under its fingerprint, with its history."""
        for target, record, history in self._readable(source):
            self._memory.put(target, history, record)
            yield target, history

    def _readable(self, source: str) -> Iterator[tuple[Target, bytes, History]]:
        """The records of a source; those that cannot be read are left alone from now on, which is said once."""
        why: Counter[str] = Counter()
        with self._lock:
            rows: list[Named] = self._tried(lambda file: file.targets(source, self._fingerprints[source]), [])
        for row, target in rows:
            with self._lock:
                record = self._tried(lambda file, row=row: file.record(row), b"")  # type: ignore[misc]
            if self._file is None:
                return
            try:
                history = decode(record)
            except StoredRecordError as error:
                why[str(error)] += 1
                self._refused.add(target)
            else:
                yield target, record, history
        for reason, number in why.items():
            log.error("stored records are left alone", source=source, records=number, reason=reason)

    def read(self, target: Target) -> History:
        """The newest history of a target."""
        return self._memory.read(target)

    def update(self, target: Target, change: Change) -> History:
        """Commit what `change` makes of the newest history, and return it."""
        with self._lock:
            before = self._memory.read(target)
            history = change(before)
            if history is not before:
                record = encode(history)
                self._write(target, record)
                self._memory.put(target, history, record)
            return history

    def forget(self, target: Target) -> None:
        """Keep nothing of a target any more."""
        with self._lock:
            self._write(target, None)
            self._memory.forget(target)

    def refuse(self, target: Target) -> None:
        """Leave alone what the file has of a target, and keep nothing of it."""
        with self._lock:
            self._refused.add(target)
            self._unwritten.discard(target)
            self._memory.forget(target)

    def changed(self) -> Collection[Target]:
        """None: there are no other replicas."""
        return ()

    def progress(self, source: str) -> bytes | None:
        """How the reading of a source stood."""
        with self._lock:
            return self._tried(lambda file: file.progress(source, self._fingerprints[source]), None)

    def keep_progress(self, source: str, progress: bytes) -> None:
        """Keep how the reading of a source stands, unless the file cannot be written just now."""
        with self._lock:
            self._write_all()
            if self._up and source in self._fingerprints:
                self._tried(lambda file: file.put_progress(source, self._fingerprints[source], progress), None)

    def close(self) -> None:
        """Close the file; what is committed later is lost with the process."""
        with self._lock:
            if self._file:
                self._write_all()
                self._file.close()
                self._file = None

    # Writing

    def _write(self, target: Target, record: bytes | None) -> None:
        if target in self._refused or self._file is None:
            return
        self._unwritten.add(target)
        self._write_all({target: record})

    def _write_all(self, newest: dict[Target, bytes | None] | None = None) -> None:
        """Write what is not in the file, in one transaction. `newest`: records that are not in memory yet."""
        if self._file is None or (not self._up and self._clock() < self._retry_at):
            return
        if self._file.unwritable and not self._reopened():
            return
        records = {target: self._memory.stored(target) for target in self._unwritten} | (newest or {})
        if records or not self._up:
            self._tried(lambda file: self._put(file, records), None)

    def _put(self, file: StateFile, records: Mapping[Target, bytes | None]) -> None:
        known = self._fingerprints
        file.put((target, known.get(target.source), record) for target, record in records.items())
        self._unwritten.clear()
        if not self._up:
            self._up = True
            log.info("the state is kept again", path=str(self._path))

    def _reopened(self) -> bool:
        """Whether the file, which could only be read, can be written now."""
        if self._file:
            self._file.close()
        try:
            self._file = open_file(self._path)
        except StateFileError as error:
            self._file = None
            self._failed(str(error))
            return False
        if self._file.unwritable:
            self._retry_at = self._clock() + RETRY
        return not self._file.unwritable

    def _tried(self, act: Callable[[StateFile], Result], otherwise: Result) -> Result:
        """What comes of it; `otherwise` if the file fails, which is said once. A damaged file is not touched again."""
        if self._file is None:
            return otherwise
        try:
            return act(self._file)
        except sqlite3.OperationalError as error:
            self._failed(str(error))
        except sqlite3.Error as error:
            self._failed(str(error))
            self._file.close()
            self._file = None
        return otherwise

    def _failed(self, reason: str) -> None:
        self._retry_at = self._clock() + RETRY
        if self._up:
            self._up = False
            log.error("the state is not kept: going on in memory", path=str(self._path), reason=reason)
