"""The metric families: each is a row of data and one pure function from what is known to samples."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from prometheus_client import utils
from prometheus_client.core import Metric
from prometheus_client.samples import Exemplar

from exporter.build import Build, Outcome, Target
from exporter.history.histograms import Histogram
from exporter.history.records import Rules
from exporter.history.statistics import Statistics

TARGET_LABELS = ("source", "project", "kind", "target")
OVER_THE_WINDOW = "Over the window of recent builds or runs, read at most every refresh.ttl."
NEWEST = "Read at most every refresh.ttl."
EXEMPLAR_LIMIT = 128
"""Characters of an exemplar's labels, names and values, by the OpenMetrics specification."""

Vocabulary = Sequence[tuple[str, Outcome]]
"""Every status that a provider documents, with its outcome."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a provider says about all its builds: its statuses, and where its own pages are."""

    vocabulary: Vocabulary
    build_page: Callable[[Build], str | None] = lambda _build: None
    run_page: Callable[[str], str | None] = lambda _run_id: None


Point = tuple[str, tuple[str, ...], float, Exemplar | None]
"""A sample: the suffix of its name, the values of the family's own labels, the value, the exemplar."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family over the builds of a target and branch."""

    name: str
    """As a query names it; a counter's ends in `_total`."""
    type: str
    """As OpenMetrics names it."""
    help: str
    labels: tuple[str, ...]
    """Behind the target's labels and those of the group."""
    points: Callable[[Statistics, Words], Iterable[Point]]
    histogram: str = ""
    """The key in `metrics.histograms` that shows it; empty: always shown."""

    @property
    def of_window(self) -> bool:
        """Whether its values are over the window; the others are counted since the first read, or of the newest run."""
        return self.name.startswith("ci_build_window_") or self.type == "gaugehistogram"


def _value(read: Callable[[Statistics], float | None]) -> Callable[[Statistics, Words], Iterator[Point]]:
    """One sample without labels of its own; none where there is no value."""

    def points(found: Statistics, _words: Words) -> Iterator[Point]:
        value = read(found)
        if value is not None:
            yield "", (), value, None

    return points


def _window_builds(found: Statistics, words: Words) -> Iterator[Point]:
    for status, outcome in dict.fromkeys((*words.vocabulary, *sorted(found.counts))):
        yield "", (status, outcome), found.counts.get((status, outcome), 0), None


def _window_runs(found: Statistics, _words: Words) -> Iterator[Point]:
    for outcome in dict.fromkeys((Outcome.SUCCESS, Outcome.FAILURE, *sorted(found.runs))):
        yield "", (outcome,), found.runs.get(outcome, 0), None


def _totals(found: Statistics, _words: Words) -> Iterator[Point]:
    for outcome, number in found.totals.items():
        yield "_total", (outcome,), number, _exemplar(found.exemplars.get(outcome) if number else None, "conclude")


def _run_totals(found: Statistics, _words: Words) -> Iterator[Point]:
    for outcome, number in found.run_totals.items():
        yield "_total", (outcome,), number, None


def _seconds_totals(found: Statistics, _words: Words) -> Iterator[Point]:
    for outcome, seconds in found.seconds.items():
        yield "_total", (outcome,), seconds, None


def _concluded(found: Statistics, _words: Words) -> Iterator[Point]:
    for outcome in sorted(found.latencies):
        histogram = found.latencies[outcome]
        for place, count in enumerate(histogram.counts):
            exemplar = _exemplar(histogram.exemplars[place], "conclude") if count else None
            yield f"_bucket{place}", (outcome,), count, exemplar
        yield "_count", (outcome,), histogram.counts[-1], None
        yield "_sum", (outcome,), histogram.total, None


def _last_concluded(found: Statistics, _words: Words) -> Iterator[Point]:
    for outcome, at in sorted(found.last_concluded.items()):
        yield "", (outcome,), at, None


def _last_info(found: Statistics, _words: Words) -> Iterator[Point]:
    if found.last:
        yield "", (found.last.id, found.last.sha, found.last.status, found.last.outcome), 1, None


def _last_failed_info(found: Statistics, words: Words) -> Iterator[Point]:
    sequel = found.sequel
    if sequel.success is not False:
        return
    build = sequel.failure
    if build is not None:
        url = words.build_page(build) or ""
        yield "", (build.id, build.sha, build.outcome, build.reason, url), 1, None
    elif sequel.failed_run:
        yield "", ("", "", Outcome.FAILURE, "", words.run_page(sequel.failed_run) or ""), 1, None


