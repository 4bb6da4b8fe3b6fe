"""How the status page words times, shares and queries. Pure."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from exporter.build import Build, Outcome, Target
from exporter.exposition.families import target_labels
from exporter.snapshot import KnownTarget
from exporter.web.overview import Row

MINUTE, HOUR, DAY = 60, 3600, 86400
SHORT_SHA = 8
PROGRAM = "ci-build-exporter"
NONE = "–"  # noqa: RUF001  # the dash of tables

OUTCOME_WORDS: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        Outcome.SUCCESS: "success",
        Outcome.FAILURE: "failure",
        Outcome.ERROR: "error",
        Outcome.TIMEOUT: "timeout",
        Outcome.ALLOWED_FAILURE: "allowed failure",
        Outcome.CANCELLATION: "cancelled",
        Outcome.SKIP: "skipped",
        Outcome.EXECUTING: "running",
        Outcome.PENDING: "pending",
        Outcome.WAITING: "waiting",
        Outcome.UNKNOWN: "unknown",
    }
)
"""In the order of the legend."""


def span(seconds: float | None) -> str:
    """A duration in its two greatest units: `42s`, `3m 12s`, `2h 5m`, `3d 4h`."""
    if seconds is None:
        return NONE
    whole = max(0, round(seconds))
    for unit, name, below, below_name in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "m"), (MINUTE, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit}{name} {rest}{below_name}" if rest else f"{whole // unit}{name}"
    return f"{whole}s"


def round_span(seconds: float) -> str:
    """A duration in its greatest unit: `42 s`, `3 min`, `6 h`, `3 d`."""
    whole = max(0, int(seconds))
    for unit, name in ((2 * DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if whole >= unit:
            return f"{whole // (DAY if name == 'd' else unit)} {name}"
    return f"{whole} s"


def ago(at: float | None, now: float) -> str:
    """How long ago that was: `12 s ago`."""
    if at is None:
        return "never"
    return "now" if now - at < 1 else f"{round_span(now - at)} ago"


def instant(at: float | None) -> str:
    """A time as a person reads it, in UTC: `22 Nov 02:11:05`, with the year where there is room in a tooltip."""
    return NONE if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine_time(at: float) -> str:
    """A time as `<time datetime>` takes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def percent(share: float | None) -> str:
    """A share of one: `81.8 %`; whole where it is."""
    if share is None:
        return NONE
    text = f"{100 * share:.1f}"
    if share < 1 and text == "100.0":
        text = "99.9"  # not all of them
    return f"{text.removesuffix('.0')}\N{NO-BREAK SPACE}%"


def number(value: float | None) -> str:
    """A count with thin spaces between the thousands."""
    return NONE if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def plural(count: int, one: str, many: str) -> str:
    """`1 target`, `2 targets`."""
    return f"{number(count)} {one if count == 1 else many}"


def short(sha: str) -> str:
    """The beginning of a commit's name."""
    return sha[:SHORT_SHA]


def about(build: Build) -> str:
    """A build in one line, for a tooltip: status, branch, commit, when, how long."""
    took = f"took {span(build.latency)}" if build.latency is not None else ""
    parts = (
        build.status.replace("_", " "),
        build.name,
        build.branch or "",
        short(build.sha),
        instant(build.created_at),
        took,
    )
    return " · ".join(part for part in parts if part)


def promql(target: Target, branch: str) -> Iterator[tuple[str, str]]:
    """What one can ask of a branch of the target in Prometheus: what for, and the query."""
    labels = ",".join(
        f'{name}="{_quoted(value)}"' for name, value in (target_labels(target) | {"branch": branch}).items()
    )
    of = f"{{{labels}}}"
    success = f'{{{labels},outcome="success"}}'
    yield "Broken: the latest finished run failed", f"ci_build_last_success{of} == 0"
    yield "Broken for, in seconds", f"time() - ci_build_broken_since_timestamp_seconds{of}"
    yield "Success ratio of the window's runs", f"ci_build_window_run_success_ratio{of}"
    yield (
        "Nine of ten successful builds conclude within, in seconds",
        f"histogram_quantile(0.9, sum by (le) (ci_build_conclude_latency_seconds_bucket{success}))",
    )
    yield "Builds that concluded in a day, by outcome", f"sum by (outcome) (increase(ci_build_concluded_total{of}[1d]))"
    yield "The oldest build under way, in seconds", f"time() - ci_build_oldest_unfinished_created_timestamp_seconds{of}"


def commands(known: KnownTarget, row: Row) -> Iterator[tuple[str, str]]:
    """What one can do about the target in a shell: what for, and the command. Of its broken build, else its newest."""
    address = _word(known.target.address)
    build = row.standing.failure or row.newest
    yield "Address of the target", address
    yield "What made the last failed run fail", f"{PROGRAM} builds list {address} --failed-last"
    yield "Builds under way", f"{PROGRAM} builds list {address} --scope running"
    if build is None:
        return
    of = f"{address} {_word(build.id)}"
    yield "One build", f"{PROGRAM} builds show {of}"
    if known.source.has_logs:
        yield "The end of its log", f"{PROGRAM} builds logs {of} -n 50"
    if build.unfinished:
        yield "Cancel it", f"{PROGRAM} builds cancel {of}"
    else:
        yield "Build the same commit again, and wait for the result", f"{PROGRAM} builds retry {of} --wait"


def scrape_config(origin: str, path: str) -> str:
    """The lines of Prometheus' configuration that scrape the exporter at that origin and path."""
    scheme, _, host = origin.partition("://")
    host = host if ":" in host.rpartition("]")[2] else f"{host}:{443 if scheme == 'https' else 80}"
    lines = ["scrape_configs:", "  - job_name: ci-builds", "    scrape_interval: 30s", "    scrape_timeout: 12s"]
    lines += ["    scheme: https"] if scheme == "https" else []
    lines += [f"    metrics_path: {path}"] if path != "/metrics" else []
    return "\n".join([*lines, "    static_configs:", f'      - targets: ["{host}"]'])


def _word(text: str) -> str:
    """One word of a shell."""
    return shlex.quote(text)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
