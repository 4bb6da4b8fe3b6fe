"""What a configuration will cost: requests an hour against the allowance, and series."""

from collections.abc import Iterator

from exporter.collector import Collector
from exporter.config.values import show_duration
from exporter.polling.rate_limit import Allowance
from exporter.settings.settings import Settings

HOUR = 3600.0


def forecast(collector: Collector, settings: Settings) -> Iterator[str]:
    """Lines about each source that was read, and about all of them."""
    for report in collector.reports():
        targets = ", ".join(_counted(number, kind) for kind, number in report.status.targets.items())
        yield f"{report.status.name}: {'up' if report.status.up else 'down'}, {targets}"
        for line in (*report.errors, *report.notes):
            yield f"  {line}"
        yield f"  at most {report.requests_an_hour:.0f} requests an hour; {_allowed(report.status.allowance)}"
    refresh = settings.refresh
    yield (
        f"series: {collector.series} of at most {settings.metrics.max_series}; a target is read "
        f"{show_duration(refresh.ttl)} to {show_duration(refresh.idle_ttl)} after the last time"
    )


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind}" if number == 1 else f"{number} {kind}s"


def _allowed(allowance: Allowance) -> str:
    if allowance.limit is None:
        return "the server names no limit"
    return f"the server allows {allowance.limit * HOUR / allowance.period:.0f}"
