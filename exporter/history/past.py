"""What is left of builds and runs that are cut: by group of labels. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf

from exporter.build import Build, Outcome
from exporter.history.counting import CUMULATIVE, pooled
from exporter.history.judge import age_key
from exporter.history.records import BucketKey, Group, History, Past, Row, Rules
from exporter.history.runs import Turn, by_group, failure_of, turns

QUEUE, CONCLUDE, EXECUTION = "queue", "conclude", "execution"
"""Names of window histograms of builds, in `Rules.histograms`; `run` is one of runs."""


def with_builds_cut(history: History, gone: Iterable[Row], oldest: Mapping[str, float], rules: Rules) -> History:
    """The history with what is left of the builds that go now.

    `oldest`: when the oldest build of each branch label was created that remains.
    """
    past = {group: past for group, past in history.past.items() if group in history.totals}
    by_group: dict[Group, list[Build]] = {}
    for row in gone:
        by_group.setdefault(history.group(row.build, rules.labels), []).append(row.build)
    for group, builds in by_group.items():
        before = past.get(group, Past())
        last_concluded = dict(before.last_concluded)
        exemplars = dict(before.exemplars)
        for build in builds:
            if build.concluded and build.concluded_at is not None:
                last_concluded[build.outcome] = max(build.concluded_at, last_concluded.get(build.outcome, -inf))
            for key in buckets_of(build, rules):
                exemplars[key] = max(build.concluded_at or -inf, exemplars.get(key, -inf))
        needed = {key: at for key, at in exemplars.items() if at > oldest.get(group[0], inf)}
        past[group] = replace(
            before,
            last_created=max([before.last_created, *(build.created_at for build in builds)]),
            last_concluded=last_concluded,
            exemplars=needed,
            ended=max([before.ended, *(at for key, at in exemplars.items() if key not in needed)]),
        )
    return replace(history, past=past)


def with_runs_cut(history: History, gone: Iterable[Row], alive: frozenset[str], rules: Rules) -> History:
    """The history with the oldest runs of each group summed up, down to the newest of those that go now.

    `alive`: ids of the runs that remain. The history still has all rows; `gone` are the builds that go.
    """
    builds: dict[Group, list[Row]] | None = None
    if not history.runs:  # then only builds up to the newest that goes can be in question
        newest = max((age_key(row.build) for row in gone), default=None)
        if newest is None:
            return history
        rows = history.rows.values()
        builds = by_group(
            history, rules, [row for row in rows if age_key(row.build) <= newest or row.build.run != row.build.id]
        )
    past = dict(history.past)
    for group, of_group in turns(history, rules, builds).items():
        places = [place for place, turn in enumerate(of_group) if turn.id not in alive]
        if places:
            before = past.get(group, Past())
            past[group] = _summed_up(history, before, of_group[: places[-1] + 1])
    return replace(history, past=past)


def _summed_up(history: History, past: Past, oldest: Iterable[Turn]) -> Past:
    """The past with those runs behind the ones that it sums up already."""
    until, success, failures, since = past.until, past.success, past.failures, past.broken_since
    newest_failed: Turn | None = None
    for turn in oldest:
        if turn.age <= past.until:
            continue
        until = turn.age
        if turn.succeeded is None:
            continue
        success = turn.succeeded
        failures, since = (0, None) if success else (failures + 1, first_failure(failures, since, turn.decided_at))
        newest_failed = None if success else turn
    failed_run = newest_failed.id if newest_failed else past.failed_run
    failure = failure_of(history, newest_failed) if newest_failed else past.failure
    if success is not False:
        failed_run, failure = "", None
    return replace(
        past,
        until=until,
        success=success,
        failures=failures,
        broken_since=since,
        failure=failure,
        failed_run=failed_run,
    )


def first_failure(failures: int, since: float | None, failed_at: float | None) -> float | None:
    """When the first of consecutive failed runs failed, with one more of them. They can end in another order."""
    if not failures or since is None:
        return since if failures else failed_at
    return since if failed_at is None else min(since, failed_at)


def buckets_of(build: Build, rules: Rules) -> list[BucketKey]:
    """Which bucket of which histogram counts the build, for each of `Rules.histograms` that it has a latency for."""
    found: list[BucketKey] = []
    for name in rules.histograms:
        by: Outcome | None = build.outcome
        value = None
        if name == QUEUE:
            by = None
            value = None if build.started_at is None else build.started_at - build.created_at
        elif build.concluded and name == CONCLUDE:
            value = build.latency
        elif build.concluded and name == CUMULATIVE:
            by = pooled(build.outcome)
            value = None if by is None else build.latency
        elif build.concluded and name == EXECUTION:
            value = build.running
        if value is not None:
            found.append((name, by, bisect_left(rules.buckets, value)))
    return found
