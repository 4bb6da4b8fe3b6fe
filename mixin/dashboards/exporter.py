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
        "The health of ci-build-exporter itself: age of its data, rate limits of the providers, failures, and use of "
        "CPU and memory.",
        since="now-6h",
        variables=(*variables.processes(), variables.source()),
        events=[],
        sections=[
            ("Now", [*_now(), _sources(), _oldest()]),
            ("Freshness", [_freshness(), _errors()]),
            ("Rate limits", [_allowance(), _resting()]),
            ("Requests", [_requests(), _codes(), _durations(), _heat(), _rejected(), _webhooks()]),
            ("Process", [_scrapes(), _cpu(), _memory(), _files(), _series(), _versions()]),
        ],
    )


def _own(family: str) -> str:
    return of(OF_PROCESS, family)


def _now() -> list[Builder[Panel]]:
    def number(  # noqa: PLR0913, PLR0917  # most of them are the same for all
        title: str,
        description: str,
        query: str,
        steps: dict[float, str] | None = None,
        unit: str = "none",
        width: int = 3,
    ) -> Builder[Panel]:
        return stats(About(title, description, unit, width=width, height=4), Query(query), steps=steps)

    def yes_or_no(title: str, description: str, name: str) -> Builder[Panel]:
        about = About(title, description, "none", width=3, height=4)
        return stats(about, Query(f"min({_own(name)})"), mapping=YES_OR_NO)

    return [
        number(
            "Sources down",
            "Sources whose last discovery and all reads of the last round failed.",
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
            "Targets that show only ci_build_target_up, to stay within metrics.max_series.",
            f"max({_own('ci_build_exporter_hidden_targets')})",
            {1: ORANGE},
        ),
        yes_or_no(
            "Configuration",
            "Whether every replica last loaded the configuration without a fault.",
            "ci_build_exporter_config_last_reload_successful",
        ),
        yes_or_no(
            "State stored",
            "Whether every replica stores its state. Empty if the state is kept in memory only.",
            "ci_build_store_up",
        ),
        number(
            "Configuration loaded",
            "Time since the configuration was last loaded without a fault, of the replica with the oldest one.",
            f"time() - min({_own('ci_build_exporter_config_last_reload_success_timestamp_seconds')})",
            unit="s",
            width=6,
        ),
    ]


def _sources() -> Builder[Panel]:
    left = f"{_left()} / {source('ci_build_source_ratelimit_limit')}"
    return rows(
        About(
            "Sources",
            "The state of each source. The rest of the rate limit is empty if the provider reports no limit.",
        ),
        (
            Column("source", "Source"),
            Column("Value #A", "Up", unit="none", mapping=YES_OR_NO),
            Column("Value #B", "Resting", unit="none", mapping=NO_OR_YES),
            Column("Value #C", "Targets", unit="none"),
            Column("Value #D", "Allowance left", unit="percentunit"),
            Column("Value #E", "Allowance renewed", unit="dateTimeFromNow"),
            Column("Value #F", "Longest pause", unit="s"),
        ),
        Query(source("ci_build_source_up")),
        Query(source("ci_build_source_resting")),
        Query(f"sum without (kind) ({source('ci_build_source_targets')})"),
        Query(left),
        Query(milliseconds(source("ci_build_source_ratelimit_reset_timestamp_seconds"))),
        Query(source("ci_build_source_longest_pause_seconds")),
    )


def _left() -> str:
    """The least that a replica has seen to be left: it has looked last."""
    return f"min without (instance, pod) ({of(OF_SOURCE, 'ci_build_source_ratelimit_remaining')})"


def _oldest() -> Builder[Panel]:
    age = f"time() - {source('ci_build_target_refresh_timestamp_seconds')}"
    return rows(
        About("Least fresh targets", "The ten targets with the oldest data."),
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
            "Age of the data",
            "Time since the data of targets was last known to be current: the oldest and the median.",
            "s",
        ),
        Query(f"max by (source) ({age})", "{{source}}, oldest"),
        Query(f"quantile by (source) (0.5, {age})", "{{source}}, median"),
    )


