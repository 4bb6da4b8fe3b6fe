"""What the exporter counts of its own doings, and the families about targets and sources that it reads (DESIGN 5.2)."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.build import Target
from exporter.exposition.families import TARGET_LABELS, target_labels

disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types there

FAMILIES = {
    "ci_build_target_up": ("gauge", "1 if the last read of the target succeeded.", TARGET_LABELS),
    "ci_build_target_refresh_timestamp_seconds": (
        "gauge",
        "When the target's builds were last known to be current.",
        TARGET_LABELS,
    ),
    "ci_build_target_info": (
        "gauge",
        "Where the target is read; always 1.",
        (*TARGET_LABELS, "provider", "url", "default_branch"),
    ),
    "ci_build_target_errors_total": ("counter", "Reads of the target that failed.", (*TARGET_LABELS, "reason")),
    "ci_build_source_up": (
        "gauge",
        "1 if any request of the newest round was answered, a 429 included.",
        ("source",),
    ),
    "ci_build_source_resting": ("gauge", "1 while an exhausted allowance makes the source wait.", ("source",)),
    "ci_build_source_longest_pause_seconds": (
        "gauge",
        "Longest pause between two looks at a target without webhooks: refresh.idle_ttl, or as the rate limit allows.",
        ("source",),
    ),
    "ci_build_source_targets": ("gauge", "Targets that are read.", ("source", "kind")),
    "ci_build_source_requests_total": ("counter", "Requests to the provider.", ("source", "operation", "code")),
    "ci_build_source_request_duration_seconds": ("histogram", "How long the provider took to answer.", ("source",)),
    "ci_build_source_ratelimit_limit": ("gauge", "Requests that the provider allows in a period.", ("source",)),
    "ci_build_source_ratelimit_remaining": ("gauge", "Requests that are left of them.", ("source",)),
    "ci_build_source_ratelimit_reset_timestamp_seconds": ("gauge", "When the period ends.", ("source",)),
    "ci_build_source_rejected_records_total": (
        "counter",
        "Records of the provider that could not be read, or only in part.",
        ("source", "reason"),
    ),
    "ci_build_source_webhook_events_total": (
        "counter",
        "Deliveries to the source's webhook, by what became of them.",
        ("source", "event", "result"),
    ),
    "ci_build_store_up": ("gauge", "1 if the state that the exporter keeps is stored; not there in memory.", ()),
    "ci_build_exporter_build_info": ("gauge", "The exporter's version; always 1.", ("version", "revision")),
    "ci_build_exporter_window_builds_limit": ("gauge", "The builds that a window holds at most.", ()),
    "ci_build_exporter_folded_series": ("gauge", "Series that folding saves to stay within metrics.max_series.", ()),
    "ci_build_exporter_hidden_targets": ("gauge", "Targets that show ci_build_target_up only, for the same end.", ()),
    "ci_build_exporter_config_last_reload_successful": ("gauge", "1 if the configuration was last read well.", ()),
    "ci_build_exporter_config_last_reload_success_timestamp_seconds": (
        "gauge",
        "When the configuration was last read well.",
        (),
    ),
    "ci_build_exporter_scrape_duration_seconds": ("gauge", "How long the last scrape took to answer.", ()),
}
"""Name to type, help and labels."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source stands."""

    name: str
    up: bool | None
    """None: not tried yet."""
    resting: bool
    targets: Mapping[str, int]
    """How many by kind."""
    limit: float | None = None
    """Requests that the server allows in a period, as it last reported; None where it did not."""
    remaining: float | None = None
    reset_at: float | None = None
    """When the period ends, in seconds since the epoch."""
    longest_pause: float | None = None
    """Seconds between two looks at a target, at most."""


