"""What stands in for the network: answers by path, and what was asked; and the golden pairs of `tests/data`."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from exporter.build import Build, Run
from exporter.config.secret import EnvToken
from exporter.errors import NotFound, SourceError
from exporter.http.wire import Answer, Reading, Request
from exporter.providers import Page
from exporter.providers.gitlab import GitLabSource
from exporter.providers.northflank import NorthflankProject, NorthflankSource

T = TypeVar("T")

DATA = Path(__file__).parent.parent / "data"
TOKEN = EnvToken("TOKEN")


def northflank(
    *projects: NorthflankProject, exclude: tuple[str, ...] = (), team: str | None = None
) -> NorthflankSource:
    return NorthflankSource(
        name="nf", provider="northflank", token=TOKEN, projects=projects or None, exclude=exclude, team=team
    )


def gitlab(
    *projects: str | int,
    groups: tuple[str | int, ...] = (),
    topics: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    v3: bool = False,
) -> GitLabSource:
    named: dict[str, Any] = {"projects": projects, "groups": groups}
    return GitLabSource(
        name="gl",
        provider="gitlab",
        url="https://gitlab.example.com",
        api="v3" if v3 else "v4",
        token=TOKEN,
        topics=topics,
        exclude=exclude,
        api_place="config.yaml:7",
        **{key: names for key, names in named.items() if names},
    )


@dataclass
class Server:
    """Answers by path, or by path and query; a `SourceError` is raised instead, what is not there is not found."""

    answers: Mapping[str, object]
    asked: list[Request] = field(default_factory=list)

    def lines(self) -> list[str]:
        return [line(request) for request in self.asked]

    def read(self, reading: Reading[T]) -> T:
        try:
            request = next(reading)
            while True:
                self.asked.append(request)
                answer = self.answer(request)
                request = reading.throw(answer) if isinstance(answer, SourceError) else reading.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def answer(self, request: Request) -> Answer | SourceError:
        found = self.answers.get(line(request), self.answers.get(request.path, NotFound("not found (404)")))
        if isinstance(found, Answer | SourceError):
            return found
        return answer(found)


def line(request: Request) -> str:
    return request.path + "?" + "&".join(f"{key}={value}" for key, value in request.params)


def answer(value: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(200, value if isinstance(value, bytes) else json.dumps(value).encode(), headers or {})


def once(body: bytes, reading: Reading[T]) -> T:
    """Answer the only request of a reading."""
    next(reading)
    try:
        reading.send(Answer(200, body))
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("asked for more")


NAMELESS = re.compile(r"[0-9a-f]{16}-\d+")
"""What tells records without an id apart."""


def shown(page: Page) -> object:
    """A page as its `.expected.json` has it: without what is absent."""
    rejected = [{"reason": each.reason, "id": NAMELESS.sub("", each.id)} for each in page.rejected]
    whole = {"builds": _told(page.builds), "rejected": rejected, "cursor": page.cursor}
    return whole | {"runs": _told(page.runs)} if page.runs else whole


def _told(records: Iterable[Build | Run]) -> list[dict[str, object]]:
    fields = (record._asdict().items() for record in records)
    return [{key: value for key, value in of_record if value not in (None, "")} for of_record in fields]


def cases(folder: str, wanted: Callable[[str], bool]) -> list[str]:
    names = [path.name.removesuffix(".json") for path in sorted((DATA / folder).glob("*.json"))]
    return [name for name in names if "." not in name and wanted(name)]


def case(folder: str, name: str) -> bytes:
    return (DATA / folder / f"{name}.json").read_bytes()


def expected(folder: str, name: str) -> object:
    value: object = orjson.loads((DATA / folder / f"{name}.expected.json").read_bytes())
    return value
