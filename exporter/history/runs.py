"""The runs of a history in their order, and what each has come to. Pure."""

from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import NamedTuple

from exporter.build import FAILED, Build, Outcome, Run
from exporter.history.judge import Pipeline, age_key, of_builds, verdict
from exporter.history.records import AGAIN, OTHER, Age, Group, History, Row, Rules, RunRow

__all__ = [
    "RUN_OUTCOMES",
    "Turn",
    "age_key",
    "by_group",
    "failure_of",
    "group_of",
    "group_of_run",
    "part_of",
    "parts_of_runs",
    "pipelines",
    "root_of",
    "run_key",
    "turns",
]

RUN_OUTCOMES = (
    Outcome.SUCCESS,
    Outcome.FAILURE,
    Outcome.ERROR,
    Outcome.TIMEOUT,
    Outcome.CANCELLATION,
    Outcome.SKIP,
)
"""The outcomes by which a run is counted."""


class Turn(NamedTuple):
    """A run within a group. Its first three fields order the runs, as an `Age`."""

    created_at: float
    length: int
    id: str
    succeeded: bool | None
    decided_at: float | None
    outcome: Outcome
    shown: bool
    """Whether it is in the window of runs."""
    exact: bool
    """Whether it can have several builds, and its latency is known."""
    failure: Build | None
    """The newest build that failed; of a run with a record `failure_of` finds it."""

    @property
    def age(self) -> Age:
        """Orders the runs."""
        return self[:3]


def run_key(run: Run) -> Age:
    """Orders runs from the oldest to the newest; numeric ids of one instant by their number."""
    return run.created_at, len(run.id), run.id


def turns(
    history: History, rules: Rules, builds: Mapping[Group, Iterable[Row]] | None = None, *, folded: bool = False
) -> dict[Group, list[Turn]]:
    """The runs of each group, oldest first; of these builds by group, else of all. Orphaned children are in none."""
    found: dict[Group, list[Turn]] = {}
    simple = not history.runs
    for group, rows in (by_group(history, rules, folded=folded) if builds is None else builds).items():
        of_group: list[Turn] = []
        parts: dict[str, list[Row]] = {}
        for row in rows:
            build = row.build
            if row.counted & AGAIN:
                continue
            if simple and build.run == build.id:
                of_group.append(_of_one(row))
            elif rules.by_build or build.run not in history.runs:
                parts.setdefault(root_of(history, build.run) or "", []).append(row)
        parts.pop("", None)
        of_group += [part_of(root, members, history.runs.get(root)) for root, members in parts.items()]
        if of_group:
            found[group] = of_group
    if history.runs and not rules.by_build:
        _add_recorded(found, history, rules, folded=folded)
    for of_group in found.values():
        of_group.sort()  # by age: no two have one id
    return found


def by_group(
    history: History, rules: Rules, rows: Iterable[Row] | None = None, *, folded: bool = False
) -> dict[Group, list[Row]]:
    """These builds by group, or all of them."""
    found: dict[Group, list[Row]] = {}
    for row in history.rows.values() if rows is None else rows:
        found.setdefault(group_of(history, row.build, rules, folded=folded), []).append(row)
    return found


def _add_recorded(found: dict[Group, list[Turn]], history: History, rules: Rules, *, folded: bool) -> None:
    """Add the runs that have a record."""
    bounds = ends(history)
    for row in history.runs.values():
        if not row.run.child:
            group = group_of_run(history, row.run, rules, folded=folded)
            found.setdefault(group, []).append(_of_run(row, bounds))


def root_of(history: History, run_id: str) -> str | None:
    """The id of the run to which that run's builds belong; None: it is a child of a run that is not known."""
    row = history.runs.get(run_id)
    if row is None or not row.run.child:
        return run_id
    return row.root or None


def group_of(history: History, build: Build, rules: Rules, *, folded: bool = False) -> Group:
    """The group of a build; folded, there is but one."""
    return (OTHER,) * (1 + len(rules.labels)) if folded else history.group(build, rules.labels)


