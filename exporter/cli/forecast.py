"""What a configuration will cost: requests an hour against the allowance, and series."""

from collections.abc import Iterator

from exporter.collector import Collector
from exporter.config.values import show_duration
from exporter.settings.settings import Settings


def forecast(collector: Collector, settings: Settings) -> Iterator[str]:
    """Lines about each source that was read, and about all of them."""
    for report in collector.reports():
        targets = ", ".join(_counted(number, kind) for kind, number in report.targets.items())
        yield f"{report.source}: {'up' if report.up else 'down'}, {targets}"
        for line in (*report.errors, *report.notes):
            yield f"  {line}"
        if not any(report.targets.values()):
            continue
        yield f"  about {report.requests_an_hour:.0f} requests an hour; {_allowed(report.limit)}"
        shortest, longest = (show_duration(float(round(pause))) for pause in report.pauses)
        yield f"  each target is looked at {shortest} to {longest} after the last time"
        if not report.kept:
            yield (
                f"  the rate limit is too low for refresh.idle_ttl ({show_duration(settings.refresh.idle_ttl)}): "
                "set up webhooks, raise spend, or read fewer targets"
            )
    yield f"series: {collector.series} of at most {settings.metrics.max_series}"


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind}" if number == 1 else f"{number} {kind}s"


def _allowed(limit: float | None) -> str:
    return "the server reports no limit" if limit is None else f"the server allows {limit:.0f}"
