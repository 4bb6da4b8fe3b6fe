"""The web configuration file: what it takes, and each fault with its line, its key and what to do."""

import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
import real
import yaml
from certificates import PAST, Authority
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.errors import ConfigError
from exporter.web import tls
from exporter.web.web_config import HTTP, REQUIRED, TLS, USERS, Headers, HttpServer, TlsServer, WebSettings, read
from exporter.web.web_file import WebFile

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
"""Of the toolkit's own page."""
PAIR = "cert_file: a.crt, key_file: a.key"


def nothing(_tls: TlsServer) -> Iterator[tuple[str, str]]:
    """Certificates are not looked at."""
    return iter(())


def settings(text: str) -> WebSettings:
    return read(dedent(text), "web.yaml", Path("/etc/web"), nothing)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        settings(text)
    return raised.value.faults


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "---\n", "{}\n", "tls_server_config: {}\nbasic_auth_users: {}\n"]
)
def test_a_file_without_anything_in_it_switches_nothing_on(text: str) -> None:
    assert settings(text) == WebSettings()
    assert settings(text).tls is None


def test_all_of_the_format_is_taken() -> None:
    found = settings(f"""\
        tls_server_config:
          cert_file: tls.crt
          key_file: /keys/tls.key
          client_ca_file: ca.crt
          client_auth_type: RequireAndVerifyClientCert
          client_allowed_sans: [prometheus.example.com]
          min_version: TLS12
          max_version: TLS13
          cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
          prefer_server_cipher_suites: false
          curve_preferences: [CurveP256]
        http_server_config:
          http2: false
          headers:
            Content-Security-Policy: default-src 'self'
            Strict-Transport-Security: max-age=31536000
            X-Content-Type-Options: nosniff
            X-Frame-Options: deny
            X-XSS-Protection: ""
        basic_auth_users:
          prometheus: {HASH}
        """)
    assert found.tls_server_config == TlsServer(
        cert_file=Path("/etc/web/tls.crt"),
        key_file=Path("/keys/tls.key"),
        client_ca_file=Path("/etc/web/ca.crt"),
        client_auth_type="RequireAndVerifyClientCert",
        client_allowed_sans=("prometheus.example.com",),
        cipher_suites=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        prefer_server_cipher_suites=False,
        curve_preferences=("CurveP256",),
    )
    assert found.basic_auth_users == {"prometheus": HASH}
    assert found.http_server_config.headers.given() == [
        ("Content-Security-Policy", "default-src 'self'"),
        ("Strict-Transport-Security", "max-age=31536000"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "deny"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tls_server_conifg: {}", 'web.yaml:1: tls_server_conifg: unknown key; did you mean "tls_server_config"?'),
        (
            f"tls_server_config: {{{PAIR}, cert_fle: a}}",
            'web.yaml:1: tls_server_config.cert_fle: unknown key; did you mean "cert_file"?',
        ),
        (
            "http_server_config: {headers: {X-Frame-Option: deny}}",
            'web.yaml:1: http_server_config.headers.X-Frame-Option: unknown key; did you mean "X-Frame-Options"?',
        ),
        (
            "http_server_config: {headers: {Server: nginx}}",
            (
                "web.yaml:1: http_server_config.headers.Server: unknown key; known are Content-Security-Policy,"
                " Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection"
            ),
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: DENY}}",
            "web.yaml:1: http_server_config.headers.X-Frame-Options: must be deny or sameorigin",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nSet-Cookie: a=b"}}',
            "web.yaml:1: http_server_config.headers.X-XSS-Protection: must be plain characters on one line",
        ),
        ("http_server_config: {http2: 1}", "web.yaml:1: http_server_config.http2: must be true or false"),
        (
            "basic_auth_users: {alice: open sesame}",
            (
                "web.yaml:1: basic_auth_users.alice: is no bcrypt hash ($2y$10$… and 60 characters long);"
                " htpasswd -nBC 10 USER makes one"
            ),
        ),
        ("basic_auth_users: [alice]", "web.yaml:1: basic_auth_users: must have keys with values beneath it"),
        (f'basic_auth_users: {{"": {HASH}}}', "web.yaml:1: basic_auth_users.: a user's name is empty"),
        (
            f'basic_auth_users: {{"alice:secret": {HASH}}}',
            (
                "web.yaml:1: basic_auth_users: a user's name holds no colon and no control character:"
                " no browser could send it"
            ),
        ),
        ("basic_auth_users:\n", "web.yaml:1: basic_auth_users: is empty; give it a value or leave it out"),
        (
            "tls_server_config: {min_version: TLS13}",
            (
                "web.yaml:1: tls_server_config: names no certificate; write cert_file and key_file,"
                " or leave the section out"
            ),
        ),
        (
            "tls_server_config: {cert_file: a.crt}",
            "web.yaml:1: tls_server_config: key_file is missing: the certificate's key",
        ),
        (
            "tls_server_config: {key_file: a.key}",
            "web.yaml:1: tls_server_config: cert_file is missing: the key's certificate",
        ),
        (
            f"tls_server_config: {{{PAIR}, cert: '-----BEGIN CERTIFICATE-----'}}",
            "web.yaml:1: tls_server_config.cert: is given as cert_file too; leave one of them out",
        ),
        (
            "tls_server_config: {cert_file: a.crt, key: my secret}",
            "web.yaml:1: tls_server_config.key: must be a PEM text, which begins with -----BEGIN",
        ),
        (
            f"tls_server_config: {{{PAIR}, min_version: TLS14}}",
            "web.yaml:1: tls_server_config.min_version: must be TLS12 or TLS13",
        ),
        (
            f"tls_server_config: {{{PAIR}, min_version: TLS11}}",
            "web.yaml:1: tls_server_config.min_version: is too old to be spoken here (RFC 8996); write TLS12 or TLS13",
        ),
        (
            f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}",
            "web.yaml:1: tls_server_config.max_version: is older than min_version",
        ),
        (
            f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265]}}",
            (
                "web.yaml:1: tls_server_config.cipher_suites.0: unknown suite;"
                ' did you mean "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"?'
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]}}",
            "web.yaml:1: tls_server_config.cipher_suites: names suites of TLS 1.3 alone, and max_version is TLS12",
        ),
        (
            f"tls_server_config: {{{PAIR}, curve_preferences: [P-256]}}",
            (
                "web.yaml:1: tls_server_config.curve_preferences.0: unknown curve;"
                " known are CurveP256, CurveP384, CurveP521, X25519"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, curve_preferences: [X25519, CurveP256]}}",
            (
                "web.yaml:1: tls_server_config.curve_preferences: an order of several cannot be had here;"
                " name one curve, or leave it out"
            ),
        ),
        *(
            (
                f"tls_server_config: {{{PAIR}, client_ca_file: ca, client_auth_type: {policy}}}",
                (
                    "web.yaml:1: tls_server_config.client_auth_type: takes certificates that nobody verifies,"
                    " which cannot be had here; write RequireAndVerifyClientCert"
                ),
            )
            for policy in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
        ),
        (
            f"tls_server_config: {{{PAIR}, client_ca_file: ca, client_auth_type: RequireAndVerifyClientCerts}}",
            (
                "web.yaml:1: tls_server_config.client_auth_type: unknown policy;"
                ' did you mean "RequireAndVerifyClientCert"?'
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert}}",
            (
                "web.yaml:1: tls_server_config.client_auth_type: needs client_ca_file:"
                " who signs the certificates of clients"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_ca_file: ca}}",
            (
                "web.yaml:1: tls_server_config.client_ca_file: has no effect without a policy;"
                " write client_auth_type: RequireAndVerifyClientCert"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_allowed_sans: [a]}}",
            (
                "web.yaml:1: tls_server_config.client_allowed_sans: has no effect without"
                " client_auth_type: RequireAndVerifyClientCert"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: {REQUIRED}, client_ca_file: ca, client_allowed_sans: []}}",
            (
                "web.yaml:1: tls_server_config.client_allowed_sans: is empty, which no client fits;"
                " name one, or leave it out"
            ),
        ),
        (
            "rate_limit: {burst: 1}",
            "web.yaml:1: rate_limit: requests are not limited here; leave it out, and put a proxy in front for that",
        ),
    ],
)
def test_a_fault_is_a_line_with_its_key_and_what_to_do(text: str, expected: str) -> None:
    assert faults(text) == [expected]


