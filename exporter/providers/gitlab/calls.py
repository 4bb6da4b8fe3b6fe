"""Requests to GitLab: paths, pages, and the answer of servers without API v3. Pure."""

import re
from collections.abc import Generator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from exporter.build import Target
from exporter.errors import NotFound
from exporter.http.wire import Answer, Request
from exporter.providers.gitlab.settings import GitLabSource
from exporter.providers.pages import path

Params = tuple[tuple[str, str], ...]

_LINK: Final = re.compile(r'<([^<>]*)>[^<]*?;\s*rel="?next\b')
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def ask(source: GitLabSource, request: Request) -> Generator[Request, Answer, Answer]:
    """The answer to a request; a `NotFound` of a server without API v3 names the line to change."""
    try:
        return (yield request)
    except NotFound as error:
        if source.api != "v3" or error.status != HTTPStatus.GONE:
            raise
        raise NotFound(
            f'the server no longer speaks API v3: write "api: v4" at {source.api_place}', status=error.status
        ) from error


def of_project(source: GitLabSource, target: Target, *parts: str) -> str:
    """The path of a part of the target's project, or of the project itself."""
    return path("api", source.api, "projects", target.handle or target.name, *parts)


def next_page(answer: Answer, asked: Request) -> str | None:
    """The query of the next page; None where this was the last.

    Host and path of a `Link` are what the server believes about itself: they are not used.
    """
    link = _LINK.search(answer.headers.get("link", ""))
    query = _query(link[1]) if link else ""
    if query:
        return query
    page = answer.headers.get("x-next-page", "").strip()
    if not (page.isascii() and page.isdigit()):
        return None
    return urlencode([*(param for param in asked.params if param[0] != "page"), ("page", page)])


def params_of(cursor: str) -> Params:
    """The parameters of the page that `next_page` named."""
    return tuple(parse_qsl(cursor, keep_blank_values=True))


def iso(seconds: float) -> str:
    """A time as the API takes it, in whole seconds, never later than it was."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _query(link: str) -> str:
    try:
        return urlsplit(link).query
    except ValueError:
        return ""
