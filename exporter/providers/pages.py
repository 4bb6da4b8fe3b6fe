"""Lists that come page by page, and the records in them, for all providers. Pure."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, TypeVar
from urllib.parse import quote

import orjson

from exporter.build import Build
from exporter.errors import BadPayload, SourceError
from exporter.http.wire import Answer, Reading, Request, identifier, instant
from exporter.providers.contract import Page, Rejected

T = TypeVar("T")

MOST_PAGES: Final = 200
"""Of a list that discovery walks: 20,000 entries. What goes on longer is a server that loops."""

BuildFrom = Callable[[Mapping[str, object], str, float], tuple[Build, tuple[Rejected, ...]]]
"""From a record with its id and creation (UTC seconds) to the build, and what of it was dropped."""


def path(*segments: str) -> str:
    """The path of a request, from segments as they are spelled: `path("v1", "a/b")` is `/v1/a%2Fb`."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def page_from(records: list[object], created_key: str, build_from: BuildFrom, cursor: str | None = None) -> Page:
    """The builds of a list; a record that is no object, or has no id or no time of creation, is rejected alone."""
    builds: list[Build] = []
    rejected: list[Rejected] = []
    for record in records:
        if not isinstance(record, dict):
            rejected.append(nameless("not_an_object", record, rejected))
            continue
        build_id = identifier(record.get("id"))
        if build_id is None:
            rejected.append(nameless("no_id", record, rejected))
            continue
        created_at = instant(record.get(created_key))
        if created_at is None:
            rejected.append(Rejected("no_created_at", build_id))
            continue
        build, dropped = build_from(record, build_id, created_at)
        builds.append(build)
        rejected += dropped
    return Page(tuple(builds), cursor, tuple(rejected))


def nameless(reason: str, record: object, before: Sequence[Rejected]) -> Rejected:
    """A record without an id, told apart by its content; `before` are those rejected on the same page.

    Equal records on one page are told apart by their number, so that each is counted, and none again at the next read.
    """
    try:
        content = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested too deeply, or cut within a character
        content = b""
    digest = blake2b(content, digest_size=8).hexdigest()
    number = sum(one.reason == reason and one.id.startswith(digest) for one in before)
    return Rejected(reason, f"{digest}-{number}")


def in_order(
    build_id: str, created: float, started: float | None, ended: float | None
) -> tuple[float | None, float | None, tuple[Rejected, ...]]:
    """A build's start and end, without one that lies before what it follows; all in UTC seconds."""
    rejected: list[Rejected] = []
    if ended is not None and ended < created:
        rejected.append(Rejected("concluded_before_created", build_id))
        ended = None
    if started is not None and (started < created or (ended is not None and ended < started)):
        rejected.append(Rejected("started_out_of_order", build_id))
        started = None
    return started, ended, tuple(rejected)


def advanced(cursor: str | None, asked: str | None) -> str | None:
    """The next page's cursor; `BadPayload` where it is the one just asked for, since that walk would never end."""
    if cursor is not None and cursor == asked:
        raise BadPayload("answered a page whose next page is itself")
    return cursor


def walk(
    request: Callable[[str | None], Request], read: Callable[[Answer, str | None], tuple[list[T], str | None]]
) -> Reading[list[T]]:
    """The entries of all pages of a list.

    `request` makes the question for a cursor, `read` gives an answer's entries and the next cursor. `BadPayload` where
    a cursor comes twice or the pages have no end.
    """
    entries: list[T] = []
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        answer = yield request(cursor)
        found, cursor = read(answer, cursor)
        entries += found
        if cursor is None:
            return entries
        if cursor in seen:
            raise BadPayload("answered the same page cursor twice")
        seen.add(cursor)
    raise BadPayload(f"answered more than {MOST_PAGES} pages")


def prefixed(error: SourceError, what: str) -> SourceError:
    """The same kind of error, its line beginning with what could not be listed."""
    told = type(error)(f"{what}: {error}")
    told.__dict__.update(error.__dict__)
    told.__cause__ = error
    return told
