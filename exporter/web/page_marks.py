"""The geometry of the status page's drawings: a sparkline, and a target's chart of latencies. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.build import Build
from exporter.web.page_words import DAY, HOUR, MINUTE, span

SPARK_WIDTH, SPARK_HEIGHT = 72, 22
CHART_WIDTH, CHART_HEIGHT = 880, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 48, 14, 28
"""What the axes of the chart take."""
TICKS = 5
STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR),
    *(DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY),
)
"""Seconds between two marks of an axis."""


@dataclass(frozen=True, slots=True)
class Point:
    """A build of the chart."""

    build: Build
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    at: float
    """In pixels."""
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Builds by when they were created and how long they took."""

    points: Sequence[Point]
    across: Sequence[Tick]
    up: Sequence[Tick]
    p50: float | None
    p90: float | None
    """The height of the quantiles, in pixels."""


def sparkline(values: Sequence[float]) -> str:
    """The points of a polyline of the values, oldest first; empty where a line cannot be drawn."""
    if len(values) < 2:  # noqa: PLR2004  # a line has two ends
        return ""
    low, high = min(values), max(values)
    step, height = (SPARK_WIDTH - 4) / (len(values) - 1), SPARK_HEIGHT - 4
    scale = height / (high - low) if high > low else 0.0
    middle = 0.0 if scale else height / 2
    return " ".join(
        f"{2 + place * step:.1f},{SPARK_HEIGHT - 2 - middle - (value - low) * scale:.1f}"
        for place, value in enumerate(values)
    )


def chart(builds: Sequence[Build], p50: float | None, p90: float | None) -> Chart | None:
    """The latencies of the builds that concluded; None where none did."""
    timed = [(build, build.latency) for build in builds if build.concluded and build.latency is not None]
    if not timed:
        return None
    first, last = min(build.created_at for build, _ in timed), max(build.created_at for build, _ in timed)
    period = max(last - first, 1.0)
    step_up = step(max(seconds for _, seconds in timed), TICKS)
    top = step_up * max(1, -(-max(seconds for _, seconds in timed) // step_up))

    def x(at: float) -> float:
        return round(LEFT + (at - first) / period * (CHART_WIDTH - LEFT - RIGHT), 1)

    def y(seconds: float) -> float:
        return round(CHART_HEIGHT - BOTTOM - seconds / top * (CHART_HEIGHT - TOP - BOTTOM), 1)

    step_across = step(period, TICKS + 2)
    begin = -(-first // step_across)
    across = []
    while begin * step_across <= last:
        across.append(Tick(x(begin * step_across), _clock(begin * step_across, step_across)))
        begin += 1
    return Chart(
        [Point(build, x(build.created_at), y(seconds)) for build, seconds in timed],
        across,
        [Tick(y(place * step_up), span(place * step_up)) for place in range(int(top / step_up) + 1)],
        None if p50 is None else y(p50),
        None if p90 is None else y(p90),
    )


def step(whole: float, ticks: int) -> float:
    """The smallest usual step by which the whole has no more than so many; whole days beyond a month."""
    return next((float(one) for one in STEPS if whole / one <= ticks), float(DAY * (whole // DAY // ticks + 1)))


def _clock(at: float, step_across: float) -> str:
    shown = datetime.fromtimestamp(at, UTC)
    return f"{shown:%d %b}" if step_across >= DAY or at % DAY == 0 else f"{shown:%H:%M}"
