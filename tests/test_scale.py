"""Many targets of a slow provider."""

import time

import pytest
from processes import simulate
from serving import TOKEN, northflank, settings

from exporter.collector import Collector
from exporter.exposition import Format
from exporter.settings import Settings
from exporter.simulator.server import SIMULATOR_TOKEN

TARGETS, LATENCY, CONCURRENCY = 200, 0.1, 16
TRIES = 4
"""The first finds a simulator that must yet make up its past; of the others the best tells what the exporter can."""


def test_two_hundred_targets_are_read_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    with simulate("--northflank-projects=2", "--services=100", "--jobs=0", f"--latency={LATENCY * 1000:.0f}ms") as url:
        given = settings(northflank(url), more=f"refresh: {{concurrency: {CONCURRENCY}}}")
        shares = list[float]()
        while len(shares) < TRIES and min(shares, default=2.0) > 1.5:
            shares.append(share(given))
    assert min(shares) <= 1.5, f"{shares} times what the requests take side by side"


def share(given: Settings) -> float:
    """How long a first read of all takes, as a multiple of what its requests take side by side."""
    collector = Collector(given)
    begun = time.monotonic()
    collector.collect()
    took = time.monotonic() - begun
    text = collector.expose(Format.TEXT).decode()
    collector.close()
    up = [line for line in text.splitlines() if line.startswith("ci_build_target_up{") and line.endswith(" 1.0")]
    assert len(up) == TARGETS
    return took / (collector.meters.requests("northflank") * LATENCY / CONCURRENCY)