class SelfMetrics:
    """The counters of requests and rejected records, and the process's own families."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        """Everything that changes from scrape to scrape; others may register more."""
        self.version = 0
        """Moves whenever something is shown that was not shown before, but for the time that has passed."""
        self._requests = self._counter("ci_build_source_requests_total")
        self._rejected = self._counter("ci_build_source_rejected_records_total")
        self._webhooks = self._counter("ci_build_source_webhook_events_total")
        name = "ci_build_source_request_duration_seconds"
        _type, help_, labels = FAMILIES[name]
        self._seconds = Histogram(name, help_, labels, registry=self.registry)
        self.scrape_duration = self._gauge("ci_build_exporter_scrape_duration_seconds")
        """Set by whoever answers scrapes, in seconds."""
        self.reload_successful = self._gauge("ci_build_exporter_config_last_reload_successful")
        self.reload_success_time = self._gauge("ci_build_exporter_config_last_reload_success_timestamp_seconds")
        build_info = self._gauge("ci_build_exporter_build_info")
        build_info.labels(__version__, os.environ.get("CI_BUILD_EXPORTER_REVISION", "")).set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def _counter(self, name: str) -> Counter:
        _type, help_, labels = FAMILIES[name]
        return Counter(name, help_, labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        _type, help_, labels = FAMILIES[name]
        return Gauge(name, help_, labels, registry=self.registry)

    def request(self, source: str, operation: str, code: str, seconds: float) -> None:
        """Count one request; `code` is the HTTP status, or why there was none."""
        self.version += 1
        self._requests.labels(source, operation, code).inc()
        self._seconds.labels(source).observe(seconds)

    def rejected(self, source: str, reason: str) -> None:
        """Count one record that could not be read."""
        self.version += 1
        self._rejected.labels(source, reason).inc()

    def webhook(self, source: str, event: str, result: str) -> None:
        """Count one delivery to the source's webhook: what it told of, and what became of it."""
        self.version += 1
        self._webhooks.labels(source, event, result).inc()

    def reloaded(self) -> tuple[bool, float]:
        """Whether the configuration was last read well, and when it was, in seconds since the epoch (0: never yet)."""
        gauges = (self.reload_successful, self.reload_success_time)
        successful, at = (sample.value for gauge in gauges for metric in gauge.collect() for sample in metric.samples)
        return bool(successful), at

    def requests(self, source: str) -> float:
        """How many requests the source has made."""
        return sum(
            sample.value
            for metric in self._requests.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.labels["source"] == source
        )


class Live(Collector):
    """Families that are made anew at each scrape, as a registry takes them."""

    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def describe(self) -> list[Metric]:
        """None: else the registry would collect them to learn their names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """As they are now."""
        return self._families()


def target_families(
    target: Target, *, up: bool | None, info: Mapping[str, str], errors: Mapping[str, int]
) -> list[Metric]:
    """What is told of the reading of one target, but for the time of its refresh."""
    labels = target_labels(target)
    about = family("ci_build_target_info")
    about.add_sample(about.name, labels | dict(info), 1)
    failed = family("ci_build_target_errors_total")
    for reason, number in errors.items():
        failed.add_sample(f"{failed.name}_total", labels | {"reason": reason}, number)
    return [up_family(target, up=up), about, failed]


def up_family(target: Target, *, up: bool | None) -> Metric:
    """Whether the last read of the target succeeded; no sample where it was not read yet."""
    metric = family("ci_build_target_up")
    if up is not None:
        metric.add_sample(metric.name, target_labels(target), float(up))
    return metric


def source_families(sources: Iterable[SourceStatus]) -> Iterator[Metric]:
    """What is told of each source."""
    rows = list(sources)
    gauges: tuple[tuple[str, Callable[[SourceStatus], float | None]], ...] = (
        ("ci_build_source_up", lambda row: row.up),
        ("ci_build_source_resting", lambda row: row.resting),
        ("ci_build_source_longest_pause_seconds", lambda row: row.longest_pause),
        ("ci_build_source_ratelimit_limit", lambda row: row.limit),
        ("ci_build_source_ratelimit_remaining", lambda row: row.remaining),
        ("ci_build_source_ratelimit_reset_timestamp_seconds", lambda row: row.reset_at),
    )
    for name, read in gauges:
        metric = family(name)
        for row in rows:
            if (value := read(row)) is not None:
                metric.add_sample(name, {"source": row.name}, float(value))
        yield metric
    targets = family("ci_build_source_targets")
    for row in rows:
        for kind, number in row.targets.items():
            targets.add_sample(targets.name, {"source": row.name, "kind": kind}, number)
    yield targets


def family(name: str) -> Metric:
    """One of `FAMILIES`, without a sample."""
    type_, help_, _labels = FAMILIES[name]
    return Metric(name.removesuffix("_total") if type_ == "counter" else name, help_, type_)


def gauge(name: str, value: float, labels: Mapping[str, str] | None = None) -> Metric:
    """One of `FAMILIES`, with one sample."""
    metric = GaugeMetricFamily(name, FAMILIES[name][1])
    metric.add_sample(name, dict(labels or {}), value)
    return metric
