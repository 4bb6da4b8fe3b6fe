"""4. A first read of everything, and a read that finds nothing new."""

import json
import subprocess
import sys
import time
from statistics import median

from bench.performance import processes
from bench.performance.inside import settings
from bench.performance.section import Scale, Section
from bench.table import Figure, Row
from exporter.collector import Collector
from exporter.exposition.render import Format
from exporter.web.process import settle

TARGETS = 1000
LATENCY = 0.05
CONCURRENCIES = (16, 64)
TIMES = 1.2
AHEAD = 600.0
"""Seconds that the clock goes on, so that all is due again."""

TEXT = """{targets:,} targets of the made-up provider, a process of its own behind HTTP that lets each answer take
{latency:.0f} ms; a first read takes two pages of a hundred builds, a read that finds nothing new one small one. The
exporter's collector with its own threads, in a process of its own for each of {runs} runs; the text format is asked
for before, so that each target that is read is rendered as well. The bound is the larger of what the requests take
side by side (requests × {latency:.0f} ms / concurrency) and of the processor time that the process took: which of the
two, is said. The first run is not counted: in it the provider makes its pages."""


def measure(scale: Scale) -> Section:
    """The section of the page."""
    targets = scale.of(TARGETS, at_least=50)
    rows = []
    with processes.provider(targets, latency=LATENCY) as url:
        for concurrency in CONCURRENCIES:
            runs = [_run(url, concurrency) for _ in range(scale.runs + 1)][1:]
            rows += [_row(part, concurrency, targets, [run[part] for run in runs]) for part in ("first", "idle")]
    text = TEXT.format(targets=targets, latency=LATENCY * 1000, runs=scale.runs)
    return Section("4. A cold start", text, rows)


def _row(part: str, concurrency: int, targets: int, runs: list[dict[str, float]]) -> Row:
    requests = median(run["requests"] for run in runs)
    latency = requests * LATENCY / concurrency
    processor = median(run["processor"] for run in runs)
    share = median(run["seconds"] / max(run["requests"] * LATENCY / concurrency, run["processor"]) for run in runs)
    name = "first read" if part == "first" else "a read with nothing new"
    return Row(
        f"{name}, {concurrency} at a time",
        {
            "requests": f"{requests:,.0f}",
            "took": Figure(median(run["seconds"] for run in runs), " s", digits=1),
            "requests side by side": Figure(latency, " s", digits=1),
            "processor": Figure(processor, " s", digits=1),
            "bound": "the provider" if latency >= processor else "the processor",
            "took, of the bound": Figure(share, " times", TIMES if part == "first" else None, 2),
            "processor time a target": Figure(processor / targets * 1000, " ms", digits=2),
        },
    )


def _run(url: str, concurrency: int) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "bench.performance.cold", url, str(concurrency)]
    with processes.running(command) as process:
        told, _ = process.communicate(timeout=processes.PATIENCE)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    found: dict[str, dict[str, float]] = json.loads(told)
    return found


def main() -> None:
    """Read everything twice, and print what each took as JSON."""
    ahead = 0.0
    settle()
    collector = Collector(
        settings(sys.argv[1], concurrency=int(sys.argv[2]), discovery=10 * AHEAD), clock=lambda: time.time() + ahead
    )
    collector.expose(Format.TEXT)
    found = {"first": _reading(collector)}
    ahead = AHEAD
    found["idle"] = _reading(collector)
    collector.close()
    sys.stdout.write(json.dumps(found))


def _reading(collector: Collector) -> dict[str, float]:
    asked, used, begun = collector.self_metrics.requests("northflank"), time.process_time(), time.perf_counter()
    collector.collect()
    return {
        "requests": collector.self_metrics.requests("northflank") - asked,
        "processor": time.process_time() - used,
        "seconds": time.perf_counter() - begun,
    }


if __name__ == "__main__":
    main()
