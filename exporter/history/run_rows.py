"""The runs of a history: how observations of them are merged, whose children they are, and what they have come to."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from math import inf

from exporter.build import FAILED, Outcome, Run
from exporter.history.composite import MANUAL
from exporter.history.judge import ROUNDING, Pipeline, Verdict, verdict, word
from exporter.history.records import History, Observation, RunObservation, RunRow
from exporter.history.runs import pipelines, root_of, run_key

SAID_LIMIT = 8
"""What is remembered of a run's earlier successes and failures, at most that many times."""
_PRECISE = 1.0
"""Seconds: times that are whole ones may have been rounded down."""


def with_runs(
    runs: Mapping[str, RunRow], observations: Iterable[RunObservation], floor: float
) -> tuple[dict[str, RunRow], set[str]]:
    """The rows with the observations in them, and which changed. Runs created up to `floor` are never counted."""
    found = dict(runs)
    changed: set[str] = set()
    for run, seen_at in observations:
        known = found.get(run.id)
        if known is None:
            row = RunRow(run, seen_at, counted=int(run.created_at <= floor))
        else:
            row = _newer(known, run, seen_at)
        found[run.id] = row
        if known is None or row.run is not known.run or row.said != known.said:
            changed.add(run.id)
    return found, changed


def marked(  # noqa: PLR0913  # what a read can say of runs beside their records
    runs: dict[str, RunRow],
    *,
    whole: Collection[str],
    dismissed: Collection[str],
    replaced: Collection[str],
    bridged: Collection[str],
    seen: Mapping[str, float],
    now: float,
) -> set[str]:
    """Mark those whose builds are all known, that count for nothing, and whose trigger jobs were asked; which changed.

    `seen`: when the runs were asked for, in this read.
    """
    changed: set[str] = set()
    for run_id in whole:
        row = runs.get(run_id)
        if row is not None and not row.whole and seen.get(run_id, now) >= row.seen_at:
            runs[run_id] = row._replace(whole=True)
            changed.add(run_id)
    for run_id in {*dismissed, *replaced}:
        row = runs.get(run_id)
        if row is not None and (not row.dismissed or (run_id in replaced and not row.replaced)):
            runs[run_id] = row._replace(dismissed=True, replaced=row.replaced or run_id in replaced)
            changed.add(run_id)
    for run_id in bridged:
        row = runs.get(run_id)
        if row is not None:
            runs[run_id] = row._replace(bridged_at=max(row.bridged_at, now))
    return changed


def seen_when(builds: Iterable[Observation], runs: Iterable[RunObservation]) -> dict[str, float]:
    """When each run was asked for last, itself or one of its builds."""
    seen: dict[str, float] = {}
    for run_id, at in (*((run.id, at) for run, at in runs), *((build.run, at) for build, at in builds)):
        seen[run_id] = max(at, seen.get(run_id, -inf))
    return seen


def with_roots(runs: dict[str, RunRow]) -> set[str]:
    """Note of each child pipeline which run it belongs to; gives the children of which that changed.

    That is its parent, or its parent's root. Where the provider did not name the parent it is the newest pipeline of
    the same commit and ref that is no child and was created before.
    """
    children = [row for row in runs.values() if row.run.child]
    if not children:
        return set()
    candidates: dict[tuple[str, str], list[RunRow]] = {(row.run.sha, row.run.ref): [] for row in children}
    for row in runs.values():
        if not row.run.child and (row.run.sha, row.run.ref) in candidates:
            candidates[row.run.sha, row.run.ref].append(row)
    changed: set[str] = set()
    for child in children:
        root = _root(child.run, runs, candidates)
        if root != child.root:
            runs[child.run.id] = runs[child.run.id]._replace(root=root)
            changed.add(child.run.id)
    return changed


def _root(child: Run, runs: Mapping[str, RunRow], candidates: Mapping[tuple[str, str], list[RunRow]]) -> str:
    seen = {child.id}
    run = child
    while run.child and run.parent and run.parent not in seen:
        seen.add(run.parent)
        parent = runs.get(run.parent)
        if parent is None:
            return ""
        run = parent.run
    if not run.child:
        return run.id
    before = [
        row.run for row in candidates.get((run.sha, run.ref), ()) if row.run.created_at <= child.created_at + ROUNDING
    ]
    return max(before, key=run_key).id if before and run.sha else ""


