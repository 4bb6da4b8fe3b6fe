"""A history at rest: packed to a tenth of what its records take, with what every scrape asks of it beside it."""

import marshal
import pickle
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from weakref import ref

from isal import isal_zlib

from exporter.build import Build, Outcome
from exporter.pieces import LEVEL, fitted
from exporter.window import History, Row

_DIGITS = 40
"""Of a sha."""
_HEX = re.compile("[0-9a-f]*")
_OUTCOMES = {str(outcome): outcome for outcome in Outcome}


class Packed:
    """A history that nobody looks at; whoever does is given it whole, and shares it with all who do at the time."""

    __slots__ = ("_bytes", "_live", "baseline", "cut_at", "empty", "unfinished")

    def __init__(self, history: History) -> None:
        self._bytes = fitted(isal_zlib.compress(_dumped(history), LEVEL))
        self._live = ref(history)
        self.baseline: float | None = history.baseline
        """As of the history."""
        self.cut_at: float = history.cut_at
        """As of the history."""
        self.unfinished: tuple[Build, ...] = tuple(history.unfinished)
        """The builds that somebody or something is working on, oldest first."""
        self.empty: bool = not history.rows
        """Whether it has no builds."""

    @property
    def history(self) -> History:
        """All of it."""
        history = self._live()
        if history is None:
            history = _loaded(isal_zlib.decompress(self._bytes))
            self._live = ref(history)
        return history


def _dumped(history: History) -> bytes:
    """The builds by columns, which compress better than records and are read faster than those; then the rest."""
    rows = history.rows.values()
    columns: dict[str, Any] = dict(zip(Build._fields, zip(*[row.build for row in rows], strict=True), strict=False))
    if columns:
        columns["outcome"] = tuple(map(str, columns["outcome"]))  # marshal takes no enumeration
        # What compresses badly: a run that is called as its build, and shas, of which a digit tells half a byte.
        columns["run"] = tuple(
            None if run == id_ else run for run, id_ in zip(columns["run"], columns["id"], strict=True)
        )
        columns["sha"] = _as_bytes(columns["sha"])
    seen = list(zip(*[(row.seen_at, row.counted, row.shown) for row in rows], strict=True))
    return marshal.dumps((columns, seen, pickle.dumps(replace(history, rows={}), pickle.HIGHEST_PROTOCOL)))


def _loaded(dumped: bytes) -> History:
    columns, seen, rest = marshal.loads(dumped)  # noqa: S302  # dumped above, never from outside
    history: History = pickle.loads(rest)  # noqa: S301  # the same
    if not columns:
        return history
    ids = columns["id"]
    columns["outcome"] = [_OUTCOMES[outcome] for outcome in columns["outcome"]]
    columns["run"] = [id_ if run is None else run for run, id_ in zip(columns["run"], ids, strict=True)]
    columns["sha"] = _as_text(columns["sha"])
    builds = map(Build._make, zip(*columns.values(), strict=True))
    return replace(history, rows=dict(zip(ids, map(Row, builds, *seen), strict=True)))


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


NOTHING = Packed(History())
"""Of a target that was not read yet."""
