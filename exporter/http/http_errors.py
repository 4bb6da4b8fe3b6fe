"""Statuses and exceptions of other libraries as `SourceError`s with one line each. Pure."""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson
import requests
import urllib3.exceptions

from exporter.errors import BadPayload, Forbidden, NotFound, RateLimited, SourceError, Unauthorized, Unreachable
from exporter.http.redaction import holds_secret, redacted

LONGEST_LINE = 200
"""Characters of a provider's own message that are repeated."""

_MAX_DEPTH = 3
"""Levels of an error's JSON that are read."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What the message of an error may say about a request."""

    source: str
    """The name of the source in the configuration."""
    url: str
    """The source's, without user information."""
    path: str
    """Of the request, without its parameters."""
    timeout: float
    """Seconds for the whole request."""
    connect_timeout: float
    """Seconds for one attempt to connect."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that no message may contain, whoever repeats them."""

    @property
    def host(self) -> str:
        """The host's name or address."""
        return urlsplit(self.url).hostname or self.url

    @property
    def host_and_port(self) -> str:
        """The host and the port, with the scheme's default port if the URL has none."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"{self.host}:{port}"

    def one_line(self, text: str) -> str:
        """`text` as one printable line without secrets, at most `LONGEST_LINE` characters."""
        # Unprintable characters go first: one that split a token would hide it from the search.
        line = " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in text).split())
        line = redacted(line, self.secrets)
        return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def error_for_status(
    status: int, headers: Mapping[str, str], body: bytes, context: RequestContext, *, now: float
) -> SourceError:
    """The error for an answer whose status is neither 2xx nor 304.

    `headers` are lower-cased; `body` may be cut or empty; `now`, in seconds since the epoch, is for a `Retry-After`
    that is a date.
    """
    said = context.one_line(_message(body))
    error = _refusal(status, headers, said, context, now)
    error.said = said
    return error


def _refusal(status: int, headers: Mapping[str, str], said: str, context: RequestContext, now: float) -> SourceError:
    path = context.one_line(context.path)
    answered = f"{path} answered {status}" + (f" ({said})" if said else "")
    if status == http.HTTPStatus.UNAUTHORIZED:
        return Unauthorized(f"{answered}: check the token of source {context.source}", status=status)
    if status == http.HTTPStatus.FORBIDDEN:
        return Forbidden(f"{answered}: the token of source {context.source} lacks the permission", status=status)
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        pause = retry_after(headers.get("retry-after", ""), now)
        hint = "the rate limit is used up" if pause is None else f"the rate limit is used up for {pause:.0f} s"
        return RateLimited(f"{answered}: {hint}", pause, status=status)
    if 300 <= status < 400:  # noqa: PLR2004  # the class of statuses
        location = headers.get("location", "")
        target = _redirect_target(location, context) if location else ""
        text = f"{path} moved" + (f" to {context.one_line(target)}" if target else "")
        moved = NotFound(f"{text}: correct the address in source {context.source}", status=status)
        moved.moved_to = urlsplit(target).path
        return moved
    kind, hint = _KINDS.get(
        status, (Unreachable if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else BadPayload, "")
    )
    return kind(answered + hint, status=status)


_KINDS: dict[int, tuple[type[SourceError], str]] = {
    404: (NotFound, ": it does not exist, or the token has no access to it"),
    407: (Unreachable, ": the proxy in the environment requires authentication"),
    408: (Unreachable, ""),
    410: (NotFound, ": it no longer exists"),
}


def retry_after(value: str, now: float) -> float | None:
    """Seconds from `now`, never negative, that a `Retry-After` names: a number or an HTTP date; else None."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _redirect_target(location: str, context: RequestContext) -> str:
    """Where a redirect leads, without user information, query and fragment: these may contain secrets."""
    try:
        parts = urlsplit(urljoin(context.url.rstrip("/") + context.path, location))
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an invalid address"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _message(body: bytes) -> str:
    """The API's own message if `body` is JSON of a shape that Northflank or GitLab is known to use; else empty."""
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(record, dict):
        return ""
    error = record.get("error")
    if isinstance(error, dict):
        return _flat(error.get("message"))
    errors = record.get("errors")  # GraphQL's
    told = [each.get("message") for each in errors if isinstance(each, dict)] if isinstance(errors, list) else None
    parts = (error, record.get("error_description"), record.get("message"), record.get("messages"), told)
    return ", ".join(filter(None, map(_flat, parts)))


