"""The records of a target's history: builds and runs as they were last observed, and what is left of earlier ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from exporter.build import Build, Outcome, Run

OTHER = "other"
"""The branch label of every build whose branch is not named in the configuration."""

Group = tuple[str, ...]
"""The values of the labels behind the target's own: the branch, then the opt-in ones."""
Observation = tuple[Build, float]
"""A build as the provider reported it, and when that was asked (seconds since the epoch)."""
RunObservation = tuple[Run, float]
"""The same of a run."""
BucketKey = tuple[str, Outcome | None, int]
"""A histogram's name, the outcome that it is split by, and the place of the bucket among the bounds."""
Age = tuple[float, int, str]
"""Orders builds or runs from the oldest to the newest: creation, then the length of the id, then the id."""

_OTHER: Group = (OTHER,)

OF_BUILDS = frozenset({"build_name", "build_stage"})
"""Opt-in labels by which builds of one run are in different groups."""

COUNTED = 1
"""Bit of `Row.counted`: the build was counted, or must never be."""
RUN_COUNTED = 2
"""Bit of `Row.counted`: what its run came to within its group was counted, or must never be."""
AGAIN = 8
"""Bit of `Row.counted`: it was cut before and met again, so its run is summed up in `Past` already."""
NEVER = COUNTED | RUN_COUNTED | AGAIN
MET = 4
"""Bit of `Row.counted`: the first read met it before it had concluded."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of windows."""

    builds: int = 100
    """The newest builds of a branch label, at most that many."""
    runs: int = 100
    """The newest runs of a branch label, at most that many."""
    age: float = 7 * 86400.0
    """Seconds; builds and runs created earlier are cut."""
    remember: float = 30 * 86400.0
    """Seconds for which sequences (`last_*`, consecutive failures, broken since) are remembered beyond the window."""
    branches: tuple[str, ...] = ("default", "main", "master", "release/*")
    """Names and globs; `default` stands for the target's own default branch."""
    labels: tuple[str, ...] = ()
    """The opt-in labels, of `build_name`, `build_stage`, `trigger` and `ref_kind`."""
    histograms: tuple[str, ...] = ("conclude",)
    """Of `conclude`, `run`, `queue` and `execution` (windows), and `concluded` (cumulative)."""
    buckets: tuple[float, ...] = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    """Upper bounds in seconds, ascending, without infinity."""

    @property
    def by_build(self) -> bool:
        """Whether groups hold some of a run's builds, so that runs are judged by those alone."""
        return not OF_BUILDS.isdisjoint(self.labels)


class Row(NamedTuple):
    """A remembered build."""

    build: Build
    seen_at: float
    counted: int
    """Bits: `COUNTED`, `RUN_COUNTED`, `MET`, `AGAIN`."""
    shown: bool = False
    """Whether it is in the window; the others are remembered so that nothing counts twice."""


