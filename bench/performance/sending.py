"""1. A scrape while nothing changes: what sending the bytes costs."""

import gzip
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.machine import processor_time
from bench.performance import processes
from bench.performance.processes import GZIP, Server
from bench.performance.section import Scale, Section, ratio
from bench.table import Cell, Figure, Row

TARGETS = 1000
PLAIN: Mapping[str, str] = {}
REST = "refresh: {ttl: 1h, idle_ttl: 1d, discovery: 1d}"
"""Nothing is read while it is measured: what that costs is told elsewhere."""
KEPT = {(GZIP["Accept-Encoding"], 1): 0.9, (GZIP["Accept-Encoding"], 8): 0.6}
"""The share of nginx's requests a second that is wanted, by coding and connections."""
TIMES = 200.0
"""As many times as prometheus-client's own server."""

TEXT = """{targets:,} targets of the made-up provider are read by `serve`; then nothing is due any more. `wrk` asks
over kept connections, {seconds:g} s a run, the exporter and nginx in turn, {runs} times each; ratios are the medians
of neighbouring runs. nginx ({nginx}) has one worker, `sendfile` and `tcp_nopush`, and serves the same bytes from a
file: for gzip the exporter's own answer. prometheus-client's own server (`start_http_server`) has the same samples in
a registry, parsed from the plain answer before; one request is timed after each run of `wrk`."""


def measure(scale: Scale) -> Section:
    """The section of the page."""
    targets, seconds = scale.of(TARGETS), scale.seconds(3.0)
    with TemporaryDirectory() as name, processes.provider(targets) as url:
        folder = Path(name)
        with processes.exporter(folder, url, REST) as ours:
            packed = processes.scrape(ours.url)
            plain = gzip.decompress(packed)
            (folder / "metrics.gz").write_bytes(packed)
            (folder / "metrics").write_bytes(plain)
            samples = sum(not line.startswith(b"#") for line in plain.splitlines())
            with processes.nginx(folder) as nginx:
                rows = [
                    _beside_nginx(ours, nginx, headers, connections, scale.runs, seconds)
                    for headers in (GZIP, PLAIN)
                    for connections in (1, 8)
                ]
            with processes.prometheus_client(folder / "metrics") as theirs:
                rows += [_beside_client(ours, theirs, headers, scale.runs, seconds) for headers in (GZIP, PLAIN)]
    text = TEXT.format(targets=targets, seconds=seconds, runs=scale.runs, nginx=processes.version("nginx", "-v"))
    sizes = f"The answer has {samples:,} samples, {len(plain) / 1e6:.1f} MB plain and {len(packed) / 1e6:.2f} MB gzip."
    return Section("1. A scrape while nothing changes", f"{text} {sizes}", rows)


def _beside_nginx(  # noqa: PLR0913, PLR0917  # two servers, what is asked of them, how long
    ours: Server, nginx: Server, headers: Mapping[str, str], connections: int, runs: int, seconds: float
) -> Row:
    coding = headers.get("Accept-Encoding", "plain")
    file = nginx.url + (".gz" if headers else "")
    mine, other, taken = [], [], []
    for _ in range(runs):
        begun = processor_time(ours.pid)
        mine.append(processes.requests_a_second(ours.url, connections, seconds, headers))
        taken.append((processor_time(ours.pid) - begun) / (mine[-1] * seconds))
        other.append(processes.requests_a_second(file, connections, seconds, headers))
    share = Figure(ratio(mine, other), "", KEPT.get((coding, connections)), 2, floor=True)
    name = f"{coding}, {connections} connection{'s' if connections > 1 else ''}, beside nginx"
    return Row(name, _cells(median(mine), median(other), share, median(taken)))


def _beside_client(ours: Server, theirs: Server, headers: Mapping[str, str], runs: int, seconds: float) -> Row:
    coding = headers.get("Accept-Encoding", "plain")
    mine, other, taken = [], [], []
    for _ in range(runs):
        begun = processor_time(ours.pid)
        mine.append(processes.requests_a_second(ours.url, 1, seconds, headers))
        taken.append((processor_time(ours.pid) - begun) / (mine[-1] * seconds))
        before = time.perf_counter()
        processes.scrape(theirs.url, headers)
        other.append(1 / (time.perf_counter() - before))
    times = Figure(ratio(mine, other), " times", TIMES if headers else None, 0, floor=True)
    return Row(f"{coding}, beside prometheus-client", _cells(median(mine), median(other), times, median(taken)))


def _cells(mine: float, other: float, share: Figure, taken: float) -> dict[str, Cell]:
    return {
        "exporter, requests/s": Figure(mine, digits=0),
        "beside it": Figure(other, digits=0 if other > 10 else 2),  # noqa: PLR2004  # digits enough
        "ratio": share,
        "processor time a request": Figure(taken * 1000, " ms", digits=2),
    }
