"""What is known of one target's builds: sights of them are merged in, and what is too old or too many is cut. Pure.

A `History` is everything that the exporter remembers of a target. `merge` takes sights of builds in any order, any
number of times; `look` cuts by age alone. Both give a new history and leave the old one as it was.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import lru_cache
from math import inf
from typing import NamedTuple

from exporter.build import CONCLUDED, DORMANT, Build, Outcome
from exporter.history.runs import age_key, newest_runs, runs

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

_NOTHING = r"(?!)"
"""Matches no text."""
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


class Row(NamedTuple):
    """A remembered build."""

    build: Build
    seen_at: float
    counted: int
    """A bit for each outcome with which it was seen to conclude."""
    shown: bool = False
    """Whether it stands in the window; the others are remembered so that nothing counts twice."""

    @property
    def again(self) -> bool:
        """Whether it was cut before and met again: its run is summed up in `Past` already."""
        return self.counted == _EVERY_BIT


@dataclass(frozen=True, slots=True)
class Past:
    """What is left of a group's builds that were cut."""

    last_created: float = -inf
    last_concluded: Mapping[Outcome, float] = field(default_factory=dict)
    exemplars: Mapping[BucketKey, float] = field(default_factory=dict)
    """When the newest build of a bucket concluded: no older one may stand for the bucket any more. Told only where a
    build that remains can be older.
    """
    ended: float = -inf
    """The latest of those times that are told no more: no older build may stand for any bucket."""
    until: float = -inf
    """When the newest of the decided runs was created that are summed up in the rest."""
    success: bool | None = None
    """Whether that run succeeded."""
    failures: int = 0
    broken_since: float | None = None
    failure: Build | None = None
    """The newest build that failed, while `success` is False."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
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
    concluded: list[tuple[str, Outcome]] = []
    changed = history.baseline is None or bool(history.carried)
    sights = list(sights)
    ended = {build.id for build, _seen_at in sights if build.concluded}
    for build, seen_at in sights:
        known = rows.get(build.id)
        # One that was cut has been counted, whatever it was; unless it came to life, and has not ended again.
        gone = build.id in ended and build.created_at <= history.floor
        before = known.counted if known else _EVERY_BIT if gone else 0
        bit = _BIT[build.outcome] if build.concluded else 0
        if bit & ~before and history.baseline is not None and build.created_at >= history.baseline:
            concluded.append((build.id, build.outcome))
        rows[build.id] = row = _newer(known, Row(build, seen_at, before | bit, shown=bool(known and known.shown)))
        changed = changed or known is None or row.build is not known.build or row.counted != before
    if not changed and now < history.cut_at:
        return replace(history, rows=rows)
    baseline = history.baseline
    if baseline is None:
        baseline = min((row.build.created_at for row in rows.values()), default=-inf)
    history = _counted(replace(history, rows=rows, baseline=baseline), history.totals, concluded, rules)
    return _cut(history, rules, now)


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
    return history if history.baseline is None else _cut(_grouped(history, rules), rules, now)


def fold(history: History, rules: Rules, now: float) -> History:
    """The history with all its branches under one label, and no opt-in label, from now on.

    The counters of that label go on; those of the others end.
    """
    past = {group: past for group, past in history.past.items() if set(group) == {OTHER}}
    return _cut(_grouped(replace(history, folded=True, past=past), rules), rules, now)


def _newer(known: Row | None, row: Row) -> Row:
    """The newer of two sights; for those of one instant any order will do that is always the same."""
    if known is None:
        return row
    if known.build == row.build:
        return row._replace(build=known.build, seen_at=max(known.seen_at, row.seen_at))
    before, after = (known.seen_at, known.build.concluded), (row.seen_at, row.build.concluded)
    if before > after or (before == after and repr(known.build) > repr(row.build)):
        return known._replace(counted=row.counted)
    return row


def _grouped(history: History, rules: Rules) -> History:
    """The history with its branches named anew, and the counters of the groups that there are now."""
    history = replace(history, names=() if history.folded else _names(history, rules))
    groups = {history.group(row.build, rules.labels) for row in history.rows.values()}
    # With opt-in labels a group goes with its last build: the names of jobs have no bound.
    groups.update(() if rules.labels else (group for group in history.past if len(group) == 1))
    kept = sorted(group for group in groups if group[0] == OTHER or group[0] in history.names)
    return replace(
        history,
        totals={group: history.totals.get(group) or dict.fromkeys(CONCLUDED, 0) for group in kept},
        carried={group: outcomes for group, outcomes in history.carried.items() if group in kept},
    )


def _counted(
    history: History, seen: Mapping[Group, object], concluded: Iterable[tuple[str, Outcome]], rules: Rules
) -> History:
    """The history with its groups made anew, what was carried over added, and the conclusions of these ids counted.

    What is not of the groups that were `seen` before is carried over to the next read.
    """
    history = _grouped(history, rules)
    totals = {group: dict(outcomes) for group, outcomes in history.totals.items()}
    for group, outcomes in history.carried.items():
        for outcome, number in outcomes.items():
            totals[group][outcome] += number
    carried: dict[Group, dict[Outcome, int]] = {}
    for build_id, outcome in concluded:
        group = history.group(history.rows[build_id].build, rules.labels)
        into = totals[group] if group in seen else carried.setdefault(group, {})
        into[outcome] = into.get(outcome, 0) + 1
    return replace(history, totals=totals, carried=carried)


def _names(history: History, rules: Rules) -> tuple[str, ...]:
    """The branches that keep their name: those that the configuration spells out first, then the newest."""
    known = [(group[0], past.last_created) for group, past in history.past.items() if group[0] != OTHER]
    known += [(row.build.branch, row.build.created_at) for row in history.rows.values() if row.build.branch]
    newest: dict[str, float] = {}
    for branch, created_at in known:
        newest[branch] = max(created_at, newest.get(branch, -inf))
    wanted = [branch for branch in newest if matches(branch, rules.branches)]
    wanted.sort(key=lambda branch: (branch in rules.branches, newest[branch], branch), reverse=True)
    return tuple(wanted[:NAMED_BRANCHES])


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns (shell globs; case matters) matches the name."""
    return _compiled(patterns).match(name) is not None


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all of them: names are too many and too different to remember the answers."""
    return re.compile("|".join(translate(pattern) for pattern in patterns) or _NOTHING)


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
    kept, runs_kept = _remembered(newest_first, shown | {rows[0].build.id for rows in by_label.values()})
    kept |= _dormant(newest_first, horizon)
    gone = [row for row in newest_first if row.build.id not in kept]
    oldest = {
        label: next((row.build.created_at for row in reversed(rows) if row.build.id in kept), inf)
        for label, rows in by_label.items()
    }
    return replace(
        history,
        rows={row.build.id: _shown(row, row.build.id in shown) for row in newest_first if row.build.id in kept},
        past=_summed_up(history, gone, oldest, runs_kept, rules),
        floor=max([history.floor, *(row.build.created_at for row in gone)]),
        cut_at=cut_at,
        version=history.version + 1,
    )


def _shown(row: Row, shown: bool) -> Row:  # noqa: FBT001  # what it is given is what it sets
    return row if row.shown == shown else row._replace(shown=shown)


def _newest_decided(builds: Iterable[Build]) -> set[str]:
    """The ids of the newest run that failed or succeeded, by the newest attempts: no other build may push it out."""
    newest = next((members for run, members in newest_runs(builds) if run.decided), ())
    return {build.id for build in {build.name: build for build in sorted(newest, key=age_key)}.values()}


def _remembered(newest_first: list[Row], wanted: set[str]) -> tuple[set[str], set[str]]:
    """The ids of the builds that are wanted or may be met again, and of their runs.

    Of each run the newest attempt by every name is among them: a run that is known in part would be decided otherwise.
    """
    overlap = newest_first[0].build.created_at - OVERLAP if newest_first else inf
    ids = wanted | {row.build.id for row in newest_first[:SWEEP]}
    ids |= {row.build.id for row in newest_first if row.build.created_at >= overlap}
    runs_kept = {row.build.run for row in newest_first if row.build.id in ids}
    attempts: dict[tuple[str, str], str] = {}
    for row in newest_first:
        if row.build.run in runs_kept:
            attempts.setdefault((row.build.run, row.build.name), row.build.id)
    return ids.union(attempts.values()), runs_kept


def _dormant(newest_first: list[Row], horizon: float) -> set[str]:
    """The ids of builds that can come to life."""
    dormant = [row.build for row in newest_first if row.build.outcome in DORMANT and row.build.created_at >= horizon]
    return {build.id for build in dormant[:DORMANT_LIMIT]}


def _summed_up(
    history: History, gone: list[Row], oldest: Mapping[str, float], runs_kept: set[str], rules: Rules
) -> dict[Group, Past]:
    """What is left of each group's past, with the builds that go now; a run is summed up once all of it goes.

    `oldest` is when the oldest build was created that remains, by branch label.
    """
    past = {group: past for group, past in history.past.items() if group in history.totals}
    by_group: dict[Group, list[Row]] = {}
    for row in gone:
        by_group.setdefault(history.group(row.build, rules.labels), []).append(row)
    for group, rows in by_group.items():
        before = past.get(group, Past())
        last_concluded = dict(before.last_concluded)
        exemplars = dict(before.exemplars)
        for build in (row.build for row in rows):
            if build.concluded and build.concluded_at is not None:
                last_concluded[build.outcome] = max(build.concluded_at, last_concluded.get(build.outcome, -inf))
            for key in buckets_of(build, rules):
                exemplars[key] = max(build.concluded_at or -inf, exemplars.get(key, -inf))
        needed = {key: at for key, at in exemplars.items() if at > oldest[group[0]]}
        after = replace(
            before,
            last_created=max([before.last_created, *(row.build.created_at for row in rows)]),
            last_concluded=last_concluded,
            exemplars=needed,
            ended=max([before.ended, *(at for key, at in exemplars.items() if key not in needed)]),
        )
        past[group] = _sequence(after, [row.build for row in rows if not row.again and row.build.run not in runs_kept])
    return past


def buckets_of(build: Build, rules: Rules) -> list[BucketKey]:
    """Which bucket of which histogram counts the build, for each of `Rules.histograms` that it has a latency for."""
    found: list[BucketKey] = []
    for name in rules.histograms:
        by: Outcome | None = build.outcome
        value = None
        if name == "queue":
            by = None
            value = None if build.started_at is None else build.started_at - build.created_at
        elif build.concluded:
            value = build.latency if name == "conclude" else build.running
        if value is not None:
            found.append((name, by, bisect_left(rules.buckets, value)))
    return found


def _sequence(past: Past, builds: list[Build]) -> Past:
    """The past with the decided runs of the builds behind those that it sums up already."""
    for run in runs(builds):
        if run.created_at <= past.until or not run.decided:
            continue
        since = past.broken_since if past.failures else run.decided_at
        past = replace(
            past,
            until=run.created_at,
            success=run.succeeded,
            failures=past.failures + 1 if run.failed else 0,
            broken_since=since if run.failed else None,
            failure=run.failure,
        )
    return past
