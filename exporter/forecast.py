"""What a configuration will cost: requests an hour against the allowance, and series."""

from collections.abc import Iterator

from exporter.collector import Collector
from exporter.settings import Settings, show_duration

HOUR = 3600.0


def forecast(collector: Collector, settings: Settings) -> Iterator[str]:
    """Lines about each source that was read, and about all of them."""
    for report in collector.reports():
        targets = ", ".join(f"{number} {kind}s" for kind, number in report.status.targets.items())
        yield f"{report.status.name}: {'up' if report.status.up else 'down'}, {targets}"
        for error in report.errors:
            yield f"  {error}"
        limit = report.status.allowance.limit
        allowed = "the server names no limit" if limit is None else f"the server allows {limit:.0f} a period"
        yield f"  about {report.requests_an_hour:.0f} requests an hour; {allowed}"
    refresh = settings.refresh
    yield (
        f"series: {collector.series} of at most {settings.metrics.max_series}; a target is read every "
        f"{show_duration(refresh.ttl)} while it builds, every {show_duration(refresh.idle_ttl)} while it does not"
    )
