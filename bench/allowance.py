"""What the exporter spends of a provider's allowance, and how soon it shows what happened: writes docs/allowance.md.

python -m bench.allowance [--hours 24] [--case northflank-3m]… [--output docs/allowance.md]
"""

import argparse
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bench import bad, faulty, first_hour, gitlab, large, looks, northflank, questions
from bench.course import tell
from bench.machine import cpu
from bench.table import Row, table

CASES: dict[str, Callable[[float], Row]] = {
    **northflank.ROWS,
    **gitlab.ROWS,
    **looks.ROWS,
    **bad.ROWS,
    **faulty.ROWS,
    **first_hour.ROWS,
    **large.ROWS,
    **questions.ROWS,
}

SECTIONS = (
    (
        "Northflank",
        """20 services and 10 jobs in 2 projects; 40 builds an hour in clusters of 5 within two minutes, each on one
of the 30 targets by Zipf's law; a build runs a lognormal time (σ 0.6) about the median named, and some 30 s more go to
queue, clone and upload. 1,000 requests an hour are allowed; the configuration names a token and nothing else. What is
spent comes in at 400 an hour; one hour may have 60 more, which were saved up before it. (Held to 400 in each single
hour, by a count of the hour's requests, the medians were 23, 28 and 41 s: so the saving was kept.)""",
        lambda name: name.startswith("northflank-"),
    ),
    (
        "GitLab",
        """500 projects, 300 pipelines an hour by Zipf's law over them, each of 12 jobs in 4 stages with medians of
one to two minutes, and of 2 manual jobs; now and then somebody plays one of those, one to six hours later. 600 requests
a minute are allowed; `spend: 50%`, `idle_ttl: 2m`.""",
        lambda name: name in gitlab.CASES,
    ),
    (
        "GitLab, while nothing is built",
        """The same projects. Bytes are those of the JSON, before compression, beside what a hundred jobs at each of the
same reads would have been.""",
        lambda name: name == "gitlab-idle",
    ),
    (
        "GitLab, one look at a hundred projects",
        """One GraphQL request shows which pipelines changed in up to a hundred projects. The first rows have the load
of 500 projects as above, and `refresh: {ttl: 15s, idle_ttl: 2m}`; the last have 1,000 projects, no limit and the
default pauses. Beside each is the same where the server refuses GraphQL, as it was read before there were looks.""",
        lambda name: name in looks.CASES,
    ),
    (
        "The first hour",
        """After a start, over many starts with other builds, from the first scrape on, beside the second hour of the
same runs. The mean may be 1.25 times, the 99th percentile 1.5 times that of the second hour. The configuration names a
token (GitLab: a group) and nothing else; 1,000 requests an hour, or 600 a minute, are allowed.""",
        lambda name: name in first_hour.CASES,
    ),
    (
        "When the load changes",
        """The same for the hour after a change of load, two hours after the start.""",
        lambda name: name in first_hour.CHANGES,
    ),
    (
        "Hardly anything is built",
        """Four starts of two days each, from the first minute on.""",
        lambda name: name == "rare-1x3",
    ),
    (
        "More than the rate limit allows",
        """30 projects of 10 services and 3 jobs each. Questions are 30 lists of services and 90 jobs. An even split is
the pause at which each would be asked if all were asked in turn, with what two reads for each build of a service and 15
requests an hour of discovery leave. No question may wait longer than 1.5 times that, and the mean delay is at most half
of it.""",
        lambda name: name in large.CASES,
    ),
    (
        "No limit is reported",
        """A self-managed GitLab that reports no rate limit.""",
        lambda name: name == "unnamed-gitlab",
    ),
    (
        "Processor time",
        """What is due is looked up at each scrape; the price, and with it all due times, is made anew every 15 to 60
seconds, which is the second pair of columns.""",
        lambda name: name in questions.ROWS,
    ),
    (
        "Servers that say wrong things",
        """The load of the row with builds of 3 min, and 50 projects of GitLab with 30 pipelines an hour. After an hour
the server answers as told, for a while; then it is honest again. "All read again" is when everything that concluded
meanwhile is shown, in seconds and in periods of the allowance (an hour, a minute).""",
        lambda name: name.startswith("bad-"),
    ),
    (
        "Exactly once, though servers fail",
        """The same load, while 5 % of the requests meet a 500, 2 % of the pages shift before the next is asked for, and
for an hour in the middle everything answers 503.""",
        lambda name: name.startswith("faulty-"),
    ),
)

