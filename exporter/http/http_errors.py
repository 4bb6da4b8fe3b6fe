"""Why a provider gave nothing: statuses and foreign exceptions as `SourceError`s, one line each. Pure."""

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

LONGEST = 200
"""Characters of a provider's own words that are repeated."""

_DEEPEST = 3
"""Levels of an error's JSON that are read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, as far as a message may tell it."""

    source: str
    """The name of the source in the configuration."""
    url: str
    """The source's, without user information."""
    path: str
    """Of the request, without its parameters."""
    timeout: float
    """Seconds for the whole."""
    connect_timeout: float
    """Seconds for one try to connect."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that must not be told, whoever repeats them."""

    @property
    def host(self) -> str:
        """The name alone."""
        return urlsplit(self.url).hostname or self.url

    @property
    def origin(self) -> str:
        """The name and the port."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"{self.host}:{port}"

    def told(self, text: str) -> str:
        """`text` as one line that can be printed, without secrets, at most `LONGEST` characters."""
        # Unprintable ones go first: a token that they cut in two would be whole again after the search for it.
        line = " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in text).split())
        for secret in sorted(self.secrets, key=len, reverse=True):
            line = line.replace(secret, "[token]")
        return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def refused(status: int, headers: Mapping[str, str], body: bytes, asked: Asked, *, now: float) -> SourceError:
    """The error for an answer whose status is neither 2xx nor 304.

    `headers` are lower-cased; `body` may be cut or empty; `now`, in seconds since the epoch, is for a `Retry-After`
    that is a date.
    """
    path, said = asked.told(asked.path), asked.told(_message(body))
    answered = f"{path} answered {status}" + (f" ({said})" if said else "")
    if status == http.HTTPStatus.UNAUTHORIZED:
        return Unauthorized(f"{answered}: check the token of source {asked.source}", status=status)
    if status == http.HTTPStatus.FORBIDDEN:
        return Forbidden(f"{answered}: the token of source {asked.source} has no right to this", status=status)
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        pause = retry_after(headers.get("retry-after", ""), now)
        hint = "the allowance is used up" if pause is None else f"the allowance is used up for {pause:.0f} s"
        return RateLimited(f"{answered}: {hint}", pause, status=status)
    if 300 <= status < 400:  # noqa: PLR2004  # the class of statuses
        where = asked.told(_elsewhere(headers.get("location", ""), asked))
        return NotFound(f"{path} moved to {where}: name it so in source {asked.source}", status=status)
    kind, hint = _KINDS.get(
        status, (Unreachable if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else BadPayload, "")
    )
    return kind(answered + hint, status=status)


_KINDS: dict[int, tuple[type[SourceError], str]] = {
    404: (NotFound, ": no such thing, or the token may not see it"),
    407: (Unreachable, ": the proxy in the environment wants to know who asks"),
    408: (Unreachable, ""),
    410: (NotFound, ": it is there no more"),
}


def retry_after(value: str, now: float) -> float | None:
    """Seconds from `now`, never negative, that a `Retry-After` names: a number or an HTTP date; else None."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _elsewhere(location: str, asked: Asked) -> str:
    """Where a redirect leads, without user information, query and fragment: these may hold secrets."""
    try:
        parts = urlsplit(urljoin(asked.url.rstrip("/") + asked.path, location))
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "no address"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}" if location else "nowhere"


def _message(body: bytes) -> str:
    """The API's own words where `body` is JSON of a shape that Northflank or GitLab is known to use, else nothing."""
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(record, dict):
        return ""
    error = record.get("error")
    if isinstance(error, dict):
        return _flat(error.get("message"))
    parts = (error, record.get("error_description"), record.get("message"), record.get("messages"))
    return ", ".join(filter(None, map(_flat, parts)))


