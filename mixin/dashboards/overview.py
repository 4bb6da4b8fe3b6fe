"""The overview: what is broken now, how often builds succeed, how long they take."""

from collections.abc import Callable

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from mixin.dashboards import variables
from mixin.dashboards.boards import OVERVIEW, TARGET, board, broken_branches, failed_builds
from mixin.dashboards.expressions import (
    OF_BRANCH,
    SHARES,
    SUCCESS,
    buckets,
    builds,
    but_default_branches,
    concluded,
    count,
    of,
    of_default_branches,
    one,
    quantile,
    success_ratio,
    target,
)
from mixin.dashboards.expressions import TARGET as TARGET_LABELS
from mixin.dashboards.panels import (
    BROKEN_OR_PASSING,
    ORANGE,
    OUTCOMES,
    PAGE_OF_THE_BUILD,
    QUANTILES,
    RED,
    YELLOW,
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

LATENCY = "ci_build_conclude_latency_seconds"
NAMED = 'branch!="other"'
"""Series of one branch each: what `other` holds is of several."""
BRANCH_IN_DETAIL = detail(TARGET, "source", "project", "target", "branch")
TARGET_IN_DETAIL = detail(TARGET, "source", "project", "target")


def dashboard() -> Dashboard:
    """All that is chosen, over a day."""
    return board(
        OVERVIEW,
        "CI builds / Overview",
        "What is broken now, how often builds succeed, and how long they take, for all targets of ci-build-exporter.",
        since="now-24h",
        variables=variables.builds(),
        events=[
            broken_branches(of_default_branches("ci_build_broken_since_timestamp_seconds")),
            failed_builds(enable=False),
        ],
        sections=[
            ("Now", _now()),
            ("What do I fix first", _broken()),
            ("Success", [_status(), _success(), _throughput()]),
            ("Time", [_quantiles(), _heat()]),
            ("Targets to look at", [_slowest(), _flakiest()]),
        ],
    )


def _now() -> list[Builder[Panel]]:
    broken = f"{builds('ci_build_last_success', NAMED)} == 0"
    pending = builds("ci_build_window_builds", 'outcome="pending"')
    executing = builds("ci_build_window_builds", 'outcome="executing"')
    stuck = f"time() - {builds('ci_build_oldest_unfinished_created_timestamp_seconds')} > 3600"
    flaky = f"sum by ({TARGET_LABELS}) ({builds('ci_build_window_flaky_commits')}) > 0"

    def number(title: str, description: str, query: str, steps: dict[float, str] | None = None) -> Builder[Panel]:
        return stats(About(title, description, width=4, height=4), Query(query), steps=steps)

    return [
        number("Broken", "Named branches whose latest finished run failed.", count(broken), {1: RED}),
        number("Running", "Builds that are executing.", f"sum({executing})"),
        number("Queued", "Builds that wait to be executed, without those that wait for a person.", f"sum({pending})"),
        number(
            "Stuck",
            "Targets and branches with an unfinished build that is older than an hour.",
            count(stuck),
            {1: ORANGE},
        ),
        number(
            "Flaky",
            "Targets with a commit in the window on which the same build both failed and succeeded.",
            count(flaky),
            {1: YELLOW},
        ),
        number(
            "Unreadable",
            "Targets whose last read failed; their last good data is shown.",
            count(f"{target('ci_build_target_up')} == 0"),
            {1: RED},
        ),
    ]


def _broken() -> list[Builder[Panel]]:
    """Two tables, since Grafana sorts one by one column: default branches, then the others; each the longest first."""
    return [
        _to_fix(
            "Broken default branches",
            "Default branches whose latest finished run failed; the one that has been broken longest comes first. "
            "Click a target or a branch to see it in detail, and a build to see its page.",
            of_default_branches,
            height=7,
        ),
        _to_fix(
            "Other broken branches",
            "The other named branches whose latest finished run failed, in the same order.",
            but_default_branches,
            height=6,
        ),
    ]


def _to_fix(title: str, description: str, of_branches: Callable[[str], str], *, height: int) -> Builder[Panel]:
    return rows(
        About(title, description, width=24, height=height),
        (
            Column("source", "Source"),
            Column("project", "Project"),
            Column("target", "Target", link=TARGET_IN_DETAIL),
            Column("branch", "Branch", link=BRANCH_IN_DETAIL),
            Column("Value #A", "Broken for", unit="s"),
            Column("Value #B", "Failed runs in a row", unit="none", bar=True),
            Column("build_id", "Failed build", link=PAGE_OF_THE_BUILD),
            Column("sha", "Commit"),
            Column("outcome", "Outcome"),
            Column("reason", "Reason"),
            Column("url", "Page", link=PAGE_OF_THE_BUILD),
        ),
        Query(f"time() - ({of_branches('ci_build_broken_since_timestamp_seconds')})"),
        Query(f"({of_branches('ci_build_consecutive_failures')}) > 0"),
        Query(of_branches("ci_build_last_failed_info")),
        by="Broken for",
        empty="nothing is broken",
    )


def _status() -> Builder[Panel]:
    success = of(OF_BRANCH, "ci_build_last_success", NAMED)
    was_broken = f"min without (instance, pod) (min_over_time({success}[$__range] @ end())) == 0"
    return timeline(
        About(
            "Status",
            "Named branches that were broken at some time in the range, and when. Other branches are left out.",
            "none",
            width=24,
            height=9,
        ),
        Query(f"{one(success)} and ({was_broken})", "{{target}} {{branch}}"),
        BROKEN_OR_PASSING,
    )


def _success() -> Builder[Panel]:
    return lines(
        About(
            "Success ratio",
            "Share of successes among the runs in the window that succeeded or failed; a ratio of sums.",
            "percentunit",
        ),
        Query(success_ratio("source, project"), "{{source}} {{project}}"),
    )


def _throughput() -> Builder[Panel]:
    return bars(
        About(
            "Runs that concluded within an hour",
            "By outcome. A run is a pipeline on GitLab, and a build on Northflank.",
        ),
        Query(f"sum by (outcome) ({concluded('1h', 'ci_build_runs_concluded_total')})", "{{outcome}}"),
        every="1h",
        colors=OUTCOMES,
    )


def _quantiles() -> Builder[Panel]:
    return lines(
        About(
            "Time to conclude",
            "The 50th, 90th and 99th percentile of the time from creation to conclusion of successful builds in the "
            "window. Exemplars are builds, with their ids.",
            "s",
        ),
        *(Query(quantile(share, "le", LATENCY, SUCCESS), name, exemplars=True) for name, share in SHARES.items()),
        colors=QUANTILES,
    )


def _heat() -> Builder[Panel]:
    return heat(
        About(
            "Distribution of times to conclude",
            "Successful builds in the window by the time from creation to conclusion, with exemplars.",
            "s",
        ),
        Query(buckets("le", LATENCY, SUCCESS), "{{le}}", exemplars=True),
    )


def _slowest() -> Builder[Panel]:
    return rows(
        About(
            "Slowest targets",
            "The ten targets with the highest 90th percentile of the time to conclude of successful builds.",
            "s",
        ),
        (
            Column("source", "Source"),
            Column("project", "Project"),
            Column("target", "Target", link=TARGET_IN_DETAIL),
            Column("Value", "Nine of ten within", unit="s", bar=True, width=280),
        ),
        Query(f"topk(10, {quantile(0.9, f'{TARGET_LABELS}, le', LATENCY, SUCCESS)})"),
        by="Nine of ten within",
    )


def _flakiest() -> Builder[Panel]:
    return rows(
        About(
            "Flakiest targets",
            "The ten targets with most commits in the window on which the same build both failed and succeeded.",
        ),
        (
            Column("source", "Source"),
            Column("project", "Project"),
            Column("target", "Target", link=TARGET_IN_DETAIL),
            Column("Value", "Flaky commits", unit="none", bar=True, width=280),
        ),
        Query(f"topk(10, sum by ({TARGET_LABELS}) ({builds('ci_build_window_flaky_commits')}) > 0)"),
        by="Flaky commits",
        empty="none is flaky",
    )
