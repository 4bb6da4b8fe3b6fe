"""What one request for the changes of many targets shows of each of them, and how such requests go. Pure.

Such a request is a *look*. Something moved where a run's status or time of change is not as the last look showed it:
looks are compared with looks alone, since other requests give the times in other precision. Each look asks for what
changed since the newest change that the look before showed, less an overlap; both are times of the server.
"""

from dataclasses import dataclass, replace
from typing import Final

from exporter.build import UNFINISHED
from exporter.errors import Forbidden, NotFound, SourceError
from exporter.polling.polls import NEVER, Asked
from exporter.providers.contract import Changes

LARGEST: Final = 100
"""Targets of one request."""
SMALLEST: Final = 12
"""Where a server does not answer for so few targets either, they are read one by one."""
FEWEST: Final = 2
"""Targets for which a look is cheaper than a read of each."""
OVERLAP: Final = 60.0
"""Seconds: a change can become visible after a later one."""
LONGEST_JOB: Final = 45.0
"""Seconds after which a job asks for no more targets; the next one begins with those."""
SOONEST_RETRY: Final = 600.0
LATEST_RETRY: Final = 86400.0
"""Seconds after which a server is asked again that refused; a server that has no such request, after the latter."""
GROWS_AFTER: Final = 3600.0
"""Seconds after which a server that did not answer for many targets is asked for many again."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look showed of one target."""

    changes: Changes
    until: float
    """Everything that changed before is known to looks; by the server's clock."""
    at: float
    """When it was asked for, by our clock."""

    @property
    def settled(self) -> bool:
        """Whether it showed all changes, and no run that is under way."""
        return self.changes.complete and not any(run.outcome in UNFINISHED for run in self.changes.runs)


@dataclass(frozen=True, slots=True)
class Looks:
    """How the looks at a source go. Times are seconds since the epoch."""

    asked: Asked = NEVER
    size: int = LARGEST
    """Targets of one request."""
    grows_at: float = 0.0
    """From then on a request has the largest size again."""
    refusals: int = 0
    """In a row."""
    retry_at: float = 0.0
    """Until then the server is not asked."""

    def size_at(self, now: float) -> int:
        """Targets of the next request."""
        return self.size if now < self.grows_at else LARGEST


def moved(before: Look | None, changes: Changes, since: float) -> bool:
    """Whether something changed since the look before, or since the list of runs that was read at `since`."""
    if before is not None:
        return not changes.runs <= before.changes.runs
    return not changes.complete or any(run.updated_at >= since - OVERLAP for run in changes.runs)


def earliest_child(before: Look | None, changes: Changes) -> float | None:
    """When the earliest child pipeline changed that the look before did not show so; None: there is none."""
    known = before.changes.runs if before is not None else frozenset()
    return min((run.updated_at for run in changes.runs - known if run.child), default=None)


def after_answer(looks: Looks, begun: float, now: float) -> Looks:
    """How looks stand after the server answered all requests of a job. It rests for as long as that took."""
    return replace(looks, asked=Asked(begun, not_before=now + (now - begun)), refusals=0)


def after_refusal(looks: Looks, error: SourceError, asked_for: int, now: float) -> Looks:
    """How looks stand after the server did not answer a request for so many targets: by half as many, or no more.

    No more where the server has no such request, or half as many would be too few.
    """
    if _may_halve(error) and asked_for // 2 >= SMALLEST:
        return replace(looks, size=asked_for // 2, grows_at=now + GROWS_AFTER)
    pause = LATEST_RETRY if not _may_halve(error) else min(LATEST_RETRY, SOONEST_RETRY * 2.0 ** min(looks.refusals, 16))
    return replace(looks, size=LARGEST, refusals=looks.refusals + 1, retry_at=now + pause)


def one_off(error: SourceError, asked_for: int) -> bool:
    """Whether a server that has just answered for others may have failed by chance, or because of one of a few."""
    return _may_halve(error) and asked_for // 2 < SMALLEST


def _may_halve(error: SourceError) -> bool:
    """Whether the server may answer for fewer targets: it has such a request, and the token may make it."""
    return not isinstance(error, NotFound | Forbidden)
