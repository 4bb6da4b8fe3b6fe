"""What SQLite keeps outlives the process, however it ends. A file that cannot be used is left alone, and said once."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from builds import RULES, WEB, build, read, read_again
from structlog.testing import capture_logs

from exporter.build import Target
from exporter.history.window import History
from exporter.store import codec
from exporter.store.fingerprint import fingerprint
from exporter.store.sqlite import EXPIRES, RETRY, SqliteStore

API = Target("nf", "service", "shop", "api")
NUMBERED = Target("gl", "project", "a/b", "a/b", handle="42")
KEYS = {"nf": "one", "gl": "one"}

OTHERS: dict[str, Any] = {
    "builds": 50,
    "runs": 50,
    "age": 86400.0,
    "remember": 864000.0,
    "branches": ("main",),
    "labels": ("trigger",),
    "histograms": ("run",),
    "buckets": (1.0, 2.0),
}
"""A value other than the default for each rule."""
DAMAGED = "the state is not kept: going on in memory"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@contextmanager
def opened(
    path: Path, keys: dict[str, str] | None = None, clock: Callable[[], float] = lambda: 0.0
) -> Iterator[SqliteStore]:
    store = SqliteStore(path, clock)
    store.use(KEYS if keys is None else keys)
    try:
        yield store
    finally:
        store.close()


def keep(store: SqliteStore, *ids: str, target: Target = WEB) -> None:
    store.update(target, lambda _before: read(*(build(one, at=place) for place, one in enumerate(ids))))


def up(store: SqliteStore) -> bool:
    return store.up


def kept(store: SqliteStore, source: str = "nf") -> dict[Target, set[str]]:
    return {target: set(history.rows) for target, history in store.load(source)}


def query(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def test_what_was_committed_is_there_in_the_next_process(path: Path) -> None:
    with opened(path) as store:
        keep(store, "a", "b")
        keep(store, "c", target=NUMBERED)
        store.update(WEB, lambda history: read_again(history, build("d", at=2)))
        store.keep_progress("nf", b"progress")
    with opened(path) as store:
        assert store.up
        assert kept(store) == {WEB: {"a", "b", "d"}}
        ((target, _history),) = store.load("gl")
        assert (target, target.handle) == (NUMBERED, "42")
        assert store.progress("nf") == b"progress"
        assert store.progress("gl") is None
        assert set(store.read(WEB).rows) == {"a", "b", "d"}


def test_what_was_forgotten_leaves_no_trace(path: Path) -> None:
    with opened(path) as store:
        keep(store, "a")
        keep(store, "b", target=API)
        store.forget(WEB)
    assert query(path, "SELECT name FROM history") == [("api",)]


def test_records_made_by_other_settings_are_not_used_and_expire(path: Path) -> None:
    with opened(path) as store:
        keep(store, "a")
    with opened(path, {"nf": "two"}) as store:
        assert kept(store) == {}
        keep(store, "b")
    with opened(path) as store:
        assert kept(store) == {WEB: {"a"}}
    query(path, "UPDATE history SET written_at = written_at - ?", EXPIRES)
    with opened(path, {"nf": "two"}) as store:
        assert kept(store) == {WEB: {"b"}}
    assert query(path, "SELECT fingerprint FROM history") == [("two",)]


def test_the_fingerprint_is_another_where_provider_address_or_a_rule_is() -> None:
    ways = {
        fingerprint("gitlab", "https://a", RULES),
        fingerprint("northflank", "https://a", RULES),
        fingerprint("gitlab", "https://b", RULES),
        *(fingerprint("gitlab", "https://a", replace(RULES, **{name: changed})) for name, changed in OTHERS.items()),
    }
    assert len(ways) == 3 + len(OTHERS)
    assert {field.name for field in fields(RULES)} == set(OTHERS)
    assert fingerprint("gitlab", "https://a", replace(RULES)) in ways


def test_other_settings_at_a_reload_keep_what_is_in_memory(path: Path) -> None:
    with opened(path) as store:
        keep(store, "a")
        store.use({"nf": "two"})
        store.update(WEB, lambda history: read_again(history, build("b", at=1)))
        assert set(store.read(WEB).rows) == {"a", "b"}
    assert sorted(query(path, "SELECT fingerprint FROM history")) == [("one",), ("two",)]


def test_a_source_that_a_reload_removes_leaves_no_trace(path: Path) -> None:
    with opened(path) as store:
        keep(store, "a")
        keep(store, "b", target=NUMBERED)
        store.use({"gl": "one"})
        store.forget(WEB)
    assert query(path, "SELECT source FROM history") == [("gl",)]


WRITES = """
import sys
from pathlib import Path
from builds import WEB, build, read_again, read
from exporter.store.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
store.use({"nf": "one"})
for number in range(100_000):
    one = build(f"b{number}", at=number)
    store.update(WEB, lambda history: read_again(history, one) if history.rows else read(one))
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_that_was_committed(path: Path) -> None:
    for _ in range(5):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", WRITES, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout
            for _line in zip(process.stdout, range(40), strict=False):
                pass
            process.send_signal(signal.SIGKILL)
            last = [int(line) for line in process.stdout.readlines() if line.endswith("\n")]
        with opened(path) as store:
            assert store.up
            ((_target, history),) = store.load("nf")
            assert f"b{max(last, default=39)}" in history.rows


