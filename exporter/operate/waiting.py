"""Waiting for a build to end, and following its log until then."""

from collections.abc import Callable
from typing import Final

from exporter.build import Build, Target
from exporter.errors import BadPayload, NotFound, RateLimited, Refused, SourceError, Unreachable
from exporter.operate.operator import Operator
from exporter.providers.operations import BuildDetails

SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 30.0
"""Seconds between two reads of a build that is waited for."""
LOG_PAUSE: Final = 3.0
"""Seconds between two reads of a log that is followed: each reads the whole log."""
PAUSE_AFTER_429: Final = 60.0
"""Seconds to pause after a 429 that does not say how long."""
NOT_FOUND_READS: Final = 3
"""How often a new build may be missing: some providers return its id before it can be read."""

Progress = Callable[[Build | None, str], None]
"""Called after each read with the build, or with None and what went wrong."""


def wait(
    operator: Operator,
    target: Target,
    build_id: str,
    *,
    seconds: float,
    progress: Progress = lambda _build, _error: None,
) -> BuildDetails | None:
    """The build after it has ended; None if it has not ended within `seconds`.

    A rate limit or an unreachable provider does not end the wait.
    """
    begun, missing = operator.clock(), 0
    while True:
        pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, (operator.clock() - begun) / 20))
        try:
            details = operator.single_or_listed(target, build_id)
            progress(details.build, "")
            if details.build.concluded:
                return details
        except NotFound as error:
            missing += 1
            if missing > NOT_FOUND_READS:
                raise Refused(f"build {build_id} cannot be found: {error}") from error
        except (RateLimited, Unreachable, BadPayload) as error:
            pause = _pause_after(error, pause, progress)
        left = begun + seconds - operator.clock()
        if left <= 0:
            return None
        operator.sleep(min(pause, left))
        if pause > left:
            return None


def follow(  # noqa: PLR0913  # what to follow, and whom to call
    operator: Operator,
    target: Target,
    build_id: str,
    *,
    last: int,
    write: Callable[[list[str]], None],
    progress: Progress = lambda _build, _error: None,
) -> BuildDetails:
    """Write the last lines of a build's log, then those that are added, and return the build after it has ended.

    A rate limit or an unreachable provider does not end it. `write` is called with complete lines only.
    """
    operator.operations.check_has_logs(target)
    written: int | None = None
    while True:
        pause = LOG_PAUSE
        try:
            # The build before its log: if it has ended, the log is complete.
            details = operator.build(target, build_id)
            lines = operator.log(target, build_id, ended=details.build.concluded)
            progress(details.build, "")
            written = max(0, len(lines) - last) if written is None else written
            if lines[written:]:
                write(lines[written:])
            written = max(written, len(lines))
            if details.build.concluded:
                return details
        except (RateLimited, Unreachable, BadPayload) as error:
            pause = _pause_after(error, pause, progress)
        operator.sleep(pause)


def _pause_after(error: SourceError, pause: float, progress: Progress) -> float:
    """The seconds to pause after an error that may pass."""
    if not isinstance(error, RateLimited):
        progress(None, str(error))
        return pause
    pause = PAUSE_AFTER_429 if error.retry_after is None else max(SHORTEST_PAUSE, error.retry_after)
    progress(None, f"the rate limit is reached; the next request is in {pause:.0f} s")
    return pause
