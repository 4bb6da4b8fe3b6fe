"""The only module that sends requests to a provider: it returns the whole answer or raises a `SourceError`."""

import http.client
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import requests
import urllib3

from exporter.errors import BadPayload, SourceError, Unauthorized, Unreachable
from exporter.http.connection import CONNECT_TIMEOUT, Authentication, Dead, new_session
from exporter.http.http_errors import RequestContext, causes, error_for_exception, error_for_status
from exporter.http.redaction import holds_secret, redacted
from exporter.http.wire import Answer, Request

LARGEST_BODY = 8 * 1024 * 1024
"""Bytes of a body after decompression: 100 records of 80 KiB."""

_LARGEST_ERROR_BODY = 64 * 1024
_CHUNK = 64 * 1024

_EXCEPTIONS = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""Raised by requests and the libraries beneath it; UnicodeError is a ValueError, every error of ssl an OSError."""


@dataclass(frozen=True, slots=True)
class RequestStats:
    """One request that was sent, for the metrics and the rate limit."""

    operation: str
    code: str
    """The HTTP status, or `unreachable` if there was no answer."""
    seconds: float
    """From the start until the body was read or abandoned."""
    headers: Mapping[str, str]
    """Names in lower case; empty if there was no answer."""
    at: float
    """When the head of the answer arrived, or the request failed: seconds since the epoch."""


class Fetch:
    """Sends the requests of one source. Threads share it; each keeps a connection of its own.

    `headers` returns those that authenticate, anew for each request; they go only to the origin of `url`, through the
    proxy that the environment names for it, if any. It may raise `Unauthorized`; then nothing is sent or observed.
    `observe` is called once for each request. `timeout` is in seconds and covers a whole request, except the time in
    which the system resolves a name, and that each address of a name may take `CONNECT_TIMEOUT`.
    """

    def __init__(  # noqa: PLR0913  # each is one setting of a source, given by name
        self,
        *,
        source: str,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        observe: Callable[[RequestStats], None],
        timeout: float = 10.0,
        ca_file: Path | None = None,
        insecure_skip_verify: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._url = url.rstrip("/")
        self._headers = headers
        self._observe = observe
        self._timeout = timeout
        self._verify: bool | str = not insecure_skip_verify and (str(ca_file) if ca_file else True)
        self._clock = clock
        self._closed = False
        self._local = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._lock = threading.Lock()
        if insecure_skip_verify:  # the user chose it, so no warning with every request
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def __call__(self, request: Request, *, method: str = "GET", body: bytes | None = None, tag: str = "") -> Answer:
        """The answer with a status of 2xx, or 304 (then without a body). Raises a `SourceError` for anything else.

        `body` is JSON; `tag` is the `ETag` of an earlier answer. A GET, and a request with a `query`, is repeated once
        if a kept connection turned out to be closed (module `connection`); nothing else is ever repeated.
        """
        reads = method == "GET"
        if request.query is not None:
            method, body = "POST", request.query
        path = request.path
        # Else requests would resolve the dots to another path, and the path's beginning could go into the host's name.
        if not path.startswith("/") or any(unquote(part) in {".", ".."} for part in path.split("/")):
            raise BadPayload(f"{path} is not a path of its own")
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= {"If-None-Match": tag} if tag else {}
        secret = dict(self._headers())
        if not all(value.isascii() and value.isprintable() for value in secret.values()):
            raise Unauthorized(f"the token of source {self._source} has characters that cannot be sent")
        context = RequestContext(
            source=self._source,
            url=self._url,
            path=path,
            timeout=self._timeout,
            connect_timeout=min(CONNECT_TIMEOUT, self._timeout),
            secrets=tuple(word for value in secret.values() for word in (value, value.split(" ")[-1])),
        )
        query = f"?{urlencode(request.params)}" if request.params else ""
        prepared = requests.Request(
            method, self._url + path + query, headers=sent, data=body, auth=Authentication(secret)
        )
        return self._observed(request.operation, prepared, context, reads=reads)

    def _observed(self, operation: str, request: requests.Request, context: RequestContext, *, reads: bool) -> Answer:
        """Send the request, and call `observe` whatever comes of it. `reads`: it may be repeated."""
        session = self._session()
        begun, asked_at = time.monotonic(), self._clock()
        code, headers, at = "unreachable", dict[str, str](), None
        try:
            with closing(_sent(session, request, deadline=begun + context.timeout, reads=reads)) as response:
                at = self._clock()
                code = str(response.status_code)
                headers = _headers_of(response, context)
                body = _body_or_error(response, headers, context, now=at)
        except SourceError:
            raise
        except _EXCEPTIONS as error:
            status = int(code) if code.isdecimal() else None
            raise error_for_exception(error, context, status)  # noqa: B904  # it is chained unless it holds a secret
        finally:
            seconds = time.monotonic() - begun
            self._observe(RequestStats(operation, code, seconds, headers, self._clock() if at is None else at))
        return Answer(status=int(code), body=body, headers=headers, asked_at=asked_at)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = new_session(self._url, self._verify)
            self._local.session = session
        with self._lock:
            if self._closed:
                raise Unreachable(f"source {self._source} is closed: its settings have changed")
            self._sessions.add(session)
        return session

    def close(self) -> None:
        """Close the connections. A request in flight continues to its end; any later one is refused."""
        with self._lock:
            self._closed = True
            for session in self._sessions:
                session.close()


def _sent(session: requests.Session, request: requests.Request, *, deadline: float, reads: bool) -> requests.Response:
    """The answer with its body not read yet. `deadline` is of the monotonic clock; `reads`: it may be repeated."""
    prepared = session.prepare_request(request)
    # Not `session.send`: it reads the body of a redirect without a bound, and parses its address, followed or not.
    adapter = session.get_adapter(prepared.url or "")
    settings: Any = {"verify": session.verify, "proxies": session.proxies}
    for last in (False, True):
        left = max(0.001, deadline - time.monotonic())
        timeout: Any = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, left), total=left)
        try:
            return adapter.send(prepared, stream=True, timeout=timeout, **settings)
        except requests.ConnectionError as error:
            if last or not reads or not any(isinstance(cause, Dead) for cause in causes(error)):
                raise
    raise AssertionError  # the last turn returns or raises


def _headers_of(response: requests.Response, context: RequestContext) -> dict[str, str]:
    """The headers by lower-case name. Some are repeated in errors, so none contains a token."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    if holds_secret("\n".join(headers.values()), context.secrets):
        return {name: redacted(value, context.secrets) for name, value in headers.items()}
    return headers


def _body_or_error(
    response: requests.Response, headers: Mapping[str, str], context: RequestContext, *, now: float
) -> bytes:
    """The decompressed body of an answer with status 2xx or 304. Raises a `SourceError` for any other."""
    status = response.status_code
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and status != HTTPStatus.NOT_MODIFIED:
        try:
            body = _body(response, _LARGEST_ERROR_BODY)
        except _EXCEPTIONS:  # the status says enough
            body = b""
        raise error_for_status(status, headers, body or b"", context, now=now)
    whole = _body(response, LARGEST_BODY)
    if whole is None:
        raise BadPayload(f"{context.one_line(context.path)} answered more than {LARGEST_BODY >> 20} MiB", status=status)
    return whole


def _body(response: requests.Response, largest: int) -> bytes | None:
    """The decompressed body; None if it has more than `largest` bytes, and then the rest is not read."""
    chunks, size = [], 0
    # Not `iter_content`: the exceptions of urllib3 are more precise than those that requests makes of them.
    for chunk in response.raw.stream(_CHUNK, decode_content=True):
        size += len(chunk)
        if size > largest:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
