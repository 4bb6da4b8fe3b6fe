"""One target in detail: its branches, its newest builds, and all that is told of them."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from mixin.dashboards import variables
from mixin.dashboards.boards import TARGET, board, broken_branches, failed_builds
from mixin.dashboards.expressions import (
    OF_TARGET,
    SUCCESS,
    UNFINISHED,
    buckets,
    builds,
    concluded,
    mean,
    milliseconds,
    of,
    one,
    quantile,
    restore_time,
    success_ratio,
    target,
)
from mixin.dashboards.expressions import TARGET as TARGET_LABELS
from mixin.dashboards.panels import (
    BLUE,
    BROKEN_OR_PASSING,
    GREEN,
    ORANGE,
    OUTCOMES,
    PURPLE,
    RED,
    YES_OR_NO,
    About,
    Column,
    Query,
    areas,
    bars,
    heat,
    lines,
    rows,
    stats,
    timeline,
)

LATENCY, QUEUE, RUN = "ci_build_conclude_latency_seconds", "ci_build_queue_latency_seconds", "ci_build_run_duration_seconds"
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
COLORS = {"p50": GREEN, "p90": BLUE, "p99": PURPLE}
NAME = "{{target}} {{branch}}"
WHICH = (Column("target", "Target"), Column("branch", "Branch"))


def dashboard() -> Dashboard:
    """A target, over a week."""
    return board(
        TARGET,
        "CI builds / Target",
        "One target of ci-build-exporter in detail: choose it above. With several, what can be summed is.",
        since="now-7d",
        variables=variables.builds(),
        events=[broken_branches(), failed_builds(enable=True)],
        sections=[
            ("Now", [*_now(), _branches(), _last(), _last_failed()]),
            ("Success", [_status(), _success(), _failures(), _throughput(), _window(), _restores(), _flaky()]),
            ("Time to conclude", [_quantiles(), _heat(), _by_branch(), _by_outcome()]),
            ("Queue and run, where metrics.histograms names them", [*_opt_in()]),
            ("Reading", [_reading(), _freshness(), _errors()]),
        ],
    )


def _now() -> list[Builder[Panel]]:
    decided = f"sum({builds('ci_build_window_builds', UNFINISHED)})"
    oldest = f"time() - min({builds('ci_build_oldest_unfinished_created_timestamp_seconds')})"

    def number(title: str, description: str, unit: str, query: str, steps: dict[float, str]) -> Builder[Panel]:
        return stats(About(title, description, unit, width=4, height=4), Query(query), steps=steps)

    return [
        stats(
            About("State", "Whether the newest decided run of every chosen branch succeeded.", "none", width=4, height=4),
            Query(f"min({builds('ci_build_last_success')})"),
            mapping=BROKEN_OR_PASSING,
        ),
        number(
            "Failed runs in a row",
            "Of the chosen branch that has most.",
            "none",
            f"max({builds('ci_build_consecutive_failures')})",
            {1: ORANGE, 5: RED},
        ),
        number(
            "Success ratio",
            "Successes among the window's builds that ended in success, failure, error or timeout.",
            "percentunit",
            success_ratio("source") if False else _total_ratio(),
            {},
        ),
        number("Unfinished builds", "Builds that are queued or executed.", "none", decided, {}),
        number(
            "Oldest unfinished build",
            "For how long it has been under way; none where all builds have ended.",
            "s",
            oldest,
            {3600: ORANGE, 14400: RED},
        ),
        number(
            "Time to restore",
            "The mean time from a branch's first failed run to the run that succeeded again, in the window.",
            "s",
            _total_restore(),
            {},
        ),
    ]