def _success(found: Statistics) -> float | None:
    return None if found.sequel.success is None else float(found.sequel.success)


def _histogram(name: str) -> Callable[[Statistics, Words], Iterator[Point]]:
    """The points of a gauge histogram, one set for each outcome that occurs (where it is split by outcome)."""

    def points(found: Statistics, _words: Words) -> Iterator[Point]:
        by_outcome: Mapping[Outcome | None, Histogram] = found.histograms.get(name, {})
        for outcome in sorted(by_outcome, key=str):
            labels = () if outcome is None else (str(outcome),)
            histogram = by_outcome[outcome]
            for place, count in enumerate(histogram.counts):
                yield f"_bucket{place}", labels, count, _exemplar(histogram.exemplars[place], name)
            yield "_gcount", labels, histogram.counts[-1], None
            yield "_gsum", labels, histogram.total, None

    return points


def _exemplar(build: Build | None, histogram: str) -> Exemplar | None:
    """The build that stands for a bucket, at the time of its conclusion."""
    if build is None or build.concluded_at is None:
        return None
    value = {
        "conclude": build.latency,
        "queue": None if build.started_at is None else build.started_at - build.created_at,
        "run": build.latency,
        "execution": build.running,
    }[histogram]
    labels = {"build_id": build.id, "sha": build.sha} if build.sha else {"build_id": build.id}
    if value is None or sum(len(name) + len(text) for name, text in labels.items()) > EXEMPLAR_LIMIT:
        return None
    return Exemplar(labels, value, build.concluded_at)


WINDOW = (
    Family("ci_build_window_builds", "gauge", "Builds in the window by status.", ("status", "outcome"), _window_builds),
    Family(
        "ci_build_window_success_ratio",
        "gauge",
        "Successes among the window's builds that ended in success, failure, error or timeout, 0 to 1.",
        (),
        _value(lambda found: found.success_ratio),
    ),
    Family("ci_build_window_runs", "gauge", "Runs in the window by outcome.", ("outcome",), _window_runs),
    Family(
        "ci_build_window_run_success_ratio",
        "gauge",
        "Successes among the window's runs that succeeded or failed, 0 to 1.",
        (),
        _value(lambda found: found.run_success_ratio),
    ),
    Family(
        "ci_build_window_oldest_created_timestamp_seconds",
        "gauge",
        "When the oldest build of the window was created.",
        (),
        _value(lambda found: found.oldest_created),
    ),
    Family(
        "ci_build_conclude_latency_seconds",
        "gaugehistogram",
        "Initiation to conclusion of the window's concluded builds.",
        ("outcome",),
        _histogram("conclude"),
        histogram="conclude",
    ),
    Family(
        "ci_build_queue_latency_seconds",
        "gaugehistogram",
        "Initiation to start of the window's builds, where the provider tells the start.",
        (),
        _histogram("queue"),
        histogram="queue",
    ),
    Family(
        "ci_build_execution_seconds",
        "gaugehistogram",
        "Time from start to end of the window's concluded builds, where the provider reports the start.",
        ("outcome",),
        _histogram("execution"),
        histogram="execution",
    ),
    Family(
        "ci_build_run_latency_seconds",
        "gaugehistogram",
        "Time from creation to decision of the window's runs, where a run can have several builds.",
        ("outcome",),
        _histogram("run"),
        histogram="run",
    ),
    Family(
        "ci_build_concluded_total",
        "counter",
        "Builds seen to conclude since the target was first read, each once.",
        ("outcome",),
        _totals,
    ),
    Family(
        "ci_build_runs_concluded_total",
        "counter",
        "Runs seen to conclude since the target was first read, each once.",
        ("outcome",),
        _run_totals,
    ),
    Family(
        "ci_build_concluded_seconds_total",
        "counter",
        "Sum of the time from creation to conclusion of the builds counted as success or as any failure.",
        ("outcome",),
        _seconds_totals,
    ),
    Family(
        "ci_build_concluded_latency_seconds",
        "histogram",
        "Time from creation to conclusion of the builds seen to conclude since the target was first read.",
        ("outcome",),
        _concluded,
        histogram="concluded",
    ),
    Family(
        "ci_build_last_created_timestamp_seconds",
        "gauge",
        "When the newest build was created.",
        (),
        _value(lambda found: found.last_created),
    ),
    Family(
        "ci_build_last_concluded_timestamp_seconds",
        "gauge",
        "When the newest build that ended with this outcome did.",
        ("outcome",),
        _last_concluded,
    ),
    Family(
        "ci_build_last_success",
        "gauge",
        "1 if the newest decided run succeeded, 0 if it failed.",
        (),
        _value(_success),
    ),
    Family(
        "ci_build_last_info",
        "gauge",
        "The newest build; always 1.",
        ("build_id", "sha", "status", "outcome"),
        _last_info,
    ),
    Family(
        "ci_build_last_failed_info",
        "gauge",
        "The build that broke the branch, while its newest decided run is a failed one; always 1.",
        ("build_id", "sha", "outcome", "reason", "url"),
        _last_failed_info,
    ),
    Family(
        "ci_build_last_coverage_ratio",
        "gauge",
        "Mean test coverage of the builds of the newest decided run, 0 to 1.",
        (),
        _value(lambda found: found.coverage),
    ),
    Family(
        "ci_build_consecutive_failures",
        "gauge",
        "Failed runs since the last that succeeded.",
        (),
        _value(lambda found: found.sequel.failures),
    ),
    Family(
        "ci_build_broken_since_timestamp_seconds",
        "gauge",
        "When the first of the consecutive failures concluded.",
        (),
        _value(lambda found: found.sequel.broken_since if found.sequel.failures else None),
    ),
    Family(
        "ci_build_oldest_unfinished_created_timestamp_seconds",
        "gauge",
        "When the oldest build was created that has not ended.",
        (),
        _value(lambda found: found.oldest_unfinished),
    ),
    Family(
        "ci_build_window_flaky_commits",
        "gauge",
        "Commits of the window on which the same build both failed and succeeded.",
        (),
        _value(lambda found: found.flaky_commits),
    ),
    Family(
        "ci_build_window_restores",
        "gauge",
        "How often in the window a success followed failed runs.",
        (),
        _value(lambda found: found.sequel.restores),
    ),
    Family(
        "ci_build_window_restore_seconds",
        "gauge",
        "The sum of the times from the first failure to the success that followed, in the window.",
        (),
        _value(lambda found: found.sequel.restore_seconds),
    ),
)
"""The families of a target's window, in the order in which they are shown."""