# Files that cannot be used


def says(store: SqliteStore, logs: list[dict[str, object]], reason: str) -> None:
    """It goes on in memory, and has said once why."""
    keep(store, "a")
    keep(store, "b", target=API)
    assert set(store.read(WEB).rows) == {"a"}
    assert not up(store)
    (line,) = (entry for entry in logs if entry["log_level"] == "error")
    assert line["event"] == DAMAGED
    assert reason in str(line["reason"])


def left_alone(path: Path, reason: str) -> None:
    """It is not changed by a store that cannot use it."""
    before = path.read_bytes()
    with capture_logs() as logs, opened(path) as store:
        assert kept(store) == {}
        says(store, logs, reason)  # type: ignore[arg-type]  # structlog has its own mapping
    assert path.read_bytes() == before


def test_a_second_process_on_the_file_goes_on_in_memory(path: Path) -> None:
    with opened(path) as first:
        keep(first, "first")
        with capture_logs() as logs, opened(path) as second:
            assert kept(second) == {}
            says(second, logs, "another process uses it")  # type: ignore[arg-type]
        assert first.up
        keep(first, "first", "more")
    with opened(path) as store:
        assert kept(store) == {WEB: {"first", "more"}}


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 99, b"short"])
def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    left_alone(path, "not a database")


def filled(path: Path) -> None:
    with opened(path) as store:
        for number in range(200):
            keep(
                store,
                *(f"{number}-{place}" for place in range(20)),
                target=Target("nf", "service", "shop", f"s{number}"),
            )


