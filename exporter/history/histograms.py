"""Latencies of a window's builds and runs, and of all that were counted, by bucket. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import NamedTuple

from exporter.build import Build, Outcome
from exporter.history.counting import CUMULATIVE
from exporter.history.past import CONCLUDE, QUEUE, buckets_of
from exporter.history.records import BucketKey, Past, Rules
from exporter.history.runs import Turn

RUN = "run"
"""The name of the window histogram of runs, in `Rules.histograms`."""

Histograms = Mapping[str, Mapping[Outcome | None, "Histogram"]]
"""By name (`conclude`, `run`, `queue`, `execution`) and by the outcome that it is split by (None: by none)."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Latencies by bucket."""

    counts: Sequence[int]
    """Cumulative, one a bound and one for infinity."""
    total: float
    """The sum, in seconds."""
    exemplars: Sequence[Build | None]
    """For each bucket the build in it that concluded last; None where that would be older than one shown before."""


class Buckets(NamedTuple):
    """Builds sorted into the buckets of the histograms that the rules ask for."""

    counts: Mapping[tuple[str, Outcome | None], list[int]]
    """Of those in the window."""
    totals: Mapping[tuple[str, Outcome | None], float]
    """Seconds of those."""
    newest: Mapping[BucketKey, Build]
    """The build of each bucket that concluded last, in the window or not."""


def in_buckets(known: Iterable[Build], shown: Collection[str], rules: Rules) -> Buckets:
    """The builds by bucket. `shown`: ids of those in the window."""
    counts: dict[tuple[str, Outcome | None], list[int]] = {}
    totals: defaultdict[tuple[str, Outcome | None], float] = defaultdict(float)
    newest: dict[BucketKey, Build] = {}
    for build in known:
        for key in buckets_of(build, rules):
            if key not in newest or _end(build) > _end(newest[key]):
                newest[key] = build
            name, by, bucket = key
            if build.id in shown and name != CUMULATIVE:
                counts.setdefault((name, by), [0] * (len(rules.buckets) + 1))[bucket] += 1
                totals[name, by] += _seconds(build, name)
    return Buckets(counts, totals, newest)


def windows(
    buckets: Buckets, shown: Collection[str], past: Past, rules: Rules
) -> dict[str, Mapping[Outcome | None, Histogram]]:
    """The histograms of a window's builds that the rules ask for, with only the outcomes that occur."""
    found: dict[str, dict[Outcome | None, Histogram]] = {
        name: {} for name in rules.histograms if name not in {CUMULATIVE, RUN}
    }
    for (name, by), numbers in buckets.counts.items():
        newest = (buckets.newest.get((name, by, bucket)) for bucket in range(len(numbers)))
        exemplars = [
            build if build and build.id in shown and not _too_old(build, (name, by, bucket), past) else None
            for bucket, build in enumerate(newest)
        ]
        found[name][by] = Histogram(list(accumulate(numbers)), buckets.totals[name, by], exemplars)
    return dict(found)


def of_runs(window: Iterable[Turn], rules: Rules) -> dict[Outcome | None, Histogram]:
    """The latencies of those of a window's runs that can have several builds, all of which are known."""
    latencies: defaultdict[Outcome | None, list[float]] = defaultdict(list)
    for turn in window:
        if turn.exact and turn.decided_at is not None and turn.succeeded is not None:
            outcome = Outcome.SUCCESS if turn.succeeded else Outcome.FAILURE
            latencies[outcome].append(max(0.0, turn.decided_at - turn.created_at))
    found: dict[Outcome | None, Histogram] = {}
    for of_outcome, seconds in latencies.items():
        numbers = [0] * (len(rules.buckets) + 1)
        for value in seconds:
            numbers[bisect_left(rules.buckets, value)] += 1
        found[of_outcome] = Histogram(list(accumulate(numbers)), sum(seconds), [None] * len(numbers))
    return found


def counted_latencies(
    latencies: Mapping[Outcome, Sequence[int]],
    seconds: Mapping[Outcome, float],
    buckets: Buckets,
    past: Past,
    begun_at: float,
) -> dict[Outcome, Histogram]:
    """The histograms of all builds that were counted, of how many are in each bucket."""
    found: dict[Outcome, Histogram] = {}
    for outcome, numbers in latencies.items():
        exemplars = [
            build
            if build and _end(build)[0] > begun_at and not _too_old(build, (CUMULATIVE, outcome, bucket), past)
            else None
            for bucket, build in (
                (bucket, buckets.newest.get((CUMULATIVE, outcome, bucket))) for bucket in range(len(numbers))
            )
        ]
        found[outcome] = Histogram(list(accumulate(numbers)), seconds[outcome], exemplars)
    return found


def _too_old(build: Build, key: BucketKey, past: Past) -> bool:
    """Whether a build that concluded later may have stood for the bucket."""
    of_any = -inf if build.concluded_at is None else past.ended
    return _end(build)[0] < max(of_any, past.exemplars.get(key, -inf))


def _end(build: Build) -> tuple[float, str]:
    """Orders builds by their conclusion; one that has not ended comes first, and can be no exemplar."""
    return (-inf if build.concluded_at is None else build.concluded_at), build.id


def _seconds(build: Build, histogram: str) -> float:
    if histogram == QUEUE:
        return (build.started_at or 0.0) - build.created_at
    return (build.latency if histogram == CONCLUDE else build.running) or 0.0
