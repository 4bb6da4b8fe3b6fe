"""What is known of one target's builds: sights of them are merged in, and what is too old or too many is cut. Pure.

A `History` is everything that the exporter remembers of a target. `merge` takes sights of builds in any order, any
number of times; `look` cuts by age alone. Both give a new history and leave the old one as it was.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from math import inf

from exporter.build import CONCLUDED, DORMANT, Build, Outcome
from exporter.runs import age_key, runs

OTHER = "other"
"""The branch label of every build whose branch is not named in the configuration."""
NAMED_BRANCHES = 5
OVERLAP = 600.0
"""Seconds: ids are given before they become visible, so the newest minutes are read again."""
SWEEP = 100
"""As many of the newest builds are always remembered, so that reading them again counts nothing twice."""
DORMANT_LIMIT = 1000
UNFINISHED_LIMIT = 1000

Group = tuple[str, ...]
"""The values of the labels behind the target's own: the branch, then the opt-in ones."""
Sight = tuple[Build, float]
"""A build as it was told, and when that was asked (seconds since the epoch)."""
BucketKey = tuple[str, Outcome | None, int]
"""A histogram's name, the outcome that it is split by, and the place of the bucket among the bounds."""

_BIT = {outcome: 1 << place for place, outcome in enumerate(CONCLUDED)}
_EVERY_BIT = (1 << len(CONCLUDED)) - 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of windows."""

    builds: int = 100
    """The newest builds of a branch label, at most that many."""
    age: float = 7 * 86400.0
    """Seconds; builds created earlier are cut."""
    branches: tuple[str, ...] = ("main", "master", "release/*")
    labels: tuple[str, ...] = ()
    """The opt-in labels, of `build_name` and `build_stage`."""
    histograms: tuple[str, ...] = ("conclude",)
    """Of `conclude`, `queue` and `run`."""
    buckets: tuple[float, ...] = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    """Upper bounds in seconds, ascending, without infinity."""


@dataclass(frozen=True, slots=True)
class Row:
    """A remembered build."""

    build: Build
    seen_at: float
    counted: int
    """A bit for each outcome with which it was seen to conclude."""
    shown: bool = False
    """Whether it stands in the window; the others are remembered so that nothing counts twice."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is left of a group's builds that were cut."""

    last_created: float = -inf
    last_concluded: Mapping[Outcome, float] = field(default_factory=dict)
    exemplars: Mapping[BucketKey, float] = field(default_factory=dict)
    """When the newest build of a bucket concluded: no older one may stand for the bucket any more."""
    until: float = -inf
    """When the newest of the runs was created that are summed up in the next two."""
    failures: int = 0
    broken_since: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All that is remembered of a target. `version` moves when something that is shown changed."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    """By build id."""
    baseline: float | None = None
    """When the oldest build of the first read was created: what is older is never counted. None: not read yet."""
    floor: float = -inf
    """When the newest of the builds was created that were cut: an unknown one up to here was counted before."""
    mark: float = -inf
    """Down to here the pages were read without a gap: when the newest build of the last walk was created."""
    walked_at: float = -inf
    """When the last walk began, by the server's clock."""
    names: tuple[str, ...] = ()
    """The branches that keep their name, newest first."""
    folded: bool = False
    """No branch keeps its name and no opt-in label its value: there were too many series."""
    totals: Mapping[Group, Mapping[Outcome, int]] = field(default_factory=dict)
    """Builds seen to conclude."""
    carried: Mapping[Group, Mapping[Outcome, int]] = field(default_factory=dict)
    """Conclusions of groups that the last read saw first: a counter must be seen at 0 before it can rise."""
    past: Mapping[Group, Past] = field(default_factory=dict)
    cut_at: float = inf
    """When the next build grows too old."""
    version: int = 0

    @property
    def unfinished(self) -> list[Build]:
        """The builds that somebody or something is working on, oldest first."""
        return sorted((row.build for row in self.rows.values() if row.build.unfinished), key=age_key)

    def group(self, build: Build, labels: tuple[str, ...]) -> Group:
        """The label values under which a build is shown."""
        branch = build.branch if build.branch in self.names else OTHER
        if not labels:
            return (branch or OTHER,)
        values = {"build_name": build.name, "build_stage": build.stage}
        return (branch or OTHER, *(OTHER if self.folded else values[label] for label in labels))


