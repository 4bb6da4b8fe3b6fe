"""What a look at many targets changes in how each of them is polled. Pure.

If nothing of a target moved and nothing is under way, the look counts as a read. A target that moved is read, and with
it the list of its runs. A target that the answer does not show is polled by itself.
"""

from collections.abc import Iterable
from dataclasses import replace
from math import inf

from exporter.polling.looks import OVERLAP, Look, earliest_child, moved
from exporter.polling.results import Times
from exporter.polling.state import Polling, Source, TargetState
from exporter.providers import Changes


def known_until(source: Source, known: TargetState) -> float:
    """Up to when the changes of a target are known, by the server's clock: from a look, else from its list of runs."""
    look = known.polling.look
    return known.polling.listed_at - source.state.skew if look is None else look.until


def since(source: Source, some: Iterable[TargetState], now: float) -> float:
    """From when on changes of these targets must be asked for, by the server's clock."""
    return max(0.0, min(now - source.state.skew, *(known_until(source, known) for known in some)) - OVERLAP)


def newest(source: Source, shown: Iterable[Changes], now: float) -> float:
    """The newest change that an answer shows: the server's time, if it is not in its future."""
    times = (run.updated_at for changes in shown for run in changes.runs)
    return min(now - source.state.skew, max(times, default=-inf))


def after_changes(
    source: Source, state: TargetState, changes: Changes, until: float, times: Times
) -> tuple[Polling, bool]:
    """How a target is polled after a look that was asked for at `times.now`; whether it is known to be current.

    `until`: the newest change that the answer showed of any target, by the server's clock.
    """
    now, before, known = times.now, state.polling, known_until(source, state)
    polling = replace(before, look=Look(changes, max(known, until), now), apart=False)
    if moved(before.look, changes, known):
        child = earliest_child(before.look, changes)
        child_since = before.child_since if child is None else min(child, before.child_since)
        return replace(polling, wanted_at=now, due_at=now, unlisted=True, child_since=child_since), False
    current = replace(state, polling=polling).covered and not polling.unlisted
    return (replace(polling, current_at=now), True) if current else (polling, False)


def after_absence(polling: Polling) -> Polling:
    """How a target is polled that the answer to a look did not show."""
    return replace(polling, look=None) if polling.look is not None else polling


def apart(source: Source, times: Times, *, refused: bool) -> None:
    """Poll each target by itself, while looks fail, or for good where they are `refused`; not all at the same time."""
    for state in source.targets.values():
        polling = state.polling
        spread = times.now - times.chance() * times.refresh.idle_ttl
        look = None if refused else polling.look
        state.polling = replace(polling, look=look, current_at=min(polling.current_at, spread), apart=True)
