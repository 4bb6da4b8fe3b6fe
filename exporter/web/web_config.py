"""The file of `--web.config.file`, in the format of Prometheus' exporter-toolkit, to settings or every fault at once.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, PlainSerializer, PlainValidator, StrictBool, StrictStr
from pydantic import ValidationError as Invalid
from pydantic_core import ErrorDetails

from exporter.config import document
from exporter.config.document import Mapped
from exporter.config.errors import NEAR, Form
from exporter.config.values import FilePath, FromFile, Section, Word, fault
from exporter.errors import ConfigError

TLS = "tls_server_config"
HTTP = "http_server_config"
USERS = "basic_auth_users"

CIPHERS = MappingProxyType(
    {
        f"TLS_ECDHE_{key}_WITH_{name}": f"ECDHE-{key}-{short}"
        for name, short in {
            "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
            "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
            "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
            "AES_128_CBC_SHA": "AES128-SHA",
            "AES_256_CBC_SHA": "AES256-SHA",
        }.items()
        for key in ("ECDSA", "RSA")
    }
)
"""What Go calls the suites of TLS 1.2 that it takes for secure, and OpenSSL's names."""
CIPHERS_OF_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""As in Go these may be named, and are on whatever is named."""
CURVES = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
)
"""What Go calls the curves, and OpenSSL's names."""
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
"""Policies that take certificates which nobody has signed; the last is an old name of the one before it."""
REQUIRED = "RequireAndVerifyClientCert"
POLICIES = ("NoClientCert", "VerifyClientCertIfGiven", REQUIRED)
_MATERIAL = {"cert", "key", "client_ca", "cert_file", "key_file", "client_ca_file"}
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")


