"""The only place that talks to a provider: a request goes out, its whole answer or a `SourceError` comes back."""

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
from exporter.http.http_errors import Asked, causes, failed, refused
from exporter.http.wire import Answer, Request

LARGEST = 32 * 1024 * 1024
"""Bytes of a body after decompression."""

_LARGEST_REFUSAL = 64 * 1024
_PIECE = 64 * 1024

_FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""What requests and those it stands on raise; UnicodeError is a ValueError, every error of ssl an OSError."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One request that was made, as metrics and the allowance want to know it."""

    operation: str
    code: str
    """The HTTP status, or `unreachable` where none came."""
    seconds: float
    """From the start until the body was read or given up."""
    headers: Mapping[str, str]
    """Names in lower case; empty where no answer came."""
    at: float
    """When the head of the answer came, or the request failed: seconds since the epoch."""


class Fetch:
    """What one source answers to requests. Threads share it; each has a connection of its own, which it keeps.

    `headers` gives those that authenticate, afresh for each request; they go to the origin of `url` alone (by the proxy
    that the environment names for it, if any). It may raise `Unauthorized`; then nothing is asked, nothing observed.
    `observe` is called once for each request. `timeout` is in seconds and bounds one request as a whole, but for what
    the system takes to resolve a name, and that each of a name's addresses may take `CONNECT_TIMEOUT`.
    """

    def __init__(  # noqa: PLR0913  # each is one setting of a source, given by name
        self,
        *,
        source: str,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        observe: Callable[[Observation], None],
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
        if insecure_skip_verify:  # said in the configuration, so not said again with every request
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def __call__(self, request: Request, *, method: str = "GET", body: bytes | None = None, tag: str = "") -> Answer:
        """The answer with a status of 2xx, or 304 (then without a body); every other end is raised as a `SourceError`.

        `body` is JSON; `tag` is the `ETag` of an earlier answer. A GET is repeated once where a kept connection
        turned out to be dead (module `connection`); no other method ever is.
        """
        path = request.path
        # Else requests would resolve the dots to another path, and the path's beginning could go into the host's name.
        if not path.startswith("/") or any(unquote(part) in {".", ".."} for part in path.split("/")):
            raise BadPayload(f"{path} names nothing of its own")
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= {"If-None-Match": tag} if tag else {}
        secret = dict(self._headers())
        if not all(value.isascii() and value.isprintable() for value in secret.values()):
            raise Unauthorized(f"the token of source {self._source} has characters that cannot be sent")
        asked = Asked(
            source=self._source,
            url=self._url,
            path=path,
            timeout=self._timeout,
            connect_timeout=min(CONNECT_TIMEOUT, self._timeout),
            secrets=tuple({word for value in secret.values() for word in (value, value.split(" ")[-1]) if word}),
        )
        query = f"?{urlencode(request.params)}" if request.params else ""
        prepared = requests.Request(
            method, self._url + path + query, headers=sent, data=body, auth=Authentication(secret)
        )
        return self._observed(self._session(), request.operation, prepared, asked)

    def _observed(self, session: requests.Session, operation: str, request: requests.Request, asked: Asked) -> Answer:
        """Ask, and tell `observe` how it went, however it went."""
        begun, asked_at = time.monotonic(), self._clock()
        code, headers, at = "unreachable", dict[str, str](), None
        try:
            with closing(_sent(session, request, deadline=begun + asked.timeout)) as response:
                at = self._clock()
                code = str(response.status_code)
                headers = {name.lower(): value for name, value in response.headers.items()}
                body = _answered(response, headers, asked, now=at)
        except SourceError:
            raise
        except _FOREIGN as error:
            status = int(code) if code.isdecimal() else None
            raise failed(error, asked, status)  # noqa: B904  # it is chained where that gives nothing away
        finally:
            seconds = time.monotonic() - begun
            self._observe(Observation(operation, code, seconds, headers, self._clock() if at is None else at))
        return Answer(status=int(code), body=body, headers=headers, asked_at=asked_at)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = new_session(self._url, self._verify)
            self._local.session = session
        with self._lock:
            if self._closed:
                raise Unreachable(f"source {self._source} is no longer read with these settings")
            self._sessions.add(session)
        return session

    def close(self) -> None:
        """Let go of the connections. A request under way goes on to its end; any later one is refused."""
        with self._lock:
            self._closed = True
            for session in self._sessions:
                session.close()


def _sent(session: requests.Session, request: requests.Request, *, deadline: float) -> requests.Response:
    """The head of the answer, its body not read yet. `deadline` is of the monotonic clock."""
    prepared = session.prepare_request(request)
    # Not `session.send`: followed or not, it reads a redirect's body without a bound and takes its address apart.
    adapter = session.get_adapter(prepared.url or "")
    settings: Any = {"verify": session.verify, "proxies": session.proxies}
    for last in (False, True):
        left = max(0.001, deadline - time.monotonic())
        timeout: Any = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, left), total=left)
        try:
            return adapter.send(prepared, stream=True, timeout=timeout, **settings)
        except requests.ConnectionError as error:
            if last or request.method != "GET" or not any(isinstance(cause, Dead) for cause in causes(error)):
                raise
    raise AssertionError  # the last turn returns or raises


def _answered(response: requests.Response, headers: Mapping[str, str], asked: Asked, *, now: float) -> bytes:
    """The decompressed body of an answer that is one; of any other, a `SourceError`."""
    status = response.status_code
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and status != HTTPStatus.NOT_MODIFIED:
        try:
            body = _body(response, _LARGEST_REFUSAL)
        except _FOREIGN:  # the status says enough
            body = b""
        raise refused(status, headers, body or b"", asked, now=now)
    whole = _body(response, LARGEST)
    if whole is None:
        raise BadPayload(f"{asked.told(asked.path)} answered more than {LARGEST >> 20} MiB", status=status)
    return whole


def _body(response: requests.Response, largest: int) -> bytes | None:
    """None if there are more bytes than `largest`; then the rest is not read."""
    pieces, size = [], 0
    # Not `iter_content`: what urllib3 raises says more than what requests makes of it.
    for piece in response.raw.stream(_PIECE, decode_content=True):
        size += len(piece)
        if size > largest:
            return None
        pieces.append(piece)
    return b"".join(pieces)
