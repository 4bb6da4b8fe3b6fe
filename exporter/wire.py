"""What goes over the wire: a request, its answer, and typed reads of JSON that nobody has checked."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a provider's API."""

    operation: str
    """What it asks, as the label of the metrics: `projects`, `services`, `jobs`, `builds`, `build`, `groups`, `project`."""
    path: str
    """Encoded, from the `/` behind the source's URL on: `/v1/projects/shop/services`."""
    params: tuple[tuple[str, str], ...] = ()
    """Not encoded yet, in order; a name may come twice."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered with a status of 2xx; everything else is raised as a `SourceError` where it is fetched."""

    status: int
    body: bytes
    """Decompressed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    asked_at: float = 0.0
    """When the request was sent, seconds since the epoch: what the answer tells is at least as new."""


Reading = Generator[Request, Answer, T]
"""A piece of reading without its effects: it yields requests, is sent their answers (or has a `SourceError` thrown in), and returns T.

Whoever drives it does the fetching; the code between two requests is pure.
"""
