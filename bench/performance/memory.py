"""5. What a target weighs, and whether that stays."""

import gc
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from subprocess import run

from bench.machine import memory
from bench.performance.inside import Loop
from bench.performance.provider import Northflank
from bench.performance.section import Scale, Section
from bench.table import Cell, Figure, Row
from exporter.web.process import settle

SIZES = (1000, 10_000)
ROUNDS = (100, 10)
"""Further ones, of each size."""
MOST = 20.0
"""KiB a target."""
FLAT = 2.0
"""Per cent."""
SETTLED = 10
"""Rounds after which nothing should come any more."""

TEXT = """The exporter's own code in a process of its own, which reads the made-up provider by a call and has
answered one scrape before, for the text format. Each target has {builds} builds in two branch labels, so that both
windows are full with 100. A target's share is what the process has more after all is read than before, and what a
scrape left: resident memory, and of that what it shares with no other process (USS). Then every target has a build
more, is read and rendered, round after round, with a scrape in each; the change is the largest of any round's resident
memory over that after the first read, less what the process had empty. Histories themselves grow in these rounds by a
hundredth, for what is summed up of builds that were cut comes to them. Medians of {runs}
processes of {small:,} targets, and one of {large:,}."""


def measure(scale: Scale) -> Section:
    """The section of the page; the processes run side by side, for nothing of it is timed."""
    small, large = (scale.of(size) for size in SIZES)
    jobs = [(large, scale.of(ROUNDS[1], 2), 200)]
    jobs += [(small, rounds, 200) for rounds in (scale.of(ROUNDS[0], 12), *[0] * (scale.runs - 1))]
    jobs += [(small, 0, 100)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: _process(*job), jobs))
    rows = [
        _row(f"{small:,} targets", found[1 : 1 + scale.runs], limited=True),
        _row(f"{large:,} targets", found[:1], limited=True),
        _row(f"{small:,} targets with 100 builds in all", found[-1:], limited=False),
    ]
    return Section("5. Memory", TEXT.format(builds=200, runs=scale.runs, small=small, large=large), rows)


def _row(name: str, found: list[dict[str, list[float]]], *, limited: bool) -> Row:
    resident = median((one["resident"][1] - one["resident"][0]) / one["targets"][0] for one in found)
    own = median((one["own"][1] - one["own"][0]) / one["targets"][0] for one in found)
    empty, after, *later = found[0]["resident"]
    cells: dict[str, Cell] = {
        "empty process": Figure(median(one["own"][0] for one in found) / 1024, " MiB"),
        "after reading": Figure(median(one["own"][1] for one in found) / 1024, " MiB"),
        "resident, a target": Figure(resident, " KiB", MOST if limited else None, 1),
        "own (USS), a target": Figure(own, " KiB", None, 1),
    }
    if later:
        grown = (max(later) - after) / (after - empty) * 100
        cells["rounds"] = f"{len(later)}"
        cells["most over the first read"] = Figure(grown, " %", FLAT, 1)
        if len(later) > SETTLED:
            since = (later[-1] - later[SETTLED - 1]) / (after - empty) * 100
            cells[f"last round over the {SETTLED}th"] = Figure(since, " %", digits=1)
    return Row(name, cells)


def _process(targets: int, rounds: int, builds: int) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "bench.performance.memory", str(targets), str(rounds), str(builds)]
    told = run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # our own
    found: dict[str, list[float]] = json.loads(told)
    return found


def main() -> None:
    """Read everything, then round after round, and print the KiB after each as JSON."""
    targets, rounds, builds = map(int, sys.argv[1:4])
    settle()
    loop = Loop(Northflank(targets, builds, start=time.time()))
    found: dict[str, list[float]] = {"targets": [targets], "resident": [], "own": []}
    _note(found, loop)
    loop.read()
    _note(found, loop)
    for _ in range(rounds):
        loop.round()
        _note(found, loop)
    sys.stdout.write(json.dumps(found))


def _note(found: dict[str, list[float]], loop: Loop) -> None:
    loop.exposed()
    gc.collect()
    resident, own = memory()
    found["resident"].append(resident)
    found["own"].append(own)


if __name__ == "__main__":
    main()