class RunRow(NamedTuple):
    """A remembered run, or child pipeline."""

    run: Run
    seen_at: float
    """When it was asked for."""
    whole: bool = False
    """Whether all of its builds were read as they were at `seen_at` or later, and are remembered."""
    succeeded: bool | None = None
    """Whether it succeeded or failed; None: it is undecided."""
    decided_at: float | None = None
    """When it was first decided so, as far as that is known."""
    counted: int = 0
    """1: it was counted, or must never be."""
    shown: bool = False
    """Whether it is in the window of runs."""
    dismissed: bool = False
    """A child pipeline that no current trigger job names, or whose trigger job may fail: it counts for nothing."""
    replaced: bool = False
    """Dismissed because its trigger job was run again, and made another one."""
    outcome: Outcome = Outcome.UNKNOWN
    """What the run has come to, with its children."""
    root: str = ""
    """Of a child pipeline: the id of the run that it belongs to, where that is known."""
    said: tuple[tuple[float, bool], ...] = ()
    """When it succeeded or failed before, beyond what `run` and the remembered builds say; ascending."""
    exact: bool = False
    """Whether `decided_at` was taken from all of its builds; else it may be only when the run last moved."""
    bridged_at: float = -inf
    """When its trigger jobs were asked for last."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is left of a group's builds and runs that were cut."""

    last_created: float = -inf
    last_concluded: Mapping[Outcome, float] = field(default_factory=dict)
    exemplars: Mapping[BucketKey, float] = field(default_factory=dict)
    """When the newest build of a bucket concluded: no older one may stand for the bucket any more. Kept only where a
    build that remains can be older.
    """
    ended: float = -inf
    """The latest of those times that are no longer kept: no older build may stand for any bucket."""
    until: Age = (-inf, 0, "")
    """Up to here the runs are summed up in the rest: always the oldest ones, without a gap.

    runs by age   f  s  f  f | f  ?  s  f
                       until ^   known one by one
    """
    success: bool | None = None
    """Whether the newest decided one of those runs succeeded."""
    failures: int = 0
    broken_since: float | None = None
    failure: Build | None = None
    """The build that broke the newest failed run, while `success` is False."""
    failed_run: str = ""
    """The id of that run."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class History:
    """All that is remembered of a target. `version` moves when something that is shown changed."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    """By build id."""
    baseline: float | None = None
    """When the oldest build of the first read was created. None: not read yet."""
    floor: float = -inf
    """When the newest of the builds was created that were cut: an unknown one up to here was counted before."""
    run_floor: float = -inf
    """The same of runs."""
    mark: float = -inf
    """Down to here the pages were read without a gap: when the newest build of the last walk was created."""
    walked_at: float = -inf
    """When the last walk began, by the server's clock."""
    names: tuple[str, ...] = ()
    """The branches that keep their name: the default branch, those spelled out, then the newest."""
    totals: Mapping[Group, Mapping[Outcome, int]] = field(default_factory=dict)
    """Builds seen to conclude."""
    runs: Mapping[str, RunRow] = field(default_factory=dict)
    """By run id; child pipelines too. Northflank's builds are their own runs and have none."""
    begun_at: float | None = None
    """When the first read began, by the server's clock: what had ended by then is never counted."""
    listed_at: float = -inf
    """The newest `updated_at` of the runs that the last complete list of runs showed, by the server's clock."""
    default_branch: str | None = None
    """The target's own default branch, where the provider says which it is."""
    run_totals: Mapping[Group, Mapping[Outcome, int]] = field(default_factory=dict)
    """Runs seen to conclude. Empty where builds are their own runs: those are in `totals`."""
    seconds: Mapping[Group, Mapping[Outcome, float]] = field(default_factory=dict)
    """The sum of the conclude latencies of the builds in `totals`, for success and (all that failed) failure."""
    latencies: Mapping[Group, Mapping[Outcome, tuple[int, ...]]] = field(default_factory=dict)
    """The same builds by bucket, not cumulative, one a bound and one for infinity; only where the rules ask for it."""
    past: Mapping[Group, Past] = field(default_factory=dict)
    gone_branches: Mapping[str, float] = field(default_factory=dict)
    """Branches that no longer exist: what was created up to that time is shown under `OTHER`."""
    horizon: float = -inf
    """A group of which nothing was created or ended since then shows no sequence any more."""
    cut_at: float = inf
    """When time alone next changes what is shown or counted."""
    version: int = 0

    @property
    def unfinished(self) -> list[Build]:
        """The builds that somebody or something is working on, oldest first."""
        return sorted(
            (row.build for row in self.rows.values() if row.build.unfinished),
            key=lambda build: (build.created_at, len(build.id), build.id),
        )

    def root(self, run_id: str) -> RunRow | None:
        """The run to which that run's builds belong: of a child pipeline its parent's. None: it is not known."""
        row = self.runs.get(run_id)
        if row is None or not row.run.child:
            return row
        return self.runs.get(row.root)

    def group(self, build: Build, labels: tuple[str, ...]) -> Group:
        """The label values under which a build is shown."""
        if not (self.runs or labels or self.gone_branches):  # most are so, and this is asked of each build each time
            return (build.branch,) if build.branch and build.branch in self.names else _OTHER
        root = self.root(build.run) if self.runs else None
        run: Build | Run = build if root is None else root.run
        branch = self.label(run)
        if not labels:
            return (branch,)
        values = {
            "build_name": build.name,
            "build_stage": build.stage,
            "trigger": run.trigger,
            "ref_kind": run.ref_kind,
        }
        return (branch, *[values[label] for label in labels])

    def label(self, run: Build | Run) -> str:
        """The branch label of a run, or of a build that belongs to no known one."""
        branch = run.branch
        if not branch or branch not in self.names:
            return OTHER
        if self.gone_branches and run.created_at <= self.gone_branches.get(branch, -inf):
            return OTHER
        return branch