def _errors() -> Builder[Panel]:
    failed = one(grown(of(OF_SOURCE, "ci_build_target_errors_total"), "$__rate_interval"))
    return bars(
        About("Failed reads", "By reason. A read that waits for the rate limit is not a failed read."),
        Query(f"sum by (source, reason) ({failed}) > 0", "{{source}} {{reason}}"),
        every="1m",
    )


def _allowance() -> Builder[Panel]:
    return lines(
        About("Rate limit", "Requests that the provider allows in a period, and how many are left."),
        Query(_left(), "{{source}}, left"),
        Query(source("ci_build_source_ratelimit_limit"), "{{source}}, limit"),
    )


def _resting() -> Builder[Panel]:
    return timeline(
        About("Waiting", "When a source waited because its rate limit was used up.", "none"),
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
        About("Requests by code", "By the status of the answer; unreachable if there was no answer.", "reqps"),
        Query(f"sum by (source, code) ({rate})", "{{source}} {{code}}"),
    )


def _durations() -> Builder[Panel]:
    rate = f"sum by (source, le) (rate({of(OF_SOURCE, SECONDS)}[$__rate_interval]))"
    return lines(
        About("Response time", "The 50th, 90th and 99th percentile, by source.", "s"),
        *(Query(f"histogram_quantile({share}, {rate})", f"{{{{source}}}} {name}") for name, share in SHARES.items()),
        colors=QUANTILES,
    )


def _heat() -> Builder[Panel]:
    return heat(
        About("Distribution of response times", "Requests by response time.", "s"),
        Query(f"sum by (le) (increase({of(OF_SOURCE, SECONDS)}[$__rate_interval]))", "{{le}}"),
    )


def _rejected() -> Builder[Panel]:
    rejected = one(grown(of(OF_SOURCE, "ci_build_source_rejected_records_total"), "$__rate_interval"))
    return bars(
        About("Rejected records", "Records of the providers that could not be used, or only in part, by reason."),
        Query(f"sum by (source, reason) ({rejected}) > 0", "{{source}} {{reason}}"),
        every="1m",
    )


def _webhooks() -> Builder[Panel]:
    events = grown(of(OF_SOURCE, "ci_build_source_webhook_events_total"), "$__rate_interval")
    return bars(
        About("Webhook deliveries", "Of all replicas, by event and result."),
        Query(f"sum by (source, event, result) ({events}) > 0", "{{source}} {{event}} {{result}}"),
        every="1m",
    )


def _scrapes() -> Builder[Panel]:
    return lines(
        About("Scrape duration", "How long the last scrape took, without the time spent waiting for providers.", "s"),
        Query(_own("ci_build_exporter_scrape_duration_seconds"), REPLICA),
    )


def _cpu() -> Builder[Panel]:
    return lines(
        About("CPU", "CPU cores that each replica uses."),
        Query(f"rate({_own('process_cpu_seconds_total')}[$__rate_interval])", REPLICA),
    )


def _memory() -> Builder[Panel]:
    return lines(
        About("Memory", "Resident memory of each replica.", "bytes"),
        Query(_own("process_resident_memory_bytes"), REPLICA),
    )


def _files() -> Builder[Panel]:
    return lines(
        About("Open files", "Open files and sockets of each replica, and their limit."),
        Query(_own("process_open_fds"), REPLICA),
        Query(_own("process_max_fds"), "{{instance}}, limit"),
    )


def _series() -> Builder[Panel]:
    return lines(
        About(
            "Folded series and hidden targets",
            "If above 0, metrics.max_series is reached: branches are folded into other, then new targets are hidden.",
        ),
        Query(_own("ci_build_exporter_folded_series"), "{{instance}}, folded series"),
        Query(_own("ci_build_exporter_hidden_targets"), "{{instance}}, hidden targets"),
    )


def _versions() -> Builder[Panel]:
    return rows(
        About("Replicas", "Version and start time of each replica, and how many builds its windows hold at most."),
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
