"""Many targets of a slow provider. How fast they are read is measured by `make bench-scale`, not here."""

import gzip
from threading import Barrier

import pytest
from serving import PATIENCE, TOKEN, northflank, settings, simulating

from exporter.collector import Collector
from exporter.exposition.render import Format
from exporter.simulator.faults import Effect
from exporter.simulator.message import Answer
from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.simulator.world import world

TARGETS, CONCURRENCY = 192, 16


def test_targets_are_read_as_many_at_a_time_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    together = Barrier(CONCURRENCY)

    def answered(answer: Answer) -> Answer:
        together.wait(PATIENCE)  # no list of builds is answered before so many are asked for
        return answer

    with simulating(world(2, TARGETS // 2, 0, 0)) as simulator:
        simulator.faults.add("*/build", Effect(answered), times=TARGETS)
        collector = Collector(settings(northflank(simulator), more=f"refresh: {{concurrency: {CONCURRENCY}}}"))
        collector.collect()
        text = gzip.decompress(collector.expose(Format.TEXT)).decode()
        collector.close()
    up = [line for line in text.splitlines() if line.startswith("ci_build_target_up{") and line.endswith(" 1.0")]
    assert len(up) == TARGETS
