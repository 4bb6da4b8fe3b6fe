"""How long the status page takes over 10,000 targets, and how large it is.

python -m bench.page [--targets 10000] [--runs 9]

The exporter reads a made-up provider in this process, then is asked over HTTP, as a browser would.
"""

import argparse
import os
import sys
import threading
import time
from http.client import HTTPConnection
from statistics import median

import uvicorn

from bench.course import tell
from bench.performance.inside import TOKEN, settings
from bench.performance.provider import Connected, Northflank
from exporter.collector import Collector
from exporter.polling.workers import InlinePool
from exporter.simulator import SIMULATOR_TOKEN
from exporter.web.application import application
from exporter.web.server import listen

SLOWEST, LARGEST = 1.0, 1_000_000
"""Seconds and bytes that the first view may take."""
PATHS = (
    "/",
    "/?state=broken&sort=ratio",
    "/?q=service-77&page=2",
    "/?sort=newest&page=200",
    "/targets/northflank/service/project-0/service-0",
    "/api/v1/targets",
)


def main() -> None:
    """Print a row for each path; end with 1 where the first view is over a limit."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description="How fast the status page is.")
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    os.environ[TOKEN.env] = SIMULATOR_TOKEN
    now = time.time()
    northflank = Northflank(given.targets, 100, start=now)
    collector = Collector(
        settings(ttl=86400.0, idle_ttl=86400.0, discovery=86400.0),
        workers=lambda _size: InlinePool(),
        connect=lambda *_: Connected(northflank),
    )
    collector.collect()
    tell(f"{len(collector.targets())} targets are read, which took {time.time() - now:.0f} s\n")
    locked = median(seconds_of(collector) for _ in range(given.runs))
    sys.stdout.write(f"the lock is held for {locked * 1000:.0f} ms\n\n")
    sys.stdout.write("| path | first, ms | then, ms | kB | kB, gzip |\n|---|---|---|---|---|\n")
    listening = listen("127.0.0.1:0")
    server = uvicorn.Server(uvicorn.Config(application(collector), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    rows = {path: row(port, path, given.runs) for path in PATHS}
    server.should_exit = True
    thread.join()
    first, size = rows["/"]
    sys.exit(first > SLOWEST or size > LARGEST)


def seconds_of(collector: Collector) -> float:
    """What taking what is known took, all of it under the lock."""
    begun = time.perf_counter()
    collector.snapshot()
    return time.perf_counter() - begun


def row(port: int, path: str, runs: int) -> tuple[float, int]:
    """Ask for the path, print its row, and give the seconds and bytes of the first answer."""
    first, size = asked(port, path)
    later = median(asked(port, path)[0] for _ in range(runs))
    packed = asked(port, path, {"Accept-Encoding": "gzip"})[1]
    sys.stdout.write(
        f"| `{path}` | {first * 1000:.0f} | {later * 1000:.0f} | {size / 1000:.0f} | {packed / 1000:.0f} |\n"
    )
    return first, size


def asked(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[float, int]:
    """The seconds and the bytes of one answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    begun = time.perf_counter()
    connection.request("GET", path, headers=headers or {})
    body = connection.getresponse().read()
    took = time.perf_counter() - begun
    connection.close()
    return took, len(body)


if __name__ == "__main__":
    main()
