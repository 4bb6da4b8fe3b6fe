"""Many targets of a slow provider. How fast they are read is measured by `make bench-scale`, not here."""

import gzip
import time

import pytest
from processes import simulate
from serving import TOKEN, northflank, settings

from exporter.collector import Collector
from exporter.exposition.render import Format
from exporter.simulator.server import SIMULATOR_TOKEN

TARGETS, LATENCY = 200, 0.1


def test_two_hundred_targets_are_read_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    with simulate("--northflank-projects=2", "--services=100", "--jobs=0", f"--latency={LATENCY * 1000:.0f}ms") as url:
        collector = Collector(settings(northflank(url)))
        begun = time.monotonic()
        collector.collect()
        took = time.monotonic() - begun
    text = gzip.decompress(collector.expose(Format.TEXT)).decode()
    collector.close()
    up = [line for line in text.splitlines() if line.startswith("ci_build_target_up{") and line.endswith(" 1.0")]
    assert len(up) == TARGETS
    # One after the other they would take all of it: a slow machine is still far below a half.
    assert took < collector.meters.requests("northflank") * LATENCY / 2
