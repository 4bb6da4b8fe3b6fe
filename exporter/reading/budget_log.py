"""Log lines about an allowance: once when something begins, and once when it ends."""

from collections.abc import Iterable

import structlog

from exporter.polling.rate_limit import Allowance, starved
from exporter.polling.state import Budget, Source
from exporter.settings.settings import Refresh

log = structlog.get_logger()

STRETCHED = 1.25
"""How many times longer than configured the longest pauses must be for the log to say so."""


def log_rest(budget: Budget, sources: Iterable[Source], now: float) -> None:
    """Say that the sources rest, after a 429 or because the server says that nothing is left, and that this has ended.

    A rest has ended when something was answered again.
    """
    bucket = budget.bucket
    exhausted = starved(bucket, now)
    until = bucket.allowance.reset_at if exhausted else bucket.resting_until
    if (exhausted or now < bucket.resting_until) and not budget.rest_logged:
        budget.rest_logged = True
        for source in sources:
            seconds = round(max(until or now, bucket.resting_until) - now)
            log.warning("the allowance is used up: the source rests", source=source.name, seconds=seconds)
    elif budget.rest_logged and not exhausted and not bucket.rests and now >= bucket.resting_until:
        budget.rest_logged = False
        for source in sources:
            log.info("the source no longer rests", source=source.name)


def log_stretch(budget: Budget, sources: Iterable[Source], refresh: Refresh) -> None:
    """Say that the longest pauses cannot be kept, and that they can again."""
    stretch = budget.price.stretch
    if not budget.stretch_logged and stretch > STRETCHED:
        budget.stretch_logged = True
        for source in sources:
            log.warning(
                "the rate limit is too low to read each target within refresh.idle_ttl: "
                "set up webhooks, raise spend, or read fewer targets",
                source=source.name,
                longest_pause_seconds=round(refresh.idle_ttl * stretch),
            )
    elif budget.stretch_logged and stretch <= 1:
        budget.stretch_logged = False
        for source in sources:
            log.info("each target is read within refresh.idle_ttl again", source=source.name)


def log_ignored(source: Source, reported: Allowance) -> None:
    """Say once that the server reports a limit that makes no sense."""
    if not source.budget.ignored_logged:
        source.budget.ignored_logged = True
        log.warning(
            "the server reports a limit that makes no sense, so it is ignored",
            source=source.name,
            limit=reported.limit,
        )
