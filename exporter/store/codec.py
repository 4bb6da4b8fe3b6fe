"""A history at rest: packed to a tenth of what its records take, with what every scrape asks of it beside it."""

import marshal
import pickle
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import fields
from math import isnan, nan
from operator import attrgetter
from typing import Any, ClassVar
from weakref import ref

from isal import isal_zlib

from exporter.build import Build, Outcome
from exporter.exposition.gzip_members import LEVEL
from exporter.history.window import History, Past, Row
from exporter.store.arena import Store

HISTORIES = 64
"""Kept together, half a megabyte of them: a change moves what stands behind it."""
_TIMES = ("created_at", "started_at", "concluded_at")
_FEW = ("branch", "status", "name", "stage")
_DOUBLE = 8
"""Bytes."""
_DIGITS = 40
"""Of a sha."""
_HEX = re.compile("[0-9a-f]*")
_OUTCOMES = {str(outcome): outcome for outcome in Outcome}
_REST = [field.name for field in fields(History) if field.name not in {"rows", "past"}]
# Told by name: what dataclasses tell pickle of themselves, they find out anew each time.
_rest_of = attrgetter(*_REST)
_past_of = attrgetter(*[field.name for field in fields(Past)])


class Packed:
    """A history that nobody looks at; whoever does is given it whole, and shares it with all who do at the time."""

    _store: ClassVar = Store(HISTORIES)
    __slots__ = ("_live", "_place", "baseline", "cut_at", "empty", "unfinished")

    def __init__(self, history: History) -> None:
        self._place = self._store.put(isal_zlib.compress(_dumped(history), LEVEL))
        self._live = ref(history)
        self.baseline: float | None = history.baseline
        """As of the history."""
        self.cut_at: float = history.cut_at
        """As of the history."""
        self.unfinished: tuple[Build, ...] = tuple(history.unfinished)
        """The builds that somebody or something is working on, oldest first."""
        self.empty: bool = not history.rows
        """Whether it has no builds."""

    def __del__(self) -> None:
        """Let go of the memory."""
        self._store.drop(self._place)

    @property
    def history(self) -> History:
        """All of it."""
        history = self._live()
        if history is None:
            history = _loaded(isal_zlib.decompress(self._store.get(self._place)))
            self._live = ref(history)
        return history


def _dumped(history: History) -> bytes:
    """The builds by columns, which compress better than records and are read faster than those; then the rest."""
    rows = history.rows.values()
    columns: dict[str, Any] = dict(zip(Build._fields, zip(*[row.build for row in rows], strict=True), strict=False))
    if columns:
        columns["outcome"] = tuple(map(str, columns["outcome"]))  # marshal takes no enumeration
        columns |= {name: _shared(columns[name]) for name in _FEW}
        # What compresses badly as it is: a run that is called as its build, shas in digits, and times.
        columns["run"] = tuple(
            None if run == id_ else run for run, id_ in zip(columns["run"], columns["id"], strict=True)
        )
        columns["sha"] = _as_bytes(columns["sha"])
        columns |= {name: _planes(columns[name]) for name in _TIMES}
    seen = _planes([row.seen_at for row in rows]), bytes([row.counted for row in rows]), [row.shown for row in rows]
    rest = _rest_of(history), {group: _past_of(past) for group, past in history.past.items()}
    return marshal.dumps((columns, seen, pickle.dumps(rest, pickle.HIGHEST_PROTOCOL)))


def _loaded(dumped: bytes) -> History:
    columns, (seen_at, counted, shown), packed = marshal.loads(dumped)  # noqa: S302  # dumped above, never from outside
    rest, past = pickle.loads(packed)  # noqa: S301  # the same
    rows = {}
    if columns:
        ids = columns["id"]
        columns["outcome"] = [_OUTCOMES[outcome] for outcome in columns["outcome"]]
        columns["run"] = [id_ if run is None else run for run, id_ in zip(columns["run"], ids, strict=True)]
        columns["sha"] = _as_text(columns["sha"])
        columns |= {name: _times(columns[name]) for name in _TIMES}
        builds = map(Build._make, zip(*columns.values(), strict=True))
        seen = zip(builds, _times(seen_at), counted, shown, strict=True)
        rows = dict(zip(ids, map(Row._make, seen), strict=True))
    known = {group: Past(*values) for group, values in past.items()}
    return History(rows=rows, past=known, **dict(zip(_REST, rest, strict=True)))


def _shared(texts: Iterable[str | None]) -> tuple[str | None, ...]:
    """The same, each of them once in memory, which marshal sees and keeps."""
    known: dict[str | None, str | None] = {}
    return tuple([known.setdefault(text, text) for text in texts])


def _as_bytes(shas: tuple[str, ...]) -> bytes | tuple[str, ...]:
    """The bytes that the shas spell; themselves where one is none."""
    text = "".join(shas)
    whole = all(len(sha) == _DIGITS for sha in shas) and _HEX.fullmatch(text)
    return bytes.fromhex(text) if whole else shas


def _as_text(shas: bytes | tuple[str, ...]) -> Sequence[str]:
    if isinstance(shas, tuple):
        return shas
    text = shas.hex()
    return [text[start : start + _DIGITS] for start in range(0, len(text), _DIGITS)]


def _planes(times: Iterable[float | None]) -> bytes:
    """The first bytes of all the times, then the second ones and so on: most are alike. None is no number."""
    numbers = array("d", [nan if at is None else at for at in times]).tobytes()
    return b"".join([numbers[place::_DOUBLE] for place in range(_DOUBLE)])


def _times(planes: bytes) -> list[float | None]:
    count = len(planes) // _DOUBLE
    numbers = bytearray(len(planes))
    for place in range(_DOUBLE):
        numbers[place::_DOUBLE] = planes[place * count : (place + 1) * count]
    return [None if isnan(at) else at for at in memoryview(numbers).cast("d")]


NOTHING = Packed(History())
"""Of a target that was not read yet."""