def test_a_truncated_file_is_left_alone(path: Path) -> None:
    filled(path)
    os.truncate(path, path.stat().st_size // 2)
    left_alone(path, "malformed")


def test_a_damaged_file_is_left_alone(path: Path) -> None:
    filled(path)
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xaa" * 4096
    path.write_bytes(content)
    left_alone(path, "damaged")


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    filled(path)
    query(path, "PRAGMA user_version = 2")
    left_alone(path, "a newer version")


def test_the_file_of_another_program_is_left_alone(path: Path) -> None:
    query(path, "CREATE TABLE bookmarks (url TEXT)")
    left_alone(path, "another program")


def test_a_folder_that_is_missing_is_said(path: Path) -> None:
    with capture_logs() as logs, opened(path / "state.db") as store:
        says(store, logs, "cannot be")  # type: ignore[arg-type]


def test_a_record_of_an_unknown_format_is_left_alone_and_said_once(path: Path) -> None:
    with opened(path) as store:
        keep(store, "a")
        keep(store, "b", target=API)
        keep(store, "c", target=Target("nf", "job", "shop", "nightly"))
    newer = bytes([codec.FORMAT + 1]) + b"from the future"
    query(path, "UPDATE history SET record = ? WHERE name <> 'api'", newer)
    with capture_logs() as logs, opened(path) as store:
        assert kept(store) == {API: {"b"}}
        keep(store, "d")
        keep(store, "e", target=API)
        store.forget(Target("nf", "job", "shop", "nightly"))
        assert set(store.read(WEB).rows) == {"d"}
        assert store.up
    assert [(line["event"], line["records"]) for line in logs] == [("stored records are left alone", 2)]
    assert query(path, "SELECT record FROM history WHERE name <> 'api'") == [(newer,)] * 2
    with opened(path) as store:
        assert kept(store) == {API: {"e"}}


@pytest.mark.parametrize("record", [b"", codec.encode(read(build("x")))[:-9], "text", 7])
def test_a_malformed_record_is_left_alone(path: Path, record: object) -> None:
    with opened(path) as store:
        keep(store, "a")
    query(path, "UPDATE history SET record = ?", record)
    with opened(path) as store:
        assert kept(store) == {}
        keep(store, "b")
    assert query(path, "SELECT record FROM history") == [(record,)]


# Files that cannot be written for a while


def test_a_full_file_is_said_and_written_again_once_there_is_room(path: Path) -> None:
    """SQLite's own bound on the size of a file stands for a full disk: it fails with the same error."""
    now = [0.0]
    with opened(path, clock=lambda: now[0]) as store:
        keep(store, "a")
        connection = store._file._connection  # type: ignore[union-attr]  # the bound is one of the connection
        connection.execute("PRAGMA max_page_count = 1").fetchall()
        with capture_logs() as logs:
            for number in range(40):
                keep(
                    store,
                    *(f"{number}-{place}" for place in range(99)),
                    target=Target("nf", "job", "shop", f"j{number}"),
                )
            assert not up(store)
            connection.execute("PRAGMA max_page_count = 1000000").fetchall()
            keep(store, "b")
            assert not up(store)
            now[0] += RETRY
            keep(store, "c", target=API)
            assert up(store)
        assert [line["event"] for line in logs] == [DAMAGED, "the state is kept again"]
        assert "full" in logs[0]["reason"]
    with opened(path) as store:
        found = kept(store)
        assert (found[WEB], found[API], len(found)) == ({"b"}, {"c"}, 42)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write whatever is read-only."""
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_or_folder_that_is_read_only_is_read_all_the_same(tmp_path: Path, what: str) -> None:
    path = tmp_path / "state" / "state.db"
    path.parent.mkdir()
    with opened(path) as store:
        keep(store, "a")
    for folder in path.parents[: path.parents.index(Path(tempfile.gettempdir()))]:
        folder.chmod(0o755)
    path.parent.chmod(0o555 if what == "folder" else 0o777)
    for one in path.parent.iterdir():
        one.chmod(0o444 if what == "folder" or one == path else 0o666)
    with unprivileged(), capture_logs() as logs, opened(path) as store:
        assert kept(store) == {WEB: {"a"}}
        keep(store, "b")
        assert not up(store)
    path.parent.chmod(0o755)
    assert [line["event"] for line in logs] == [DAMAGED]
    assert ("folder" in logs[0]["reason"]) == (what == "folder")
    with opened(path) as store:
        assert kept(store) == {WEB: {"a"}}


def test_nothing_of_a_history_is_lost_in_the_file(path: Path) -> None:
    history: History = read(*(build(f"b{place}", at=place) for place in range(150)))
    with opened(path) as store:
        store.update(WEB, lambda _before: history)
    with opened(path) as store:
        assert dict(store.load("nf")) == {WEB: history}