def test_every_fault_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = f"""\
        tls_server_config:
          cert_file: missing.crt
          key_file: missing.key
          min_version: SSL3
        http_server_config:
          header: {{}}
        basic_auth_users:
          alice: secret
          bob: {HASH}
          bob: {HASH}
        """
    with pytest.raises(ConfigError) as raised:
        read(dedent(text), "web.yaml", tmp_path, tls.look)
    assert [line.split(": ")[:2] for line in raised.value.faults] == [
        ["web.yaml:2", "tls_server_config.cert_file"],
        ["web.yaml:3", "tls_server_config.key_file"],
        ["web.yaml:4", "tls_server_config.min_version"],
        ["web.yaml:6", "http_server_config.header"],
        ["web.yaml:8", "basic_auth_users.alice"],
        ["web.yaml:10", "basic_auth_users.bob"],
    ]


# Certificates


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def looked_at(folder: Path, text: str) -> list[str]:
    """The faults of a file in the folder, but for its name."""
    path = folder / "web.yaml"
    path.write_text(text)
    try:
        WebFile(path)
    except ConfigError as error:
        return [fault.removeprefix(f"{path}:") for fault in error.faults]
    return []


SMALLEST = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}"


def test_a_certificate_and_its_key_are_found_beside_the_file(tmp_path: Path, authority: Authority) -> None:
    authority.issue(tmp_path, "localhost")
    assert looked_at(tmp_path, SMALLEST) == []


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "tls.key").mkdir()
    assert looked_at(tmp_path, SMALLEST) == [
        f"1: tls_server_config.cert_file: {tmp_path}/tls.crt cannot be read: No such file or directory",
        f"1: tls_server_config.key_file: {tmp_path}/tls.key cannot be read: Is a directory",
    ]