HEAD = """# What the exporter spends, and how soon it shows what happened

Written by `make bench-allowance` on {date}: {hours:g} simulated hours a row after one that does not count,
Python {python}, {cpus} × {cpu}, {minutes:.0f} minutes.

The exporter's own code (collector, walk, cadence, window) runs under a simulated clock, in the process of the
simulator: a request is answered without HTTP and takes no time. Prometheus scrapes every 15 s where nothing else is
said. A *delay* is the time from the conclusion of a build to the first scrape that shows it. *Counted* is what the
counters rose by, from the first read to the end; *twice* and *missed* hold them against the script, build by build.
Limits stand beside what they bound.
"""

BEFORE = """
## Before the price was computed

The price of a request used to drift from a fixed start instead of following from what is known. The same rows with that
code and with the first version that computes it, measured on 2026-11-25. The second had longest pauses of up to 1.33
times an even split; now they are 1.18 times one. A job that waits 21,600 s was not asked at all in the six hours.

| | requests/h | delay: median | mean | p99 | a list waits | a job waits | builds | never shown |
|---|---|---|---|---|---|---|---|---|
| Northflank, builds of 3 min, 4 h: before | 378 | 22 s | | 137 s | | | 204 | 0 |
| after | 396 | 21 s | | 119 s | | | 204 | 0 |
| 30 × 10 + 90 jobs, 30 builds/h, 6 h: before | 390 | | | | 3,030 s | 21,600 s | 163 | 36 |
| after | 398 | | 277 s | 1,286 s | 1,695 s | 2,130 s | 163 | 0 |
| the same, nothing built: before | 390 | | | | 600 s | 21,600 s | 0 | 0 |
| 2 × 10 + 10 jobs, 40 builds/h, second hour of 10 starts: before | | | 26.1 s | 133 s | | | | |
| the first ten minutes of these: before | 278 | | 24.0 s | 127 s | | | | |
"""
"""Measured once: that code is gone."""


def main() -> None:
    """Run the cases that were asked for, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated hours that count")
    parser.add_argument("--case", action="append", choices=sorted(CASES), help="only this one, may be repeated")
    parser.add_argument("--output", type=Path, help="the page to write; to standard output without it")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    asked = parser.parse_args()
    names = asked.case or list(CASES)
    begun = time.monotonic()
    with ProcessPoolExecutor(asked.processes) as pool:
        rows = dict(zip(names, pool.map(_row, names, [asked.hours] * len(names)), strict=True))
    page = _page(rows, asked.hours, time.monotonic() - begun)
    if asked.output:
        asked.output.parent.mkdir(exist_ok=True)
        asked.output.write_text(page)
    else:
        sys.stdout.write(page)
    sys.exit(0 if all(row.holds for row in rows.values()) else 1)


def _row(name: str, hours: float) -> Row:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    begun = time.process_time()
    row = CASES[name](hours)
    tell(f"\n{name}: {time.process_time() - begun:.0f} s of CPU\n{table([row])}")
    return row


def _page(rows: dict[str, Row], hours: float, seconds: float) -> str:
    date = datetime.now(UTC).date().isoformat()
    head = HEAD.format(
        date=date, hours=hours, python=platform.python_version(), cpus=os.cpu_count(), cpu=cpu(), minutes=seconds / 60
    )
    parts = [head]
    for title, text, belongs in SECTIONS:
        mine = [row for name, row in rows.items() if belongs(name)]
        if mine:
            parts.append(f"\n## {title}\n\n{text}\n\n{table(mine)}")
    return "".join([*parts, BEFORE])


if __name__ == "__main__":
    main()