def window_families(
    target: Target,
    found: Sequence[Statistics],
    words: Words,
    rules: Rules,
    drop: frozenset[str] = frozenset(),
) -> list[Metric]:
    """The families of a target's window.

    ci_build_last_success{source="northflank",project="shop",kind="service",target="web",branch="main"} 1.0
    ci_build_window_builds{...,branch="main",status="success",outcome="success"} 42.0
    """
    names = ("branch", *rules.labels)
    bounds = [go_float(bound) for bound in (*rules.buckets, inf)]
    values = target_labels(target)
    families = []
    for family in WINDOW:
        if family.name in drop or (family.histogram and family.histogram not in rules.histograms):
            continue
        metric = empty(family)
        for group in found:
            labels = values | dict(zip(names, group.group, strict=True))
            for suffix, own, value, exemplar in family.points(group, words):
                of_sample = labels | dict(zip(family.labels, own, strict=True))
                if suffix.startswith("_bucket"):
                    of_sample["le"] = bounds[int(suffix.removeprefix("_bucket"))]
                    suffix = "_bucket"  # noqa: PLW2901 - the place of the bound has become its label
                metric.add_sample(metric.name + suffix, of_sample, value, exemplar=exemplar)
        families.append(metric)
    return families


def empty(family: Family) -> Metric:
    """The family without a sample."""
    name = family.name.removesuffix("_total") if family.type == "counter" else family.name
    return Metric(name, f"{family.help} {OVER_THE_WINDOW if family.of_window else NEWEST}", family.type)


def target_labels(target: Target) -> dict[str, str]:
    """The labels that tell a target from all others."""
    return dict(zip(TARGET_LABELS, (target.source, target.project, target.kind, target.name), strict=True))


def go_float(value: float) -> str:
    """The number as the exposition formats write it: `600.0`, `+Inf`, `1.7e+09`."""
    text: str = utils.floatToGoString(value)  # type: ignore[no-untyped-call]  # prometheus-client has no types there
    return text


def series(families: Iterable[Metric]) -> int:
    """How many series the families are."""
    return sum(len(metric.samples) for metric in families)