def _flat(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_flat(item, depth + 1)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_flat(item, depth + 1) for item in value)
    return "" if value is None else str(value)


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what lies behind it: chained, or wrapped in its arguments as urllib3 and requests do. Each once."""
    waiting, met = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in met:
            continue
        met.add(id(cause))
        yield cause
        behind = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting += [other for other in behind if isinstance(other, BaseException)]


def failed(error: BaseException, asked: Asked, status: int | None = None) -> SourceError:
    """The error for a request that `requests`, urllib3 or the system could not bring to a whole answer.

    `status` is that of the answer's head, where it came. The error is chained to `error` unless a text in there could
    give away a token or the user information of a proxy's URL.
    """
    chain = list(causes(error))
    fitting = ((row, cause) for row in _FOREIGN for cause in chain if isinstance(cause, row.types))
    row, cause = next(fitting, (_FOREIGN[-1], error))
    mapped = row.kind(asked.told(row.words(cause, asked)))
    spoken = [text for cause in chain for text in (str(cause), repr(cause))]
    secret = any(word in text for text in spoken for word in ("@", *asked.secrets))
    mapped.status = status
    mapped.unsent = row.unsent
    mapped.__cause__ = None if secret else error
    mapped.__suppress_context__ = True
    return mapped


def _certificate(error: BaseException, asked: Asked) -> str:
    code = getattr(error, "verify_code", None)
    if code in {62, 64}:  # X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"certificate of {asked.host} is for another name: check the url of source {asked.source}"
    if code == 10:  # noqa: PLR2004  # X509_V_ERR_CERT_HAS_EXPIRED
        return f"certificate of {asked.host} has expired"
    return f"certificate of {asked.host} is not trusted: set tls.ca_file"


def _system(error: BaseException, asked: Asked) -> str:
    if type(error) is OSError and "CA certificate" in str(error):  # requests' own way to say that there is no such file
        return f"tls.ca_file of source {asked.source} cannot be read"
    return f"{asked.host} cannot be asked ({type(error).__name__})"


def _proxy(error: BaseException, _asked: Asked) -> str:
    for cause in causes(error):
        if isinstance(cause, OSError) and str(cause).startswith("Tunnel connection failed"):
            return f"the proxy in the environment refused: {str(cause).rpartition('failed: ')[2]}"
    return "the proxy in the environment cannot be used"


@dataclass(frozen=True, slots=True)
class _Row:
    types: tuple[type[BaseException], ...]
    words: Callable[[BaseException, Asked], str]
    kind: type[SourceError] = Unreachable
    unsent: bool = False
    """Whether it happens only before anything of the request is sent."""


_urllib3 = urllib3.exceptions
# The first row that fits anything in the chain of causes counts: narrower ones stand before wider ones.
_FOREIGN = (
    _Row((requests.exceptions.ProxyError, _urllib3.ProxyError), _proxy, unsent=True),
    _Row(
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.URLRequired,
            _urllib3.LocationValueError,
            _urllib3.URLSchemeUnknown,
            UnicodeError,
        ),
        lambda _, asked: f"the url of source {asked.source}, or the proxy in the environment, is no address",
        unsent=True,
    ),
    _Row((socket.gaierror, _urllib3.NameResolutionError), lambda _, asked: f"cannot resolve {asked.host}", unsent=True),
    _Row((ConnectionRefusedError,), lambda _, asked: f"connection refused by {asked.origin}", unsent=True),
    _Row((ssl.CertificateError,), _certificate, unsent=True),
    _Row((ssl.SSLError,), lambda error, asked: f"no TLS with {asked.origin} ({getattr(error, 'reason', '')})"),
    _Row((requests.exceptions.SSLError, _urllib3.SSLError), lambda _, asked: f"no TLS with {asked.origin}"),
    _Row(
        (_urllib3.NewConnectionError,),
        lambda error, asked: (
            f"cannot connect to {asked.origin} ({getattr(error.__cause__, 'strerror', None) or 'failed'})"
        ),
        unsent=True,
    ),
    _Row(
        (requests.exceptions.ConnectTimeout, _urllib3.ConnectTimeoutError),
        lambda _, asked: f"no connection to {asked.origin} within {asked.connect_timeout:g} s",
        unsent=True,
    ),
    _Row(
        (requests.exceptions.Timeout, _urllib3.TimeoutError, TimeoutError),
        lambda _, asked: f"no answer from {asked.host} within {asked.timeout:g} s",
    ),
    _Row(
        (requests.exceptions.ContentDecodingError, _urllib3.DecodeError),
        lambda _, asked: f"{asked.path} answered with a body whose compression is broken",
        BadPayload,
    ),
    _Row(
        (requests.exceptions.ChunkedEncodingError, http.client.IncompleteRead),
        lambda _, asked: f"{asked.path} answered with a body that broke off",
    ),
    _Row((ConnectionError,), lambda _, asked: f"connection closed by {asked.origin}"),
    _Row((http.client.HTTPException,), lambda _, asked: f"{asked.origin} does not speak HTTP as it should", BadPayload),
    _Row((_urllib3.ProtocolError,), lambda _, asked: f"{asked.path} answered with a body that broke off"),
    _Row((OSError,), _system),
)
