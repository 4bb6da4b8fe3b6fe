"""6. How long a start and a check take."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.machine import processor_time
from bench.performance import processes
from bench.performance.section import Scale, Section
from bench.table import Figure, Row

HEALTHY, CHECKED = 0.7, 1.0
"""Seconds."""
PROJECTS = 1000
HEAVIEST = 12
COMMAND = (sys.executable, "-c", "from exporter.cli.main import main; main()")
PROJECT = """      - id: project-{n}
        services: ["*"]
        jobs: [nightly, "report-*"]
        exclude: ["*-preview"]
"""
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")

TEXT = """`serve` is started with one source that nobody answers for; counted are the seconds from the start of the
process to the first answer of `/-/healthy`, asked every 5 ms. `check` is given a file with {projects:,} projects of
four keys each. Each is started {runs} times, in turn with a Python that does nothing, to tell what of it is the
machine's; processor time is that of the process and all its threads."""


def measure(scale: Scale) -> Section:
    """The section of the page."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        large = folder / "large.yaml"
        lines = "".join(PROJECT.format(n=n) for n in range(PROJECTS))
        source = f"{{env: {processes.TOKEN}}}\n    projects:\n{lines}"
        large.write_text(f"sources:\n  - name: northflank\n    provider: northflank\n    token: {source}")
        nothing, healthy, checked = [], [], []
        _healthy(folder)  # not counted: it may have to compile
        for _ in range(scale.runs):
            nothing.append(_ended([sys.executable, "-c", "pass"]))
            healthy.append(_healthy(folder))
            checked.append(_ended([*COMMAND, "check", f"--config.file={large}"]))
        imports = _imports()
    rows = [
        _row("`serve` answers `/-/healthy`", healthy, HEALTHY),
        _row(f"`check` of {PROJECTS:,} projects has ended", checked, CHECKED),
        _row("Python alone has ended", nothing, None),
    ]
    heaviest = ", ".join(f"{package} {taken / 1000:.0f}" for package, taken in imports.most_common(HEAVIEST))
    notes = (
        f"What `serve` imports took {imports.total() / 1000:.0f} ms by `-X importtime`, which makes them slower; "
        f"the heaviest packages, each without what it imports of others, in ms: {heaviest}."
    )
    return Section("6. Start", TEXT.format(projects=PROJECTS, runs=scale.runs), rows, notes)


def _row(name: str, runs: list[tuple[float, float]], limit: float | None) -> Row:
    return Row(
        name,
        {
            "median": Figure(median(seconds for seconds, _ in runs), " s", limit, 2),
            "largest": Figure(max(seconds for seconds, _ in runs), " s", digits=2),
            "processor time": Figure(median(processor for _, processor in runs), " s", digits=2),
        },
    )


def _ended(command: list[str]) -> tuple[float, float]:
    """Seconds until the command has ended well, and of processor time."""
    begun, used = time.perf_counter(), _of_children()
    with processes.running(command) as process:
        process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - begun, _of_children() - used


def _healthy(folder: Path) -> tuple[float, float]:
    """Seconds until a server answers, and of processor time until then."""
    port = processes.free_port()
    command = [*COMMAND, *processes.serving(folder, "http://127.0.0.1:9", port)]
    begun = time.perf_counter()
    with processes.running(command) as process:
        processes.get(f"http://127.0.0.1:{port}/-/healthy")
        return time.perf_counter() - begun, processor_time(process.pid)


def _of_children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def _imports() -> Counter[str]:
    """Microseconds of each package that `serve` imports until it answers."""
    with TemporaryDirectory() as name:
        folder, port = Path(name), processes.free_port()
        command = processes.serving(folder, "http://127.0.0.1:9", port)
        log = folder / "imports"
        with processes.running([COMMAND[0], "-X", "importtime", *COMMAND[1:], *command], log):
            processes.get(f"http://127.0.0.1:{port}/-/healthy")
        found: Counter[str] = Counter()
        for taken, module in IMPORT.findall(log.read_text()):
            found[module.partition(".")[0]] += int(taken)
        return found