def judged(history: History, changed: Collection[str]) -> History:
    """The history with those runs judged anew, whose record, builds or children changed."""
    roots = {root for run_id in changed if (root := root_of(history, run_id)) in history.runs}
    if not roots:
        return history
    runs = dict(history.runs)
    for root, of_run in pipelines(history, {root for root in roots if root}).items():
        for child in of_run[1:]:
            runs[child.row.run.id] = _with_verdict(child, verdict([child]), exact=child.row.whole)
        runs[root] = _with_verdict(
            of_run[0], verdict(of_run), exact=all(one.row.whole for one in of_run if not one.row.dismissed)
        )
    return replace(history, runs=runs)


def _with_verdict(pipeline: Pipeline, come_to: Verdict, *, exact: bool) -> RunRow:
    row = pipeline.row
    same = (row.succeeded, row.decided_at) == (come_to.succeeded, come_to.decided_at)
    said = row.said
    if come_to.succeeded and not row.succeeded and row.run.status in {"", MANUAL}:
        says = word(pipeline)  # it follows from builds that can move on, and what has succeeded stays so
        if says is not None and says[0] is not None:
            said = remembered((*said, (says[0], says[1])))
    return row._replace(
        succeeded=come_to.succeeded,
        decided_at=come_to.decided_at,
        outcome=come_to.outcome,
        exact=come_to.succeeded is not None and (exact or (row.exact and same)),
        said=said,
    )


def remembered(said: Iterable[tuple[float, bool]]) -> tuple[tuple[float, bool], ...]:
    """What was said of a run, in order and bounded. Of two times of one second the rounded one says nothing new."""
    points = sorted(set(said))
    exact = {(at // 1, passed) for at, passed in points if at % _PRECISE}
    points = [(at, passed) for at, passed in points if at % _PRECISE or (at, passed) not in exact]
    if len(points) > SAID_LIMIT:  # only where it changed
        points = [point for place, point in enumerate(points) if not place or point[1] != points[place - 1][1]]
    return tuple(points[-SAID_LIMIT:])


def _newer(known: RunRow, run: Run, seen_at: float) -> RunRow:
    """The row with one more observation of its run; the newer state wins, in whatever order they come."""
    if known.run == run:
        return known._replace(seen_at=max(known.seen_at, seen_at))
    if _same_state(known.run, run):
        better, other = sorted((known.run, run), key=_precision, reverse=True)
        merged = _filled(better, other)._replace(created_at=min(run.created_at, known.run.created_at))
        return known._replace(run=known.run if merged == known.run else merged, seen_at=max(known.seen_at, seen_at))
    newer = _is_later(run, seen_at, known)
    before, after = (known.run, run) if newer else (run, known.run)
    merged = _filled(after, before)
    return known._replace(
        run=known.run if merged == known.run else merged,
        seen_at=seen_at if newer else known.seen_at,
        whole=known.whole and not newer,
        said=remembered((*known.said, *_said(before))),
    )


def _same_state(one: Run, other: Run) -> bool:
    if one.status != other.status:
        return False
    if one.updated_at is None or other.updated_at is None:
        return True
    rounded = one.updated_at % _PRECISE == 0 or other.updated_at % _PRECISE == 0
    return one.updated_at == other.updated_at or (rounded and one.updated_at // 1 == other.updated_at // 1)


def _precision(run: Run) -> tuple[bool, float, str]:
    return run.updated_at is not None, run.updated_at or 0.0, repr(run)


def _is_later(run: Run, seen_at: float, known: RunRow) -> bool:
    """Whether that observation tells of a later state than the known one: by the provider's times, else by ours."""
    one, other = run.updated_at, known.run.updated_at
    if one is not None and other is not None and abs(one - other) >= ROUNDING:
        return one > other
    return (seen_at, _precision(run)) > (known.seen_at, _precision(known.run))


def _filled(run: Run, other: Run) -> Run:
    """The run, with what never changes and only the other observation of it has."""
    missing = {name: getattr(other, name) for name in ("trigger", "sha", "ref", "parent") if not getattr(run, name)}
    filled = run._replace(**missing) if any(missing.values()) else run
    return filled if filled.branch or other.branch is None else filled._replace(branch=other.branch)


def _said(run: Run) -> tuple[tuple[float, bool], ...]:
    """What the record says, to be remembered once another takes its place."""
    if run.updated_at is None:
        return ()
    if run.outcome is Outcome.SUCCESS or (run.outcome is Outcome.SKIP and run.child):
        return ((run.updated_at, True),)
    return ((run.updated_at, False),) if run.outcome in FAILED else ()
