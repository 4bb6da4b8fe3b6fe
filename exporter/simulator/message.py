"""What comes in and what goes out, as data: the providers' answers are a function of these and a clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

PAGE_SIZE_MAX = 100
"""Both providers refuse to give more at once, silently."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is as sent, percent escapes included; names of `headers` are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> "Request":
        """From a request line's target (`/v1/projects?page=2`) and headers of any case."""
        path, _, query = target.partition("?")
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        return cls(method, path, parse_qs(query, keep_blank_values=True) if query else {}, lowered, body)

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter, `default` where it is missing or empty."""
        values = self.query.get(name)
        return (values[0] if values else "") or default

    def number(self, name: str, default: int) -> int:
        """A query parameter as a whole number, `default` where it is none or below 1."""
        text = self.first(name)
        return int(text) if text.isdecimal() and int(text) > 0 else default

    def flag(self, name: str) -> bool | None:
        """A query parameter as yes or no, in the spellings that GitLab takes; None where it is missing."""
        text = self.first(name).lower()
        return text in ("true", "1", "yes", "on") if text else None

    def page_size(self, default: int) -> int:
        """`per_page`, at most 100."""
        return min(self.number("per_page", default), PAGE_SIZE_MAX)

    @property
    def token(self) -> str:
        """The token that the request shows, in either of the ways that the providers take it; empty for none."""
        bearer = self.headers.get("authorization", "")
        if bearer.lower().startswith("bearer "):
            return bearer[len("bearer ") :].strip()
        return self.headers.get("private-token", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. Content-Length, Date and the encoding are the server's affair."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def with_headers(self, more: Mapping[str, str]) -> "Answer":
        """The same answer with `more` headers."""
        return Answer(self.status, {**self.headers, **more}, self.body)


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer whose body is `content` as JSON."""
    return Answer(status, {"content-type": "application/json", **(headers or {})}, orjson.dumps(content))
