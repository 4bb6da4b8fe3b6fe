"""What a read of a target by its runs has found so far, and the `Walked` that it makes. Pure."""

from dataclasses import dataclass, field, replace
from math import inf

from exporter.build import Run
from exporter.errors import BadPayload, Forbidden, NotFound
from exporter.history.window import History, Rules
from exporter.polling.walk import (
    Met,
    Walked,
    applied,
    walked,
)

SAME = 1.0
"""Seconds by which two records of one state differ, because one has whole seconds only."""

REFUSED = (Forbidden, NotFound, BadPayload)
"""What a provider answers that has no such list, or does not let the token see it."""


@dataclass(slots=True)
class Found:
    """What a read has found so far."""

    history: History
    rules: Rules
    now: float
    met: Met = field(default_factory=Met)
    listed: dict[str, Run] = field(default_factory=dict)
    """As the lists of runs show them."""
    list_read: bool = False
    list_complete: bool = True
    unread: set[str] = field(default_factory=set)
    """Runs that changed and whose builds are not read this time."""
    tried: set[str] = field(default_factory=set)
    """Runs whose builds were asked for."""
    lost: set[str] = field(default_factory=set)
    """Runs that the provider no longer has."""
    dismissed: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    bridged: set[str] = field(default_factory=set)
    gone_branches: set[str] = field(default_factory=set)

    def merged(self) -> History:
        """The history with what was found so far; itself where that is nothing new."""
        result = self.result()
        news = result.sights or result.runs or result.gone or result.whole or self.bridged
        return applied(result, self.history, self.rules, self.now) if news else self.history

    def result(self) -> Walked:
        """What the read brings."""
        seen = {build.id for build in self.met.builds}
        lost = (row.build.id for row in self.history.rows.values() if row.build.run in self.lost)
        runs = dict(self.met.runs)
        for run in self.listed.values():
            row = self.history.runs.get(run.id)
            if row is None or not same_state(row.run, run):
                runs.setdefault(run.id, run)
        return replace(
            walked(self.met, self.history, self.now, missed=not self.list_complete),
            gone=frozenset(self.met.gone | {build_id for build_id in lost if build_id not in seen}),
            runs=[(self._best(run), self.now) for run in runs.values() if run.id not in self.unread],
            whole=frozenset((self.met.whole | self.lost) - self.unread),
            dismissed=frozenset(self.dismissed),
            replaced=frozenset(self.replaced),
            bridged=frozenset(self.bridged),
            listed_at=self._listed_at(),
            list_read=self.list_read,
            gone_branches=frozenset(self.gone_branches),
        )

    def _best(self, run: Run) -> Run:
        """The newer record of a run, with the kind of its ref as a build has it: lists take tags for branches."""
        listed = self.listed.get(run.id)
        if listed is None:
            return run
        told = self.met.runs.get(run.id)
        row = self.history.runs.get(run.id)
        known = told or (row.run if row else None)
        newer = listed if told is None or changed_at(listed) > changed_at(told) else told
        if known is None or known.ref_kind in {newer.ref_kind, "branch"}:
            return newer
        return newer._replace(ref_kind=known.ref_kind, branch=known.branch)

    def _listed_at(self) -> float:
        """Up to where all that changed is known; what is left unread must be listed again."""
        newest = [run.updated_at for run in self.listed.values() if run.updated_at is not None]
        unread = [changed_at(self.listed[run_id]) for run_id in self.unread if run_id in self.listed]
        return max(self.history.listed_at, min([max(newest, default=-inf), *unread]))


def same_state(known: Run, run: Run) -> bool:
    """Whether two records of a run show the same state."""
    if known.status != run.status or (known.updated_at is None) != (run.updated_at is None):
        return False
    return known.updated_at is None or run.updated_at is None or abs(known.updated_at - run.updated_at) < SAME


# The builds


def changed_at(run: Run) -> float:
    """When the run last changed; its creation where the provider does not say."""
    return run.created_at if run.updated_at is None else run.updated_at
