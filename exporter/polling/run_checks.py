"""What only the provider can settle of known runs: which children count, and which branches still exist. Pure."""

from collections.abc import Iterable
from math import inf

from exporter.build import Target
from exporter.history.cut import by_label_of, streak
from exporter.history.window import OTHER, History, Rules, contested
from exporter.http.wire import Reading
from exporter.polling.run_found import REFUSED, Found
from exporter.providers.contract import Provider

BRIDGES = 5
"""Runs whose trigger jobs are asked for in one read."""
HOUR = 3600.0
DAY = 86400.0


def ask_bridges(provider: Provider, target: Target, found: Found) -> Reading[None]:
    """Ask which child pipelines count, where one failed and its parent did not. Unless that is refused, all count."""
    history = found.merged()
    for run_id in contested(history)[:BRIDGES]:
        found.bridged.add(run_id)
        try:
            named: dict[str, bool] = dict((yield from provider.bridges(target, run_id)))
            children = {row.run.id for row in history.runs.values() if row.root == run_id}
            if not children <= named.keys():  # one is a child's child, or its trigger job was run again
                for child in sorted(children & named.keys())[:BRIDGES]:
                    below = yield from provider.bridges(target, child)
                    named |= {below_id: may_fail or named[child] for below_id, may_fail in below.items()}
        except REFUSED:
            continue
        found.dismissed.update(child for child in children if named.get(child, False))
        found.replaced.update(children - named.keys())


def ask_branches(provider: Provider, target: Target, found: Found) -> Reading[None]:
    """Ask whether the branches still exist that are broken and silent; each once for every day of its silence."""
    if found.now // HOUR == found.history.walked_at // HOUR:
        return
    for branch, silent_since in _broken(found.merged(), found.rules):
        if _days(silent_since, found.now) <= max(0.0, _days(silent_since, found.history.walked_at)):
            continue
        try:
            exists: bool = yield from provider.branch_exists(target, branch)
        except REFUSED:
            continue
        if not exists:
            found.gone_branches.add(branch)


def _days(since: float, at: float) -> float:
    """Full days since then at the last full hour."""
    return (at // HOUR * HOUR - since) // DAY if at > -inf else 0.0


def _broken(history: History, rules: Rules) -> Iterable[tuple[str, float]]:
    """The named branches whose newest decided run failed, and since when nothing is known to have happened on them."""
    by_label = by_label_of(history, rules)
    for branch in history.names:
        if branch == OTHER:
            continue
        of_label = by_label.get(branch, [])
        newest, _first_failed = streak(of_label)
        pasts = [past for group, past in history.past.items() if group[0] == branch]
        failed = any(past.success is False for past in pasts) if newest is None else newest.succeeded is False
        if failed:
            times = [past.last_created for past in pasts]
            times += [max(turn.created_at, turn.decided_at or -inf) for turn in of_label]
            yield branch, max(times, default=-inf)
