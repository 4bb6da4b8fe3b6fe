"""2. A scrape after one target in a hundred has changed: what the exporter does before it can send."""

import gzip
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from statistics import median

from bench.performance.inside import Loop, rendering
from bench.performance.provider import Northflank
from bench.performance.section import Scale, Section, ratio
from bench.table import Figure, Row

SIZES = (2000, 10_000)
LIMITED = 2000
MOST = 30.0
"""Milliseconds of processor time for the answer, at `LIMITED` targets."""
MOST_RENDERING = 3.0
"""Milliseconds of processor time for a changed target."""
TIMES = 15.0
LEVELS = (1, 6, 9)

TEXT = """The exporter's own code in one process and thread, without HTTP: the made-up provider answers by a call.
One target in a hundred has had a build and is read; then the gzip answer is put together. *Rendering* is the part of
such a read in which the target is shown anew (statistics, sample lines, compressing). Beside it
everything is joined and compressed: the sample lines of each target and family, kept as bytes, `b"".join`, `zlib` at
the level that is named. Processor time of the thread; the two in turn, medians of {runs}."""


def measure(scale: Scale) -> Section:
    """The section of the page; each size is a process of its own."""
    rows = [_row(size, scale.runs, limited=size == LIMITED) for size in (SIZES if not scale.quick else (100, 300))]
    return Section("2. A scrape after 1 % of the targets changed", TEXT.format(runs=scale.runs), rows)


def _row(size: int, runs: int, *, limited: bool) -> Row:
    command = [sys.executable, "-m", "bench.performance.change", str(size), str(runs)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603  # our own
    answers, samples = found["answers"], found["samples"]
    cells = {
        "gzip answer": Figure(median(answers), " ms", MOST if limited else None, 1),
        "rendering a changed target": Figure(found["rendering"], " ms", MOST_RENDERING, 1),
    }
    for level in LEVELS:
        all_anew = found["levels"][str(level)]
        times = Figure(ratio(all_anew, answers), " times", TIMES if limited and level == 1 else None, 0, floor=True)
        cells |= {f"all anew, level {level}": Figure(median(all_anew), " ms", digits=0), f"ratio {level}": times}
    megabytes = f"{found['plain'] / 1e6:.0f} MB plain, {found['packed'] / 1e6:.1f} MB gzip"
    return Row(f"{size:,} targets, {samples:,} samples, {megabytes}", dict(cells))


def _pieces(plain: bytes) -> list[bytes]:
    """An exposition as it would be kept by family and target: runs of lines that bear the same target."""
    lines = plain.splitlines(keepends=True)
    marked = ((line.partition(b'target="')[2].partition(b'"')[0], line) for line in lines)
    return [b"".join(line for _, line in run) for _, run in groupby(marked, itemgetter(0))]


def _all_anew(pieces: list[bytes], level: int) -> bytes:
    deflating = zlib.compressobj(level, wbits=31)
    return deflating.compress(b"".join(pieces)) + deflating.flush()


def _milliseconds(call: Callable[[], object]) -> float:
    begun = time.thread_time()
    call()
    return (time.thread_time() - begun) * 1000


def main() -> None:
    """Measure one size, and print what came of it as JSON."""
    size, runs = int(sys.argv[1]), int(sys.argv[2])
    loop = Loop(Northflank(size, start=time.time()))
    loop.read()
    targets = loop.collector.targets()
    changed = targets[:: 100 if len(targets) > 100 else 10]  # noqa: PLR2004  # 1 %
    answers: list[float] = []
    levels: dict[int, list[float]] = {level: [] for level in LEVELS}
    loop.change(changed)
    packed = loop.exposed()
    plain = gzip.decompress(packed)
    pieces = _pieces(plain)
    with rendering() as rendered:
        for _ in range(runs):
            loop.change(changed)
            answers.append(_milliseconds(loop.exposed))
            for level, taken in levels.items():
                taken.append(_milliseconds(lambda level=level: _all_anew(pieces, level)))  # type: ignore[misc]
    told = {
        "answers": answers,
        "levels": levels,
        "rendering": median(rendered) * 1000,
        "samples": sum(not line.startswith(b"#") for line in plain.splitlines()),
        "plain": len(plain),
        "packed": len(packed),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
