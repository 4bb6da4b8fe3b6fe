"""The exporter's own health: how fresh its values are, what it spends, what fails."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from mixin.dashboards import variables
from mixin.dashboards.boards import EXPORTER, TARGET, board
from mixin.dashboards.expressions import OF_PROCESS, OF_SOURCE, SHARES, count, grown, milliseconds, of, one, source
from mixin.dashboards.panels import (
    NO_OR_YES,
    ORANGE,
    QUANTILES,
    RED,
    YES_OR_NO,
    About,
    Column,
    Query,
    bars,
    detail,
    heat,
    lines,
    rows,
    stats,
    timeline,
)

SECONDS = "ci_build_source_request_duration_seconds_bucket"
REPLICA = "{{instance}}"


def dashboard() -> Dashboard:
    """All replicas, over six hours."""
    return board(
        EXPORTER,
        "CI builds / Exporter",
        "The health of ci-build-exporter itself: how fresh its values are, what it spends of the providers' allowance, "
        "what fails, and what it takes.",
        since="now-6h",
        variables=(variables.source(), *variables.processes()),
        events=[],
        sections=[
            ("Now", [*_now(), _sources(), _oldest()]),
            ("Freshness", [_freshness(), _errors()]),
            ("Allowance", [_allowance(), _resting()]),
            ("Requests", [_requests(), _codes(), _durations(), _heat(), _rejected(), _webhooks()]),
            ("Process", [_scrapes(), _cpu(), _memory(), _files(), _series(), _versions()]),
        ],
    )


def _own(family: str) -> str:
    return of(OF_PROCESS, family)


def _now() -> list[Builder[Panel]]:
    def number(
        title: str, description: str, query: str, steps: dict[float, str] | None = None, unit: str = "none"
    ) -> Builder[Panel]:
        return stats(About(title, description, unit, width=4, height=4), Query(query), steps=steps)

    reloaded = f"min({_own('ci_build_exporter_config_last_reload_successful')})"
    configuration = About("Configuration", "Whether every replica last read it well.", "none", width=4, height=4)
    return [
        number(
            "Sources down",
            "Sources of which neither discovery nor any read succeeded in the last round.",
            count(f"{source('ci_build_source_up')} == 0"),
            {1: RED},
        ),
        number(
            "Targets unreadable",
            "Targets whose last read failed.",
            count(f"{source('ci_build_target_up')} == 0"),
            {1: RED},
        ),
        number("Targets", "Targets that are read.", f"sum({source('ci_build_source_targets')})"),
        number(
            "Hidden targets",
            "Targets that show ci_build_target_up only, to stay within metrics.max_series.",
            f"max({_own('ci_build_exporter_hidden_targets')})",
            {1: ORANGE},
        ),
        stats(configuration, Query(reloaded), mapping=YES_OR_NO),
        number(
            "Configuration read",
            "How long ago it was last read well, by the replica that did so longest ago.",
            f"time() - min({_own('ci_build_exporter_config_last_reload_success_timestamp_seconds')})",
            unit="s",
        ),
    ]


def _sources() -> Builder[Panel]:
    left = f"{_left()} / {source('ci_build_source_ratelimit_limit')}"
    return rows(
        About(
            "Sources",
            "Each source as it stands. What is left of the allowance is empty where the provider names no limit.",
        ),
        (
            Column("source", "Source"),
            Column("Value #A", "Up", unit="none", mapping=YES_OR_NO),
            Column("Value #B", "Resting", unit="none", mapping=NO_OR_YES),
            Column("Value #C", "Targets", unit="none"),
            Column("Value #D", "Allowance left", unit="percentunit"),
            Column("Value #E", "Allowance renewed", unit="dateTimeFromNow"),
        ),
        Query(source("ci_build_source_up")),
        Query(source("ci_build_source_resting")),
        Query(f"sum without (kind) ({source('ci_build_source_targets')})"),
        Query(left),
        Query(milliseconds(source("ci_build_source_ratelimit_reset_timestamp_seconds"))),
    )


def _left() -> str:
    """The least that a replica has seen to be left: it has looked last."""
    return f"min without (instance, pod) ({of(OF_SOURCE, 'ci_build_source_ratelimit_remaining')})"


def _oldest() -> Builder[Panel]:
    age = f"time() - {source('ci_build_target_refresh_timestamp_seconds')}"
    return rows(
        About("Least fresh targets", "The ten targets of which the builds were known to be current longest ago."),
        (
            Column("source", "Source"),
            Column("project", "Project"),
            Column("target", "Target", link=detail(TARGET, "source", "project", "target")),
            Column("Value", "Age", unit="s", bar=True, width=280),
        ),
        Query(f"topk(10, {age})"),
        by="Age",
    )


def _freshness() -> Builder[Panel]:
    age = f"time() - {source('ci_build_target_refresh_timestamp_seconds')}"
    return lines(
        About(
            "Age of what is known", "The time since targets were known to be current: the oldest, and the median.", "s"
        ),
        Query(f"max by (source) ({age})", "{{source}}, oldest"),
        Query(f"quantile by (source) (0.5, {age})", "{{source}}, median"),
    )


def _errors() -> Builder[Panel]:
    failed = one(grown(of(OF_SOURCE, "ci_build_target_errors_total"), "$__rate_interval"))
    return bars(
        About("Failed reads", "By reason. A read that the allowance postpones is none."),
        Query(f"sum by (source, reason) ({failed}) > 0", "{{source}} {{reason}}"),
        every="1m",
    )


def _allowance() -> Builder[Panel]:
    return lines(
        About("Allowance", "Requests that the provider allows in a period, and how many of them are left."),
        Query(_left(), "{{source}}, left"),
        Query(source("ci_build_source_ratelimit_limit"), "{{source}}, limit"),
    )


def _resting() -> Builder[Panel]:
    return timeline(
        About("Resting", "When a source waited because its allowance was exhausted.", "none"),
        Query(source("ci_build_source_resting"), "{{source}}"),
        NO_OR_YES,
    )


def _requests() -> Builder[Panel]:
    rate = f"rate({of(OF_SOURCE, 'ci_build_source_requests_total')}[$__rate_interval])"
    return lines(
        About("Requests by operation", "Requests to the providers, of all replicas.", "reqps"),
        Query(f"sum by (source, operation) ({rate})", "{{source}} {{operation}}"),
    )


def _codes() -> Builder[Panel]:
    rate = f"rate({of(OF_SOURCE, 'ci_build_source_requests_total')}[$__rate_interval])"
    return lines(
        About("Requests by code", "By the status of the answer, unreachable where there was none.", "reqps"),
        Query(f"sum by (source, code) ({rate})", "{{source}} {{code}}"),
    )


def _durations() -> Builder[Panel]:
    rate = f"sum by (source, le) (rate({of(OF_SOURCE, SECONDS)}[$__rate_interval]))"
    return lines(
        About("Within what time providers answer", "Half, nine of ten and 99 of 100 requests, by source.", "s"),
        *(Query(f"histogram_quantile({share}, {rate})", f"{{{{source}}}} {name}") for name, share in SHARES.items()),
        colors=QUANTILES,
    )


def _heat() -> Builder[Panel]:
    return heat(
        About("How long providers take", "Requests by the time until they were answered.", "s"),
        Query(f"sum by (le) (increase({of(OF_SOURCE, SECONDS)}[$__rate_interval]))", "{{le}}"),
    )


def _rejected() -> Builder[Panel]:
    rejected = one(grown(of(OF_SOURCE, "ci_build_source_rejected_records_total"), "$__rate_interval"))
    return bars(
        About("Rejected records", "Records of the providers that could not be read, or only in part, by reason."),
        Query(f"sum by (source, reason) ({rejected}) > 0", "{{source}} {{reason}}"),
        every="1m",
    )


def _webhooks() -> Builder[Panel]:
    events = grown(of(OF_SOURCE, "ci_build_source_webhook_events_total"), "$__rate_interval")
    return bars(
        About("Webhook deliveries", "Of all replicas, by event and by what became of it."),
        Query(f"sum by (source, event, result) ({events}) > 0", "{{source}} {{event}} {{result}}"),
        every="1m",
    )


def _scrapes() -> Builder[Panel]:
    return lines(
        About("Scrape duration", "How long the last scrape took to answer, without its wait for providers.", "s"),
        Query(_own("ci_build_exporter_scrape_duration_seconds"), REPLICA),
    )


def _cpu() -> Builder[Panel]:
    return lines(
        About("CPU", "Processors that each replica keeps busy."),
        Query(f"rate({_own('process_cpu_seconds_total')}[$__rate_interval])", REPLICA),
    )


def _memory() -> Builder[Panel]:
    return lines(
        About("Memory", "Resident memory of each replica.", "bytes"),
        Query(_own("process_resident_memory_bytes"), REPLICA),
    )


def _files() -> Builder[Panel]:
    return lines(
        About("Open files", "Files and sockets that each replica holds open, and how many it may."),
        Query(_own("process_open_fds"), REPLICA),
        Query(_own("process_max_fds"), "{{instance}}, limit"),
    )


def _series() -> Builder[Panel]:
    return lines(
        About(
            "Series that folding saves, and hidden targets",
            "Above 0 metrics.max_series is reached: branches fold into other, then new targets are hidden.",
        ),
        Query(_own("ci_build_exporter_folded_series"), "{{instance}}, folded series"),
        Query(_own("ci_build_exporter_hidden_targets"), "{{instance}}, hidden targets"),
    )


def _versions() -> Builder[Panel]:
    return rows(
        About("Replicas", "The version of each, when it started, and how many builds its windows hold at most."),
        (
            Column("instance", "Replica"),
            Column("version", "Version"),
            Column("revision", "Revision"),
            Column("Value #B", "Started", unit="dateTimeFromNow"),
            Column("Value #C", "Builds in a window", unit="none"),
        ),
        Query(f"max by (instance, version, revision) ({_own('ci_build_exporter_build_info')})"),
        Query(milliseconds(f"max by (instance) ({_own('process_start_time_seconds')})")),
        Query(f"max by (instance) ({_own('ci_build_exporter_window_builds_limit')})"),
    )
