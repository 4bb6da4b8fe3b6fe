"""A history at rest: packed to a tenth of what its records take, with what every scrape asks of it beside it."""

import pickle
from weakref import ref

from isal import isal_zlib

from exporter.build import Build
from exporter.window import History

LEVEL = 1


class Packed:
    """A history that nobody looks at; whoever does is given it whole, and shares it with all who do at the time."""

    __slots__ = ("_bytes", "_live", "baseline", "cut_at", "empty", "unfinished")

    def __init__(self, history: History) -> None:
        self._bytes: bytes = isal_zlib.compress(pickle.dumps(history, pickle.HIGHEST_PROTOCOL), LEVEL)
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
            history = pickle.loads(isal_zlib.decompress(self._bytes))  # noqa: S301  # packed above, never from outside
            self._live = ref(history)
        return history


NOTHING = Packed(History())
"""Of a target that was not read yet."""
