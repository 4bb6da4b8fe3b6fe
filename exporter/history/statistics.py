"""What the builds of a window come to, by group of labels: what the metrics show. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

from exporter.build import FAILED, Build, Outcome
from exporter.history.runs import age_key, runs
from exporter.history.window import BucketKey, Group, History, Past, Row, Rules, buckets_of

Histograms = Mapping[str, Mapping[Outcome | None, "Histogram"]]
"""By name (`conclude`, `queue`, `run`) and by the outcome that it is split by (None: by none)."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Latencies of the window's builds."""

    counts: Sequence[int]
    """Cumulative, one a bound and one for infinity."""
    total: float
    """The sum, in seconds."""
    exemplars: Sequence[Build | None]
    """For each bucket the build in it that concluded last; None where that would be older than one shown before."""


@dataclass(frozen=True, slots=True)
class Sequel:
    """How a group's runs followed on each other."""

    success: bool | None = None
    """Whether the newest decided run succeeded; None: none is decided."""
    failures: int = 0
    """Failed runs since the last that succeeded."""
    broken_since: float | None = None
    """When the first of those failed."""
    failure: Build | None = None
    """The newest build that failed, while `success` is False."""
    restores: int = 0
    """How often in the window a success followed failed runs."""
    restore_seconds: float = 0.0
    """The sum of the times from the first failure to the success."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one group of a target shows. None is absent; times are seconds since the epoch."""

    group: Group
    counts: Mapping[tuple[str, Outcome], int]
    """Builds in the window by status and outcome; only those that occur."""
    oldest_created: float | None
    histograms: Histograms
    totals: Mapping[Outcome, int]
    """Builds seen to conclude."""
    last_created: float | None
    last_concluded: Mapping[Outcome, float]
    last: Build | None
    """The newest build."""
    sequel: Sequel
    oldest_unfinished: float | None
    flaky_commits: int

    @property
    def success_ratio(self) -> float | None:
        """Successes among the builds that succeeded or failed; None where there are none."""
        by_outcome: Counter[Outcome] = Counter()
        for (_status, outcome), number in self.counts.items():
            by_outcome[outcome] += number
        decided = by_outcome[Outcome.SUCCESS] + sum(by_outcome[outcome] for outcome in FAILED)
        return by_outcome[Outcome.SUCCESS] / decided if decided else None


def statistics(history: History, rules: Rules) -> list[Statistics]:
    """What each group of a target's history shows; values never depend on the moment at which this is asked."""
    known: dict[Group, list[Row]] = {group: [] for group in history.totals}
    for row in history.rows.values():
        known[history.group(row.build, rules.labels)].append(row)
    return [_of_group(group, rows, history, rules) for group, rows in sorted(known.items())]


def _of_group(group: Group, rows: list[Row], history: History, rules: Rules) -> Statistics:
    past = history.past.get(group, Past())
    known = [row.build for row in rows]
    window = [row.build for row in rows if row.shown]
    shown = {build.id for build in window}
    last = max(known, key=age_key, default=None)
    last_created = max(past.last_created, last.created_at) if last else past.last_created
    return Statistics(
        group=group,
        counts=Counter((build.status, build.outcome) for build in window),
        oldest_created=min((build.created_at for build in window), default=None),
        histograms=_histograms(known, shown, past, rules),
        totals=history.totals[group],
        last_created=None if last_created == -inf else last_created,
        last_concluded=_last_concluded(known, past),
        last=last,
        sequel=_sequel([row.build for row in rows if not row.again], shown, past),
        oldest_unfinished=min((build.created_at for build in window if build.unfinished), default=None),
        flaky_commits=_flaky_commits(window),
    )


def _last_concluded(known: list[Build], past: Past) -> dict[Outcome, float]:
    newest = dict(past.last_concluded)
    for build in known:
        if build.concluded and build.concluded_at is not None:
            newest[build.outcome] = max(build.concluded_at, newest.get(build.outcome, -inf))
    return newest


def _flaky_commits(window: list[Build]) -> int:
    """On how many commits the same build both failed and succeeded."""
    green = {(build.sha, build.name) for build in window if build.outcome is Outcome.SUCCESS}
    red = {(build.sha, build.name) for build in window if build.concluded and build.outcome in FAILED}
    return len({sha for sha, _name in green & red if sha})


def _sequel(known: list[Build], shown: set[str], past: Past) -> Sequel:
    """The runs in their order, behind those that the past sums up."""
    in_window = {build.run for build in known if build.id in shown}
    failures, broken_since = past.failures, past.broken_since
    success, failure = past.success, past.failure
    restores, seconds = 0, 0.0
    for run in runs(known):
        if run.created_at <= past.until or not run.decided:
            continue
        success, failure = run.succeeded, run.failure
        if run.failed:
            broken_since = broken_since if failures else run.decided_at
            failures += 1
        elif failures:
            if run.id in in_window and broken_since is not None and run.decided_at is not None:
                restores += 1
                seconds += max(0.0, run.decided_at - broken_since)
            failures, broken_since = 0, None
    return Sequel(success, failures, broken_since, failure, restores, seconds)


def _histograms(known: list[Build], shown: set[str], past: Past, rules: Rules) -> Histograms:
    """The histograms that the rules ask for, with only the outcomes that occur in the window."""
    counts: dict[tuple[str, Outcome | None], list[int]] = {}
    totals: defaultdict[tuple[str, Outcome | None], float] = defaultdict(float)
    newest: dict[BucketKey, Build] = {}
    for build in known:
        for name, by, bucket in buckets_of(build, rules):
            key = (name, by, bucket)
            if key not in newest or _end(build) > _end(newest[key]):
                newest[key] = build
            if build.id in shown:
                counts.setdefault((name, by), [0] * (len(rules.buckets) + 1))[bucket] += 1
                totals[name, by] += _seconds(build, name)
    found: dict[str, dict[Outcome | None, Histogram]] = {name: {} for name in rules.histograms}
    for (name, by), numbers in counts.items():
        exemplars = [
            build if build and build.id in shown and not _too_old(build, (name, by, bucket), past) else None
            for bucket, build in ((bucket, newest.get((name, by, bucket))) for bucket in range(len(numbers)))
        ]
        found[name][by] = Histogram(list(accumulate(numbers)), totals[name, by], exemplars)
    return found


def _too_old(build: Build, key: BucketKey, past: Past) -> bool:
    """Whether a build that concluded later may have stood for the bucket."""
    of_any = -inf if build.concluded_at is None else past.ended
    return _end(build)[0] < max(of_any, past.exemplars.get(key, -inf))


def _end(build: Build) -> tuple[float, str]:
    """Orders builds by their conclusion; one that has not ended comes first, and can be no exemplar."""
    return (-inf if build.concluded_at is None else build.concluded_at), build.id


def _seconds(build: Build, histogram: str) -> float:
    if histogram == "queue":
        return (build.started_at or 0.0) - build.created_at
    return (build.latency if histogram == "conclude" else build.running) or 0.0
