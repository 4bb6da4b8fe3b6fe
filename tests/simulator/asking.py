"""What the simulator's tests share: a clock that is set by hand, and a shorter way to ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from exporter.simulator import SIMULATOR_TOKEN, Answer, Limit, Request, Simulator, World, world

NOW = 1_795_300_000.0
BEARER = {"authorization": f"Bearer {SIMULATOR_TOKEN}"}


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def simulator(
    of: World | None = None, clock: Clock | None = None, limit: Limit | None = None, seed: int = 1
) -> Simulator:
    return Simulator(of or world(1, 4, 5, 3), rate_limit=limit, clock=clock or Clock(), seed=seed)


def ask(server: Simulator, target: str, method: str = "GET", body: bytes = b"") -> Answer:
    return server.answer(Request.of(method, target, BEARER, body))


def read(server: Simulator, target: str, method: str = "GET", body: bytes = b"") -> Any:
    answer = ask(server, target, method, body)
    assert answer.status in (200, 201), (target, answer.status, answer.body)
    return orjson.loads(answer.body)


def builds(server: Simulator, path: str, per_page: int = 100) -> Iterator[dict[str, Any]]:
    """All builds of a Northflank list, page by page."""
    cursor = ""
    while True:
        page = read(server, f"{path}?per_page={per_page}{cursor}")
        assert page["pagination"]["count"] == len(page["data"]["builds"])
        assert page["pagination"]["hasNextPage"] == ("cursor" in page["pagination"])
        yield from page["data"]["builds"]
        if not page["pagination"]["hasNextPage"]:
            return
        cursor = f"&cursor={page['pagination']['cursor']}"


def linked(server: Simulator, target: str) -> Iterator[dict[str, Any]]:
    """All records of a GitLab list, by the `Link` of each page."""
    while target:
        answer = ask(server, target)
        assert answer.status == 200, answer.body
        yield from orjson.loads(answer.body)
        links = [link for link in answer.headers.get("link", "").split(", ") if link.endswith('rel="next"')]
        target = links[0].partition(">")[0].partition("gitlab.example.com")[2] if links else ""
