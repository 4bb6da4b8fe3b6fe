"""The log: one line an event on standard error, as logfmt or JSON."""

import logging
import sys

import structlog

LEVELS = ("debug", "info", "warn", "error")
FORMATS = ("logfmt", "json")


def configure(level: str, form: str) -> None:
    """Log from `level` on, in `form`, of `LEVELS` and `FORMATS`."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    last: structlog.typing.Processor
    if form == "json":
        last = structlog.processors.JSONRenderer()
    else:
        last = structlog.processors.LogfmtRenderer(key_order=["ts", "level", "event"], bool_as_flag=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, format="level=%(levelname)s event=%(message)r", stream=sys.stderr)
