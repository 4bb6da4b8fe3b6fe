"""What a scrape asks for, and how long it may take. Pure."""

import math
from collections.abc import Iterator

from exporter.exposition.render import Format

QUIET = 180.0
"""Seconds without a scrape after which nothing scrapes."""


class Scrapes:
    """When the exporter was scraped last, by the collector's clock."""

    def __init__(self, now: float) -> None:
        self._began_at = now
        self.last: float | None = None

    def missing(self, now: float) -> bool:
        """Whether nothing scrapes; right after the start that is not known yet."""
        return now - (self._began_at if self.last is None else self.last) > QUIET


SCRAPE_TIMEOUT = "x-prometheus-scrape-timeout-seconds"
MARGIN = 0.5
"""Seconds before the scraper's own deadline at which the answer is on its way."""


def patience(header: str | None, timeout: float, took: float) -> float:
    """Seconds that a scrape may wait for reads: what its header leaves, less what the answer takes.

    `timeout` is the longest that any scrape waits, `took` what the last answer took, both in seconds. A header that is
    no finite number leaves nothing.
    """
    if header is None:
        return timeout
    try:
        given = float(header)
    except ValueError:
        return 0.0
    if not math.isfinite(given):
        return 0.0
    return max(0.0, min(given - max(MARGIN, 2 * took), timeout))


def form(accept: str) -> Format:
    """OpenMetrics where the header prefers it to plain text, or plain text where it says nothing of either."""
    weights: dict[str, float] = {}
    for media, weight in _preferences(accept):
        weights[media] = max(weight, weights.get(media, 0.0))
    preferred = weights.get("application/openmetrics-text", 0.0)
    plain = next((weights[media] for media in ("text/plain", "text/*", "*/*") if media in weights), 0.0)
    return Format.OPENMETRICS if preferred > 0 and preferred >= plain else Format.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the header takes a gzip answer; its own word counts before the one for all."""
    weights = dict(_preferences(accept_encoding))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _preferences(header: str) -> Iterator[tuple[str, float]]:
    """What a header of preferences names, in lower case, and the weight that each has."""
    for part in header.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        yield name, _weight(parameters)


def _weight(parameters: list[str]) -> float:
    """The `q` of a header's part, 0 to 1; 1 where it has none, 0 where it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0
