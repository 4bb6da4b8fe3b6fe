"""One target in detail: its branches, its newest builds, and all that is told of them."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from mixin.dashboards import variables
from mixin.dashboards.boards import TARGET, board, broken_branches, failed_builds
from mixin.dashboards.expressions import (
    OF_BRANCH,
    OF_TARGET,
    SHARES,
    SUCCESS,
    UNFINISHED,
    buckets,
    builds,
    concluded,
    grown,
    mean,
    milliseconds,
    of,
    one,
    quantile,
    restore_time,
    success_ratio,
    target,
)
from mixin.dashboards.panels import (
    BROKEN_OR_PASSING,
    ORANGE,
    OUTCOMES,
    PAGE_OF_THE_BUILD,
    QUANTILES,
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

LATENCY, QUEUE, RUN, EXECUTION = (
    "ci_build_conclude_latency_seconds",
    "ci_build_queue_latency_seconds",
    "ci_build_run_latency_seconds",
    "ci_build_execution_seconds",
)
CONCLUDED = "ci_build_concluded_latency_seconds_bucket"
NAME = "{{target}} {{branch}}"
TARGET_COLUMNS = (Column("project", "Project"), Column("target", "Target"))
BRANCH_COLUMNS = (*TARGET_COLUMNS, Column("branch", "Branch"))
BUILD_COLUMNS = (Column("build_id", "Build"), Column("sha", "Commit"))
FAILED_COLUMNS = (Column("build_id", "Build", link=PAGE_OF_THE_BUILD), Column("sha", "Commit"))


def dashboard() -> Dashboard:
    """A target, over a week."""
    return board(
        TARGET,
        "CI builds / Target",
        "One target of ci-build-exporter in detail: choose it above. If several are chosen, sums are shown where that "
        "is possible.",
        since="now-7d",
        variables=variables.builds(all_targets=False),
        events=[broken_branches(), failed_builds(enable=True)],
        sections=[
            ("Now", [*_now(), _branches(), _last(), _last_failed()]),
            (
                "Success",
                [*_successes(), _throughput(), _runs_within(), _window(), _runs(), _restores(), _flaky(), _coverage()],
            ),
            ("Time to conclude", [_quantiles(), _heat(), _by_branch(), _by_outcome(), _spent()]),
            ("Runs, queue and execution (need entries in metrics.histograms)", _opted_in()),
            ("Reading", [_reading(), _freshness(), _reach(), _errors()]),
        ],
    )


def _now() -> list[Builder[Panel]]:
    unfinished = builds("ci_build_window_builds", UNFINISHED)
    oldest = builds("ci_build_oldest_unfinished_created_timestamp_seconds")

    def number(
        title: str, description: str, unit: str, query: str, steps: dict[float, str] | None = None
    ) -> Builder[Panel]:
        return stats(About(title, description, unit, width=4, height=4), Query(query), steps=steps)

    state = About("State", "Broken if the latest finished run of a chosen branch failed.", "none", width=4, height=4)
    return [
        stats(state, Query(f"min({builds('ci_build_last_success')})"), mapping=BROKEN_OR_PASSING),
        number(
            "Failed runs in a row",
            "Failed runs since the last successful one, of the branch that has most.",
            "none",
            f"max({builds('ci_build_consecutive_failures')})",
            {1: ORANGE, 5: RED},
        ),
        number(
            "Success ratio",
            "Share of successes among the runs in the window that succeeded or failed.",
            "percentunit",
            success_ratio(""),
        ),
        number("Unfinished builds", "Builds that are queued or executing.", "none", f"sum({unfinished})"),
        number(
            "Oldest unfinished build",
            "Its age; empty if there is no unfinished build.",
            "s",
            f"time() - min({oldest})",
            {3600: ORANGE, 14400: RED},
        ),
        number(
            "Time to restore",
            "Mean time from the first failed run to the success that followed, in the window.",
            "s",
            restore_time(""),
        ),
    ]


def _branches() -> Builder[Panel]:
    return rows(
        About(
            "Branches",
            "The state of each branch label; other stands for all branches that are not named.",
            width=24,
            height=7,
        ),
        (
            *BRANCH_COLUMNS,
            Column("Value #A", "State", unit="none", mapping=BROKEN_OR_PASSING),
            Column("Value #B", "Broken since", unit="dateTimeFromNow"),
            Column("Value #C", "Failed runs in a row", unit="none"),
            Column("Value #D", "Success ratio", unit="percentunit"),
            Column("Value #E", "Flaky commits", unit="none"),
            Column("Value #F", "Restores", unit="none"),
            Column("Value #G", "Time to restore", unit="s"),
            Column("Value #H", "Newest build", unit="dateTimeFromNow"),
        ),
        Query(builds("ci_build_last_success")),
        Query(milliseconds(builds("ci_build_broken_since_timestamp_seconds"))),
        Query(builds("ci_build_consecutive_failures")),
        Query(builds("ci_build_window_run_success_ratio")),
        Query(builds("ci_build_window_flaky_commits")),
        Query(builds("ci_build_window_restores")),
        Query(f"{builds('ci_build_window_restore_seconds')} / ({builds('ci_build_window_restores')} > 0)"),
        Query(milliseconds(builds("ci_build_last_created_timestamp_seconds"))),
        by="Failed runs in a row",
    )


def _last() -> Builder[Panel]:
    return rows(
        About("Newest build", "The newest build of each branch label, with any outcome."),
        (
            *BRANCH_COLUMNS,
            *BUILD_COLUMNS,
            Column("status", "Status"),
            Column("outcome", "Outcome"),
            Column("Value #B", "Created", unit="dateTimeFromNow"),
        ),
        Query(builds("ci_build_last_info")),
        Query(milliseconds(builds("ci_build_last_created_timestamp_seconds"))),
        by="Created",
    )


def _last_failed() -> Builder[Panel]:
    return rows(
        About("Newest failed build", "The build that broke the newest failed run of each broken branch."),
        (
            *BRANCH_COLUMNS,
            *FAILED_COLUMNS,
            Column("outcome", "Outcome"),
            Column("reason", "Reason"),
            Column("url", "Page", link=PAGE_OF_THE_BUILD),
            Column("Value #B", "Broken since", unit="dateTimeFromNow"),
        ),
        Query(builds("ci_build_last_failed_info")),
        Query(milliseconds(builds("ci_build_broken_since_timestamp_seconds"))),
        by="Broken since",
        empty="nothing is broken",
    )


def _status() -> Builder[Panel]:
    return timeline(
        About("Status", "When the latest finished run of each branch had failed.", "none", width=24, height=7),
        Query(builds("ci_build_last_success"), NAME),
        BROKEN_OR_PASSING,
    )


def _successes() -> list[Builder[Panel]]:
    return [
        _status(),
        lines(
            About("Success ratio of runs by branch", "Of the runs in the window at each point in time.", "percentunit"),
            Query(builds("ci_build_window_run_success_ratio"), NAME),
        ),
        lines(
            About("Success ratio of builds by branch", "Of the builds (GitLab: jobs) in the window.", "percentunit"),
            Query(builds("ci_build_window_success_ratio"), NAME),
        ),
        _failures(),
    ]


def _failures() -> Builder[Panel]:
    return lines(
        About("Failed runs in a row by branch", "Failed runs since the last successful one, at each point in time."),
        Query(builds("ci_build_consecutive_failures"), NAME),
    )


def _throughput() -> Builder[Panel]:
    return bars(
        About("Builds that concluded within an hour", "By outcome, of all chosen branches."),
        Query(f"sum by (outcome) ({concluded('1h')})", "{{outcome}}"),
        every="1h",
        colors=OUTCOMES,
    )


def _runs_within() -> Builder[Panel]:
    return bars(
        About("Runs that concluded within an hour", "By outcome, of all chosen branches."),
        Query(f"sum by (outcome) ({concluded('1h', 'ci_build_runs_concluded_total')})", "{{outcome}}"),
        every="1h",
        colors=OUTCOMES,
    )


def _runs() -> Builder[Panel]:
    return areas(
        About("Runs in the window", "Recent runs by outcome, at most window.runs of each branch label."),
        Query(f"sum by (outcome) ({builds('ci_build_window_runs')}) > 0", "{{outcome}}"),
        colors=OUTCOMES,
    )


def _coverage() -> Builder[Panel]:
    return lines(
        About("Test coverage by branch", "Mean coverage of the newest run that succeeded or failed.", "percentunit"),
        Query(builds("ci_build_last_coverage_ratio"), NAME),
    )


def _spent() -> Builder[Panel]:
    return bars(
        About("Time spent within an hour", "Sum of the times to conclude of the builds that concluded.", "s"),
        Query(f"sum by (outcome) ({concluded('1h', 'ci_build_concluded_seconds_total')})", "{{outcome}}"),
        every="1h",
        colors=OUTCOMES,
    )


def _window() -> Builder[Panel]:
    return areas(
        About(
            "Builds in the window",
            "Recent builds by the provider's own status, at most window.builds.",
        ),
        Query(f"sum by (status) ({builds('ci_build_window_builds')}) > 0", "{{status}}"),
        colors={"success": OUTCOMES["success"], "failure": OUTCOMES["failure"], "failed": OUTCOMES["failure"]},
    )


def _restores() -> Builder[Panel]:
    return lines(
        About("Time to restore by branch", "Mean time from the first failed run to the success that followed.", "s"),
        Query(restore_time("source, project, target, branch"), NAME),
    )


def _flaky() -> Builder[Panel]:
    return lines(
        About("Flaky commits", "Commits in the window on which the same build both failed and succeeded, by branch."),
        Query(builds("ci_build_window_flaky_commits"), NAME),
    )


def _quantiles() -> Builder[Panel]:
    return lines(
        About(
            "Time to conclude",
            "The 50th, 90th and 99th percentile and the mean of successful builds in the window. Exemplars are builds.",
            "s",
        ),
        *(Query(quantile(share, "le", LATENCY, SUCCESS), name, exemplars=True) for name, share in SHARES.items()),
        Query(mean("", LATENCY, SUCCESS), "mean"),
        colors=QUANTILES,
    )


def _heat() -> Builder[Panel]:
    return heat(
        About("Distribution of times to conclude", "Successful builds in the window by the time to conclude.", "s"),
        Query(buckets("le", LATENCY, SUCCESS), "{{le}}", exemplars=True),
    )


def _by_branch() -> Builder[Panel]:
    labels = "source, project, target, branch, le"
    return lines(
        About(
            "90th percentile of successful builds, by branch",
            "The time within which nine of ten of them conclude.",
            "s",
        ),
        Query(quantile(0.9, labels, LATENCY, SUCCESS), NAME, exemplars=True),
    )


def _by_outcome() -> Builder[Panel]:
    last = builds("ci_build_last_concluded_timestamp_seconds")
    return rows(
        About(
            "By outcome",
            "When the newest build with this outcome ended, and the median time to conclude in the window.",
        ),
        (
            Column("outcome", "Outcome"),
            Column("Value #A", "Newest", unit="dateTimeFromNow"),
            Column("Value #B", "Half within", unit="s"),
            Column("Value #C", "In the window", unit="none"),
        ),
        Query(milliseconds(f"max by (outcome) ({last})")),
        Query(quantile(0.5, "outcome, le", LATENCY)),
        Query(f"sum by (outcome) ({builds(f'{LATENCY}_gcount')})"),
        by="In the window",
    )


def _opted_in() -> list[Builder[Panel]]:
    rate = one(f"rate({of(OF_BRANCH, CONCLUDED, SUCCESS)}[1h])")
    return [
        lines(
            About("Time to the result of a run", "Time from a run's creation to its success (GitLab only).", "s"),
            *(Query(quantile(share, "le", RUN, SUCCESS), name) for name, share in SHARES.items()),
            Query(mean("", RUN, SUCCESS), "mean"),
            colors=QUANTILES,
        ),
        lines(
            About("Time to conclude within an hour", "Of the successful builds of each hour, not of the window.", "s"),
            *(Query(f"histogram_quantile({share}, sum by (le) ({rate}))", name) for name, share in SHARES.items()),
            colors=QUANTILES,
        ),
        lines(
            About("Time in the queue", "Time from a build's creation to its start. Exemplars are builds.", "s"),
            *(Query(quantile(share, "le", QUEUE), name, exemplars=True) for name, share in SHARES.items()),
            Query(mean("", QUEUE), "mean"),
            colors=QUANTILES,
        ),
        heat(
            About(
                "Distribution of times in the queue", "Builds in the window by the time from creation to start.", "s"
            ),
            Query(buckets("le", QUEUE), "{{le}}", exemplars=True),
        ),
        lines(
            About("Execution time", "Time from a successful build's start to its end. Exemplars are builds.", "s"),
            *(Query(quantile(share, "le", EXECUTION, SUCCESS), name, exemplars=True) for name, share in SHARES.items()),
            Query(mean("", EXECUTION, SUCCESS), "mean"),
            colors=QUANTILES,
        ),
        heat(
            About(
                "Distribution of execution times", "Successful builds in the window by the time from start to end.", "s"
            ),
            Query(buckets("le", EXECUTION, SUCCESS), "{{le}}", exemplars=True),
        ),
    ]


def _reading() -> Builder[Panel]:
    return rows(
        About("Source of the data", "The address of the provider, whether the last read succeeded, and when that was."),
        (
            *TARGET_COLUMNS,
            Column("provider", "Provider"),
            Column("url", "Address"),
            Column("default_branch", "Default branch"),
            Column("Value #B", "Read", unit="none", mapping=YES_OR_NO),
            Column("Value #C", "Known as of", unit="dateTimeFromNow"),
        ),
        Query(target("ci_build_target_info")),
        Query(target("ci_build_target_up")),
        Query(milliseconds(target("ci_build_target_refresh_timestamp_seconds"))),
    )


def _freshness() -> Builder[Panel]:
    return lines(
        About("Age of the data", "Time since the target's data was last known to be current.", "s"),
        Query(f"time() - {target('ci_build_target_refresh_timestamp_seconds')}", "{{target}}"),
    )


def _reach() -> Builder[Panel]:
    return lines(
        About("Length of the window", "Age of the oldest build in the window, by branch.", "s"),
        Query(f"time() - {builds('ci_build_window_oldest_created_timestamp_seconds')}", NAME),
    )


def _errors() -> Builder[Panel]:
    failed = one(grown(of(OF_TARGET, "ci_build_target_errors_total"), "1h"))
    return bars(
        About("Failed reads within an hour", "By reason; missed stands for new builds that one read could not follow."),
        Query(f"sum by (reason) ({failed}) > 0", "{{reason}}"),
        every="1h",
    )
