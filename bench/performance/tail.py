"""3. The slowest scrapes while targets are being read."""

import gzip
import http.client
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from bench.machine import processor_time
from bench.performance import processes
from bench.performance.processes import GZIP, Server
from bench.performance.section import Scale, Section
from bench.table import Figure, Row, quantile

TARGETS = 1000
PERIOD = 10.0
"""Seconds in which each target is read once: a hundred a second."""
PAUSE = 0.1
"""Seconds between the begin of one scrape and the next."""
TIMES = 4.0
BUSY = f"refresh: {{ttl: {PERIOD:g}s, idle_ttl: {PERIOD:g}s, discovery: 1d}}"
QUIET = "refresh: {ttl: 1h, idle_ttl: 1d, discovery: 1d}"
AT_ONCE = {"X-Prometheus-Scrape-Timeout-Seconds": "0.5"}
"""Leaves no time to wait for reads: what is measured is how they hold up the answer."""

TEXT = """Two `serve` processes with {targets:,} targets each, over HTTP: in one nothing is due; in the other each
target is read every {period:g} s, about {rate:.0f} a second, and each read finds a new build, so that the target is
rendered anew. Scrapes (gzip, one kept connection, in turn of one and the other for {seconds:g} s, {runs} times each)
come ten times a second, for one a second would give too few to tell the slowest in a hundred; their time-out leaves
nothing to wait for reads, else they would last as long as the provider. A time is from the request to the last byte;
p99 is over all runs. Of the two cores the other one has the provider and the scraper."""


def measure(scale: Scale) -> Section:
    """The section of the page."""
    targets, seconds = scale.of(TARGETS, at_least=100), scale.seconds(12.0)
    with (
        TemporaryDirectory() as name,
        processes.provider(targets, news=True) as url,
        processes.exporter(Path(name), url, QUIET) as quiet,
        processes.exporter(Path(name), url, BUSY) as busy,
    ):
        times: dict[Server, list[float]] = {quiet: [], busy: []}
        shares: dict[Server, list[float]] = {quiet: [], busy: []}
        reads: dict[Server, list[float]] = {quiet: [], busy: []}
        for _ in range(scale.runs):
            for server in (quiet, busy):
                if server is busy:
                    _scrapes(server.url, PERIOD)  # what came due meanwhile is read
                used, asked = processor_time(server.pid), _requests(server)
                begun = time.perf_counter()
                times[server] += _scrapes(server.url, seconds)
                took = time.perf_counter() - begun
                shares[server].append((processor_time(server.pid) - used) / took)
                reads[server].append((_requests(server) - asked) / took)
    base = quantile(sorted(times[quiet]), 0.99)
    rows = [
        _row(name, times[server], median(reads[server]), median(shares[server]), base, limited=server is busy)
        for name, server in (("nothing is read", quiet), ("targets are read", busy))
    ]
    text = TEXT.format(targets=targets, period=PERIOD, rate=targets / PERIOD, seconds=seconds, runs=scale.runs)
    return Section("3. The slowest scrapes while targets are read", text, rows)


def _row(  # noqa: PLR0913  # what is shown of one server
    name: str, times: list[float], reads: float, share: float, base: float, *, limited: bool
) -> Row:
    times = sorted(times)
    p99 = quantile(times, 0.99)
    cells: dict[str, Figure | str] = {
        "scrapes": f"{len(times):,}",
        "requests to the provider/s": Figure(reads),
        "share of a core": Figure(share * 100, " %"),
        "median": Figure(quantile(times, 0.5) * 1000, " ms", digits=1),
        "p99": Figure(p99 * 1000, " ms", digits=1),
        "largest": Figure(times[-1] * 1000, " ms", digits=1),
    }
    if limited:
        cells["p99 to the quiet p99"] = Figure(p99 / base, " times", TIMES, 1)
    return Row(name, cells)


def _scrapes(url: str, seconds: float) -> list[float]:
    """Seconds that each scrape took, over one connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=processes.PATIENCE)
    taken = []
    try:
        connection.connect()
        until = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < until:
            connection.request("GET", parts.path, headers={**GZIP, **AT_ONCE})
            connection.getresponse().read()
            taken.append(time.perf_counter() - begun)
            time.sleep(max(0.0, PAUSE - taken[-1]))
    finally:
        connection.close()
    return taken


def _requests(server: Server) -> float:
    """How many requests the exporter has made."""
    text = gzip.decompress(processes.scrape(server.url, {**GZIP, **AT_ONCE})).decode()
    lines = (line for line in text.splitlines() if line.startswith("ci_build_source_requests_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)