def _one_of(value: str, what: str, known: Iterable[str]) -> str:
    known = tuple(known)
    if value not in known:
        near = get_close_matches(value, known, n=1, cutoff=NEAR)
        raise fault(f"unknown {what}; " + (f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"))
    return value


def _version(text: str) -> str:
    if text in {"TLS10", "TLS11"}:
        raise fault("is too old to be spoken here (RFC 8996); write TLS12 or TLS13")
    if text not in {"TLS12", "TLS13"}:
        raise fault("must be TLS12 or TLS13")
    return text


def _policy(text: str) -> str:
    if text in UNVERIFIED:
        raise fault(f"takes certificates that nobody verifies, which cannot be had here; write {REQUIRED}")
    return _one_of(text, "policy", POLICIES)


def _curves(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > 1:
        raise fault("an order of several cannot be had here; name one curve, or leave it out")
    return names


def _header(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise fault("must be plain characters on one line")
    return text


def _any_of(*known: str) -> AfterValidator:
    def checked(text: str) -> str:
        if text and text not in known:
            raise fault(f"must be {' or '.join(known)}")
        return text

    return AfterValidator(checked)


def _user(text: str) -> str:
    if not text:
        raise fault("a user's name is empty")
    if ":" in text or not text.isprintable():
        raise fault("a user's name holds no colon and no control character: no browser could send it")
    return text


def _unlimited(_value: object) -> None:
    raise fault("requests are not limited here; leave it out, and put a proxy in front for that")


def _hash(value: object) -> str:
    # Whatever is wrong, the value may be a password: no word of it is shown.
    if not isinstance(value, str) or _BCRYPT.fullmatch(value) is None:
        raise fault("is no bcrypt hash ($2y$10$… and 60 characters long); htpasswd -nBC 10 USER makes one")
    return value


def _pem(value: object) -> str:
    if not isinstance(value, str) or "-----BEGIN " not in value:  # it may be a key: no word of it is shown
        raise fault("must be a PEM text, which begins with -----BEGIN")
    return value


Version = Annotated[StrictStr, AfterValidator(_version)]
Pem = Annotated[str, PlainValidator(_pem), PlainSerializer(lambda _: "…")]
Hash = Annotated[str, PlainValidator(_hash), PlainSerializer(lambda _: "…")]
Cipher = Annotated[StrictStr, AfterValidator(lambda name: _one_of(name, "suite", (*CIPHERS, *CIPHERS_OF_TLS13)))]
Curve = Annotated[StrictStr, AfterValidator(lambda name: _one_of(name, "curve", CURVES))]
Header = Annotated[StrictStr, AfterValidator(_header)]


class TlsServer(Section):
    """How the exporter proves who it is, and which clients it takes."""

    cert: Pem | None = Field(default=None, repr=False)
    key: Pem | None = Field(default=None, repr=False)
    client_ca: Pem | None = Field(default=None, repr=False)
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    client_ca_file: FilePath | None = None
    client_auth_type: Annotated[StrictStr, AfterValidator(_policy)] = "NoClientCert"
    client_allowed_sans: tuple[Word, ...] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Cipher, ...] = ()
    prefer_server_cipher_suites: StrictBool = True
    curve_preferences: Annotated[tuple[Curve, ...], AfterValidator(_curves)] = ()


class Headers(Section):
    """Headers of every answer: those that the toolkit lets one set. Empty: it is not set."""

    content_security_policy: Header = Field(default="", alias="Content-Security-Policy")
    strict_transport_security: Header = Field(default="", alias="Strict-Transport-Security")
    x_content_type_options: Annotated[StrictStr, _any_of("nosniff")] = Field(default="", alias="X-Content-Type-Options")
    x_frame_options: Annotated[StrictStr, _any_of("deny", "sameorigin")] = Field(default="", alias="X-Frame-Options")
    x_xss_protection: Header = Field(default="", alias="X-XSS-Protection")

    def given(self) -> list[tuple[str, str]]:
        """Names and values of those that are set."""
        return [(name, value) for name, value in self.model_dump(by_alias=True).items() if value]


class HttpServer(Section):
    """How the exporter answers."""

    http2: StrictBool = True
    """Without effect: HTTP/1.1 is spoken."""
    headers: Headers = Headers()


class WebSettings(Section):
    """The whole file."""

    tls_server_config: TlsServer = TlsServer()
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[Annotated[StrictStr, AfterValidator(_user)], Hash] = Field(default={}, repr=False)
    """Names to bcrypt hashes; nobody is asked for a password where there are none."""
    rate_limit: Annotated[None, PlainValidator(_unlimited)] = Field(default=None, exclude=True)

    @property
    def tls(self) -> TlsServer | None:
        """What is said of TLS; None where it is off."""
        tls = self.tls_server_config
        return tls if tls.cert or tls.cert_file else None


CheckFiles = Callable[[TlsServer], Iterator[tuple[str, str]]]
"""Says what is wrong with certificates and keys themselves: the key of `tls_server_config`, and why."""


def read(text: str, name: str, folder: Path, look: CheckFiles) -> WebSettings:
    """The settings of the text of the file `name`; relative paths in it begin at `folder`. Raises ConfigError."""
    source = document.parse(text, name, first=TLS, required=False)
    context, errors, settings = FromFile(folder), list[ErrorDetails](), None
    try:
        settings = WebSettings.model_validate(source.value, context=context)
    except Invalid as error:
        errors = error.errors(include_url=False, include_input=False)
    faults = {*FORM.of_yaml(source, errors), *FORM.of_settings(source, errors)}
    at_fault = {found.path for found in faults}
    for key, why in (*_contradictions(source.value.get(TLS)), *look(_material(source.value.get(TLS), context))):
        path = (TLS, key) if key else (TLS,)
        if path not in at_fault:
            faults.add(source.fault(path, why))
    if faults or settings is None:
        raise ConfigError([FORM.line(name, found) for found in sorted(faults)])
    return settings


def _material(tls: object, context: FromFile) -> TlsServer:
    """The certificates and keys alone, each that may be one: they are looked at whatever else is wrong."""
    kept: dict[str, object] = {}
    for key, value in tls.items() if isinstance(tls, Mapped) else ():
        if key in _MATERIAL:
            with suppress(Invalid):
                kept[key] = getattr(TlsServer.model_validate({key: value}, context=context), key)
    return TlsServer.model_validate(kept)


def _contradictions(tls: object) -> Iterator[tuple[str, str]]:
    """What does not fit together, each by the key to change; for the section itself that is empty."""
    if not isinstance(tls, Mapped) or not tls:
        return
    yield from _of_files(tls)
    yield from _of_clients(tls)
    if (tls.get("min_version"), tls.get("max_version")) == ("TLS13", "TLS12"):
        yield "max_version", "is older than min_version"
    suites = tls.get("cipher_suites")
    newest_alone = isinstance(suites, list) and suites and all(name in CIPHERS_OF_TLS13 for name in suites)
    if newest_alone and tls.get("max_version") == "TLS12":
        yield "cipher_suites", "names suites of TLS 1.3 alone, and max_version is TLS12"


def _of_files(tls: Mapped) -> Iterator[tuple[str, str]]:
    for inline in ("cert", "key", "client_ca"):
        if {inline, f"{inline}_file"} <= tls.keys():
            yield inline, f"is given as {inline}_file too; leave one of them out"
    certificate, key = ({name, f"{name}_file"} & tls.keys() for name in ("cert", "key"))
    if not certificate and not key:
        yield "", "names no certificate; write cert_file and key_file, or leave the section out"
    elif not certificate or not key:
        yield "", "cert_file is missing: the key's certificate" if key else "key_file is missing: the certificate's key"


def _of_clients(tls: Mapped) -> Iterator[tuple[str, str]]:
    policy = tls.get("client_auth_type", POLICIES[0])
    authorities = sorted({"client_ca", "client_ca_file"} & tls.keys())
    if authorities and policy == POLICIES[0]:
        yield authorities[0], f"has no effect without a policy; write client_auth_type: {REQUIRED}"
    if policy in POLICIES[1:] and not authorities:
        yield "client_auth_type", "needs client_ca_file: who signs the certificates of clients"
    if "client_allowed_sans" in tls and policy in POLICIES[:2]:
        yield "client_allowed_sans", f"has no effect without client_auth_type: {REQUIRED}"
    elif tls.get("client_allowed_sans") == []:
        yield "client_allowed_sans", "is empty, which no client fits; name one, or leave it out"


_SECTIONS: dict[document.Path, type[BaseModel]] = {
    (): WebSettings,
    (TLS,): TlsServer,
    (HTTP,): HttpServer,
    (HTTP, "headers"): Headers,
}


def _known_at(location: document.Path) -> type[BaseModel]:
    return _SECTIONS[location[:-1]]


def _path(error: ErrorDetails) -> document.Path:
    """Where the error is in the file: of a user's name that is wrong, pydantic adds that it is the key."""
    path = error["loc"]
    return path[:2] if path[:1] == (USERS,) else path


def _shown(path: document.Path) -> int:
    # Beneath a user or a key anything may be a password or a key, and with a colon it may be `USER:PASSWORD`.
    if path[:1] == (USERS,):
        return 1 + (":" not in str(path[1:2]))
    return 2 if path[:2] == (TLS, "key") else len(path)


FORM = Form(_known_at, _path, _shown)
