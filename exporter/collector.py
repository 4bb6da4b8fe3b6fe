"""The cached collector: a scrape asks what is due, waits for it until its deadline, and is answered with what there is.

The only state is here: what is remembered of each target, and what is under way. One lock guards it, and under the same lock
answers are parsed, merged and rendered: threads that compute side by side only make a scrape wait.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as Registered

from exporter import cadence
from exporter.build import Target
from exporter.errors import BadPayload, ExporterError, RateLimited, SourceError, Unreachable
from exporter.exposition import Exposition, Format
from exporter.fetch import Fetch
from exporter.meters import Meters, gauge, source_families, target_families, up_family
from exporter.metrics import series, window_families
from exporter.providers import Discovery
from exporter.readers import Abandoned, Flight, Readers, Round
from exporter.settings import Settings, Source
from exporter.source import Origin, Subject, rules_of
from exporter.statistics import statistics
from exporter.walk import Walked, walk
from exporter.window import History, fold, look, merge
from exporter.wire import Reading, T

log = structlog.get_logger()

READ_LIMIT = 90.0
"""Seconds after which a read is given up, whatever it waits for."""
READY_AFTER = 30.0
"""Seconds after which the exporter is ready though a target was not tried yet: a dead provider must not hold a rollout."""
GONE_AFTER = 2
"""Complete lists without a target, after which it is dropped."""
