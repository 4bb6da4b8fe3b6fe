"""Counters: each build and each run is counted once, by the outcome that it had when it was first seen to conclude.

built before          | first read begins         | later
never counted         | what it shows as ended is | counted when seen to end; what ended before is not, though it
                      | never counted             | is met only now (a page shows 100 of a pipeline's 250 jobs)
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from exporter.build import CONCLUDED, FAILED, Build, Outcome
from exporter.history.judge import RETRY
from exporter.history.names import named_branches
from exporter.history.records import (
    COUNTED,
    MET,
    NEVER,
    OTHER,
    RUN_COUNTED,
    Group,
    History,
    Observation,
    Row,
    Rules,
    RunRow,
)
from exporter.history.runs import RUN_OUTCOMES, group_of_run, part_of, parts_of_runs

CUMULATIVE = "concluded"
"""The name of the cumulative histogram in `Rules.histograms`."""
POOLED = (Outcome.SUCCESS, Outcome.FAILURE)
"""The outcomes by which seconds are summed: failure stands for all that fail."""


def pooled(outcome: Outcome) -> Outcome | None:
    """The outcome under which the seconds of a build are summed; None: they are not."""
    if outcome in FAILED:
        return Outcome.FAILURE
    return outcome if outcome is Outcome.SUCCESS else None


class Merged(NamedTuple):
    """What observations of builds come to."""

    rows: dict[str, Row]
    changed: set[str]
    """Builds that are not as they were."""
    concluded: list[Build]
    """Builds to be counted, each as it was when it was first seen to conclude."""


def with_builds(history: History, observations: Iterable[Observation]) -> Merged:
    """The rows with the observations in them: per build the newer one wins."""
    rows = dict(history.rows)
    changed: set[str] = set()
    first: dict[str, tuple[float, str, Build]] = {}
    for build, seen_at in observations:
        known = rows.get(build.id)
        if known is None:
            row = Row(build, seen_at, 0)
            changed.add(build.id)
        else:
            row = _newer(known, build, seen_at)
            if row.build is not known.build:
                changed.add(build.id)
        if history.begun_at is None:
            row = row._replace(counted=row.counted | (COUNTED if build.concluded else MET))
        elif build.concluded and not row.counted & COUNTED and (row.counted & MET or _end(build) > history.begun_at):
            this = seen_at, repr(build), build
            first[build.id] = min(this, first.get(build.id, this))
        rows[build.id] = row
    concluded = []
    for id_, (_at, _text, build) in first.items():
        row = rows[id_]
        if id_ not in history.rows and build.created_at <= history.floor:
            rows[id_] = row._replace(counted=NEVER)  # it was cut, and counted before
        else:
            rows[id_] = row._replace(counted=row.counted | COUNTED)
            concluded.append(build)
            changed.add(id_)
    return Merged(rows, changed, concluded)


def _end(build: Build) -> float:
    return build.created_at if build.concluded_at is None else build.concluded_at


def _newer(known: Row, build: Build, seen_at: float) -> Row:
    """The newer of two observations; for those of one instant any order will do that is always the same."""
    if known.build == build:
        return known._replace(seen_at=max(known.seen_at, seen_at))
    before, after = (known.seen_at, known.build.concluded), (seen_at, build.concluded)
    if before > after or (before == after and repr(known.build) > repr(build)):
        return known
    return known._replace(build=build, seen_at=seen_at)


def grouped(history: History, rules: Rules, now: float) -> History:
    """The history with its branches named anew, and the counters of the groups that there are now."""
    horizon = now - rules.remember
    history = replace(history, names=named_branches(history, rules, horizon), horizon=horizon)
    groups = {history.group(row.build, rules.labels) for row in history.rows.values()}
    if not rules.by_build:
        groups.update(group_of_run(history, row.run, rules) for row in history.runs.values() if not row.run.child)
    # With opt-in labels a group goes with its last build: the names of jobs have no bound.
    groups.update(() if rules.labels else (group for group in history.past if len(group) == 1))
    kept = sorted(group for group in groups if group[0] == OTHER or group[0] in history.names)
    per_run = bool(history.runs or history.run_totals)
    cumulative = CUMULATIVE in rules.histograms
    no_run, no_build, no_second = (
        dict.fromkeys(RUN_OUTCOMES, 0),
        dict.fromkeys(CONCLUDED, 0),
        dict.fromkeys(POOLED, 0.0),
    )
    no_latency = dict.fromkeys(POOLED, (0,) * (len(rules.buckets) + 1))
    return replace(
        history,
        totals={group: history.totals.get(group) or no_build for group in kept},
        run_totals={group: history.run_totals.get(group) or no_run for group in kept} if per_run else {},
        seconds={group: history.seconds.get(group) or no_second for group in kept},
        latencies={group: _latencies(history, group, no_latency) for group in kept} if cumulative else {},
    )


def _latencies(
    history: History, group: Group, none: Mapping[Outcome, tuple[int, ...]]
) -> Mapping[Outcome, tuple[int, ...]]:
    """The group's latencies by bucket; none where the buckets are others now."""
    known = history.latencies.get(group)
    return known if known and len(known[Outcome.SUCCESS]) == len(none[Outcome.SUCCESS]) else none


