"""What of a history is shown and what is only remembered; the rest is cut, and summed up in `Past`. Pure.

Remembered beside what is shown: what a page may show again, so that it is not counted twice; what can come to life;
and the runs that say since when a branch is broken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from math import inf

from exporter.build import DORMANT, FAILED, UNFINISHED, Build
from exporter.history.counting import unsettled
from exporter.history.judge import Pipeline, age_key, decided, failures, of_build
from exporter.history.past import with_builds_cut, with_runs_cut
from exporter.history.records import History, Row, Rules, RunRow
from exporter.history.run_rows import remembered
from exporter.history.runs import Turn, root_of, run_key, turns

OVERLAP = 600.0
"""Seconds: ids are given before they become visible, so the newest minutes are read again."""
SWEEP = 100
"""As many of the newest builds are always remembered, so that reading them again counts nothing twice."""
DORMANT_LIMIT = 1000
UNFINISHED_LIMIT = 1000
HELD = 200
"""So many newer runs, at most, wait behind an unfinished one before they are summed up: it may yet break a streak."""


@dataclass(slots=True)
class _Kept:
    """Ids of what remains."""

    shown: set[str] = field(default_factory=set)
    builds: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    """Runs of which every build remains."""
    runs: set[str] = field(default_factory=set)
    shown_runs: set[str] = field(default_factory=set)
    at: float = inf
    """When time alone next changes what remains."""

    def until(self, at: float) -> None:
        """Something changes then."""
        self.at = min(self.at, at)


def cut(history: History, rules: Rules, now: float) -> History:
    """The history with only what is shown or must be remembered."""
    newest_first = sorted(history.rows.values(), key=_age_of_row, reverse=True)
    by_label: dict[str, list[Row]] = {}
    for row in newest_first:
        by_label.setdefault(history.group(row.build, ())[0], []).append(row)
    kept = _Kept()
    for label, rows in by_label.items():
        _keep_window(kept, rows, rules, now)
        if is_active(history, label, rows[0].build.created_at):
            kept.until(_silent_at(rows, rules, now))
    _keep_unfinished(kept, newest_first, rules, now)
    if not history.runs and all(row.build.run == row.build.id for row in newest_first):
        for label, rows in by_label.items():
            _keep_simple(kept, label, rows, history)
    else:
        _keep_runs(kept, by_label, history, rules, now)
    kept.builds |= kept.shown | _remembered(newest_first, now - rules.age)
    if history.runs:
        kept.builds.update(row.build.id for row in newest_first if root_of(history, row.build.run) in kept.needed)
    kept.builds |= _whole_runs(newest_first, kept.builds)
    _keep_run_rows(kept, history)
    return _without_rest(history, kept, newest_first, by_label, rules)


def is_active(history: History, label: str, newest_at: float) -> bool:
    """Whether a branch label shows sequences; its newest build was created at that time."""
    return label in history.names or newest_at >= history.horizon


def streak(of_label: Sequence[Turn]) -> tuple[Turn | None, Turn | None]:
    """The newest decided run, and the first of the failed ones that it is the last of; runs come oldest first."""
    newest: Turn | None = None
    first: Turn | None = None
    for turn in reversed(of_label):
        if turn.succeeded is None:
            continue
        newest = newest or turn
        if turn.succeeded:
            break
        first = turn
    return newest, first


def by_label_of(history: History, rules: Rules) -> dict[str, list[Turn]]:
    """The runs of each branch label, oldest first."""
    return {group[0]: of_label for group, of_label in turns(history, replace(rules, labels=())).items()}


def _age_of_row(row: Row) -> tuple[float, int, str]:
    return age_key(row.build)


def _keep_window(kept: _Kept, rows: list[Row], rules: Rules, now: float) -> None:
    """The newest builds of a branch label."""
    window = list(takewhile(lambda row: row.build.created_at >= now - rules.age, rows[: rules.builds]))
    if window:
        kept.until(window[-1].build.created_at + rules.age)
    kept.shown.update([row.build.id for row in window])
    kept.builds.add(rows[0].build.id)


def _silent_at(rows: list[Row], rules: Rules, now: float) -> float:
    """When a branch label shows no sequences any more, if nothing happens."""
    ended_at = max([row.build.concluded_at or 0.0 for row in rows[: rules.builds]])
    at = max(rows[0].build.created_at, ended_at) + rules.remember
    return at if at > now else inf


def _keep_unfinished(kept: _Kept, newest_first: list[Row], rules: Rules, now: float) -> None:
    """What is under way, however old, as long as it is met."""
    for row in [row for row in newest_first if row.build.unfinished][:UNFINISHED_LIMIT]:
        last_known = max(row.build.created_at, row.seen_at)
        if last_known >= now - rules.age:
            kept.shown.add(row.build.id)
            kept.until(last_known + rules.age)


def _keep_simple(kept: _Kept, label: str, rows: list[Row], history: History) -> None:
    """Where builds are their own runs: the newest decided one, and what waits behind an unfinished one."""
    unfinished = [place for place, row in enumerate(rows) if row.build.unfinished and row.build.id in kept.shown]
    newer = [row.build.id for row in rows[: unfinished[-1]] if row.build.id not in kept.shown] if unfinished else []
    if is_active(history, label, rows[0].build.created_at):
        newest = next((row.build.id for row in rows if of_build(row.build).succeeded is not None), None)
        kept.shown.update([] if newest is None else [newest])
    if len(newer) <= HELD:
        kept.builds.update(newer)


def _keep_runs(kept: _Kept, by_label: Mapping[str, list[Row]], history: History, rules: Rules, now: float) -> None:
    """Where runs have several builds: the window of runs, and the runs that say how a branch is."""
    for label, of_label in by_label_of(history, rules).items():
        recorded = [turn for turn in of_label if turn.id in history.runs][: -rules.runs - 1 : -1]
        window = list(takewhile(lambda turn: turn.created_at >= now - rules.age, recorded))
        if window:
            kept.until(window[-1].created_at + rules.age)
        kept.shown_runs.update(turn.id for turn in window)
        kept.runs.add(of_label[-1].id)
        if is_active(history, label, of_label[-1].created_at):
            newest, first = streak(of_label)
            kept.needed.update(turn.id for turn in (of_label[-1], newest, first) if turn is not None)
            rows = [row for row in by_label.get(label, ()) if newest and root_of(history, row.build.run) == newest.id]
            kept.shown.update(_newest_attempts(rows)[: rules.builds])
        kept.runs.update(_held(of_label, kept, history, now - rules.age))
    for at in unsettled(history, now).values():
        kept.until(at)
    kept.runs |= kept.shown_runs | kept.needed


def _held(of_label: Sequence[Turn], kept: _Kept, history: History, horizon: float) -> set[str]:
    """The runs of a label that are unfinished, and those that wait behind the oldest of them."""
    open_runs = []
    for place, turn in enumerate(of_label):
        row = history.runs.get(turn.id)
        last_known = max(turn.created_at, row.seen_at if row else -inf)
        if turn.succeeded is None and turn.outcome in UNFINISHED and last_known >= horizon:
            open_runs.append(place)
    if not open_runs:
        return set()
    behind = {turn.id for turn in of_label[open_runs[0] :]} - kept.shown_runs
    return behind if len(behind) <= HELD else {of_label[place].id for place in open_runs[-UNFINISHED_LIMIT:]}


def _newest_attempts(rows: Iterable[Row]) -> list[str]:
    """The ids of the newest attempts, newest first, of rows that are."""
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        found.setdefault((row.build.run, row.build.name), row.build.id)
    return list(found.values())


def _remembered(newest_first: list[Row], horizon: float) -> set[str]:
    """The ids of the builds that may be met again, and of those that can come to life."""
    overlap = newest_first[0].build.created_at - OVERLAP if newest_first else inf
    ids = {row.build.id for row in newest_first[:SWEEP]}
    ids.update([row.build.id for row in takewhile(lambda row: row.build.created_at >= overlap, newest_first)])
    dormant = [row.build.id for row in newest_first if row.build.outcome in DORMANT and row.build.created_at >= horizon]
    ids.update(dormant[:DORMANT_LIMIT])
    return ids


def _whole_runs(newest_first: list[Row], ids: set[str]) -> set[str]:
    """The ids of what else belongs to the runs of those builds: a run that is known in part would be judged otherwise.

    Of each name that is the newest attempt, the newest that succeeded or failed, and the one behind that.
    """
    runs = {row.build.run for row in newest_first if row.build.id in ids and row.build.run != row.build.id}
    found: set[str] = set()
    following: dict[tuple[str, str], str] = {}
    settled: set[tuple[str, str]] = set()
    for row in newest_first if runs else ():
        build = row.build
        name = build.run, build.name
        if build.run not in runs or name in settled:
            continue
        if name not in following:
            found.add(build.id)
        if decided(build):
            settled.add(name)
            found.update((build.id, following.get(name, build.id)))
        following[name] = build.id
    return found


def _keep_run_rows(kept: _Kept, history: History) -> None:
    """The runs of the builds that remain, and those that a list may show again, with their children."""
    kept.runs &= history.runs.keys()
    if not history.runs:
        return
    kept.runs |= {root_of(history, history.rows[id_].build.run) or "" for id_ in kept.builds} & history.runs.keys()
    own = sorted((row for row in history.runs.values() if not row.run.child), key=lambda row: run_key(row.run))
    kept.runs.update(row.run.id for row in own[-SWEEP:])
    moved = max((row.run.updated_at or -inf for row in own), default=-inf)
    newest = own[-1].run.created_at if own else inf
    kept.runs.update(
        row.run.id
        for row in own
        if row.run.created_at >= newest - OVERLAP or (row.run.updated_at or -inf) >= moved - OVERLAP
    )
    children = [row for row in history.runs.values() if row.run.child]
    orphans = sorted((row for row in children if row.root not in history.runs), key=lambda row: run_key(row.run))
    with_builds: set[str] = {history.rows[id_].build.run for id_ in kept.builds}
    kept.runs.update(row.run.id for row in children if row.root in kept.runs or row.run.id in with_builds)
    kept.runs.update(row.run.id for row in orphans[-SWEEP:])


def _without_rest(
    history: History, kept: _Kept, newest_first: list[Row], by_label: Mapping[str, list[Row]], rules: Rules
) -> History:
    """The history with only what was kept."""
    gone = [row for row in newest_first if row.build.id not in kept.builds]
    gone_runs = [row for row in history.runs.values() if row.run.id not in kept.runs]
    if gone or gone_runs:
        roots = {history.rows[id_].build.run for id_ in kept.builds}
        if history.runs:
            roots = {root_of(history, run) or "" for run in roots}
        alive = frozenset(roots) | (set() if rules.by_build else kept.runs)
        history = with_runs_cut(history, gone, alive, rules)
    oldest = {
        label: next((row.build.created_at for row in reversed(rows) if row.build.id in kept.builds), inf)
        for label, rows in by_label.items()
    }
    history = with_builds_cut(history, gone, oldest, rules)
    runs = _run_rows(history, kept, gone) if history.runs else history.runs
    return replace(
        history,
        rows={row.build.id: _shown(row, kept) for row in newest_first if row.build.id in kept.builds},
        runs=runs,
        floor=max([history.floor, *[row.build.created_at for row in gone]]),
        run_floor=max([history.run_floor, *[row.run.created_at for row in gone_runs]]),
        cut_at=kept.at,
        version=history.version + 1,
    )


def _shown(row: Row, kept: _Kept) -> Row:
    shown = row.build.id in kept.shown
    return row if row.shown == shown else row._replace(shown=shown)


def _run_rows(history: History, kept: _Kept, gone: Iterable[Row]) -> dict[str, RunRow]:
    """The rows of the runs that remain; those whose builds go note when these failed, for they are judged no more."""
    of_run = {history.rows[id_].build.run for id_ in kept.builds}
    gone_ids = {row.build.id for row in gone}
    failed = {row.build.run for row in gone if row.build.outcome in FAILED} & kept.runs
    said: dict[str, list[tuple[float, bool]]] = {}
    for pipeline in _pipelines_of(history, failed):
        ends = [build.concluded_at for build in failures(pipeline) if build.id in gone_ids]
        said[pipeline.row.run.id] = [(at, False) for at in ends if at is not None]
    lost = {row.build.run for row in gone} - of_run
    found: dict[str, RunRow] = {}
    for id_, row in history.runs.items():
        if id_ not in kept.runs:
            continue
        changed = row
        if id_ in said:
            changed = changed._replace(said=remembered((*row.said, *said[id_])))
        if id_ in lost and row.whole:
            changed = changed._replace(whole=False)
        if (id_ in kept.shown_runs) != row.shown:
            changed = changed._replace(shown=not row.shown)
        found[id_] = changed
    return found


def _pipelines_of(history: History, ids: set[str]) -> list[Pipeline]:
    builds: dict[str, list[Build]] = {id_: [] for id_ in ids}
    for row in history.rows.values() if ids else ():
        if row.build.run in ids:
            builds[row.build.run].append(row.build)
    return [Pipeline(history.runs[id_], of_run) for id_, of_run in builds.items() if id_ in history.runs]