def merge(history: History, sights: Iterable[Sight], rules: Rules, now: float) -> History:
    """The history with the sights in it: per build the newer sight wins, and each conclusion counts once.

    The order of sights, and the same sight twice, change nothing. What a group concluded in the merge that first sees
    it is counted at the next, so that the counter is seen at 0.
    """
    rows = dict(history.rows)
    concluded: list[Build] = []
    changed = history.baseline is None or bool(history.carried)
    for build, seen_at in sights:
        known = rows.get(build.id)
        before = known.counted if known else _counted_before(history, build)
        bit = _BIT[build.outcome] if build.concluded else 0
        if bit & ~before and history.baseline is not None and build.created_at >= history.baseline:
            concluded.append(build)
        rows[build.id] = row = _newer(known, Row(build, seen_at, before | bit, shown=bool(known and known.shown)))
        changed = changed or known is None or row.build is not known.build or row.counted != before
    if not changed and now < history.cut_at:
        return replace(history, rows=rows)
    baseline = history.baseline
    if baseline is None:
        baseline = min((row.build.created_at for row in rows.values()), default=-inf)
    return _cut(_counted(replace(history, rows=rows, baseline=baseline), concluded, rules), rules, now)


def without(history: History, gone: frozenset[str], rules: Rules, now: float) -> History:
    """The history without builds that are no more; nothing is counted for them."""
    if not gone & history.rows.keys():
        return history
    return _cut(replace(history, rows={id_: row for id_, row in history.rows.items() if id_ not in gone}), rules, now)


def look(history: History, rules: Rules, now: float) -> History:
    """The history without what has grown too old by now; itself where nothing has."""
    return history if now < history.cut_at else _cut(history, rules, now)


def recut(history: History, rules: Rules, now: float) -> History:
    """The history by other rules than before; one not read yet stays as it is."""
    return history if history.baseline is None else _cut(_counted(history, [], rules), rules, now)


def fold(history: History, rules: Rules, now: float) -> History:
    """The history with all its branches under one label, and no opt-in label, from now on."""
    folded = replace(history, folded=True, names=())
    kept = {group: dict(totals) for group, totals in history.totals.items() if set(group) == {OTHER}}
    past = {group: past for group, past in history.past.items() if group in kept}
    return _cut(_counted(replace(folded, totals=kept, carried={}, past=past), [], rules), rules, now)


def _counted_before(history: History, build: Build) -> int:
    """The bits of a build that is not remembered: one that was cut has been counted, whatever it was."""
    return _EVERY_BIT if build.concluded and build.created_at <= history.floor else 0


def _newer(known: Row | None, row: Row) -> Row:
    if known is None:
        return row
    if known.build == row.build:
        return replace(row, build=known.build, seen_at=max(known.seen_at, row.seen_at))
    if _rank(known) > _rank(row):
        return replace(known, counted=row.counted)
    return row


def _rank(row: Row) -> tuple[float, bool, str]:
    """Which of two sights wins; for those of one instant any order will do that is always the same."""
    return row.seen_at, row.build.concluded, repr(row.build)


def _counted(history: History, concluded: list[Build], rules: Rules) -> History:
    """The history with its branches named anew, what was carried over added, and the conclusions counted."""
    history = replace(history, names=() if history.folded else _names(history, rules))
    groups = {history.group(row.build, rules.labels) for row in history.rows.values()}
    groups.update(history.past if not rules.labels else ())
    kept = {group for group in groups if group[0] == OTHER or group[0] in history.names}
    totals = {group: dict(history.totals.get(group) or dict.fromkeys(CONCLUDED, 0)) for group in sorted(kept)}
    for group, outcomes in history.carried.items():
        for outcome, number in outcomes.items():
            if group in totals:
                totals[group][outcome] += number
    carried: dict[Group, dict[Outcome, int]] = {}
    for build in concluded:
        group = history.group(build, rules.labels)
        into = totals[group] if group in history.totals else carried.setdefault(group, {})
        into[build.outcome] = into.get(build.outcome, 0) + 1
    return replace(history, totals=totals, carried=carried)


def _names(history: History, rules: Rules) -> tuple[str, ...]:
    """The branches that keep their name: those that the configuration spells out first, then the newest."""
    newest = {group[0]: past.last_created for group, past in history.past.items() if group[0] != OTHER}
    for row in history.rows.values():
        branch = row.build.branch
        if branch is not None and row.build.created_at > newest.get(branch, -inf):
            newest[branch] = row.build.created_at
    wanted = [branch for branch in newest if matches(branch, rules.branches)]
    wanted.sort(key=lambda branch: (branch in rules.branches, newest[branch], branch), reverse=True)
    return tuple(wanted[:NAMED_BRANCHES])