def counted(history: History, concluded: Iterable[Build], rules: Rules) -> History:
    """The history with these builds counted, each where it is shown by now."""
    totals = {group: dict(outcomes) for group, outcomes in history.totals.items()}
    seconds = {group: dict(outcomes) for group, outcomes in history.seconds.items()}
    latencies = {group: dict(outcomes) for group, outcomes in history.latencies.items()}
    for build in sorted(concluded, key=lambda build: build.id):  # sums of floats depend on the order
        group = history.group(history.rows[build.id].build, rules.labels)
        totals[group][build.outcome] += 1
        by = pooled(build.outcome)
        if by is not None and build.latency is not None:
            seconds[group][by] += build.latency
            if latencies:
                numbers = list(latencies[group][by])
                numbers[bisect_left(rules.buckets, build.latency)] += 1
                latencies[group][by] = tuple(numbers)
    return replace(history, totals=totals, seconds=seconds, latencies=latencies)


def runs_counted(history: History, rules: Rules, now: float) -> History:
    """The history with each run counted that has come to something and was not counted yet.

    A run that failed by a build alone may be retried by the provider itself: it is counted when that is ruled out.
    """
    if not history.runs:
        return history
    return _parts_counted(history, rules) if rules.by_build else _whole_counted(history, rules, now)


def unsettled(history: History, now: float) -> dict[str, float]:
    """The runs that cannot be counted as failed yet, and when each can."""
    waiting: dict[str, float] = {}
    for row in history.runs.values():
        at = (row.decided_at or 0.0) + RETRY
        if row.succeeded is False and not row.counted and at > now and not _said_failed(row):
            waiting[row.run.id] = at
    for row in history.runs.values() if waiting else ():
        if row.root in waiting and not row.dismissed and _said_failed(row):
            del waiting[row.root]
    return waiting


def _said_failed(row: RunRow) -> bool:
    """Whether the provider has said, now or before, that the pipeline failed."""
    return row.run.outcome in FAILED or any(not passed for _at, passed in row.said)


def _whole_counted(history: History, rules: Rules, now: float) -> History:
    waiting = unsettled(history, now)
    concluded = [
        row
        for row in history.runs.values()
        if not row.counted and not row.run.child and row.outcome in RUN_OUTCOMES and row.run.id not in waiting
    ]
    if not concluded:
        return history
    runs = dict(history.runs)
    totals = {group: dict(outcomes) for group, outcomes in history.run_totals.items()}
    for row in concluded:
        runs[row.run.id] = row._replace(counted=1)
        if history.begun_at is not None:
            totals[group_of_run(history, row.run, rules)][row.outcome] += 1
    return replace(history, runs=runs, run_totals=totals)


def _parts_counted(history: History, rules: Rules) -> History:
    """The same where a run is judged within each group by its builds there; those bear the mark that it was counted."""
    rows = dict(history.rows)
    totals = {group: dict(outcomes) for group, outcomes in history.run_totals.items()}
    for (group, root), parts in parts_of_runs(history, rules).items():
        if all(row.counted & RUN_COUNTED for row in parts):
            continue
        before = any(row.counted & RUN_COUNTED for row in parts)
        turn = part_of(root, parts, history.runs.get(root))
        if not before and turn.outcome not in RUN_OUTCOMES:
            continue
        rows.update((row.build.id, row._replace(counted=row.counted | RUN_COUNTED)) for row in parts)
        known = history.runs.get(root)
        if not before and history.begun_at is not None and not (known and known.counted):
            totals[group][turn.outcome] += 1
    return replace(history, rows=rows, run_totals=totals)
