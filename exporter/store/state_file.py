"""The SQLite file that keeps a state: its tables, how it is opened, and when it is left alone.

A file that cannot be read is never written: it is checked through a connection that only reads, before one that writes
is opened. A second exporter is kept away by a lock on a file beside it, so that `sqlite3` can still look at the state
and copy it while an exporter runs.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Collection, Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from exporter.build import Target
from exporter.errors import ExporterError

APPLICATION = 0x43494245
"""Marks the file as ours: `CIBE`."""
VERSION = 1
"""Of the tables; a file with a higher one was made by a newer exporter."""
PATIENCE = 5.0
"""Seconds to wait for somebody who looks at the file."""
LARGEST_LOG = 16 * 1024 * 1024
"""Bytes to which SQLite cuts its write-ahead log."""
_TABLES = """
CREATE TABLE history (
    source TEXT NOT NULL, fingerprint TEXT NOT NULL, kind TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL,
    handle TEXT NOT NULL, written_at REAL NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (source, fingerprint, kind, project, name)
);
CREATE TABLE progress (
    source TEXT NOT NULL, fingerprint TEXT NOT NULL, written_at REAL NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (source, fingerprint)
);
"""
_PUT = """
INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (source, fingerprint, kind, project, name)
DO UPDATE SET handle = excluded.handle, written_at = excluded.written_at, record = excluded.record
"""
"""`INSERT OR REPLACE` makes another row, and was measured to write six times as much."""
_DELETE = """
DELETE FROM history
WHERE source = ? AND (fingerprint = ? OR ? IS NULL) AND kind = ? AND project = ? AND name = ?
"""

Named = tuple[int, Target]
"""The row of a record, and its target."""


class StateFileError(ExporterError):
    """The file cannot be used, and is left alone; the line says why."""


class StateFile:
    """The open file. Each call is one transaction, and raises `sqlite3.Error`. The caller calls one at a time."""

    def __init__(self, connection: sqlite3.Connection, lock: int | None, unwritable: str = "") -> None:
        self._connection = connection
        self._lock = lock
        self.unwritable = unwritable
        """Why it can only be read; empty: it can be written."""

    def targets(self, source: str, fingerprint: str) -> list[Named]:
        """The records of a source. What is no text is no record of ours, and is left out."""
        rows = self._connection.execute(
            "SELECT rowid, kind, project, name, handle FROM history WHERE source = ? AND fingerprint = ?",
            (source, fingerprint),
        ).fetchall()
        return [(row, Target(source, *texts)) for row, *texts in rows if all(isinstance(text, str) for text in texts)]

    def record(self, row: int) -> bytes:
        """The record of a row; none is empty."""
        found = self._connection.execute("SELECT record FROM history WHERE rowid = ?", (row,)).fetchone()
        return found[0] if found and isinstance(found[0], bytes) else b""

    def put(self, records: Iterable[tuple[Target, str | None, bytes | None]]) -> None:
        """Keep these records, each with the fingerprint of its source; None: keep nothing of that target.

        Of a source without a fingerprint, which is no longer configured, nothing is kept either.
        """
        now = time.time()
        with _Transaction(self._connection):
            for target, fingerprint, record in records:
                key = (target.source, fingerprint, target.kind, target.project, target.name)
                if record is None or fingerprint is None:
                    self._connection.execute(_DELETE, (*key[:2], *key[1:]))
                else:
                    self._connection.execute(_PUT, (*key, target.handle, now, record))

    def progress(self, source: str, fingerprint: str) -> bytes | None:
        """How the reading of a source stood."""
        found = self._connection.execute(
            "SELECT record FROM progress WHERE source = ? AND fingerprint = ?", (source, fingerprint)
        ).fetchone()
        return found[0] if found and isinstance(found[0], bytes) else None

    def put_progress(self, source: str, fingerprint: str, record: bytes) -> None:
        """Keep how the reading of a source stands."""
        self._connection.execute(
            "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?)", (source, fingerprint, time.time(), record)
        )

    def expire(self, before: float, current: Collection[tuple[str, str]]) -> None:
        """Keep nothing of other sources and fingerprints that was written before that."""
        with _Transaction(self._connection):
            for table in ("history", "progress"):
                pairs = self._connection.execute(f"SELECT DISTINCT source, fingerprint FROM {table}").fetchall()  # noqa: S608
                for pair in set(pairs) - set(current):
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE source = ? AND fingerprint = ? AND written_at < ?",  # noqa: S608
                        (*pair, before),
                    )

    def close(self) -> None:
        """Close it; another process may open it then."""
        with suppress(sqlite3.Error):
            self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _Transaction:
    """All of it is written, or nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_raised: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:  # SQLite has ended it itself after some faults
                self._connection.execute("ROLLBACK")


