"""What the exporter counts of its own doings."""

from collections.abc import Iterable

from builds import NOW, WEB
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families as parse

from exporter import __version__
from exporter.exposition.self_metrics import (
    FAMILIES,
    SelfMetrics,
    SourceStatus,
    family,
    gauge,
    source_families,
    target_families,
    up_family,
)

LABELS = {"source": "nf", "project": "shop", "kind": "service", "target": "web"}


def samples(found: Iterable[Metric]) -> dict[str, list[tuple[dict[str, str], float]]]:
    told: dict[str, list[tuple[dict[str, str], float]]] = {}
    for metric in found:
        for one in metric.samples:
            told.setdefault(one.name, []).append((dict(one.labels), one.value))
    return told


def live(self_metrics: SelfMetrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    return samples(parse(generate_latest(self_metrics.registry).decode()))


def test_requests_are_counted_by_operation_and_code_and_timed() -> None:
    self_metrics = SelfMetrics()
    self_metrics.request("nf", "builds", "200", 0.25)
    self_metrics.request("nf", "builds", "200", 0.5)
    self_metrics.request("nf", "services", "timeout", 10.0)
    self_metrics.request("gl", "jobs", "429", 0.1)
    told = live(self_metrics)
    assert told["ci_build_source_requests_total"] == [
        ({"source": "nf", "operation": "builds", "code": "200"}, 2),
        ({"source": "nf", "operation": "services", "code": "timeout"}, 1),
        ({"source": "gl", "operation": "jobs", "code": "429"}, 1),
    ]
    assert told["ci_build_source_request_duration_seconds_sum"] == [({"source": "nf"}, 10.75), ({"source": "gl"}, 0.1)]
    assert told["ci_build_source_request_duration_seconds_count"] == [({"source": "nf"}, 3), ({"source": "gl"}, 1)]
    assert [self_metrics.requests(name) for name in ("nf", "gl", "none")] == [3, 1, 0]


def test_rejected_records_are_counted_by_reason() -> None:
    self_metrics = SelfMetrics()
    for _ in range(2):
        self_metrics.rejected("nf", "no_id")
    assert live(self_metrics)["ci_build_source_rejected_records_total"] == [({"source": "nf", "reason": "no_id"}, 2)]


def test_deliveries_are_counted_by_what_became_of_them() -> None:
    self_metrics = SelfMetrics()
    for _ in range(2):
        self_metrics.webhook("nf", "build:start", "applied")
    labels = {"source": "nf", "event": "build:start", "result": "applied"}
    assert live(self_metrics)["ci_build_source_webhook_events_total"] == [(labels, 2)]


def test_counters_bear_no_created_samples() -> None:
    self_metrics = SelfMetrics()
    self_metrics.request("nf", "builds", "200", 0.25)
    assert not [name for name in live(self_metrics) if name.endswith("_created")]


def test_the_exporter_tells_its_version_and_its_process() -> None:
    self_metrics = SelfMetrics()
    self_metrics.scrape_duration.set(0.5)
    self_metrics.reload_successful.set(1)
    self_metrics.reload_success_time.set(NOW)
    told = live(self_metrics)
    [(labels, value)] = told["ci_build_exporter_build_info"]
    assert (labels["version"], set(labels), value) == (__version__, {"version", "revision"}, 1.0)
    assert told["ci_build_exporter_scrape_duration_seconds"] == [({}, 0.5)]
    assert told["ci_build_exporter_config_last_reload_successful"] == [({}, 1)]
    assert told["ci_build_exporter_config_last_reload_success_timestamp_seconds"] == [({}, NOW)]
    assert "python_info" in told
    assert "process_cpu_seconds_total" in told


def test_two_of_them_share_nothing() -> None:
    one, other = SelfMetrics(), SelfMetrics()
    one.request("nf", "builds", "200", 0.25)
    assert other.requests("nf") == 0


def test_a_target_tells_how_it_is_read() -> None:
    found = target_families(
        WEB,
        up=False,
        info={"provider": "northflank", "url": "https://x.example", "default_branch": "main"},
        errors={"forbidden": 2, "unreachable": 1},
    )
    assert samples(found) == {
        "ci_build_target_up": [(LABELS, 0.0)],
        "ci_build_target_info": [
            (LABELS | {"provider": "northflank", "url": "https://x.example", "default_branch": "main"}, 1)
        ],
        "ci_build_target_errors_total": [
            (LABELS | {"reason": "forbidden"}, 2),
            (LABELS | {"reason": "unreachable"}, 1),
        ],
    }
    assert [metric.type for metric in found] == ["gauge", "gauge", "counter"]


def test_a_target_that_was_not_tried_is_neither_up_nor_down() -> None:
    assert samples([up_family(WEB, up=None)]) == {}
    assert samples([up_family(WEB, up=True)]) == {"ci_build_target_up": [(LABELS, 1.0)]}


def test_a_source_tells_how_it_stands() -> None:
    untried = SourceStatus("gl", up=None, resting=False, targets={"project": 0})
    resting = SourceStatus(
        "nf", up=True, resting=True, targets={"service": 2, "job": 1}, limit=1000, remaining=0, reset_at=NOW
    )
    nf, gl = {"source": "nf"}, {"source": "gl"}
    assert samples(source_families([resting, untried])) == {
        "ci_build_source_up": [(nf, 1.0)],
        "ci_build_source_resting": [(nf, 1.0), (gl, 0.0)],
        "ci_build_source_targets": [
            (nf | {"kind": "service"}, 2),
            (nf | {"kind": "job"}, 1),
            (gl | {"kind": "project"}, 0),
        ],
        "ci_build_source_ratelimit_limit": [(nf, 1000.0)],
        "ci_build_source_ratelimit_remaining": [(nf, 0.0)],
        "ci_build_source_ratelimit_reset_timestamp_seconds": [(nf, NOW)],
    }


def test_a_gauge_may_bear_labels() -> None:
    assert samples([gauge("ci_build_source_up", 1, {"source": "nf"})]) == {
        "ci_build_source_up": [({"source": "nf"}, 1)]
    }
    assert samples([gauge("ci_build_exporter_hidden_targets", 3)]) == {"ci_build_exporter_hidden_targets": [({}, 3)]}


def test_every_family_is_of_its_type_and_has_a_help() -> None:
    for name, (type_, help_, _labels) in FAMILIES.items():
        metric = family(name)
        assert (metric.type, metric.documentation) == (type_, help_)
        assert metric.name == (name.removesuffix("_total") if type_ == "counter" else name)
        assert help_.endswith(".")


def test_what_a_family_says_of_its_labels_is_what_its_samples_bear() -> None:
    self_metrics = SelfMetrics()
    self_metrics.request("nf", "builds", "200", 0.25)
    self_metrics.rejected("nf", "no_id")
    self_metrics.webhook("nf", "other", "malformed")
    status = SourceStatus("nf", up=True, resting=True, targets={"job": 1}, limit=1, remaining=1, reset_at=NOW)
    of_target = target_families(
        WEB, up=True, info={"provider": "p", "url": "u", "default_branch": ""}, errors={"forbidden": 1}
    )
    told = [*self_metrics.registry.collect(), *source_families([status]), *of_target]
    for metric in told:
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        if name in FAMILIES:
            for one in metric.samples:
                assert set(one.labels) - {"le"} == set(FAMILIES[name][2]), one.name
