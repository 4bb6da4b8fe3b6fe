"""What goes over the wire: a request, its answer, and typed reads of JSON that nobody has checked."""

import json
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

import orjson

from exporter.errors import BadPayload
from exporter.http.json_size import check_length, check_size

T = TypeVar("T")

LONGEST_LABEL: Final = 250
"""Characters of a string that becomes a label; a git ref is seldom longer, and every one of them is kept in memory."""

MILLISECONDS_ABOVE: Final = 1e11
"""Epoch seconds reach this in the year 5138, epoch milliseconds did in 1973."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a provider's API."""

    operation: str
    """What it asks, as the metrics' label: `projects`, `services`, `builds`, `build`, `pipelines`, `graphql`, …."""
    path: str
    """Encoded, from the `/` behind the source's URL on: `/v1/projects/shop/services`."""
    params: tuple[tuple[str, str], ...] = ()
    """Not encoded yet, in order; a name may come twice."""
    query: bytes | None = None
    """JSON that is sent with POST, for an API that takes its questions so: it reads, and may be repeated like a GET."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered with a status of 2xx; all else is raised as a `SourceError` where it is fetched."""

    status: int
    body: bytes
    """Decompressed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    asked_at: float = 0.0
    """When the request was sent, seconds since the epoch: what the answer tells is at least as new."""


Reading = Generator[Request, Answer, T]
"""A piece of reading without its effects: it yields requests, is sent their answers, and returns T.

A `SourceError` may be thrown in instead of an answer. Whoever drives it does the fetching; the code between two
requests is pure.
"""


def decode(answer: Answer) -> object:
    """The JSON of an answer.

    `BadPayload` says in one line what came instead, or that it is more than any page; it shows nothing of the body.
    """
    if not answer.body.strip():
        raise BadPayload(f"answered {answer.status} with an empty body instead of JSON")
    check_size(answer.body)
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        if b"\\ud" in answer.body.lower():
            return _decode_surrogates(answer, error)
        raise BadPayload(_instead_of_json(answer, error)) from error


def _decode_surrogates(answer: Answer, refusal: orjson.JSONDecodeError) -> object:
    # JavaScript cuts a text in the middle of an emoji and sends the half: one such commit message must not hide a page.
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise BadPayload(_instead_of_json(answer, refusal)) from error


def _instead_of_json(answer: Answer, error: orjson.JSONDecodeError) -> str:
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    shown = media if media.isprintable() and len(media) <= LONGEST_LABEL else ""
    if "html" in media or answer.body.lstrip().startswith(b"<"):
        return f"answered HTML instead of JSON ({shown or 'no content type'})"
    if shown and "json" not in shown:
        return f"answered {shown} instead of JSON"
    offset = len(error.doc[: error.pos].encode(errors="replace"))
    return f"answered broken JSON at byte {offset} of {len(answer.body)}"


def mapping(value: object, what: str) -> Mapping[str, object]:
    """`value` as a JSON object; `BadPayload` names `what` it should have been."""
    if isinstance(value, dict):
        return value
    raise BadPayload(f"answered {_kind(value)} instead of an object for {what}")


def sequence(value: object, what: str) -> list[object]:
    """`value` as a page's JSON array; `BadPayload` names `what` it should have been, or says that it is too long."""
    if isinstance(value, list):
        check_length(len(value))
        return value
    raise BadPayload(f"answered {_kind(value)} instead of an array for {what}")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")


def inner(record: Mapping[str, object], key: str) -> Mapping[str, object]:
    """The object under `key`; an empty one where there is none."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def text(record: Mapping[str, object], key: str) -> str | None:
    """The string under `key`, fit for a label: 250 characters at most, encodable; None where absent or empty."""
    value = record.get(key)
    if not isinstance(value, str) or not value:
        return None
    return _encodable(value[:LONGEST_LABEL])


def _encodable(value: str) -> str:
    return value if value.isascii() else value.encode(errors="replace").decode()


def number(record: Mapping[str, object], key: str) -> float | None:
    """The finite number under `key`; a truth value is none."""
    return _finite(record.get(key))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def flag(record: Mapping[str, object], key: str) -> bool | None:
    """The truth value under `key`; 0, 1 and words are none."""
    value = record.get(key)
    return value if isinstance(value, bool) else None


def instant(value: object) -> float | None:
    """A time as UTC seconds since the epoch, from ISO 8601 or from epoch seconds or milliseconds.

    A time without an offset is UTC. None where there is no time, and for one outside 1970 to 5138: a zero time of any
    kind means that nothing happened yet.
    """
    seconds = _from_iso(value) if isinstance(value, str) else _finite(value)
    if seconds is None:
        return None
    if seconds > MILLISECONDS_ABOVE and not isinstance(value, str):
        seconds /= 1000
    return seconds if 0 < seconds < MILLISECONDS_ABOVE else None


def _from_iso(value: str) -> float | None:
    # Ruby writes `2024-06-19 02:21:01 UTC` and `2024-06-19 02:21:01 +0200`. A digit string is no ISO 8601 that is sent.
    if value[4:5] != "-":
        return None
    if " " in value:
        value = value.removesuffix(" UTC").replace(" +", "+").replace(" -", "-")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def identifier(value: object, longest: int = LONGEST_LABEL) -> str | None:
    """An id as a string, from a string or a natural number below 2^64; None where it can be none.

    Too long a string is none, rather than cut to what may be another's; `.` and `..` are none, for ids go into paths.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value < 1 << 64 else None
    if not isinstance(value, str) or not 0 < len(value) <= longest or value in {".", ".."}:
        return None
    return value if _encodable(value) == value else None
