"""Conditional requests: if an answer had an ETag, the next request like it asks only for changes (RFC 9110, 13)."""

import re
import threading
from http import HTTPStatus
from typing import Final, Protocol

from cachetools import LRUCache

from exporter.errors import BadPayload
from exporter.http.wire import Answer, Request

ETAG: Final = "etag"
CACHE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of cached bodies. A larger answer is not cached, and its request is always sent without an ETag."""
LONGEST_ETAG: Final = 1024
"""Characters. Servers limit the size of a request's headers."""

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
"""RFC 9110, 8.8.3. Anything else may be impossible to send back, so that each later request would fail."""

RequestKey = tuple[str, tuple[tuple[str, str], ...]]
"""The path and the parameters of a request."""


class ConditionalFetch(Protocol):
    """Sends requests, optionally with the ETag of an earlier answer."""

    def __call__(self, request: Request, /, *, tag: str = "") -> Answer:
        """The answer; status 304 without a body if the ETag still matches."""

    def close(self) -> None:
        """Close the connections."""


class EtagCache:
    """Sends the ETag of the last answer with the next equal request, and returns the cached body for a 304."""

    def __init__(self, fetch: ConditionalFetch, max_bytes: int = CACHE_BYTES) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._answers: LRUCache[RequestKey, Answer] = LRUCache(max_bytes, getsizeof=lambda answer: len(answer.body) + 1)

    def __call__(self, request: Request) -> Answer:
        """The answer, always with its body. A request with a query has no ETag: it is sent with POST."""
        if request.query is not None:
            return self._fetch(request)
        key = (request.path, request.params)
        with self._lock:
            cached = self._answers.get(key)
        try:
            answer = self._fetch(request, tag=cached.headers[ETAG] if cached else "")
        except BadPayload:
            # The server or a proxy may have refused the ETag itself (400, 412, 431): the next request goes without one.
            with self._lock:
                self._answers.pop(key, None)
            raise
        if answer.status == HTTPStatus.NOT_MODIFIED and cached:
            return Answer(cached.status, cached.body, {**cached.headers, **answer.headers}, answer.asked_at)
        with self._lock:
            self._answers.pop(key, None)
            if _can_be_sent(answer.headers.get(ETAG, "")) and len(answer.body) < self._answers.maxsize:
                self._answers[key] = answer
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._fetch.close()


def _can_be_sent(tag: str) -> bool:
    return len(tag) <= LONGEST_ETAG and _ETAG.fullmatch(tag) is not None
