"""A made-up Northflank whose builds are arithmetic: nothing is kept, so that thousands of targets cost it nothing.

python -m bench.performance.provider [--targets 1000] [--builds 200] [--latency 0.05] [--news]

Of a target every other build is of `main` and the rest of branches that come and go, each with its name; four in five
succeed. `--news`: each asking for a target's newest page finds one build more there.
"""

import argparse
import gzip
import sys
import time
from collections import Counter
from collections.abc import Mapping
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from exporter.errors import NotFound
from exporter.http.wire import Answer, Request
from exporter.simulator.words import iso, slug

PROJECT = 50
"""Services of a project."""
PACE = 1500.0
"""Seconds between two builds of a target's past."""
FRESH = 3900.0
"""Seconds from the creation of the newest of them to the start: by then it has ended, as have those that come."""
LONGEST = 3600.0
"""Seconds that a build takes at most."""
_iso = iso.__wrapped__
"""Without what it remembers: the memory of a process that holds the provider too is measured."""


class Northflank:
    """The answers of the API to who reads `targets` services, each with `builds` builds at the start."""

    def __init__(self, targets: int, builds: int = 200, *, start: float, news: bool = False) -> None:
        self.targets, self.builds, self.start, self.news = targets, builds, start, news
        self.rounds = 0
        """Builds that every target has had since the start."""
        self.more: Counter[int] = Counter()
        """Those of single targets besides."""

    def body(self, path: str, params: Mapping[str, str]) -> bytes:
        """The JSON that answers; raises KeyError, IndexError or ValueError where there is nothing."""
        match path.strip("/").split("/"):
            case ["v1", "projects"]:
                projects = [f"project-{n}" for n in range(-(-self.targets // PROJECT))]
                return _page("projects", [f'{{"id":"{name}","name":"{name}"}}' for name in projects], params)
            case ["v1", "projects", _, "jobs"]:
                return _page("jobs", [], params)
            case ["v1", "projects", project, "services"]:
                begin = int(project.removeprefix("project-")) * PROJECT
                numbers = range(begin, min(begin + PROJECT, self.targets))
                return _page("services", [_service(project, number) for number in numbers], params)
            case ["v1", "projects", _, "services", service, "build"]:
                number = int(service.removeprefix("service-"))
                if self.news and "cursor" not in params:
                    self.more[number] += 1
                count = self.builds + self.rounds + self.more[number]
                size, below = int(params.get("per_page", "50")), int(params.get("cursor", count))
                return _builds(number, below, max(0, below - size), self.builds, self.start)
        raise KeyError(path)


def _service(project: str, number: int) -> str:
    name = f"service-{number}"
    return f'{{"id":"{name}","projectId":"{project}","name":"{name}","serviceType":"combined","status":{{}}}}'


def _page(key: str, rows: list[str], params: Mapping[str, str]) -> bytes:
    begin = int(params.get("cursor", "0"))
    end = begin + int(params.get("per_page", "50"))
    return _answer(key, rows[begin:end], end if end < len(rows) else None)


def _answer(key: str, rows: list[str], cursor: int | None) -> bytes:
    after = f',"cursor":"{cursor}"' if cursor is not None else ""
    pagination = f'{{"hasNextPage":{"true" if after else "false"},"count":{len(rows)}{after}}}'
    return f'{{"data":{{"{key}":[{",".join(rows)}]}},"pagination":{pagination}}}'.encode()


def _builds(target: int, newest: int, oldest: int, past: int, start: float) -> bytes:
    """The builds from `newest` (without it) down to `oldest`."""
    rows = [_build(target, n, past, start) for n in range(newest - 1, oldest - 1, -1)]
    return _answer("builds", rows, oldest or None)


def _build(target: int, number: int, past: int, start: float) -> str:
    sha = sha1(f"{target}/{number}".encode(), usedforsecurity=False).hexdigest()
    dice = int(sha[:8], 16)
    created = start - FRESH + (number - past if number >= past else (number - past) * PACE)
    status = "SUCCESS" if dice % 10 < 8 else "FAILURE" if dice % 10 < 9 else "ABORTED"  # noqa: PLR2004  # the shares
    branch = "main" if number % 2 else f"feature/{sha[:7]}"
    ended = int(created) + min(LONGEST, 20.0 * 2 ** (dice % 800 / 100))
    fields = f'"id":"{slug(target * 1_000_003 + number)}","branch":"{branch}","status":"{status}","sha":"{sha}"'
    if status == "SUCCESS":
        fields += f',"registry":{{"uri":"registry.example.com/service-{target}:{sha}"}}'
    fields += f',"concluded":true,"createdAt":"{_iso(created)}","success":{"true" if status == "SUCCESS" else "false"}'
    return f'{{{fields},"message":"The build has ended","buildConcludedAt":{int(ended)}}}'


class Connected:
    """A source's connection to it, in the same process."""

    def __init__(self, northflank: Northflank) -> None:
        self._northflank = northflank
        self.requests = 0

    def __call__(self, request: Request, *, tag: str = "") -> Answer:  # noqa: ARG002  # it tags nothing
        """Its answer; there are no tags."""
        self.requests += 1
        try:
            return Answer(200, self._northflank.body(request.path, dict(request.params)), {}, self._northflank.start)
        except (KeyError, IndexError, ValueError) as error:
            raise NotFound(request.path) from error

    def close(self) -> None:
        """Nothing is open."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    northflank: Northflank
    latency: float
    known: ClassVar[dict[str, bytes]] = {}
    """Answers, by path and query, where they stay the same."""

    def log_message(self, *_: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        begun = time.monotonic()
        body = self.known.get(self.path)
        if body is None:
            path, _, query = self.path.partition("?")
            params = dict(pair.split("=", 1) for pair in query.split("&") if pair)
            try:
                body = gzip.compress(self.northflank.body(path, params), 1, mtime=0)
            except (KeyError, IndexError, ValueError):
                self.send_error(404)
                return
            if not self.northflank.news:
                self.known[self.path] = body
        time.sleep(max(0.0, begun + self.latency - time.monotonic()))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.connection.sendall(f"{head}content-encoding: gzip\r\n\r\n".encode() + body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Print the address, and answer until ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance.provider", description="A made-up Northflank.")
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--builds", type=int, default=200, help="of each target at the start")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of each answer, at least")
    parser.add_argument("--news", action="store_true", help="each asking for a newest page finds one build more")
    given = parser.parse_args()
    _Handler.northflank = Northflank(given.targets, given.builds, start=time.time(), news=given.news)
    _Handler.latency = given.latency
    server = _Server(("127.0.0.1", 0), _Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