@lru_cache(maxsize=4096)
def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns (shell globs; case matters) matches the name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _cut(history: History, rules: Rules, now: float) -> History:
    """The history with only what is shown or must be remembered; what is cut is summed up in `past`."""
    horizon = now - rules.age
    newest_first = sorted(history.rows.values(), key=lambda row: age_key(row.build), reverse=True)
    by_label: dict[str, list[Row]] = {}
    for row in newest_first:
        by_label.setdefault(history.group(row.build, ())[0], []).append(row)
    shown: set[str] = set()
    cut_at = inf
    for rows in by_label.values():
        window = [row.build for row in rows[: rules.builds] if row.build.created_at >= horizon]
        if window:
            cut_at = min(cut_at, window[-1].created_at + rules.age)
        shown.update(build.id for build in window)
        shown.update(_newest_decided(row.build for row in rows))
    for row in [row for row in newest_first if row.build.unfinished][:UNFINISHED_LIMIT]:
        last_known = max(row.build.created_at, row.seen_at)
        if last_known >= horizon:
            shown.add(row.build.id)
            cut_at = min(cut_at, last_known + rules.age)
    kept = shown | _remembered(newest_first, shown, horizon)
    gone = [row.build for row in newest_first if row.build.id not in kept]
    return replace(
        history,
        rows={row.build.id: replace(row, shown=row.build.id in shown) for row in newest_first if row.build.id in kept},
        past=_summed_up(history, gone, kept, rules),
        floor=max([history.floor, *(build.created_at for build in gone)]),
        cut_at=cut_at,
        version=history.version + 1,
    )


def _newest_decided(builds: Iterable[Build]) -> set[str]:
    """The ids of the newest run that failed or succeeded: other branches' builds must not push it out."""
    members: dict[str, set[str]] = {}
    builds = list(builds)
    for build in builds:
        members.setdefault(build.run, set()).add(build.id)
    newest = next((run for run in reversed(runs(builds)) if run.decided), None)
    return members[newest.id] if newest else set()


def _remembered(newest_first: list[Row], shown: set[str], horizon: float) -> set[str]:
    """The ids of builds that are not shown but may be met again, or whose run is still shown."""
    if not newest_first:
        return set()
    runs_shown = {row.build.run for row in newest_first if row.build.id in shown}
    overlap = newest_first[0].build.created_at - OVERLAP
    dormant = [row.build for row in newest_first if row.build.outcome in DORMANT and row.build.created_at >= horizon]
    return {
        *(row.build.id for row in newest_first[:SWEEP]),
        *(row.build.id for row in newest_first if row.build.run in runs_shown or row.build.created_at >= overlap),
        *(build.id for build in dormant[:DORMANT_LIMIT]),
    }


def _summed_up(history: History, gone: list[Build], kept: set[str], rules: Rules) -> dict[Group, Past]:
    """What is left of each group's past, with the builds that go now; a run is summed up once all of it goes."""
    rows = history.rows.values()
    runs_kept = {row.build.run for row in rows if row.build.id in kept and row.build.outcome not in DORMANT}
    past = {group: past for group, past in history.past.items() if group in history.totals}
    by_group: dict[Group, list[Build]] = {}
    for build in gone:
        by_group.setdefault(history.group(build, rules.labels), []).append(build)
    for group, builds in by_group.items():
        before = past.get(group, Past())
        last_concluded = dict(before.last_concluded)
        exemplars = dict(before.exemplars)
        for build in builds:
            if build.concluded and build.concluded_at is not None:
                last_concluded[build.outcome] = max(build.concluded_at, last_concluded.get(build.outcome, -inf))
            for key in buckets_of(build, rules):
                exemplars[key] = max(build.concluded_at or -inf, exemplars.get(key, -inf))
        last_created = max([before.last_created, *(build.created_at for build in builds)])
        scalars = Past(last_created, last_concluded, exemplars, before.until, before.failures, before.broken_since)
        past[group] = _sequence(scalars, [build for build in builds if build.run not in runs_kept])
    return past


def buckets_of(build: Build, rules: Rules) -> list[BucketKey]:
    """Which bucket of which histogram counts the build, for each of `Rules.histograms` that it has a latency for."""
    seconds = {
        "conclude": (build.outcome, build.latency if build.concluded else None),
        "queue": (None, None if build.started_at is None else build.started_at - build.created_at),
        "run": (build.outcome, build.running if build.concluded else None),
    }
    wanted = ((name, *seconds[name]) for name in rules.histograms)
    return [(name, by, bisect_left(rules.buckets, value)) for name, by, value in wanted if value is not None]


def _sequence(past: Past, builds: list[Build]) -> Past:
    """The past with the runs of the builds behind those that it sums up already."""
    for run in runs(builds):
        if run.created_at <= past.until:
            continue
        if run.failed:
            since = past.broken_since if past.failures else run.decided_at
            past = replace(past, failures=past.failures + 1, broken_since=since)
        elif run.succeeded:
            past = replace(past, failures=0, broken_since=None)
        past = replace(past, until=run.created_at)
    return past
