"""The stored form of a history: a format byte, then compressed MessagePack. No record runs code when it is read.

Builds and runs are stored by columns, which compress better than records and are read faster. A column that a record
lacks has the default of its field, so that a later version can add fields without another format.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isnan, nan
from types import GenericAlias
from typing import Any, TypeVar

import msgspec
from isal import igzip_lib, isal_zlib

from exporter.build import Build, Run
from exporter.errors import ExporterError
from exporter.history.window import History, Row, RunRow

Decoded = TypeVar("Decoded")

FORMAT = 1
LEVEL = 1
LARGEST = 64 * 1024 * 1024
"""Bytes of a record once decompressed; a larger one is no history."""
_DOUBLE = 8
"""Bytes."""
_DIGITS = 40
"""Of a sha."""
_HEX = re.compile("[0-9a-f]*")
_TIMES = ("created_at", "started_at", "concluded_at", "updated_at", "decided_at", "seen_at", "bridged_at")
_NEEDED = frozenset({"created_at", "seen_at"})
_CONSTANT = (
    *("trigger", "ref_kind", "reason", "coverage", "stage", "name", "parent", "ref"),
    *("said", "root", "dismissed", "replaced", "exact", "counted", "shown", "succeeded"),
)
"""Columns that often hold one value only; stored once then."""


class StoredRecordError(ExporterError):
    """A stored record that cannot be read: malformed, or of a format that this version does not know."""


class _Record(msgspec.Struct, array_like=True, frozen=True):
    rest: History
    builds: dict[str, Any]
    rows: dict[str, Any]
    runs: dict[str, Any]
    run_rows: dict[str, Any]


_MALFORMED = (msgspec.MsgspecError, igzip_lib.error, ValueError, TypeError, KeyError, RecursionError)
"""What reading a malformed record raises inside."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


def encode(history: History) -> bytes:
    """The stored form of a history."""
    rows, run_rows = history.rows.values(), history.runs.values()
    record = _Record(
        rest=replace(history, rows={}, runs={}),
        builds=_columns(Build._fields, [row.build for row in rows]),
        rows=_columns(Row._fields, rows, without="build"),
        runs=_columns(Run._fields, [row.run for row in run_rows]),
        run_rows=_columns(RunRow._fields, run_rows, without="run"),
    )
    return packed(_encoder.encode(record))


def packed(message: bytes) -> bytes:
    """The stored form of a message."""
    return bytes([FORMAT]) + isal_zlib.compress(message, LEVEL)


def unpacked(stored: bytes, decoder: msgspec.msgpack.Decoder[Decoded]) -> Decoded:
    """The message of a stored form, decoded. Raises StoredRecordError."""
    if stored[:1] != bytes([FORMAT]):
        raise StoredRecordError(f"the record has an unknown format {stored[:1].hex() or 'and no content'}")
    try:
        return decoder.decode(_decompressed(stored))
    except _MALFORMED as error:  # type: ignore[misc]  # isal has no type for its error
        raise StoredRecordError(f"the record cannot be read: {error}") from error


def decode(stored: bytes) -> History:
    """The history of a stored form. Raises StoredRecordError."""
    record = unpacked(stored, _decoder)
    try:
        builds = list(map(Build._make, _records(Build, record.builds)))
        rows = [Row(build, *values) for build, values in zip(builds, _records(Row, record.rows, "build"), strict=True)]
        runs = list(map(Run._make, _records(Run, record.runs)))
        kept = [
            RunRow(run, *values) for run, values in zip(runs, _records(RunRow, record.run_rows, "run"), strict=True)
        ]
    except _MALFORMED as error:  # type: ignore[misc]  # isal has no type for its error
        raise StoredRecordError(f"the record cannot be read: {error}") from error
    return replace(record.rest, rows={row.build.id: row for row in rows}, runs={row.run.id: row for row in kept})


