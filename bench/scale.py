"""How long 200 targets of a slow provider take to be read, against what their requests take side by side.

python -m bench.scale [--targets 200] [--latency 0.1] [--concurrency 16] [--rounds 5]

The simulator is a process of its own, over HTTP. The first round is not counted: in it the simulator makes up its past.
"""

import argparse
import os
import subprocess
import sys
import time
from statistics import median

from exporter.collector import Collector
from exporter.config.secret import EnvToken
from exporter.settings.settings import Settings
from exporter.simulator.server import SIMULATOR_TOKEN

TOKEN = EnvToken("SIMULATED_TOKEN")
LIMIT = 1.5
"""Times what the requests take side by side."""


def read_all(url: str, concurrency: int) -> tuple[float, float]:
    """Seconds that a first read of every target took, and the requests that it made."""
    source = {"name": "northflank", "provider": "northflank", "url": url, "token": TOKEN}
    collector = Collector(Settings.model_validate({"sources": [source], "refresh": {"concurrency": concurrency}}))
    begun = time.monotonic()
    collector.collect()
    took = time.monotonic() - begun
    collector.close()
    return took, collector.self_metrics.requests("northflank")


def main() -> None:
    """Print a row for each round, and the median; end with 1 where that is over the limit."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="How fast a slow provider is read.")
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds of each answer")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    os.environ[TOKEN.env] = SIMULATOR_TOKEN
    command = [
        sys.executable,
        "-c",
        "from exporter.cli.main import main; main()",
        "simulate",
        "--northflank-projects=2",
    ]
    command += [f"--services={given.targets // 2}", "--jobs=0", f"--latency={given.latency * 1000:.0f}ms"]
    with subprocess.Popen(  # noqa: S603  # our own
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as simulator:
        try:
            url = str(simulator.stdout and simulator.stdout.readline()).strip()
            shares = [round_of(url, given.latency, given.concurrency, number) for number in range(given.rounds + 1)]
        finally:
            simulator.terminate()
    sys.stdout.write(f"median of {given.rounds}: {median(shares[1:]):.2f}, at most {LIMIT}\n")
    sys.exit(median(shares[1:]) > LIMIT)


def round_of(url: str, latency: float, concurrency: int, number: int) -> float:
    """What one round took, as a multiple of what its requests take side by side."""
    took, requests = read_all(url, concurrency)
    share = took / (requests * latency / concurrency)
    sys.stdout.write(f"{number or 'warm-up'}: {requests:.0f} requests in {took:.1f} s, {share:.2f} times\n")
    return share


if __name__ == "__main__":
    main()
