"""The log of what fails again and again: a line when it begins or changes, then one an hour with the count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from cachetools import LRUCache

from exporter.errors import RateLimited
from exporter.polling.results import Line

log = structlog.get_logger()

REPEATED = 3600.0
"""Seconds after which something that still fails is logged again."""
REMEMBERED = 100_000
"""What fails is forgotten above this number: the longest unchanged first, which is then logged anew."""


@dataclass(slots=True)
class _Failing:
    reason: str
    logged_at: float
    unlogged: int = 0
    """Failures since the last line."""


@dataclass(slots=True)
class FailureLog:
    """What fails at present. The caller holds a lock."""

    _failing: LRUCache[tuple[str, str], _Failing] = field(default_factory=lambda: LRUCache(REMEMBERED))

    def failed(self, what: str, which: str, error: Exception, now: float) -> None:
        """Log that something could not be read, and why. A 429 is logged by the rest that it begins."""
        if isinstance(error, RateLimited):
            return
        reason = getattr(error, "reason", None)
        if reason is not None:
            self._line("warning", what, {"of": which, "reason": reason, "error": str(error)}, reason, now)
        else:
            self._line("error", what, {"of": which, "reason": "unexpected", "exc_info": error}, repr(error), now)

    def recurring(self, lines: Iterable[Line], now: float) -> None:
        """Log lines that come again with each poll while their cause stays."""
        for line in lines:
            self._line(line.level, line.event, line.fields, repr(sorted(line.fields.items())), now)

    def succeeded(self, what: str, which: str) -> None:
        """Note that it can be read: its next failure is logged at once."""
        self._failing.pop((what, which), None)

    def _line(
        self, level: Literal["info", "warning", "error"], event: str, fields: Mapping[str, Any], reason: str, now: float
    ) -> None:
        key = (event, str(fields.get("of", reason)))
        known = self._failing.get(key)
        if known is not None and known.reason == reason and now - known.logged_at < REPEATED:
            known.unlogged += 1
            return
        again = {"times": known.unlogged + 1} if known is not None and known.unlogged else {}
        self._failing[key] = _Failing(reason, now)
        getattr(log, level)(event, **fields, **again)