def _decompressed(stored: bytes) -> bytes:
    decompressor = isal_zlib.decompressobj()
    unpacked: bytes = decompressor.decompress(memoryview(stored)[1:], LARGEST)
    if not decompressor.eof or decompressor.unused_data:  # its checksum is at its end
        raise ValueError("it is too large, or ends too early or too late")
    return unpacked


def _columns(names: Sequence[str], records: Iterable[tuple[Any, ...]], without: str = "") -> dict[str, Any]:
    columns = dict(zip(names, zip(*records, strict=True), strict=False))
    columns.pop(without, None)
    stored: dict[str, Any] = {}
    for name, column in columns.items():
        if name in _TIMES:
            stored[name] = _planes(column)
        elif name == "sha":
            stored[name] = _as_bytes(column)
        elif name in _CONSTANT and len(set(column)) == 1:
            stored[name] = {"all": column[0], "number": len(column)}
        elif name == "run" and "id" in columns:  # a Northflank build is its own run
            ids = columns["id"]
            stored[name] = [None if run == id_ else run for run, id_ in zip(column, ids, strict=True)]
        else:
            stored[name] = column
    return stored


def _records(kind: Any, stored: dict[str, Any], without: str = "") -> Iterable[tuple[Any, ...]]:
    """The records of columns, each value of its type. Raises what malformed columns raise."""
    if not stored:
        return []
    columns: list[Any] = []
    number = 0
    """Of records; no kind begins with a field that has a default."""
    for name in kind._fields:
        if name == without:
            continue
        if name not in stored and name in kind._field_defaults:
            columns.append([kind._field_defaults[name]] * number)
            continue
        column = stored[name]
        if name in _TIMES:
            columns.append(_times(column, needed=name in _NEEDED))
            number = len(columns[-1])
            continue
        if name == "sha" and isinstance(column, bytes):
            column = _as_text(column)
        elif name in _CONSTANT and isinstance(column, dict):
            column = [column["all"]] * _number(column["number"])
        elif name == "run" and "id" in stored:
            column = [id_ if run is None else run for run, id_ in zip(column, stored["id"], strict=True)]
        columns.append(msgspec.convert(column, _TYPES[kind, name]))
        number = len(columns[-1])
    return zip(*columns, strict=True)


def _types() -> dict[tuple[Any, str], Any]:
    kinds: tuple[Any, ...] = (Build, Row, Run, RunRow)
    return {
        (kind, name): GenericAlias(list, (annotation,))
        for kind in kinds
        for name, annotation in kind.__annotations__.items()
    }


_TYPES = _types()


def _number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= LARGEST // _DOUBLE:
        raise ValueError("a column has an impossible length")
    return value


def _as_bytes(shas: Sequence[str]) -> bytes | Sequence[str]:
    """The bytes that the shas spell; themselves where one is none."""
    text = "".join(shas)
    whole = all(len(sha) == _DIGITS for sha in shas) and _HEX.fullmatch(text)
    return bytes.fromhex(text) if whole else shas


def _as_text(shas: bytes) -> Sequence[str]:
    text = shas.hex()
    return [text[start : start + _DIGITS] for start in range(0, len(text), _DIGITS)]


def _planes(times: Iterable[float | None]) -> bytes:
    """The first bytes of all the times, then the second ones and so on: most are alike. None is no number."""
    numbers = array("d", [nan if at is None else at for at in times]).tobytes()
    return b"".join([numbers[place::_DOUBLE] for place in range(_DOUBLE)])


def _times(planes: Any, *, needed: bool) -> list[float | None]:
    if not isinstance(planes, bytes):
        raise TypeError("a column of times is no bytes")
    count = len(planes) // _DOUBLE
    numbers = bytearray(len(planes))
    for place in range(_DOUBLE):
        numbers[place::_DOUBLE] = planes[place * count : (place + 1) * count]
    times = [None if isnan(at) else at for at in memoryview(numbers).cast("d")]
    if needed and None in times:
        raise ValueError("a time is missing")
    return times
