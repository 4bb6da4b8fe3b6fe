"""Clients that misbehave: too many, too slow, without an end, or with two requests in one."""

import contextlib
import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from processes import COMMAND, environment
from serving import PATIENCE, TOKEN, Exporter, ask, eventually, gitlab, refused_url, serving, settings

from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.web.connections import LARGEST_UNREAD_BODY, Limits

FEW = Limits(connections=8, head_seconds=2 * PATIENCE, unread_seconds=2 * PATIENCE)
QUICK = Limits(head_seconds=0.4, stall_seconds=0.4, unread_seconds=0.4)
"""For clients that misbehave: a busy machine makes any client slow."""
SECRET = "WEBHOOK_SECRET"
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    monkeypatch.setenv(SECRET, "hush")


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    with exposed(FEW) as running:
        yield running


@pytest.fixture
def impatient() -> Iterator[Exporter]:
    with exposed(QUICK) as running:
        yield running


@contextlib.contextmanager
def exposed(limits: Limits) -> Iterator[Exporter]:
    source = gitlab(refused_url(), more=f"projects: [shop/web], webhook: {{secret: {{env: {SECRET}}}}}")
    with serving(settings(source), limits=limits) as running:
        yield running


@contextlib.contextmanager
def connected(url: str, count: int = 1, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections that have sent the bytes."""
    address = urlsplit(url)
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            connection = socket.create_connection((address.hostname, address.port), timeout=PATIENCE)
            made.append(stack.enter_context(connection))
            connection.sendall(sent)
        yield made


def answer(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            heard += chunk
    return heard


def told(connection: socket.socket) -> bytes:
    """One answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return str(response.status).encode()


def closed(connection: socket.socket) -> bool:
    """Whether the server has closed it."""
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        connection.settimeout(PATIENCE)


# Too many


def test_idle_connections_make_room_and_those_without_a_request_go_first(
    exporter: Exporter, capsys: pytest.CaptureFixture[str]
) -> None:
    with connected(exporter.url, 2, HEALTHY) as served, connected(exporter.url, 20) as idle:
        for connection in served:
            assert told(connection) == b"200"
        assert exporter.scrape().status == 200
        eventually(lambda: sum(map(closed, idle)) >= 20 + 2 + 1 - FEW.connections)
        assert not any(map(closed, served))
    assert capsys.readouterr().out.count("no room for new connections") == 1


def test_a_connection_is_accepted_once_a_busy_one_has_been_answered(exporter: Exporter) -> None:
    slow = b"POST /webhooks/gitlab HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: hush\r\nContent-Length: 2\r\n\r\n{"
    with connected(exporter.url, FEW.connections, slow) as busy:
        with connected(exporter.url, 1, HEALTHY) as (waiting,):
            waiting.settimeout(0.3)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            waiting.settimeout(PATIENCE)
            busy[0].sendall(b"}")
            assert told(waiting) == b"200"
        assert not any(map(closed, busy[1:]))


CODE = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from exporter.cli import logs
from exporter.web.application import application
from exporter.web.connections import Limits
from exporter.web import server
logs.configure("info", "logfmt")
server.most_connections = lambda: 1000

async def told(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"well"})

listening = server.listen("127.0.0.1:0")
print(listening.getsockname()[1], flush=True)
server.run(told, listening, lambda: None, None, asyncio.Event(), lambda: None)
"""


def test_where_the_descriptors_are_used_up_idle_connections_make_room() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        with connected(url, 80):
            for _ in range(10):
                assert ask(url, "/").text == "well"
        process.terminate()
        lines = process.communicate(timeout=10)[1].splitlines()
    assert len(lines) == 2
    assert 'event="no room for new connections: idle ones are closed" reason="Too many open files"' in lines[0]
    assert "event=stopped signal=SIGTERM" in lines[1]


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs the program prlimit")
def test_a_process_with_few_descriptors_answers_beside_a_crowd(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"sources: [{{name: a, provider: northflank, token: {{env: {TOKEN}}}, url: {refused_url()}}}]\n")
    command = ["prlimit", "--nofile=100:100", str(COMMAND), "serve", f"--config.file={config}"]
    log = tmp_path / "log"
    with (
        log.open("w") as opened,
        subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=opened, env=environment()) as process,
    ):
        try:
            eventually(lambda: "url=" in log.read_text())
            url = log.read_text().partition("url=")[2].split("/metrics")[0]
            with connected(url, 120):
                for _ in range(3):
                    assert ask(url).status == 200
            assert sum("no room" in line for line in log.read_text().splitlines()) == 1
            assert len(log.read_text().splitlines()) < 10
        finally:
            process.terminate()
    assert process.returncode == 0


# Too slow


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
def test_who_never_sends_a_whole_request_is_cut_off(impatient: Exporter, sent: bytes) -> None:
    with connected(impatient.url, 1, sent) as (connection,):
        assert answer(connection) == b""


def test_who_sends_a_head_byte_by_byte_is_cut_off(impatient: Exporter) -> None:
    with connected(impatient.url) as (connection,):
        assert eventually_refused(connection, b"x", pause=0.02)


def test_a_pause_between_two_requests_is_no_slow_head_but_a_second_head_can_be() -> None:
    limits = Limits(head_seconds=2.0)
    with exposed(limits) as exporter, connected(exporter.url, 1, HEALTHY) as (connection,):
        assert told(connection) == b"200"
        with connected(exporter.url) as (slow,):
            assert answer(slow) == b"", "as long as a head may take, and longer"
        connection.sendall(HEALTHY)
        assert told(connection) == b"200"
        connection.sendall(b"GET /-/hea")
        assert answer(connection) == b""


def test_an_idle_connection_is_closed_in_the_end() -> None:
    limits = Limits(idle_seconds=0.4)
    with exposed(limits) as exporter, connected(exporter.url, 1, HEALTHY) as (connection,):
        assert answer(connection).startswith(b"HTTP/1.1 200")


def test_who_reads_no_answer_is_cut_off(impatient: Exporter) -> None:
    address = urlsplit(impatient.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect((address.hostname, address.port))
        assert eventually_refused(connection, HEALTHY * 1000)


def eventually_refused(connection: socket.socket, sent: bytes, pause: float = 0.0) -> bool:
    """Whether the server closes the connection though the client goes on to send."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(TimeoutError):
        try:
            while time.monotonic() < deadline:
                connection.sendall(sent)
                time.sleep(pause)
        except ConnectionError:
            return True
    return False


