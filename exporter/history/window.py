"""What is known of one target's builds and runs: observations are merged in, and what is too old is cut. Pure.

A `History` is everything that the exporter remembers of a target. `merge` takes observations in any order, any number
of times; `aged` cuts by age alone. Each gives a new history and leaves the old one as it was.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from math import inf

from exporter.history.counting import counted, grouped, runs_counted, with_builds
from exporter.history.cut import DORMANT_LIMIT, OVERLAP, SWEEP, UNFINISHED_LIMIT, cut
from exporter.history.names import NAMED_BRANCHES, matches, patterns
from exporter.history.past import buckets_of
from exporter.history.records import (
    OTHER,
    BucketKey,
    Group,
    History,
    Observation,
    Past,
    Row,
    Rules,
    RunObservation,
    RunRow,
)
from exporter.history.run_rows import judged, marked, seen_when, with_roots, with_runs
from exporter.history.unread import contested, incomplete

__all__ = [
    "DORMANT_LIMIT",
    "NAMED_BRANCHES",
    "OTHER",
    "OVERLAP",
    "SWEEP",
    "UNFINISHED_LIMIT",
    "BucketKey",
    "Group",
    "History",
    "Observation",
    "Past",
    "Row",
    "Rules",
    "RunObservation",
    "RunRow",
    "aged",
    "buckets_of",
    "contested",
    "incomplete",
    "matches",
    "merge",
    "patterns",
    "recut",
    "with_default_branch",
    "without",
    "without_branch",
]

GONE_BRANCHES = 20
"""So many branches that no longer exist are remembered."""


def merge(  # noqa: PLR0913  # what a read or a delivery can bring
    history: History,
    builds: Iterable[Observation],
    rules: Rules,
    now: float,
    *,
    runs: Iterable[RunObservation] = (),
    whole: Collection[str] = (),
    dismissed: Collection[str] = (),
    replaced: Collection[str] = (),
    bridged: Collection[str] = (),
) -> History:
    """The history with the observations in it: the newer one wins, and each conclusion counts once.

    Their order, and the same observation twice, change nothing. `whole`: ids of runs (children too) of which every
    attempt is among the builds of this read or known. `dismissed`: child runs that no current trigger job names, or
    whose trigger job may fail. `replaced`: the first of these. `bridged`: runs whose trigger jobs were asked.
    """
    builds, runs = list(builds), list(runs)
    first = history.baseline is None
    merged = with_builds(history, builds)
    run_rows, changed = history.runs, set[str]()
    if runs or whole or dismissed or replaced or bridged:
        floor = -inf if history.begun_at is None else max(history.begun_at, history.run_floor)
        run_rows, changed = with_runs(history.runs, runs, floor)
        changed |= marked(
            run_rows,
            whole=whole,
            dismissed=dismissed,
            replaced=replaced,
            bridged=bridged,
            seen=seen_when(builds, runs),
            now=now,
        )
        changed |= with_roots(run_rows) if changed else set()
    if not (first or changed or merged.changed) and now < history.cut_at:
        return replace(history, rows=merged.rows, runs=run_rows)
    if history.runs:  # the runs that builds belonged to before, and the roots that children had
        changed |= {history.rows[id_].build.run for id_ in merged.changed if id_ in history.rows}
        changed |= {history.runs[id_].root for id_ in changed if id_ in history.runs and history.runs[id_].root}
    changed |= {merged.rows[id_].build.run for id_ in merged.changed} if run_rows else set()
    history = replace(history, rows=merged.rows, runs=run_rows)
    if first:
        history = replace(history, baseline=min((build.created_at for build, _at in builds), default=-inf))
    history = grouped(judged(history, changed), rules, now)
    history = runs_counted(counted(history, merged.concluded, rules), rules, now)
    if first:
        begun_at = min((at for _observed, at in (*builds, *runs)), default=now)
        history = replace(history, begun_at=begun_at)
    return cut(history, rules, now)


def without(history: History, gone: Collection[str], rules: Rules, now: float) -> History:
    """The history without builds that are no more; nothing is counted for them."""
    lost = [history.rows[id_].build.run for id_ in gone if id_ in history.rows]
    if not lost:
        return history
    gone = frozenset(gone)
    history = replace(history, rows={id_: row for id_, row in history.rows.items() if id_ not in gone})
    return _again(judged(history, lost), rules, now)


def aged(history: History, rules: Rules, now: float) -> History:
    """The history without what has grown too old by now; itself where nothing has."""
    return history if now < history.cut_at else _again(history, rules, now)


def recut(history: History, rules: Rules, now: float) -> History:
    """The history by other rules than before; one not read yet stays as it is.

    Counters begin anew where their labels are others: what had concluded by then is in none of them.
    """
    if history.baseline is None:
        return history
    history = grouped(history, rules, now)
    marked_only = runs_counted(replace(history, begun_at=None), rules, now)
    return cut(replace(marked_only, begun_at=history.begun_at), rules, now)


def with_default_branch(history: History, branch: str | None, rules: Rules, now: float) -> History:
    """The history of a target with that default branch; None: the provider does not say which."""
    if branch == history.default_branch:
        return history
    history = replace(history, default_branch=branch)
    return history if history.baseline is None else _again(history, rules, now)


def without_branch(history: History, branch: str, rules: Rules, now: float) -> History:
    """The history without the sequences of a branch that no longer exists.

    Its builds and runs are shown under `OTHER` from now on, as those of any branch without a name. One of the same name
    that is built later is another branch.
    """
    newest = [row.build.created_at for row in history.rows.values() if row.build.branch == branch]
    newest += [row.run.created_at for row in history.runs.values() if row.run.branch == branch]
    newest += [past.last_created for group, past in history.past.items() if group[0] == branch]
    if not newest or max(newest) <= history.gone_branches.get(branch, -inf):
        return history
    known = {**history.gone_branches, branch: max(newest)}
    kept = sorted(known, key=lambda name: (known[name], name))[-GONE_BRANCHES:]
    past = {group: past for group, past in history.past.items() if group[0] != branch}
    return _again(replace(history, gone_branches={name: known[name] for name in kept}, past=past), rules, now)


def _again(history: History, rules: Rules, now: float) -> History:
    return cut(runs_counted(grouped(history, rules, now), rules, now), rules, now)
