"""Conditional requests: where an answer bore a tag, the next like it asks only for what changed since."""

import threading
from http import HTTPStatus
from typing import Protocol

from cachetools import LRUCache

from exporter.http.wire import Answer, Request

ETAG = "etag"
KEPT = 4 * 1024 * 1024
"""Bytes of bodies that are kept; what does not fit is asked without a tag."""

Asked = tuple[str, tuple[tuple[str, str], ...]]
"""The path and the parameters of a request."""


class Conditional(Protocol):
    """What answers requests, and takes the tag of an earlier answer."""

    def __call__(self, request: Request, /, *, tag: str = "") -> Answer:
        """Answer a request; with status 304 and no body where the tag still holds."""

    def close(self) -> None:
        """Let go of what is open."""


class Tagged:
    """A connection that sends the tag of the last answer to the same request, and gives its body again for a 304."""

    def __init__(self, fetch: Conditional, kept: int = KEPT) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._answers: LRUCache[Asked, Answer] = LRUCache(kept, getsizeof=lambda answer: len(answer.body) + 1)

    def __call__(self, request: Request) -> Answer:
        """The answer, with a body whether it is new or not."""
        asked = (request.path, request.params)
        with self._lock:
            known = self._answers.get(asked)
        answer = self._fetch(request, tag=known.headers[ETAG] if known else "")
        if answer.status == HTTPStatus.NOT_MODIFIED and known:
            return Answer(known.status, known.body, {**known.headers, **answer.headers}, answer.asked_at)
        with self._lock:
            self._answers.pop(asked, None)
            if answer.headers.get(ETAG) and len(answer.body) < self._answers.maxsize:
                self._answers[asked] = answer
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        self._fetch.close()