def test_a_key_of_another_certificate_is_told(tmp_path: Path, authority: Authority) -> None:
    authority.issue(tmp_path, "localhost")
    _certificate, key = authority.issue(tmp_path, "localhost", name="other")
    key.rename(tmp_path / "tls.key")
    assert looked_at(tmp_path, SMALLEST) == ["1: tls_server_config.key_file: is not the key of the certificate"]


def test_a_key_with_a_pass_phrase_asks_nobody_for_it(tmp_path: Path, authority: Authority) -> None:
    _certificate, file = authority.issue(tmp_path, "localhost")
    key = load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert looked_at(tmp_path, SMALLEST) == [
        "1: tls_server_config.key_file: is encrypted; a key without a pass phrase is wanted"
    ]


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_and_no_key_is_told(tmp_path: Path, authority: Authority, text: str) -> None:
    certificate, key = authority.issue(tmp_path, "localhost")
    (tmp_path / "ca.crt").write_text(text)
    clients = "client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt"
    assert looked_at(tmp_path, SMALLEST.replace("}", f", {clients}}}")) == [
        "1: tls_server_config.client_ca_file: holds no certificate in PEM, or one that is damaged"
    ]
    key.write_text(text)
    assert looked_at(tmp_path, SMALLEST) == ["1: tls_server_config.key_file: holds no private key in PEM"]
    certificate.write_text(text)
    assert looked_at(tmp_path, SMALLEST) == [
        "1: tls_server_config.cert_file: holds no certificate in PEM, or one that is damaged"
    ]


def test_a_certificate_and_its_key_can_stand_in_the_file_itself(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue(tmp_path, "localhost")
    section = {"cert": certificate.read_text(), "key": key.read_text()}
    assert looked_at(tmp_path, yaml.safe_dump({TLS: section})) == []
    _certificate, other = authority.issue(tmp_path, "localhost")
    section["key"] = other.read_text()
    (fault,) = looked_at(tmp_path, yaml.safe_dump({TLS: section}))
    assert fault.endswith("tls_server_config.key: is not the key of the certificate")


def test_an_expired_certificate_is_no_fault_and_is_a_warning(tmp_path: Path, authority: Authority) -> None:
    certificate, _key = authority.issue(tmp_path, "localhost", ends=PAST)
    with capture_logs() as logs:
        assert looked_at(tmp_path, SMALLEST) == []
    event = f"{tmp_path}/web.yaml: tls_server_config: the certificate expired at 2026-01-02 03:04 UTC"
    assert logs == [{"event": event, "log_level": "warning"}]
    assert tls.expiry(certificate.read_bytes()) == PAST


def test_the_end_of_a_certificate_is_read_beyond_2049(tmp_path: Path, authority: Authority) -> None:
    ends = datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)
    certificate, _key = authority.issue(tmp_path, "localhost", ends=ends)
    assert tls.expiry(certificate.read_bytes()) == ends


