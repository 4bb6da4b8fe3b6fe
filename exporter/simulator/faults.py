"""Faults on demand, as data: which requests, how many of them, and what goes wrong with their answers.

simulator.faults.add("/v1/projects/*/services/*/build", faults.hang(), times=1)
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

import orjson

from exporter.simulator.message import Answer, json_answer

HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
)


class Sending(Enum):
    """How an answer goes over the wire."""

    WHOLE = "whole"
    TRUNCATED = "truncated"
    """Half of what Content-Length promises, then the end of the connection."""
    HANG = "hang"
    """Nothing, until the client goes or the server stops."""
    RESET = "reset"
    """A TCP reset in the place of an answer."""
    DRIP = "drip"
    """A few bytes at a time."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What goes wrong. The defaults are: nothing."""

    change: Callable[[Answer], Answer] | None = None
    """Makes the right answer into the one that is given."""
    sending: Sending = Sending.WHOLE
    delay: float = 0.0
    """Seconds before the answer; of a drip, between two pieces."""
    shifts: bool = False
    """After the answer there is one build more in the list that was asked for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An effect on the requests whose path fits the glob `path` (`*` fits slashes, too)."""

    path: str
    effect: Effect
    times: int | None = None
    """How many requests it befalls; None is all."""
    method: str = "*"


class Faults:
    """The faults that are in force, the oldest first. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, int | None]] = []

    def add(self, path: str, effect: Effect, *, times: int | None = None, method: str = "*") -> Fault:
        """Puts a fault in force."""
        fault = Fault(path, effect, times, method)
        with self._lock:
            self._left.append((fault, times))
        return fault

    def clear(self) -> None:
        """Ends all of them."""
        with self._lock:
            self._left.clear()

    def take(self, method: str, path: str) -> Effect | None:
        """The effect of the first fault that fits, which is used up by one."""
        if not self._left:
            return None
        with self._lock:
            for place, (fault, left) in enumerate(self._left):
                if fnmatchcase(path, fault.path) and fault.method in ("*", method):
                    if left == 1:
                        del self._left[place]
                    elif left is not None:
                        self._left[place] = (fault, left - 1)
                    return fault.effect
        return None


def instead(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Effect:
    """Any other answer in the place of the right one."""
    return Effect(lambda _: Answer(status, headers or {}, body))


def latency(seconds: float) -> Effect:
    """The right answer, late."""
    return Effect(delay=seconds)


def too_many(headers: Mapping[str, str] | None = None) -> Effect:
    """429 with exactly these headers: none, an honest `retry-after`, or a reset that is past."""
    return instead(429, b"Retry later\n", {"content-type": "text/plain", **(headers or {})})


def headers(more: Mapping[str, str]) -> Effect:
    """The right answer with other headers, such as a remainder that lies."""
    return Effect(lambda answer: answer.with_headers(more))


def server_error(status: int = 500) -> Effect:
    """5xx with a body of JSON."""
    answer = json_answer({"error": {"status": status, "message": "Internal server error"}}, status)
    return Effect(lambda _: answer)


def html(status: int = 200) -> Effect:
    """A proxy's page."""
    return instead(status, HTML, {"content-type": "text/html"})


def unauthorized() -> Effect:
    """401."""
    return Effect(lambda _: json_answer({"message": "401 Unauthorized"}, 401))


def not_found() -> Effect:
    """404."""
    return Effect(lambda _: json_answer({"message": "404 Not Found"}, 404))


def gone() -> Effect:
    """410, as GitLab answers to v3."""
    return Effect(lambda _: json_answer({"error": "API V3 is no longer supported. Use API V4 instead."}, 410))


def redirect(url: str, status: int = 302) -> Effect:
    """To another place, perhaps at another host."""
    return instead(status, b"", {"location": url})


def malformed() -> Effect:
    """JSON that breaks off, in a body of the length that was promised."""
    return Effect(lambda answer: Answer(answer.status, answer.headers, answer.body[: len(answer.body) * 2 // 3]))


def truncated() -> Effect:
    """A body that is shorter than its Content-Length."""
    return Effect(sending=Sending.TRUNCATED)


def hang() -> Effect:
    """No answer at all."""
    return Effect(sending=Sending.HANG)


def reset() -> Effect:
    """A reset of the connection."""
    return Effect(sending=Sending.RESET)


def drip(seconds: float = 0.05) -> Effect:
    """The right answer, 16 bytes at a time with a pause after each."""
    return Effect(sending=Sending.DRIP, delay=seconds)


def shifting() -> Effect:
    """The right answer, and a build more in the list before the next page is asked for."""
    return Effect(shifts=True)


def broken_records() -> Effect:
    """A page of builds of which each of the first seven is broken in its own way; those that remain are right."""
    return Effect(_with_broken_records)


def _with_broken_records(answer: Answer) -> Answer:
    content = orjson.loads(answer.body)
    builds: list[Any] = content if isinstance(content, list) else content["data"]["builds"]
    ends = ("buildConcludedAt", "finished_at")
    breakages: tuple[Callable[[dict[str, Any]], Any], ...] = (
        lambda build: _without(build, "status"),
        lambda build: _without(build, "createdAt", "created_at", "started_at", *ends),
        lambda build: _without(build, "id"),
        lambda build: {**build, **_early_end(build)},
        lambda build: {**build, "status": "REIMAGINED"},
        dict.fromkeys,
        lambda _: "not a build",
    )
    broken = [breakage(build) for breakage, build in zip(breakages, builds, strict=False)]
    builds[: len(broken)] = broken
    if builds:
        # The same build twice on one page.
        builds.append(builds[-1])
    return Answer(answer.status, answer.headers, orjson.dumps(content))


def _without(build: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in build.items() if name not in names}


def _early_end(build: dict[str, Any]) -> dict[str, Any]:
    """A conclusion months before the creation, as in the documented example of Northflank."""
    if "createdAt" in build:
        return {"status": "SUCCESS", "concluded": True, "success": True, "buildConcludedAt": 1606237973}
    return {"status": "success", "started_at": None, "finished_at": "2001-11-24T17:12:53.000Z"}