def group_of_run(history: History, run: Run, rules: Rules, *, folded: bool = False) -> Group:
    """The group of a run, by rules that do not split runs."""
    if folded:
        return (OTHER,) * (1 + len(rules.labels))
    values = {"trigger": run.trigger, "ref_kind": run.ref_kind}
    return (history.label(run), *[values[label] for label in rules.labels])


def parts_of_runs(history: History, rules: Rules) -> dict[tuple[Group, str], list[Row]]:
    """The builds of each run within each group, by rules that split runs."""
    parts: dict[tuple[Group, str], list[Row]] = {}
    for row in history.rows.values():
        root = root_of(history, row.build.run)
        if root is not None:
            parts.setdefault((history.group(row.build, rules.labels), root), []).append(row)
    return parts


def pipelines(history: History, roots: Collection[str]) -> dict[str, list[Pipeline]]:
    """The pipelines of these runs, where they have a record: each run's own, then its children's."""
    builds: dict[str, list[Build]] = {}
    for row in history.rows.values():
        if row.build.run in history.runs:
            builds.setdefault(row.build.run, []).append(row.build)
    found = {
        root: [Pipeline(history.runs[root], builds.get(root, ()))]
        for root in roots
        if root in history.runs and not history.runs[root].run.child
    }
    for child in sorted((row for row in history.runs.values() if row.root), key=lambda row: run_key(row.run)):
        if child.root in found:
            found[child.root].append(Pipeline(child, builds.get(child.run.id, ())))
    return found


def failure_of(history: History, turn: Turn) -> Build | None:
    """The build that broke the run."""
    if turn.failure is not None:
        return turn.failure
    of_run = pipelines(history, (turn.id,)).get(turn.id)
    return verdict(of_run).failure if of_run else None


def ends(history: History) -> dict[str, float]:
    """When those runs ended at the latest of which only the list told: when the next of their branch was created.

    `updated_at` of an old run is late where it moved again before it was first seen.
    """
    known = sorted((row for row in history.runs.values() if not row.run.child), key=lambda row: run_key(row.run))
    following: dict[str, float] = {}
    bounds: dict[str, float] = {}
    for row in reversed(known):
        branch = row.run.ref or row.run.branch or ""
        if not row.exact and row.decided_at is not None:
            bounds[row.run.id] = min(row.decided_at, following.get(branch, inf))
        following[branch] = row.run.created_at
    return bounds


def _of_one(row: Row) -> Turn:
    build = row.build
    outcome = build.outcome
    failed = build.concluded and outcome in FAILED
    succeeded = False if failed else True if outcome is Outcome.SUCCESS else None
    return Turn(
        build.created_at,
        len(build.id),
        build.id,
        succeeded,
        None if succeeded is None else build.concluded_at,
        outcome,
        row.shown,
        False,  # noqa: FBT003  # a run of one build is in the histograms of builds
        build if failed else None,
    )


def part_of(run_id: str, rows: Iterable[Row], known: RunRow | None) -> Turn:
    """A run by some of its builds. One of which the provider told nothing at all may have others: it is never green."""
    rows = list(rows)
    builds = [row.build for row in rows]
    come_to = of_builds(builds)
    green = come_to.succeeded and known is not None
    return Turn(
        min(build.created_at for build in builds) if known is None else known.run.created_at,
        len(run_id),
        run_id,
        come_to.succeeded if green or come_to.succeeded is False else None,
        come_to.decided_at,
        come_to.outcome,
        any(row.shown for row in rows) if known is None else known.shown,
        known is not None and known.whole,
        come_to.failure,
    )


def _of_run(row: RunRow, bounds: Mapping[str, float]) -> Turn:
    run = row.run
    return Turn(
        run.created_at,
        len(run.id),
        run.id,
        row.succeeded,
        bounds.get(run.id, row.decided_at),
        row.outcome,
        row.shown,
        row.exact,
        None,
    )
