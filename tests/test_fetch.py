"""`fetch` against real servers on this machine: each fault is made for real, none is patched in."""

import contextlib
import email.utils
import gzip
import http.server
import inspect
import select
import socket
import ssl
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from serving import PATIENCE, refused_url

from exporter.errors import (
    BadPayload,
    Forbidden,
    NotFound,
    RateLimited,
    SourceError,
    Unauthorized,
    Unreachable,
)
from exporter.http.fetch import LARGEST_BODY, Fetch, RequestStats
from exporter.http.http_errors import RequestContext, error_for_exception, retry_after
from exporter.http.wire import Request

TOKEN = "glpat-0123456789abcdef"
BUILDS = Request("builds", "/v1/builds")
QUERY = Request("graphql", "/api/graphql", query=b'{"query": "query { a }"}')
QUICK = 1.0
"""Seconds: a deadline that passes while the test waits for it."""


@dataclass(frozen=True)
class Heard:
    command: str
    path: str
    headers: Message


@dataclass
class Server:
    """An HTTP server that answers what the test says, and remembers what it was asked."""

    url: str
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[Heard] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            running.asked.append(Heard(self.command, self.path, self.headers))
            running.connections.add(self.client_address)
            status, headers, body = running.answers.get(self.path.partition("?")[0], (200, {}, b"{}"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 304:
                self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815  # as http.server looks for them

        def log_message(self, *_args: object) -> None:
            pass

    class Listener(http.server.ThreadingHTTPServer):
        def handle_error(self, *_args: object) -> None:
            pass  # a client that hangs up is what some tests are about

    listener = Listener(("127.0.0.1", 0), Handler)
    if context is not None:
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    scheme = "http" if context is None else "https"
    running = Server(f"{scheme}://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        listener.shutdown()
        listener.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def scripted(*scripts: Script) -> Iterator[str]:
    """A server whose n-th connection is handled by the n-th script; gives its URL. Each has been taken at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)

    def run() -> None:
        for script in scripts:
            connection, _ = listener.accept()
            connection.settimeout(PATIENCE)
            with connection, contextlib.suppress(OSError):
                script(connection)

    with ThreadPoolExecutor(1) as pool, listener:
        running = pool.submit(run)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.result()


def hear(connection: socket.socket) -> bytes:
    """The head of one request, and what came with it of its body."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += connection.recv(65536) or b"\r\n\r\n"
    return heard


def says(data: bytes) -> Script:
    """A script that hears a request and answers `data`, and closes."""

    def script(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(data)

    return script


def drips(data: bytes, drop: bytes = b"x", pause: float = 0.02) -> Script:
    """A script that answers `data`, then one `drop` after another until the client has had enough."""

    def script(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(data)
        while not select.select([connection], [], [], pause)[0]:
            connection.sendall(drop)

    return script


def resets(connection: socket.socket) -> None:
    """End the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Seen:
    """A `Fetch` and what it told of its requests."""

    fetch: Fetch
    observed: list[RequestStats]


@contextlib.contextmanager
def fetching(url: str, **settings: Any) -> Iterator[Seen]:
    observed: list[RequestStats] = []
    defaults: dict[str, Any] = {
        "source": "shop",
        "url": url,
        "headers": lambda: {"Authorization": f"Bearer {TOKEN}"},
        "observe": observed.append,
        "timeout": PATIENCE,
    }
    with contextlib.closing(Fetch(**(defaults | settings))) as fetch:
        yield Seen(fetch, observed)


def refusal(url: str, request: Request = BUILDS, **settings: Any) -> SourceError:
    """The error that asking raises; nobody finds the token in it, nor in its traceback."""
    with fetching(url, **settings) as seen, pytest.raises(SourceError) as raised:
        seen.fetch(request)
    assert TOKEN not in "".join(traceback.format_exception(raised.value))
    assert "\n" not in str(raised.value)
    assert len(seen.observed) == 1
    return raised.value


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# What is sent, and what comes back


def test_a_request_carries_the_token_and_says_who_asks(server: Server) -> None:
    request = Request("builds", "/v4/projects/shop%2Fweb/jobs", (("scope[]", "failed"), ("scope[]", "a&b")))
    with fetching(server.url) as seen:
        answer = seen.fetch(request)
    assert (answer.status, answer.body) == (200, b"{}")
    asked = server.asked[0]
    assert asked.path == "/v4/projects/shop%2Fweb/jobs?scope%5B%5D=failed&scope%5B%5D=a%26b"
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["Accept"] == "application/json"
    assert asked.headers["Accept-Encoding"] == "gzip, deflate"
    assert asked.headers["User-Agent"].startswith("ci-build-exporter/")


def test_each_request_is_observed_once_with_what_the_server_said(server: Server) -> None:
    server.answers["/v1/builds"] = (200, {"X-RateLimit-Remaining": "7"}, b"[]")
    with fetching(server.url, clock=iter([100.0, 101.0]).__next__) as seen:
        answer = seen.fetch(BUILDS)
    (observation,) = seen.observed
    assert (observation.operation, observation.code, observation.at) == ("builds", "200", 101.0)
    assert observation.headers["x-ratelimit-remaining"] == answer.headers["x-ratelimit-remaining"] == "7"
    assert 0 < observation.seconds < PATIENCE
    assert answer.asked_at == 100.0


def test_the_token_is_read_afresh_for_each_request(server: Server) -> None:
    tokens = iter(["first", "second"])
    with fetching(server.url, headers=lambda: {"PRIVATE-TOKEN": next(tokens)}) as seen:
        seen.fetch(BUILDS)
        seen.fetch(BUILDS)
    assert [asked.headers.get("PRIVATE-TOKEN") for asked in server.asked] == ["first", "second"]


def test_without_a_token_nothing_is_asked(server: Server) -> None:
    def unreadable() -> dict[str, str]:
        raise Unauthorized("token.env: SHOP_TOKEN is not set")

    with fetching(server.url, headers=unreadable) as seen, pytest.raises(Unauthorized, match="SHOP_TOKEN"):
        seen.fetch(BUILDS)
    assert not server.asked
    assert not seen.observed


@pytest.mark.parametrize("token", ["two\nlines", "€uro", "nul\0"])
def test_a_token_that_cannot_be_sent_is_not_told(server: Server, token: str) -> None:
    with fetching(server.url, headers=lambda: {"PRIVATE-TOKEN": token}) as seen, pytest.raises(Unauthorized) as raised:
        seen.fetch(BUILDS)
    assert token not in "".join(traceback.format_exception(raised.value))
    assert server.asked == []


@pytest.mark.parametrize("path", ["/v1/projects/../login", "/v1/projects/%2E%2e/login", ".evil.example/v1", "@evil/"])
def test_a_path_that_would_become_another_is_not_asked(server: Server, path: str) -> None:
    with fetching(server.url) as seen, pytest.raises(BadPayload):
        seen.fetch(Request("builds", path))
    assert server.asked == []


def test_a_netrc_does_not_override_the_token(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(server.url) == ("somebody", "else")
    with fetching(server.url) as seen:
        seen.fetch(BUILDS)
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_tag_is_sent_back_and_304_is_an_answer(server: Server) -> None:
    server.answers["/v1/builds"] = (304, {"ETag": '"a"'}, b"")
    with fetching(server.url) as seen:
        answer = seen.fetch(BUILDS, tag='"a"')
        seen.fetch(BUILDS)
    assert (answer.status, answer.body) == (304, b"")
    assert [asked.headers.get("If-None-Match") for asked in server.asked] == ['"a"', None]
    assert len(server.connections) == 1


def test_a_changing_call_has_its_method_and_body(server: Server) -> None:
    server.answers["/v1/builds"] = (201, {}, b"{}")
    with fetching(server.url) as seen:
        assert seen.fetch(BUILDS, method="POST", body=b'{"sha":"1"}').status == 201
    assert (server.asked[0].command, server.asked[0].headers["Content-Type"]) == ("POST", "application/json")


def test_compressed_answers_are_decompressed(server: Server) -> None:
    server.answers["/v1/builds"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"builds":[]}'))
    with fetching(server.url) as seen:
        assert seen.fetch(BUILDS).body == b'{"builds":[]}'


def test_cookies_are_not_kept(server: Server) -> None:
    server.answers["/v1/builds"] = (200, {"Set-Cookie": "session=1"}, b"{}")
    with fetching(server.url) as seen:
        seen.fetch(BUILDS)
        seen.fetch(BUILDS)
    assert [asked.headers.get("Cookie") for asked in server.asked] == [None, None]


# Connections


def test_a_connection_is_kept_for_the_next_request_whatever_was_answered(server: Server) -> None:
    server.answers["/v1/missing"] = (404, {}, b'{"message":"404 Not found"}')
    with fetching(server.url) as seen:
        seen.fetch(BUILDS)
        with pytest.raises(NotFound):
            seen.fetch(Request("builds", "/v1/missing"))
        seen.fetch(BUILDS)
    assert (len(server.asked), len(server.connections)) == (3, 1)


def test_each_thread_has_its_own_connection(server: Server) -> None:
    meeting = threading.Barrier(3, timeout=PATIENCE)

    def ask(_: int) -> None:
        meeting.wait()
        seen.fetch(BUILDS)
        meeting.wait()

    with fetching(server.url) as seen, ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, range(3)))
    assert len(server.connections) == 3


def test_a_get_is_repeated_once_where_a_kept_connection_turned_out_to_be_dead() -> None:
    def once(connection: socket.socket) -> None:
        says(WHOLE)(connection)
        hear(connection)
        resets(connection)

    with scripted(once, says(WHOLE)) as url, fetching(url) as seen:
        seen.fetch(BUILDS)
        assert seen.fetch(BUILDS).status == 200
    assert [observation.code for observation in seen.observed] == ["200", "200"]


def test_a_post_is_not_repeated_on_a_dead_connection() -> None:
    def once(connection: socket.socket) -> None:
        says(WHOLE)(connection)
        hear(connection)
        resets(connection)

    with scripted(once) as url, fetching(url) as seen:
        seen.fetch(BUILDS)
        with pytest.raises(Unreachable, match="connection closed by"):
            seen.fetch(BUILDS, method="POST")


def test_a_query_is_sent_with_post_and_repeated_once_on_a_dead_connection() -> None:
    def once(connection: socket.socket) -> None:
        says(WHOLE)(connection)
        hear(connection)
        resets(connection)

    heard: list[bytes] = []

    def again(connection: socket.socket) -> None:
        heard.append(hear(connection))
        connection.sendall(WHOLE)

    with scripted(once, again) as url, fetching(url) as seen:
        seen.fetch(BUILDS)
        assert seen.fetch(QUERY).status == 200
    assert heard[0].startswith(b"POST /api/graphql HTTP/1.1")
    assert b"Content-Type: application/json" in heard[0]


def test_a_server_that_dies_over_a_request_is_asked_once() -> None:
    for script in (lambda connection: resets(connection) if hear(connection) else None, says(b"")):
        with scripted(script) as url:
            assert "connection closed by 127.0.0.1:" in str(refusal(url))


def test_a_kept_connection_that_dies_within_an_answer_is_not_asked_again() -> None:
    def once(connection: socket.socket) -> None:
        says(WHOLE)(connection)
        hear(connection)
        connection.sendall(b"HTTP/1.1 200")
        resets(connection)

    with scripted(once) as url, fetching(url) as seen:
        seen.fetch(BUILDS)
        with pytest.raises(Unreachable, match="connection closed by"):
            seen.fetch(BUILDS)


def test_once_closed_nothing_more_is_asked(server: Server) -> None:
    with fetching(server.url) as seen:
        seen.fetch(BUILDS)
        seen.fetch.close()
        with pytest.raises(Unreachable, match="source shop is closed"):
            seen.fetch(BUILDS)
    assert len(server.asked) == len(seen.observed) == 1


# Redirects and other hosts


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(server: Server) -> None:
    with serving() as other:
        location = f"{other.url.replace('//', '//user:pw@')}/v1/builds?secret=1#f"
        server.answers["/v1/builds"] = (302, {"Location": location}, b"")
        error = refusal(server.url)
    assert isinstance(error, NotFound)
    assert error.status == 302
    assert str(error) == f"/v1/builds moved to {other.url}/v1/builds: correct the address in source shop"
    assert other.asked == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_query_and_its_token_follow_no_redirect(server: Server, status: int) -> None:
    with serving() as other:
        server.answers["/api/graphql"] = (status, {"Location": f"{other.url}/api/graphql"}, b"")
        error = refusal(server.url, QUERY)
        assert other.asked == []
    assert isinstance(error, NotFound)
    assert [heard.command for heard in server.asked] == ["POST"]


def test_what_graphql_says_of_a_refusal_is_told(server: Server) -> None:
    server.answers["/api/graphql"] = (503, {}, b'{"errors": [{"message": "Request timed out."}, 5]}')
    assert str(refusal(server.url, QUERY)) == "/api/graphql answered 503 (Request timed out.)"


@pytest.mark.parametrize(
    ("location", "told"),
    [("/users/sign_in?token=1", "HERE/users/sign_in"), ("http://[", "an invalid address")],
)
def test_a_redirect_to_anywhere_is_told(server: Server, location: str, told: str) -> None:
    server.answers["/v1/builds"] = (301, {"Location": location}, b"")
    assert f"/v1/builds moved to {told.replace('HERE', server.url)}:" in str(refusal(server.url))


def test_a_proxy_of_the_environment_is_used_and_its_password_not_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    with fetching("http://provider.example") as seen:
        seen.fetch(BUILDS)
    assert server.asked[0].path == "http://provider.example/v1/builds"
    monkeypatch.setenv("http_proxy", refused_url().replace("//", "//me:hush@"))
    error = refusal("http://provider.example")
    assert str(error) == "the proxy in the environment cannot be used"
    assert "hush" not in "".join(traceback.format_exception(error))


def test_a_proxy_that_refuses_is_told_with_its_reason(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    error = refusal("https://provider.example")
    assert str(error) == "the proxy in the environment refused: 501 Unsupported method ('CONNECT')"


# Bounds


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["status line", "header", "body", "chunks", "body to the end"],
)
def test_a_server_that_drips_is_cut_off_in_time(head: bytes, drop: bytes) -> None:
    with scripted(drips(head, drop)) as url:  # it drips until it is left
        error = refusal(url, timeout=QUICK)
    assert isinstance(error, Unreachable)
    assert str(error) == "no answer from 127.0.0.1 within 1 s"


def test_a_refusal_whose_body_drips_is_still_that_refusal() -> None:
    with scripted(drips(b"HTTP/1.1 503 No\r\nContent-Length: 1000\r\n\r\n")) as url:
        error = refusal(url, timeout=3 * QUICK)  # its head must have come before that
    assert (str(error), error.status) == ("/v1/builds answered 503", 503)


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    with scripted(drips(b"", b"", 0.05)) as url:
        assert str(refusal(url, timeout=QUICK)) == "no answer from 127.0.0.1 within 1 s"


def test_a_bomb_is_not_unpacked(server: Server) -> None:
    bomb = gzip.compress(b" " * (LARGEST_BODY + 1))
    assert len(bomb) < 100_000
    server.answers["/v1/builds"] = (200, {"Content-Encoding": "gzip"}, bomb)
    error = refusal(server.url)
    assert isinstance(error, BadPayload)
    assert str(error) == "/v1/builds answered more than 8 MiB"


def test_an_answer_as_large_as_may_be_is_read(server: Server) -> None:
    server.answers["/v1/builds"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * LARGEST_BODY))
    with fetching(server.url) as seen:
        assert len(seen.fetch(BUILDS).body) == LARGEST_BODY


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_a_body_that_breaks_off_is_no_answer(answer: bytes) -> None:
    with scripted(says(answer)) as url:
        error = refusal(url)
    assert isinstance(error, Unreachable)
    assert (str(error), error.status) == ("/v1/builds answered with a body that broke off", 200)


def test_broken_compression_is_a_bad_payload(server: Server) -> None:
    server.answers["/v1/builds"] = (200, {"Content-Encoding": "gzip"}, b"no gzip at all")
    error = refusal(server.url)
    assert isinstance(error, BadPayload)
    assert "compression" in str(error)


def test_what_is_not_http_is_a_bad_payload() -> None:
    with scripted(says(b"220 smtp.example ESMTP\r\n")) as url:
        assert isinstance(refusal(url), BadPayload)


# Who cannot be reached


def test_a_name_that_does_not_resolve_is_told() -> None:
    error = refusal("http://nowhere.invalid")
    assert isinstance(error, Unreachable)
    assert str(error) == "cannot resolve nowhere.invalid"
    assert error.status is None


def test_a_port_where_nobody_listens_is_told() -> None:
    with fetching(refused_url()) as seen, pytest.raises(Unreachable) as raised:
        seen.fetch(BUILDS)
    assert str(raised.value) == f"connection refused by {refused_url().removeprefix('http://')}"
    assert isinstance(raised.value.__cause__, requests.ConnectionError)
    assert [(observation.code, observation.headers) for observation in seen.observed] == [("unreachable", {})]


@pytest.mark.parametrize("url", ["http://" + "a" * 70 + ".example", "http://[::1", "http://*", "nothing"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    error = refusal(url)
    assert isinstance(error, Unreachable)
    assert "source shop" in str(error)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def secured(authority: trustme.CA, *names: str, **times: Any) -> contextlib.AbstractContextManager[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **times).configure_cert(context)
    return serving(context)


def test_an_authority_of_ones_own_is_trusted_whatever_the_environment_names(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    with secured(authority, "127.0.0.1") as server, fetching(server.url, ca_file=tmp_path / "ca.pem") as seen:
        seen.fetch(BUILDS)
        seen.fetch(BUILDS)
        assert len(server.connections) == 1


def test_an_unknown_authority_is_told_with_what_to_do(authority: trustme.CA) -> None:
    with secured(authority, "127.0.0.1") as server:
        error = refusal(server.url)
    assert isinstance(error, Unreachable)
    assert str(error) == "certificate of 127.0.0.1 is not trusted: set tls.ca_file"
    assert server.asked == []


def test_a_certificate_for_another_name_is_told(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with secured(authority, "other.example") as server:
        error = refusal(server.url, ca_file=tmp_path / "ca.pem")
    assert str(error) == "certificate of 127.0.0.1 is for another name: check the url of source shop"


def test_an_expired_certificate_is_told(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    begin, end = datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 1, 2, tzinfo=UTC)
    with secured(authority, "127.0.0.1", not_before=begin, not_after=end) as server:
        error = refusal(server.url, ca_file=tmp_path / "ca.pem")
    assert str(error) == "certificate of 127.0.0.1 has expired"


def test_no_certificate_is_looked_at_where_the_configuration_says_so(authority: trustme.CA) -> None:
    with secured(authority, "other.example") as server, fetching(server.url, insecure_skip_verify=True) as seen:
        assert seen.fetch(BUILDS).status == 200


def test_a_server_without_tls_is_told(server: Server) -> None:
    error = refusal(server.url.replace("http:", "https:"))
    assert str(error).startswith("TLS failed with 127.0.0.1:")


def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    error = refusal("https://127.0.0.1:9", ca_file=tmp_path / "missing.pem")
    assert str(error) == "tls.ca_file of source shop cannot be read"


# What the status says


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, BadPayload, ""),
        (401, Unauthorized, ": check the token of source shop"),
        (403, Forbidden, ": the token of source shop lacks the permission"),
        (404, NotFound, ": it does not exist, or the token has no access to it"),
        (405, BadPayload, ""),
        (407, Unreachable, ": the proxy in the environment requires authentication"),
        (408, Unreachable, ""),
        (410, NotFound, ": it no longer exists"),
        (418, BadPayload, ""),
        (422, BadPayload, ""),
        (429, RateLimited, ": the rate limit is used up"),
        (500, Unreachable, ""),
        (502, Unreachable, ""),
        (599, Unreachable, ""),
    ],
)
def test_each_status_is_an_error_that_says_what_to_do(
    server: Server, status: int, kind: type[SourceError], hint: str
) -> None:
    server.answers["/v1/builds"] = (status, {"Content-Type": "text/html"}, b"<html>no</html>")
    error = refusal(server.url)
    assert type(error) is kind
    assert (str(error), error.status) == (f"/v1/builds answered {status}{hint}", status)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"status":404,"message":"Not found","id":"1","details":{}}}', "Not found"),
        (b'{"code":1,"message":"No such project","status":404}', "No such project"),
        (b'{"messages":["One","Two"]}', "One, Two"),
        (b'{"message":"404 Project Not Found"}', "404 Project Not Found"),
        (b'{"message":{"error":"Too often."}}', "error: Too often."),
        (b'{"message":{"name":["is taken","is short"]}}', "name: is taken, is short"),
        (b'{"error":"invalid_token","error_description":"Token is expired."}', "invalid_token, Token is expired."),
        (b'{"message":"two\\nlines\\u001b[31m red\\u202e"}', "two lines[31m red"),
        (b'{"message":[[[[[["deep"]]]]]]}', "…"),
        (b'{"message":"' + b"x" * 300 + b'"}', "x" * 199 + "…"),
        (f'{{"message":"Bearer {TOKEN} and {TOKEN[:6]}\\u0000{TOKEN[6:]}"}}'.encode(), "[token] and [token]"),
    ],
)
def test_the_api_may_say_why_but_not_the_token(server: Server, body: bytes, said: str) -> None:
    server.answers["/v1/builds"] = (422, {}, body)
    assert str(refusal(server.url)) == f"/v1/builds answered 422 ({said})"


def test_no_header_of_an_answer_repeats_the_token(server: Server) -> None:
    server.answers["/v1/builds"] = (200, {"Content-Type": f"text/{TOKEN.upper()}", "X-Total": "7"}, b"x")
    with fetching(server.url) as seen:
        answer = seen.fetch(BUILDS)
    assert (answer.headers["content-type"], answer.headers["x-total"]) == ("text/[token]", "7")
    assert seen.observed[0].headers == answer.headers


@pytest.mark.parametrize("token", ["e", "401", "builds"])
def test_a_text_too_short_to_be_a_token_is_no_reason_to_hide_words(server: Server, token: str) -> None:
    server.answers["/v1/builds"] = (401, {}, b'{"message":"401 Unauthorized"}')
    error = refusal(server.url, headers=lambda: {"PRIVATE-TOKEN": token})
    assert str(error) == "/v1/builds answered 401 (401 Unauthorized): check the token of source shop"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"x"', b"null", b"{}", b'{"error":{}}', b'{"message":null}', b"[" * 9999]
)
def test_a_body_of_any_other_shape_says_nothing(server: Server, body: bytes) -> None:
    server.answers["/v1/builds"] = (422, {}, body)
    assert str(refusal(server.url)) == "/v1/builds answered 422"


def test_a_refusal_tells_how_long_to_wait(server: Server) -> None:
    server.answers["/v1/builds"] = (429, {"Retry-After": "30"}, b"Retry later\n")
    error = refusal(server.url)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 30
    assert str(error) == "/v1/builds answered 429: the rate limit is used up for 30 s"


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        (" 0.5 ", 0.5),
        (email.utils.formatdate(NOW + 90, usegmt=True), 90),
        (email.utils.formatdate(NOW - 90, usegmt=True), 0),
        ("", None),
        ("-5", None),
        ("nan", None),
        ("9" * 5000, None),
        ("Fri, 31 Feb 2023 00:00:00 GMT", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


# Foreign exceptions

FOREIGN = [
    kind
    for _, kind in inspect.getmembers(requests.exceptions, inspect.isclass)
    if issubclass(kind, requests.RequestException)
]
UNNAMED = {
    # Wide ones, told by the cause that they wrap; and those that this way of asking never meets.
    requests.exceptions.RequestException,
    requests.exceptions.ConnectionError,
    requests.exceptions.HTTPError,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidJSONError,
    requests.exceptions.JSONDecodeError,
    requests.exceptions.RetryError,
    requests.exceptions.StreamConsumedError,
    requests.exceptions.TooManyRedirects,
    requests.exceptions.UnrewindableBodyError,
}
CONTEXT = RequestContext("shop", "https://provider.example", "/v1/builds", 10.0, 5.0, (TOKEN,))


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_exception_of_requests_is_mapped(kind: type[requests.RequestException]) -> None:
    arguments = ("no JSON", "", 0) if kind is requests.exceptions.JSONDecodeError else ("why",)
    error = kind(*arguments)
    mapped = error_for_exception(error, CONTEXT)
    assert isinstance(mapped, BadPayload if kind is requests.exceptions.ContentDecodingError else Unreachable)
    assert mapped.__cause__ is error
    assert ("no request to provider.example was possible (" in str(mapped)) == (kind in UNNAMED)


@pytest.mark.parametrize("told", [TOKEN, "http://me:hush@proxy.example"])
def test_an_exception_that_repeats_a_secret_is_not_chained(told: str) -> None:
    mapped = error_for_exception(requests.exceptions.InvalidHeader(ValueError(told)), CONTEXT)
    assert mapped.__cause__ is None
    assert told not in "".join(traceback.format_exception(mapped))
