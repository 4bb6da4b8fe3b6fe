"""A stored history is the one that comes back, and any other bytes are refused with one error."""

import ast
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builds import NOW, build, many, pipeline, read, read_again
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from exporter import store
from exporter.build import Build, Outcome, Run
from exporter.history.window import History, Past, Row, Rules, RunRow
from exporter.store.codec import FORMAT, StoredRecordError, decode, encode

WORDS = st.text(max_size=8)
SHAS = st.text("0123456789abcdef", min_size=40, max_size=40) | WORDS
TIMES = st.floats(allow_nan=False)
SOMETIMES = st.none() | TIMES
NUMBERS = st.integers(0, 2**53)
OUTCOMES = st.sampled_from(Outcome)
GROUPS = st.lists(WORDS, max_size=3).map(tuple)


def _strategy(annotation: Any) -> st.SearchStrategy[Any]:
    known: dict[Any, st.SearchStrategy[Any]] = {
        str: WORDS,
        float: TIMES,
        int: NUMBERS,
        bool: st.booleans(),
        Outcome: OUTCOMES,
        float | None: SOMETIMES,
        str | None: st.none() | WORDS,
        bool | None: st.none() | st.booleans(),
        tuple[tuple[float, bool], ...]: st.lists(st.tuples(TIMES, st.booleans()), max_size=2).map(tuple),
    }
    return known[annotation]