@given(st.binary())
def test_what_is_no_certificate_has_no_end_and_breaks_nothing(content: bytes) -> None:
    pem = ssl.DER_cert_to_PEM_cert(content).encode()
    for text in (content, pem):
        with pytest.raises(ValueError, match="holds no certificate"):
            tls.expiry(text)


def test_what_is_said_of_versions_suites_and_curves_is_what_is_spoken(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue(tmp_path, "localhost")
    pair = {"cert_file": certificate, "key_file": key}
    plain = tls.context_of(TlsServer(**pair))
    assert (plain.minimum_version, plain.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert plain.verify_mode is ssl.CERT_NONE
    assert plain.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    some = TlsServer(
        **pair,
        cipher_suites=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        prefer_server_cipher_suites=False,
        max_version="TLS12",
        curve_preferences=("CurveP384",),
    )
    context = tls.context_of(some)
    of_tls12 = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    assert of_tls12 == ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    newest = tls.context_of(TlsServer(**pair, cipher_suites=("TLS_AES_128_GCM_SHA256",)))
    assert newest.minimum_version is ssl.TLSVersion.TLSv1_3


# Properties and secrets

WORDS = st.sampled_from(["", "a.crt", "TLS12", "deny", HASH, "-----BEGIN CERTIFICATE-----", "alice:secret"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


def section(*keys: str) -> st.SearchStrategy[object]:
    return VALUES | st.dictionaries(st.sampled_from(keys), VALUES, max_size=4)


HEADERS = [str(field.alias) for field in Headers.model_fields.values()]
FILES = st.fixed_dictionaries(
    {},
    optional={
        TLS: section(*TlsServer.model_fields),
        HTTP: section(*HttpServer.model_fields) | st.fixed_dictionaries({"headers": section(*HEADERS)}),
        USERS: section("alice", "bob"),
    },
)


@given(FILES)
def test_any_file_of_known_keys_gives_settings_or_faults_in_plain_words(values: object) -> None:
    try:
        settings(yaml.safe_dump(values))
    except ConfigError as error:
        for fault in error.faults:
            assert fault.startswith("web.yaml:")
            assert "Input should" not in fault
            assert USERS not in fault or "alice:secret" not in fault


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth_users: {alice: 12345}",
        "basic_auth_users: {alice: {12345: null}}",
        "basic_auth_users: {alice: [12345]}",
        "basic_auth_users: 12345",
        "basic_auth_users: {alice:12345}",
        "tls_server_config: {cert_file: a, key: 12345}",
        "tls_server_config: {cert_file: a, key: {12345: null}}",
    ],
)
def test_no_fault_repeats_a_password_or_a_key(text: str) -> None:
    assert "12345" not in "\n".join(faults(text))


def test_no_representation_shows_a_hash_or_a_key() -> None:
    found = settings(f"""\
        tls_server_config: {{cert_file: a, key: '-----BEGIN SECRET'}}
        basic_auth_users: {{alice: {HASH}}}
        """)
    assert "SECRET" not in repr(found) + found.model_dump_json()
    assert HASH not in repr(found) + found.model_dump_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"basic_auth_users: {{alice: {HASH}}}",
        "http_server_config: {http2: false, headers: {X-Frame-Options: deny}}",
        f"{SMALLEST[:-1]}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}}",
        f"{SMALLEST[:-1]}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]}}",
        f"{SMALLEST[:-1]}, min_version: TLS13, max_version: TLS13, curve_preferences: [X25519]}}",
    ],
)
def test_what_is_taken_here_prometheus_own_checker_takes_too(tmp_path: Path, authority: Authority, text: str) -> None:
    authority.issue(tmp_path, "localhost")
    authority.write(tmp_path / "ca.crt")
    assert looked_at(tmp_path, text) == []
    ended = subprocess.run(
        [real.tool("promtool"), "check", "web-config", tmp_path / "web.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
