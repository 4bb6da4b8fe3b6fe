"""What the store has kept of a source, and what it takes to go on from there."""

from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from exporter.build import Target
from exporter.history.window import Group, History
from exporter.polling.state import Budget, Source, SourceState, TargetState
from exporter.reading import progress
from exporter.reading.core import Reading
from exporter.reading.progress import Progress
from exporter.store.codec import StoredRecordError
from exporter.store.contract import Store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Restored:
    """A source as it was when the store was last written."""

    state: SourceState = field(default_factory=SourceState)
    progress: Progress = field(default_factory=Progress)
    groups: dict[Target, tuple[Group, ...]] = field(default_factory=dict)
    """The groups of each target that had counters."""

    def refill(self, budget: Budget) -> None:
        """Let the token bucket be as full as it was, and no fuller: a restart must not earn requests."""
        if self.progress.bucket is not None:
            budget.update(partial(progress.with_kept, kept=self.progress.bucket))


def load(store: Store, source: str, now: float) -> Restored:
    """What the store has kept of a source. It waits for the store, so the caller does not hold the lock."""
    kept = _progress(store, source, now)
    state = replace(kept.state, targets={}, lists={})  # other targets may be configured by now
    groups: dict[Target, tuple[Group, ...]] = {}
    for target, history in store.load(source):
        state.targets[target] = progress.restored(target, history, kept.targets.get(target), state.skew, now)
        groups[target] = tuple(history.totals)
    if groups:
        log.info("the state was loaded", source=source, targets=len(groups))
    return Restored(state, kept, groups)


def _progress(store: Store, source: str, now: float) -> Progress:
    stored = store.progress(source)
    if stored is None:
        return Progress()
    try:
        return progress.decode(stored, source, now)
    except StoredRecordError as error:
        log.warning("how the source was read is not known", source=source, reason=str(error))
        return Progress()


def take_over(reading: Reading, restored: Restored) -> None:
    """Let the targets that were restored be shown as they were. The caller holds the lock."""
    kept = restored.progress
    for target, groups in restored.groups.items():
        reading.shown.restored(target, groups, folded=target in kept.folded, hidden=target in kept.hidden)


def show(reading: Reading, source: Source, state: TargetState, history: History) -> bool:
    """Show a target that was restored for the first time. The caller holds the lock.

    Returns False if its record makes no sense: the target is gone then, and the store is to leave the record alone.
    """
    try:
        reading.show_again(source, state, history)
    except Exception:  # whoever can write to the store may have written anything
        log.exception("a stored record makes no sense, and is left alone", target=state.target.address)
        del source.targets[state.target]
        reading.shown.forget(state.target)
        return False
    return True
