"""A history at rest: packed to a tenth of what its records take, with what every scrape asks of it beside it."""

import marshal
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from operator import attrgetter
from weakref import ref

from isal import isal_zlib

from exporter.build import Build, Outcome
from exporter.pieces import LEVEL
from exporter.window import History, Row

_NAMES = [one.name for one in fields(Build)]
_OUTCOME = _NAMES.index("outcome")
_OUTCOMES = {str(outcome): outcome for outcome in Outcome}
_of_build = attrgetter(*_NAMES)


class Packed:
    """A history that nobody looks at; whoever does is given it whole, and shares it with all who do at the time."""

    __slots__ = ("_bytes", "_live", "baseline", "cut_at", "empty", "unfinished")

    def __init__(self, history: History) -> None:
        self._bytes: bytes = isal_zlib.compress(_dumped(history), LEVEL)
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
    columns = list(zip(*map(_values, history.rows.values()), strict=True))
    return marshal.dumps((columns, pickle.dumps(replace(history, rows={}), pickle.HIGHEST_PROTOCOL)))


def _loaded(dumped: bytes) -> History:
    columns, rest = marshal.loads(dumped)  # noqa: S302  # dumped above, never from outside
    history: History = pickle.loads(rest)  # noqa: S301  # the same
    return replace(history, rows=_rows(zip(*columns, strict=True)))


def _values(row: Row) -> tuple[object, ...]:
    values = list(_of_build(row.build))
    values[_OUTCOME] = str(values[_OUTCOME])
    return (*values, row.seen_at, row.counted, row.shown)


def _rows(values: Iterable[tuple[object, ...]]) -> Mapping[str, Row]:
    found: dict[str, Row] = {}
    for *of_build, seen_at, counted, shown in values:
        of_build[_OUTCOME] = _OUTCOMES[of_build[_OUTCOME]]  # type: ignore[index]  # each is of its field's type
        build = Build(*of_build)  # type: ignore[arg-type]  # the same
        found[build.id] = Row(build, seen_at, counted, shown)  # type: ignore[arg-type]  # the same
    return found


NOTHING = Packed(History())
"""Of a target that was not read yet."""