def open_file(path: Path) -> StateFile:
    """The file at a path, made if there is none. Raises `StateFileError`."""
    try:
        lock, unwritable = _lock(path)
    except BlockingIOError:
        raise StateFileError("another process uses it") from None
    try:
        return _opened(path, lock, unwritable)
    except (sqlite3.Error, OSError, StateFileError) as error:
        if lock is not None:
            os.close(lock)
        raise StateFileError(str(error)) from error


def _opened(path: Path, lock: int | None, unwritable: str) -> StateFile:
    with ExitStack() as stack:
        reading: sqlite3.Connection | None = None
        if path.exists() and path.stat().st_size:
            reading = stack.enter_context(closing(_reading(path, alone=not unwritable)))
            fault = _fault(reading)
            if fault:
                raise StateFileError(fault)
        if not unwritable:
            try:
                return StateFile(_writing(path), lock)
            except sqlite3.OperationalError as error:
                unwritable = str(error)
        if reading is None:
            raise StateFileError(f"it cannot be made: {unwritable}")
        stack.pop_all()
        return StateFile(reading, lock, unwritable)


def _lock(path: Path) -> tuple[int | None, str]:
    """The lock against a second process, or why there can be none. Raises BlockingIOError where another has it."""
    try:
        descriptor = os.open(path.with_name(f"{path.name}-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return None, f"the folder cannot be written: {error.strerror}"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError as error:
        os.close(descriptor)
        return None, f"the folder has no locks: {error.strerror}"
    return descriptor, ""


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", PATIENCE, uri=True, isolation_level=None, check_same_thread=False
    )


def _reading(path: Path, *, alone: bool) -> sqlite3.Connection:
    """A connection that only reads. `alone`: this process has the lock."""
    log = path.with_name(f"{path.name}-wal")
    still = not alone and not (log.exists() and log.stat().st_size)
    # In a folder that cannot be written, SQLite opens a file only if it is told that nobody changes it.
    return _connect(path, "ro&immutable=1" if still else "ro")


def _fault(connection: sqlite3.Connection) -> str:
    """Why the file is not to be used; empty if it is whole and ours. Raises `sqlite3.Error`."""
    application, version, found = (
        connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        for pragma in ("application_id", "user_version", "quick_check(1)")
    )
    if application != APPLICATION and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return "it is an SQLite file of another program"
    if version > VERSION:
        return "a newer version of the exporter has written it"
    return "" if found == "ok" else f"it is damaged: {str(found).splitlines()[-1]}"


def _writing(path: Path) -> sqlite3.Connection:
    """A connection that writes; the file has its tables then. A first change shows whether it can be written."""
    with ExitStack() as stack:
        connection = stack.enter_context(closing(_connect(path, "rwc")))
        for pragma in (
            "trusted_schema = OFF",
            "temp_store = MEMORY",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            f"journal_size_limit = {LARGEST_LOG}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        with _Transaction(connection):
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
                for statement in filter(str.strip, _TABLES.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        stack.pop_all()
    return connection
