"""The six measurements, and the page of them: python -m bench.performance [--only 1,6] [--quick] [--output PAGE]."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.course import tell
from bench.machine import cpu, idle_share
from bench.performance import change, cold, memory, sending, start, tail
from bench.performance.inside import TOKEN
from bench.performance.processes import Missing, tool
from bench.performance.section import Scale, Section
from exporter.simulator import SIMULATOR_TOKEN

POINTS: dict[str, Callable[[Scale], Section]] = {
    "1": sending.measure,
    "2": change.measure,
    "3": tail.measure,
    "4": cold.measure,
    "5": memory.measure,
    "6": start.measure,
}

HEAD = """# How fast the exporter is, and how small

Written by `make bench` on {date}: Python {python}, prometheus-client {client}, {cpus} × {cpu}, {memory:.0f} GiB,
{system}; {minutes:.0f} minutes, at whose beginning {idle:.0f} % of the processors' time was idle.

Absolute times are those of this machine, and context only: the ratios are the result. Where something is held against
another, the two run in turn, and a ratio is the median of the ratios of neighbouring runs. Each number is the median
of {runs} runs where nothing else is said; processor time is user and system time. Limits stand beside what they
bound; ✗ is a limit that is not kept.

The provider is made up: a Northflank whose builds follow from arithmetic, 200 a target, every other one of `main` and
the rest of branches with names of their own. Its targets show some 180 samples each.
"""
TRIED = """
## Tried, and left out

- A shorter or longer switch interval of Python's threads: no difference to the slowest scrapes. What made them slow was
  the search for cycles of references, of a tenth of a second; `serve` lets it come seldom (`exporter/web/process.py`).
- Histories and kept lines each in memory of its own: they leave holes when they change their sizes, and in a hundred
  rounds the process grew by an eighth of what its targets take. They stand one behind the other
  (`exporter/store/arena.py`).
  Large pieces of that in the heap, not from the system (`mmap`): now and then one grew out of its place and left a hole
  of its size, by which all grew by a seventh. Small ones from the system too: a page each that comes and goes, a
  hundredth. Slots of one size, or sizes rounded up, instead: a fifth more memory.
- Giving memory back after each scrape (`malloc_trim`): a fiftieth less.
- A future for each question that waits in the queue: 2 KB for each target that is due, and a hundredth of growth.
- zlib for the histories: a thirtieth smaller, in ten times the time.
"""
QUICK = "\n**With `--quick`, to try the benchmarks: the numbers say nothing.**\n"


def main() -> None:
    """Measure what was asked for, one after the other; end with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance", description="How fast, and how small.")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(POINTS), help="points, e.g. 1,6")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try that everything works")
    parser.add_argument("--output", type=Path, help="the page to write; to standard output without it")
    asked = parser.parse_args()
    if unknown := set(asked.only) - POINTS.keys():
        parser.error(f"no such point: {', '.join(sorted(unknown))}; there are {', '.join(POINTS)}")
    try:
        for name in ("wrk", "nginx") if "1" in asked.only else ():
            tool(name)
    except Missing as error:
        parser.error(f"{error}; point 1 wants it")
    os.environ[TOKEN.env] = SIMULATOR_TOKEN
    scale = Scale(quick=asked.quick)
    begun, idle = time.monotonic(), idle_share()
    sections = []
    for point in asked.only:
        since = time.monotonic()
        sections.append(POINTS[point](scale))
        tell(f"{sections[-1]}\n{time.monotonic() - since:.0f} s\n")
    page = _head(scale, time.monotonic() - begun, idle) + "".join(map(str, sections)) + TRIED
    if asked.output:
        asked.output.parent.mkdir(exist_ok=True)
        asked.output.write_text(page)
    else:
        sys.stdout.write(page)
    sys.exit(0 if asked.quick or all(section.holds for section in sections) else 1)


def _head(scale: Scale, seconds: float, idle: float) -> str:
    head = HEAD.format(
        date=datetime.now(UTC).date().isoformat(),
        python=platform.python_version(),
        client=version("prometheus-client"),
        cpus=os.cpu_count(),
        cpu=cpu(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3,
        system=f"{platform.system()} {platform.release()}",
        minutes=seconds / 60,
        idle=idle * 100,
        runs=scale.runs,
    )
    return head + (QUICK if scale.quick else "")


if __name__ == "__main__":
    main()
