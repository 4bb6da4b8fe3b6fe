"""prometheus-client's own server with the samples of an exposition: python -m bench.performance.registry FILE PORT."""

import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


class Parsed(Collector):
    """The families of an exposition, made once."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families


def main() -> None:
    """Serve until ended."""
    registry = CollectorRegistry()
    registry.register(Parsed(Path(sys.argv[1]).read_text()))
    start_http_server(int(sys.argv[2]), "127.0.0.1", registry)
    threading.Event().wait()


if __name__ == "__main__":
    main()