def _flat(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_flat(item, depth + 1)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_flat(item, depth + 1) for item in value)
    return "" if value is None else str(value)


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and its causes, each once: chained, or in its arguments, as urllib3 and requests wrap them."""
    waiting, met = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in met:
            continue
        met.add(id(cause))
        yield cause
        behind = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting += [other for other in behind if isinstance(other, BaseException)]


def error_for_exception(error: BaseException, context: RequestContext, status: int | None = None) -> SourceError:
    """The error for a request for which `requests`, urllib3 or the system raised an exception.

    `status` is that of the answer, if its head arrived. The exception is chained unless a text in it contains a token
    or may contain the user information of a proxy's URL.
    """
    chain = list(causes(error))
    fitting = ((row, cause) for row in _MAPPINGS for cause in chain if isinstance(cause, row.types))
    row, cause = next(fitting, (_MAPPINGS[-1], error))
    mapped = row.kind(context.one_line(row.message(cause, context)))
    texts = [text for cause in chain for text in (str(cause), repr(cause))]
    secret = any("@" in text or holds_secret(text, context.secrets) for text in texts)
    mapped.status = status
    mapped.unsent = row.unsent
    mapped.__cause__ = None if secret else error
    mapped.__suppress_context__ = True
    return mapped


def _certificate(error: BaseException, context: RequestContext) -> str:
    code = getattr(error, "verify_code", None)
    if code in {62, 64}:  # X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"certificate of {context.host} is for another name: check the url of source {context.source}"
    if code == 10:  # noqa: PLR2004  # X509_V_ERR_CERT_HAS_EXPIRED
        return f"certificate of {context.host} has expired"
    return f"certificate of {context.host} is not trusted: set tls.ca_file"


def _system(error: BaseException, context: RequestContext) -> str:
    if type(error) is OSError and "CA certificate" in str(error):  # what requests raises if there is no such file
        return f"tls.ca_file of source {context.source} cannot be read"
    return f"no request to {context.host} was possible ({type(error).__name__})"


def _proxy(error: BaseException, _context: RequestContext) -> str:
    for cause in causes(error):
        if isinstance(cause, OSError) and str(cause).startswith("Tunnel connection failed"):
            return f"the proxy in the environment refused: {str(cause).rpartition('failed: ')[2]}"
    return "the proxy in the environment cannot be used"


@dataclass(frozen=True, slots=True)
class _Mapping:
    types: tuple[type[BaseException], ...]
    message: Callable[[BaseException, RequestContext], str]
    kind: type[SourceError] = Unreachable
    unsent: bool = False
    """Whether it can only happen before anything of the request is sent."""


_urllib3 = urllib3.exceptions
# The first row that fits any exception in the chain counts, so narrower types come before wider ones.
_MAPPINGS = (
    _Mapping((requests.exceptions.ProxyError, _urllib3.ProxyError), _proxy, unsent=True),
    _Mapping(
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.URLRequired,
            _urllib3.LocationValueError,
            _urllib3.URLSchemeUnknown,
            UnicodeError,
        ),
        lambda _, context: f"the URL of source {context.source}, or of the proxy in the environment, is not valid",
        unsent=True,
    ),
    _Mapping(
        (socket.gaierror, _urllib3.NameResolutionError),
        lambda _, context: f"cannot resolve {context.host}",
        unsent=True,
    ),
    _Mapping(
        (ConnectionRefusedError,), lambda _, context: f"connection refused by {context.host_and_port}", unsent=True
    ),
    _Mapping((ssl.CertificateError,), _certificate, unsent=True),
    _Mapping(
        (ssl.SSLError,),
        lambda error, context: f"TLS failed with {context.host_and_port} ({getattr(error, 'reason', '')})",
    ),
    _Mapping(
        (requests.exceptions.SSLError, _urllib3.SSLError), lambda _, context: f"TLS failed with {context.host_and_port}"
    ),
    _Mapping(
        (_urllib3.NewConnectionError,),
        lambda error, context: (
            f"cannot connect to {context.host_and_port} ({getattr(error.__cause__, 'strerror', None) or 'failed'})"
        ),
        unsent=True,
    ),
    _Mapping(
        (requests.exceptions.ConnectTimeout, _urllib3.ConnectTimeoutError),
        lambda _, context: f"no connection to {context.host_and_port} within {context.connect_timeout:g} s",
        unsent=True,
    ),
    _Mapping(
        (requests.exceptions.Timeout, _urllib3.TimeoutError, TimeoutError),
        lambda _, context: f"no answer from {context.host} within {context.timeout:g} s",
    ),
    _Mapping(
        (requests.exceptions.ContentDecodingError, _urllib3.DecodeError),
        lambda _, context: f"{context.path} answered with a body whose compression is broken",
        BadPayload,
    ),
    _Mapping(
        (requests.exceptions.ChunkedEncodingError, http.client.IncompleteRead),
        lambda _, context: f"{context.path} answered with a body that broke off",
    ),
    _Mapping((ConnectionError,), lambda _, context: f"connection closed by {context.host_and_port}"),
    _Mapping(
        (http.client.HTTPException,),
        lambda _, context: f"{context.host_and_port} sent something other than HTTP",
        BadPayload,
    ),
    _Mapping((_urllib3.ProtocolError,), lambda _, context: f"{context.path} answered with a body that broke off"),
    _Mapping((OSError,), _system),
)