# Without an end


def chunks(connection: socket.socket, most: int) -> int:
    """How many bytes of an endless chunked body the server takes before it closes the connection."""
    chunk, sent = b"10000\r\n" + b"x" * 65536 + b"\r\n", 0
    try:
        while sent < most:
            connection.sendall(chunk)
            sent += len(chunk)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize(
    ("secret", "status"), [(b"wrong", b"401"), (b"hush", b"413")], ids=["who is refused", "what is too large"]
)
def test_an_endless_body_is_not_read_on_after_its_answer(impatient: Exporter, secret: bytes, status: bytes) -> None:
    head = b"POST /webhooks/gitlab HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(impatient.url, 1, head % secret) as (connection,):
        most = 64 * LARGEST_UNREAD_BODY
        assert chunks(connection, most) < most / 2
    with connected(impatient.url, 1, head % secret + b"200000\r\n" + b"x" * 0x200000) as (connection,):
        assert answer(connection).startswith(b"HTTP/1.1 " + status)


def test_a_body_that_does_not_come_after_its_answer_is_not_waited_for(impatient: Exporter) -> None:
    head = b"POST /webhooks/gitlab HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome"
    with connected(impatient.url, 1, head) as (connection,):
        assert answer(connection).startswith(b"HTTP/1.1 401")


def test_a_body_that_ends_after_its_answer_leaves_the_connection_open(exporter: Exporter) -> None:
    head = b"POST /webhooks/gitlab HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    with connected(exporter.url, 1, head) as (connection,):
        for _ in range(3):
            assert told(connection) == b"401"
            connection.sendall(b"late" + head)


# Two requests in one

POST = b"POST /webhooks/gitlab HTTP/1.1\r\nHost: x\r\n"
END = b"\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked" + END,
        POST + b"transfer-encoding: chunked\r\ncontent-length: 5" + END,
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked" + END,
        POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
        POST + b"Content-Length: +0\r\n\r\n",
        POST + b"Transfer-Encoding: x, chunked" + END,
        b"GET /-/ready HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    ],
)
def test_a_request_with_an_ambiguous_end_is_the_last_of_its_connection(exporter: Exporter, head: bytes) -> None:
    with connected(exporter.url, 1, head + HEALTHY) as (connection,):
        heard = answer(connection)
    assert heard.count(b"HTTP/1.1 ") == 1
    assert heard.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))


def test_two_requests_that_follow_one_another_are_both_answered(exporter: Exporter) -> None:
    last = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connected(exporter.url, 1, HEALTHY + last) as (connection,):
        assert answer(connection).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("path", ["/metrics/", "/docs/", "//evil.example/", "/-/healthy/"])
def test_no_answer_leads_to_the_host_that_a_request_names(exporter: Exporter, path: str) -> None:
    reply = exporter.ask(path, {"Host": "evil.example"})
    assert reply.status == 404
    assert "evil.example" not in reply.text + str(reply.headers)


def test_bad_requests_write_no_lines(exporter: Exporter, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(20):
        with connected(exporter.url, 1, b"\x16\x03\x01 hello\r\n\r\n") as (connection,):
            answer(connection)
    upgrade = {"Connection": "upgrade", "Upgrade": "websocket"}
    assert exporter.ask("/-/healthy", upgrade).status == 200
    shown = capfd.readouterr()
    assert [line for line in (shown.out + shown.err).splitlines() if "read failed" not in line] == []
