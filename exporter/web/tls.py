"""TLS: certificates and keys looked at and loaded, clients checked, and the newest context for every new connection."""

import os
import re
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import structlog

from exporter.config.certificates import trust
from exporter.config.files import content_of
from exporter.web.web_config import CIPHERS, CURVES, POLICIES, TlsServer

log = structlog.get_logger()

LARGEST_PEM: Final = 1024 * 1024
"""Bytes."""
VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
VERIFICATION: Final = dict(zip(POLICIES, (ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED), strict=True))
NOT_A_PAIR: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}
"""OpenSSL's reasons."""
NAMES: Final = {"DNS", "IP Address", "email", "URI"}
"""The kinds of alternative names that count."""

_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERSION_TAG, _UTC_TIME = 0xA0, 0x17
"""Of ASN.1 in DER."""


def look(tls: TlsServer) -> Iterator[tuple[str, str]]:
    """What is wrong with the certificates and the key: the key of the file that names them, and why."""
    found: dict[str, bytes] = {}
    for name in ("cert", "key", "client_ca"):
        key, given = _named(tls, name)
        if given is None:
            continue
        try:
            found[name] = _content(given)
            if name != "key":
                trust(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), found[name])
        except ValueError as error:
            found.pop(name, None)
            yield key, str(error)
    if {"cert", "key"} <= found.keys():
        try:
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), found["cert"], found["key"])
        except ValueError as error:
            yield _named(tls, "key")[0], str(error)


def files(tls: TlsServer) -> list[Path]:
    """The files of it, which may be renewed at any time."""
    return [path for path in (tls.cert_file, tls.key_file, tls.client_ca_file) if path is not None]


def context_of(tls: TlsServer) -> ssl.SSLContext:
    """The context that it describes. Raises ValueError where `look` would find a fault, SSLError where OpenSSL does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    suites = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
    # As with Go: where suites are named and none is of TLS 1.2, that has none.
    least = "TLS13" if tls.cipher_suites and not suites else tls.min_version
    context.minimum_version, context.maximum_version = VERSIONS[least], VERSIONS[tls.max_version]
    if suites:
        context.set_ciphers(":".join(suites))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])
    context.set_alpn_protocols(["http/1.1"])
    _load(context, *(_content(given) for _, given in (_named(tls, "cert"), _named(tls, "key")) if given is not None))
    _key, authority = _named(tls, "client_ca")
    if authority is not None:
        trust(context, _content(authority))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as with Go, whatever is named is trusted
    context.verify_mode = VERIFICATION[tls.client_auth_type]
    context.sslobject_class = _checking(frozenset(map(_plain_name, tls.client_allowed_sans)))
    return context


def expired(tls: TlsServer, now: datetime) -> datetime | None:
    """When its certificate expired; None where it is still good, or does not tell."""
    _key, given = _named(tls, "cert")
    with suppress(ValueError):
        ends = expiry(_content(given)) if given is not None else now
        return ends if ends < now else None
    return None


def expiry(pem: bytes) -> datetime:
    """Until when the first certificate of a PEM text is good. Raises ValueError where there is none."""
    try:
        (block,) = _BLOCK.findall(pem.decode("latin-1"))[:1]
        certificate = next(_parts(ssl.PEM_cert_to_DER_cert(block)))[1]
        signed = list(_parts(next(_parts(certificate))[1]))
        validity = signed[4 if signed[0][0] == _VERSION_TAG else 3][1]
        kind, text = list(_parts(validity))[1]
        digits = text.decode("ascii")
        if kind == _UTC_TIME:  # RFC 5280: two digits are of 1950 to 2049
            digits = ("19" if digits >= "5" else "20") + digits
        return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (IndexError, StopIteration, ValueError):
        raise ValueError("holds no certificate") from None


class Renewing(ssl.SSLContext):
    """A context that makes no connection itself: each is made by the newest one, whole, as it is then."""

    def __init__(self, _protocol: int, newest: Callable[[], ssl.SSLContext]) -> None:
        self._newest = newest

    def wrap_bio(self, *arguments: Any, **more: Any) -> ssl.SSLObject:
        """The connection, by the newest context."""
        return self._newest().wrap_bio(*arguments, **more)


def _named(tls: TlsServer, name: str) -> tuple[str, Path | str | None]:
    """The key that is given, and the file or the text; where it is given twice, the file, as with the toolkit."""
    path: Path | None = getattr(tls, f"{name}_file")
    text: str | None = getattr(tls, name)
    return (name, text) if path is None and text is not None else (f"{name}_file", path)


def _content(given: Path | str) -> bytes:
    if isinstance(given, str):
        return given.encode()
    try:
        content = content_of(given, LARGEST_PEM)
    except TimeoutError:
        raise ValueError(f"{given} is a pipe without an end") from None
    except OSError as error:
        raise ValueError(f"{given} cannot be read: {error.strerror}") from None
    if content is None:
        raise ValueError(f"{given} is larger than {LARGEST_PEM // 1024} KiB")
    return content


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    encrypted = False

    def no_phrase() -> str:
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
            context.load_cert_chain(certificate_file, key_file, no_phrase)
    except ssl.SSLError as error:
        reason = error.reason or "PEM"
        why = "is encrypted; a key without a pass phrase is wanted" if encrypted else "holds no private key in PEM"
        if reason in NOT_A_PAIR:
            why = "is not the key of the certificate"
        elif not encrypted and "PEM" not in reason and reason != "NO_START_LINE":
            why = f"or its certificate is refused: {reason.replace('_', ' ').lower()}"
        raise ValueError(why) from None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A file of that content, since `ssl` takes no other; in memory where there can be one."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("pem"), "wb") as made:
            made.write(content)
            made.flush()
            yield f"/proc/self/fd/{made.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as kept:
            kept.write(content)
            kept.flush()
            yield kept.name


def _checking(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    """A connection whose handshake fails where names are allowed and the client's certificate has none of them."""

    class Checking(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
                if allowed and not allowed & _names(self):
                    why = "the client's certificate has no name of client_allowed_sans"
                    raise ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, why)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                log.debug("TLS handshake failed", error=str(error))
                raise

    return Checking


def _names(connection: ssl.SSLObject) -> set[str]:
    """The alternative names of the client's certificate: DNS names, addresses, mail addresses, URIs."""
    certificate: Mapping[str, Any] = connection.getpeercert() or {}
    return {_plain_name(value.strip()) for kind, value in certificate.get("subjectAltName", ()) if kind in NAMES}


def _plain_name(name: str) -> str:
    """The name; an address in its one short form."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and contents of the values that follow one another in DER."""
    place = 0
    while place < len(der):
        tag, length = der[place], der[place + 1]
        place += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[place : place + size], "big")
            place += size
        yield tag, der[place : place + length]
        place += length
