"""`--web.config.file` over real connections: TLS, certificates that are renewed, clients, users, headers."""

import base64
import http.client
import os
import signal
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import bcrypt
import pytest
import yaml
from certificates import PAST, Authority
from cryptography import x509
from processes import run, running
from scraping import api, prometheus, query
from serving import (
    TOKEN,
    Exporter,
    Reply,
    ask,
    ask_over,
    configuration,
    eventually,
    gitlab,
    northflank,
    serving,
    settings,
    simulating,
)
from structlog.testing import capture_logs

from exporter.errors import ConfigError
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import world
from exporter.web.access import WAITING
from exporter.web.web_file import WebFile

PASSWORD = "correct horse: battery"
OPEN_PATHS = ("/-/healthy", "/-/ready")
CLOSED_PATHS = ("/metrics", "/", "/probe?source=a&target=b", "/api/v1/targets", "/static/page.css", "/docs", "/nowhere")
TLS = {"cert_file": "tls.crt", "key_file": "tls.key"}
CLIENTS = {**TLS, "client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


HASH = hashed(PASSWORD)


def basic(user: str, password: str, scheme: str = "Basic") -> dict[str, str]:
    return {"Authorization": f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with simulating(world(1, 1, 0, 1)) as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    """With a certificate of the exporter, its key, and who signs clients."""
    authority.issue(tmp_path, "127.0.0.1", "localhost")
    authority.write(tmp_path / "ca.crt")
    return tmp_path


def written(folder: Path, **sections: object) -> Path:
    """The web configuration file; it takes the old one's place at once, as an editor or Kubernetes does it."""
    path = folder / "web.yaml"
    new = folder / "new.yaml"
    new.write_text(yaml.safe_dump(sections))
    new.replace(path)
    return path


def users(**given: str) -> dict[str, str]:
    return {"prometheus": HASH, **given}


@pytest.fixture
def guarded(simulator: Simulator, tmp_path: Path) -> Iterator[Exporter]:
    """An exporter that asks for a password, over plain HTTP."""
    web = WebFile(written(tmp_path, basic_auth_users=users()))
    more = f"webhook: {{secret: {{env: {TOKEN}}}}}"
    with serving(settings(northflank(simulator), gitlab(simulator, more=f"groups: [group-0], {more}")), web=web) as one:
        yield one


# Users


@pytest.mark.parametrize("path", CLOSED_PATHS)
def test_whoever_has_no_password_is_asked_for_one(guarded: Exporter, path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        reply = guarded.ask(path, method=method)
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Basic realm=")


def test_reload_wants_the_password_and_the_option_both(guarded: Exporter) -> None:
    assert guarded.ask("/-/reload", method="POST").status == 401
    assert guarded.ask("/-/reload", basic("prometheus", PASSWORD), method="POST").status == 403


def test_the_right_password_opens_every_path(guarded: Exporter) -> None:
    for path in (*CLOSED_PATHS, *OPEN_PATHS):
        assert guarded.ask(path, basic("prometheus", PASSWORD)).status in {200, 404}
    assert guarded.ask(headers=basic("prometheus", PASSWORD, "bAsIc")).targets("gitlab") == {"group-0/app-0"}


@pytest.mark.parametrize(
    "given",
    [
        basic("prometheus", "wrong"),
        basic("prometheus", ""),
        basic("prometheus", PASSWORD + "!"),
        basic("somebody", PASSWORD),
        basic("", ""),
        basic("prometheus", "null\0" + PASSWORD),
        basic("prometheus", "p" * 5000),
        basic("prometheus", PASSWORD, "Bearer"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic %%%"},
        {"Authorization": f"Basic {base64.b64encode(b'prometheus').decode()}"},
        {"Authorization": f"Basic {base64.b64encode(bytes([255, 58, 255])).decode()}"},
        {"Authorization": ""},
    ],
)
def test_any_other_password_or_user_opens_none_before_and_after_the_right_one(
    guarded: Exporter, given: dict[str, str]
) -> None:
    assert guarded.ask(headers=given).status == 401
    assert guarded.ask(headers=basic("prometheus", PASSWORD)).status == 200
    assert guarded.ask(headers=given).status == 401


def test_probes_and_deliveries_need_no_password_and_a_delivery_its_secret(guarded: Exporter) -> None:
    for path in OPEN_PATHS:
        assert guarded.ask(path).status in {200, 503}
    assert guarded.ask("/webhooks/gitlab", method="POST").text == "unauthorized\n"
    delivered = guarded.ask("/webhooks/gitlab", {"X-Gitlab-Token": SIMULATOR_TOKEN}, method="POST")
    assert delivered.text == "malformed\n"
    for path in ("/webhooks/gitlab", "/-/healthy/", "//-/healthy", "/-/healthy/../../metrics", "/webhooks"):
        assert guarded.ask(path).status == 401
    assert guarded.ask("/webhooks", method="POST").status == 401


def test_users_may_be_several_and_of_any_cost_and_script(simulator: Simulator, tmp_path: Path) -> None:
    more = users(jürgen=hashed("größe", 5), long=hashed("x" * 72))
    web = WebFile(written(tmp_path, basic_auth_users=more))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        assert exporter.ask(headers=basic("jürgen", "größe")).status == 200
        assert exporter.ask(headers=basic("long", "x" * 72)).status == 200
        assert exporter.ask(headers=basic("long", "x" * 71)).status == 401
        assert exporter.ask(headers=basic("prometheus", PASSWORD)).status == 200
        assert exporter.ask(headers=basic("prometheus", "größe")).status == 401


def test_a_hash_that_another_program_made_is_taken(simulator: Simulator, tmp_path: Path) -> None:
    known = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"  # the toolkit has it in its source
    with serving(settings(northflank(simulator)), web=WebFile(written(tmp_path, basic_auth_users={"a": known}))) as one:
        assert one.ask(headers=basic("a", "fakepassword")).status == 200


def test_many_passwords_at_once_hold_up_nobody_who_was_let_in_before(simulator: Simulator, tmp_path: Path) -> None:
    web = WebFile(written(tmp_path, basic_auth_users={"prometheus": hashed(PASSWORD, 8)}))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        right = basic("prometheus", PASSWORD)
        assert exporter.ask(headers=right).status == 200
        with ThreadPoolExecutor(2 * WAITING) as threads:
            wrong = [
                threads.submit(exporter.ask, "/metrics", basic("prometheus", str(guess)))
                for guess in range(2 * WAITING)
            ]
            assert exporter.ask(headers=right).status == 200
            assert exporter.ask("/-/healthy").status == 200
            assert {one.result().status for one in wrong} <= {401, 503}


def test_users_are_changed_by_writing_the_file(simulator: Simulator, tmp_path: Path) -> None:
    path = written(tmp_path, basic_auth_users=users())
    with serving(settings(northflank(simulator)), web=WebFile(path)) as exporter, capture_logs() as logs:
        old, new = basic("prometheus", PASSWORD), basic("prometheus", "new")
        assert (exporter.ask(headers=old).status, exporter.ask(headers=new).status) == (200, 401)
        written(tmp_path, basic_auth_users=users(prometheus=hashed("new")))
        assert (exporter.ask(headers=old).status, exporter.ask(headers=new).status) == (401, 200)
        path.write_text("basic_auth_users: {prometheus: new}")
        assert (exporter.ask(headers=old).status, exporter.ask(headers=new).status) == (401, 200)
        path.unlink()
        assert exporter.ask(headers=new).status == 200
        written(tmp_path)
        assert exporter.ask().status == 200
    told = [(line["log_level"], line["event"].split()[0]) for line in logs if "web" in line["event"]]
    assert [level for level, _ in told] == ["info", "error", "error", "info"]


# Headers


def test_headers_are_on_every_answer_and_come_before_our_own(simulator: Simulator, tmp_path: Path) -> None:
    headers = {"X-Frame-Options": "deny", "Content-Security-Policy": "default-src 'none'", "X-XSS-Protection": ""}
    web = WebFile(written(tmp_path, basic_auth_users=users(), http_server_config={"headers": headers}))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        for path in ("/metrics", "/", "/-/healthy", "/nowhere"):
            for given in ({}, basic("prometheus", PASSWORD)):
                reply = exporter.ask(path, given)
                assert reply.headers["x-frame-options"] == "deny"
                assert reply.headers["content-security-policy"] == "default-src 'none'"
                assert "x-xss-protection" not in reply.headers


# TLS


def test_scrapes_go_over_tls_and_plain_ones_are_not_answered(
    simulator: Simulator, folder: Path, authority: Authority
) -> None:
    web = WebFile(written(folder, tls_server_config=TLS))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        assert exporter.url.startswith("https://")
        assert exporter.ask(context=authority.client()).targets("northflank") == {"service-0"}
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(exporter.url.replace("https", "http"))
        with pytest.raises(ssl.SSLCertVerificationError):
            exporter.ask(context=ssl.create_default_context())


def test_what_is_said_of_versions_and_suites_is_what_is_agreed(
    simulator: Simulator, folder: Path, authority: Authority
) -> None:
    suites = ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
    spoken = {"max_version": "TLS12", "cipher_suites": suites, "curve_preferences": ["CurveP384"]}
    web = WebFile(written(folder, tls_server_config=TLS | spoken))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        connection = http.client.HTTPSConnection(urlsplit(exporter.url).netloc, context=authority.client())
        assert ask_over(connection, "/-/healthy").status == 200
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() == "TLSv1.2"
        assert connection.sock.cipher()[0] in {"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"}  # type: ignore[index]
        connection.close()
        newest = authority.client()
        newest.minimum_version = ssl.TLSVersion.TLSv1_3
        with pytest.raises((ssl.SSLError, OSError)):
            exporter.ask(context=newest)


def test_a_renewed_certificate_is_shown_to_new_connections_and_a_bad_one_to_none(
    simulator: Simulator, folder: Path, authority: Authority
) -> None:
    web = WebFile(written(folder, tls_server_config=TLS))
    with serving(settings(northflank(simulator)), web=web) as exporter, capture_logs() as logs:
        netloc = urlsplit(exporter.url).netloc
        kept = http.client.HTTPSConnection(netloc, context=authority.client())
        assert ask_over(kept, "/-/healthy").status == 200
        other = Authority()
        other.issue(folder, "127.0.0.1")
        assert exporter.ask("/-/healthy", context=other.client()).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            exporter.ask("/-/healthy", context=authority.client())
        assert ask_over(kept, "/-/healthy").status == 200
        kept.close()
        (folder / "tls.key").write_text("half of a ke")
        for _ in range(3):
            assert exporter.ask("/-/healthy", context=other.client()).status == 200
        authority.issue(folder, "127.0.0.1")
        assert exporter.ask("/-/healthy", context=authority.client()).status == 200
    told = [line for line in logs if line["log_level"] == "error"]
    assert [line["faults"] for line in told] == [
        [f"{folder}/web.yaml:3: tls_server_config.key_file: holds no private key in PEM"]
    ]


@pytest.fixture
def known(folder: Path, authority: Authority) -> ssl.SSLContext:
    """Of a client with a certificate by the authority that the file names."""
    return authority.client(*authority.issue(folder, "client.example.com", name="client"))


@pytest.fixture
def strange(folder: Path, authority: Authority) -> ssl.SSLContext:
    """Of a client with a certificate by another one."""
    return authority.client(*Authority().issue(folder, "client.example.com", name="strange"))


def test_the_authority_of_clients_is_renewed_too(simulator: Simulator, folder: Path, known: ssl.SSLContext) -> None:
    web = WebFile(written(folder, tls_server_config=CLIENTS))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        assert exporter.ask("/-/healthy", context=known).status == 200
        Authority().write(folder / "ca.crt")
        with pytest.raises((ssl.SSLError, OSError)):
            exporter.ask("/-/healthy", context=known)


def test_clients_without_a_certificate_or_with_a_strange_one_are_cut_off(
    simulator: Simulator, folder: Path, authority: Authority, known: ssl.SSLContext, strange: ssl.SSLContext
) -> None:
    web = WebFile(written(folder, tls_server_config=CLIENTS))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        assert exporter.ask(context=known).status == 200
        for context in (authority.client(), strange):
            with pytest.raises((ssl.SSLError, OSError)):
                exporter.ask("/-/healthy", context=context)


def test_a_certificate_is_verified_if_given_where_it_is_not_required(
    simulator: Simulator, folder: Path, authority: Authority, known: ssl.SSLContext, strange: ssl.SSLContext
) -> None:
    web = WebFile(written(folder, tls_server_config=CLIENTS | {"client_auth_type": "VerifyClientCertIfGiven"}))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        for context in (authority.client(), known):
            assert exporter.ask("/-/healthy", context=context).status == 200
        with pytest.raises((ssl.SSLError, OSError)):
            exporter.ask("/-/healthy", context=strange)


@pytest.mark.parametrize("name", ["client.example.com", "10.1.2.3", "2001:db8::1", "ops@example.com"])
def test_a_client_needs_one_of_the_names_that_are_allowed(
    simulator: Simulator, folder: Path, authority: Authority, name: str
) -> None:
    known = authority.client(*authority.issue(folder, "elsewhere.example.com", name, name="client"))
    other = authority.client(*authority.issue(folder, "other.example.com", "10.1.2.4", name="other"))
    web = WebFile(written(folder, tls_server_config=CLIENTS | {"client_allowed_sans": ["unused", name]}))
    with serving(settings(northflank(simulator)), web=web) as exporter:
        assert exporter.ask("/-/healthy", context=known).status == 200
        with pytest.raises((ssl.SSLError, OSError)):
            exporter.ask("/-/healthy", context=other)
        assert exporter.ask("/-/healthy", context=known).status == 200


def test_names_of_other_kinds_count_for_nothing(simulator: Simulator, folder: Path, authority: Authority) -> None:
    directory = x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client.example.com")]))
    identity = x509.UniformResourceIdentifier("spiffe://example.com/prometheus")
    alone = authority.client(*authority.issue_to(folder, directory, x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))))
    known = authority.client(*authority.issue_to(folder, directory, identity))
    names = ["client.example.com", "1.2.3", identity.value]
    web = WebFile(written(folder, tls_server_config=CLIENTS | {"client_allowed_sans": names}))
    with serving(settings(northflank(simulator)), web=web) as exporter, capture_logs() as logs:
        with pytest.raises((ssl.SSLError, OSError)):
            exporter.ask("/-/healthy", context=alone)
        assert exporter.ask("/-/healthy", context=known).status == 200
    assert [line["error"] for line in logs if line["event"] == "TLS handshake failed"] == [
        "the client's certificate has no name of client_allowed_sans"
    ]


# The commands


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(configuration(northflank(simulator)))
    return path


def test_serve_says_https_and_reloads_both_files_or_neither(config: Path, folder: Path, authority: Authority) -> None:
    path = written(folder, tls_server_config=TLS, basic_auth_users=users())
    options = (f"--config.file={config}", f"--web.config.file={path}", "--web.enable-lifecycle")
    right, context = basic("prometheus", PASSWORD), authority.client()

    def reloaded(url: str) -> Reply:
        return ask(url, "/-/reload", right, "POST", context)

    with running(folder / "log", "serve", *options, "--web.listen-address=127.0.0.1:0") as process:
        assert process.url.startswith("https://127.0.0.1:")
        assert ask(process.url, headers=right, context=context).targets("northflank") == {"service-0"}
        assert ask(process.url, context=context).status == 401
        assert reloaded(process.url).status == 200
        good = config.read_text()
        config.write_text("window: {buidls: 1}")
        path.write_text("basic_auth_user: {}")
        refused = reloaded(process.url)
        assert refused.status == 500
        assert [line.rpartition(": ")[0] for line in refused.text.splitlines()] == [
            f"{config}:1: sources",
            f'{config}:1: window.buidls: unknown key; did you mean "builds"?'.rpartition(": ")[0],
            f"{path}:1: basic_auth_user",
        ]
        config.write_text(good)
        assert reloaded(process.url).status == 500
        shown = ask(process.url, headers=right, context=context)
        assert shown.value("ci_build_exporter_config_last_reload_successful") == 0
        written(folder, basic_auth_users=users())
        assert "comes and goes with a restart only" in reloaded(process.url).text
        written(folder, tls_server_config=TLS, basic_auth_users=users())
        os.kill(process.process.pid, signal.SIGHUP)
        eventually(
            lambda: (
                ask(process.url, headers=right, context=context).value(
                    "ci_build_exporter_config_last_reload_successful"
                )
                == 1
            )
        )
        assert process.stop() == 0


def test_serve_and_check_tell_the_faults_of_both_files_at_once(tmp_path: Path) -> None:
    config, web = tmp_path / "config.yaml", tmp_path / "web.yaml"
    config.write_text("sources: []\n")
    web.write_text("basic_auth_users: {alice: sesame}\n")
    for command in ("serve", "check"):
        ended = run(command, f"--config.file={config}", f"--web.config.file={web}")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert [line.partition(": ")[0] for line in ended.stderr.splitlines()] == [f"{config}:1", f"{web}:1"]


def test_check_says_what_is_on_and_notes_what_has_expired(config: Path, folder: Path, authority: Authority) -> None:
    authority.issue(folder, "127.0.0.1", ends=PAST)
    headers = {"headers": {"X-Frame-Options": "deny"}}
    path = written(folder, tls_server_config=TLS, basic_auth_users=users(bob=HASH), http_server_config=headers)
    ended = run("check", f"--config.file={config}", f"--web.config.file={path}")
    assert (ended.returncode, ended.stdout.splitlines()) == (
        0,
        [f"{config}: good, 1 source", f"{path}: good, TLS, 2 users, 1 header"],
    )
    assert ended.stderr == f"note: {path}: tls_server_config: the certificate expired at 2026-01-02 03:04 UTC\n"


def test_tls_does_not_come_while_it_serves(tmp_path: Path, authority: Authority) -> None:
    web = WebFile(written(tmp_path))
    authority.issue(tmp_path, "localhost")
    written(tmp_path, tls_server_config=TLS)
    with pytest.raises(ConfigError, match="comes and goes with a restart only"):
        web.read()
    assert web.context() is None


# Prometheus


def test_a_real_prometheus_scrapes_over_tls_with_a_password_and_a_certificate(
    simulator: Simulator, folder: Path, authority: Authority
) -> None:
    certificate, key = authority.issue(folder, "prometheus.example.com", name="client")
    clients = CLIENTS | {"client_allowed_sans": ["prometheus.example.com"]}
    web = WebFile(written(folder, tls_server_config=clients, basic_auth_users=users()))
    trust = {"ca_file": str(folder / "ca.crt"), "cert_file": str(certificate), "key_file": str(key)}
    known = {"scheme": "https", "tls_config": trust, "basic_auth": {"username": "prometheus", "password": PASSWORD}}
    with (
        serving(settings(northflank(simulator)), web=web) as exporter,
        prometheus(folder, exporter.url, scraping=known) as url,
    ):
        eventually(lambda: [value for _, value in query(url, "up")] == [1.0])
        assert [labels["target"] for labels, _ in query(url, "ci_build_target_up")] == ["service-0"]
        assert [(one["health"], one["lastError"]) for one in api(url, "targets")["activeTargets"]] == [("up", "")]