def records(kind: Any, **of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Records of a kind of named tuple, each field of its type."""
    fields = {name: _strategy(annotation) for name, annotation in kind.__annotations__.items() if name not in of}
    return st.builds(kind, **fields, **of)


BUILDS: st.SearchStrategy[Build] = records(Build, sha=SHAS)
ROWS: st.SearchStrategy[Row] = records(Row, build=BUILDS)
RUNS: st.SearchStrategy[RunRow] = records(RunRow, run=records(Run, sha=SHAS))
PASTS = st.builds(
    Past,
    last_created=TIMES,
    last_concluded=st.dictionaries(OUTCOMES, TIMES, max_size=2),
    exemplars=st.dictionaries(st.tuples(WORDS, st.none() | OUTCOMES, NUMBERS), TIMES, max_size=2),
    ended=TIMES,
    until=st.tuples(TIMES, NUMBERS, WORDS),
    success=st.none() | st.booleans(),
    failures=NUMBERS,
    broken_since=SOMETIMES,
    failure=st.none() | BUILDS,
    failed_run=WORDS,
)


def by_group(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(GROUPS, values, max_size=2)


HISTORIES = st.builds(
    History,
    rows=st.lists(ROWS, max_size=4).map(lambda rows: {row.build.id: row for row in rows}),
    runs=st.lists(RUNS, max_size=4).map(lambda rows: {row.run.id: row for row in rows}),
    baseline=SOMETIMES,
    floor=TIMES,
    run_floor=TIMES,
    mark=TIMES,
    walked_at=TIMES,
    names=st.lists(WORDS, max_size=3).map(tuple),
    totals=by_group(st.dictionaries(OUTCOMES, NUMBERS, max_size=2)),
    begun_at=SOMETIMES,
    listed_at=TIMES,
    default_branch=st.none() | WORDS,
    run_totals=by_group(st.dictionaries(OUTCOMES, NUMBERS, max_size=2)),
    seconds=by_group(st.dictionaries(OUTCOMES, TIMES, max_size=2)),
    latencies=by_group(st.dictionaries(OUTCOMES, st.lists(NUMBERS, max_size=3).map(tuple), max_size=2)),
    past=by_group(PASTS),
    gone_branches=st.dictionaries(WORDS, TIMES, max_size=2),
    horizon=TIMES,
    cut_at=TIMES,
    version=NUMBERS,
)


@given(HISTORIES)
def test_any_history_comes_back_as_it_was(history: History) -> None:
    assert decode(encode(history)) == history


def test_the_order_of_builds_and_the_types_of_their_values_stay() -> None:
    history = read(*reversed(many(20)), build("x", Outcome.EXECUTING, started=1))
    found = decode(encode(history))
    assert list(found.rows) == list(history.rows)
    assert all(isinstance(row.build.outcome, Outcome) for row in found.rows.values())
    assert all(type(row.build.sha) is str for row in found.rows.values())


@cache
def cut() -> History:
    rules = Rules(builds=3, histograms=("conclude", "queue", "run"))
    return read_again(read(*many(150, step=20), rules=rules), *many(160, step=20), rules=rules, now=NOW)


def test_what_was_cut_comes_back_as_well() -> None:
    assert cut().past
    assert decode(encode(cut())) == cut()


def test_shas_take_half_their_digits() -> None:
    shas = [f"{number:040x}" for number in range(100)]
    history = read(*(build(f"b{place}", sha=sha) for place, sha in enumerate(shas)))
    _rest, builds, *_ = content(history)
    assert builds["sha"] == bytes.fromhex("".join(row.build.sha for row in history.rows.values()))


# What is refused


def refused(given: bytes) -> bool:
    """Whether the bytes are refused as they must be; every other error fails the test."""
    try:
        decode(given)
    except StoredRecordError:
        return True
    return False


def record(message: Any) -> bytes:
    return bytes([FORMAT]) + isal_zlib.compress(msgspec.msgpack.encode(message), 1)


def content(history: History) -> Any:
    return msgspec.msgpack.decode(isal_zlib.decompress(encode(history)[1:]))


@given(st.binary(max_size=200))
def test_bytes_that_no_history_was_stored_as_are_refused(foreign: bytes) -> None:
    assert refused(foreign)
    assert refused(bytes([FORMAT]) + foreign)


@given(st.data())
def test_a_truncated_record_is_refused(data: st.DataObject) -> None:
    whole = encode(cut())
    assert refused(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert refused(whole + b"more")


@given(st.data())
def test_a_record_with_a_changed_byte_raises_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(encode(cut()))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    refused(bytes(whole))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=5,
)


def replaced(within: Any, data: st.DataObject) -> Any:
    """The content with one value in it replaced by anything, or taken away."""
    if isinstance(within, list | tuple | dict) and within and data.draw(st.integers(0, 4)):
        parts = dict(enumerate(within)) if isinstance(within, list | tuple) else dict(within)
        key = data.draw(st.sampled_from(list(parts)))
        if data.draw(st.integers(0, 5)):
            parts[key] = replaced(parts[key], data)
        else:
            del parts[key]
        return parts if isinstance(within, dict) else list(parts.values())
    return data.draw(ANYTHING)


@given(st.data())
def test_a_record_with_a_changed_value_raises_nothing_else(data: st.DataObject) -> None:
    history = data.draw(st.sampled_from([cut(), read(build("a", run="7"), build("b"))]) | HISTORIES)
    refused(record(replaced(content(history), data)))


@given(ANYTHING)
def test_other_messages_are_refused(message: Any) -> None:
    assert refused(record(message))


def test_a_message_that_is_nested_deeply_is_refused() -> None:
    inner = b"\x91" * 100_000 + b"\xc0"
    deep = b"\x95" + inner * 5
    assert refused(bytes([FORMAT]) + isal_zlib.compress(deep, 1))
    rest, *_ = content(History())
    in_a_column = b"\x95" + msgspec.msgpack.encode(rest) + b"\x81\xa2id" + inner + b"\x80" * 3
    assert refused(bytes([FORMAT]) + isal_zlib.compress(in_a_column, 1))


def test_a_record_that_would_fill_the_memory_is_refused() -> None:
    assert refused(bytes([FORMAT]) + isal_zlib.compress(bytes(100_000_000), 1))
    rest, *_ = content(History())
    assert refused(record([rest, {"trigger": {"all": "", "number": 10**12}}, {}, {}, {}]))


@pytest.mark.parametrize("first", [b"", bytes([FORMAT + 1]), b"\x80", b"{"])
def test_a_record_of_another_format_says_so(first: bytes) -> None:
    with pytest.raises(StoredRecordError, match="unknown format"):
        decode(first + encode(History())[1:] if first else b"")


def test_a_record_from_before_a_field_was_added_has_its_default() -> None:
    """As if `coverage`, `bridged_at` and `begun_at` had come with this version."""
    first, second = build("a", run="7"), build("b", run="8")
    history = read(first._replace(coverage=0.5), second, runs=[pipeline("7"), pipeline("8")])
    rest, builds, rows, runs, run_rows = content(history)
    del builds["coverage"], run_rows["bridged_at"], rest["begun_at"]
    found = decode(record([rest, builds, rows, runs, run_rows]))
    assert [row.build.coverage for row in found.rows.values()] == [None, None]
    assert [row.bridged_at for row in found.runs.values()] == [-inf, -inf]
    assert found.begun_at is None
    assert list(found.rows) == list(history.rows)
    del builds["id"]
    assert refused(record([rest, builds, rows, runs, run_rows]))


def test_a_record_of_a_later_version_with_one_more_field_is_read() -> None:
    rest, builds, rows, runs, run_rows = content(cut())
    more = record([rest | {"later": 1}, builds | {"later": [1]}, rows, runs, run_rows])
    assert decode(more) == cut()


def test_infinite_times_come_back() -> None:
    history = History(floor=-inf, cut_at=inf)
    assert decode(encode(history)) == history


def test_neither_pickle_nor_marshal_is_used_to_store() -> None:
    """Both can run code when they are read."""
    found: set[str | None] = set()
    for path in Path(store.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            if isinstance(node, ast.ImportFrom):
                found.add(node.module)
    assert "msgspec" in found
    assert not found & {"pickle", "marshal", "shelve", "copyreg"}
