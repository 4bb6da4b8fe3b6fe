"""The log on standard error: one line per event, as logfmt or JSON. The log of libraries has the same form."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor


def configure(level: str, form: str) -> None:
    """Set the minimum level and the format of the log; libraries log warnings and errors only."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    first: list[Processor] = [
        structlog.processors.add_log_level,
        _short_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    last: Processor = structlog.processors.LogfmtRenderer(key_order=["ts", "level", "event"], bool_as_flag=False)
    if form == "json":
        last = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*first, last],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[handler], force=True)


def _short_level(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Spell the level `warn` as the option `--log.level` and Prometheus do."""
    if event.get("level") == "warning":
        event["level"] = "warn"
    return event
