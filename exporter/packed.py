"""A history at rest: packed to a tenth of what its records take, with what every scrape asks of it beside it."""

import marshal
import pickle
from dataclasses import replace
from weakref import ref

from isal import isal_zlib

from exporter.build import Build, Outcome
from exporter.pieces import LEVEL, fitted
from exporter.window import History, Row

_ID, _OUTCOME = map(Build._fields.index, ("id", "outcome"))
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
    of_builds = list(zip(*[row.build for row in rows], strict=True))
    if of_builds:
        of_builds[_OUTCOME] = tuple(map(str, of_builds[_OUTCOME]))  # marshal takes no enumeration
    seen = list(zip(*[(row.seen_at, row.counted, row.shown) for row in rows], strict=True))
    return marshal.dumps((of_builds, seen, pickle.dumps(replace(history, rows={}), pickle.HIGHEST_PROTOCOL)))


def _loaded(dumped: bytes) -> History:
    of_builds, seen, rest = marshal.loads(dumped)  # noqa: S302  # dumped above, never from outside
    history: History = pickle.loads(rest)  # noqa: S301  # the same
    if not of_builds:
        return history
    of_builds[_OUTCOME] = [_OUTCOMES[outcome] for outcome in of_builds[_OUTCOME]]
    builds = map(Build._make, zip(*of_builds, strict=True))
    return replace(history, rows=dict(zip(of_builds[_ID], map(Row, builds, *seen), strict=True)))


NOTHING = Packed(History())
"""Of a target that was not read yet."""
