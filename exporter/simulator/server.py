"""The simulator as an HTTP server: the only module here that reads a clock, opens sockets and keeps counts.

It is made of the standard library's threading server rather than of an ASGI one because the faults need the socket
itself: a body shorter than promised, a true reset, a connection on which nothing ever comes.
"""

import contextlib
import gzip
import socket
import socketserver
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from exporter.simulator.faults import Effect, Faults, Sending
from exporter.simulator.gitlab import GRAPHQL, GitLab
from exporter.simulator.gitlab_project import message
from exporter.simulator.history import History
from exporter.simulator.limit import Allowance, Limit
from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.northflank import Northflank, error
from exporter.simulator.world import World

SIMULATOR_TOKEN = "simulator-token"  # noqa: S105
GZIP_FROM = 1024
"""Bytes; a shorter body is sent as it is."""
REQUESTS_KEPT = 100_000
NOTHING_WRONG = Effect()


class Served(NamedTuple):
    """A request that was answered (or deliberately not), and with what status."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    status: int
    headers: Mapping[str, str]
    """Of the request, names in lower case."""


APIS = ("/api/", "/v1/")
"""What is not a page of a website."""


class Simulator:
    """Northflank (`/v1`) and GitLab (`/api/v4`, `/api/v3`) at one address.

    `listen` is host and port, 0 for any free one; `latency` is in seconds, for every answer over HTTP; `rate_limit`
    holds for each of the two providers by itself, None is without limit and without its headers; `clock` gives epoch
    seconds, and what it gives at the making is the moment from which the world counts. Public attributes: `faults`;
    `requests`, the newest 100,000 served; `northflank.build_status`, `gitlab.v3`, `gitlab.url` and `gitlab.graphql`,
    which may be set at any time.
    """

    def __init__(  # noqa: PLR0913 - a simulator is made of its conditions
        self,
        world: World,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        *,
        latency: float = 0.0,
        rate_limit: Limit | None = None,
        clock: Callable[[], float] = time.time,
        seed: int = 1,
        token: str = SIMULATOR_TOKEN,
    ) -> None:
        self.world, self.latency, self.token = world, latency, token
        self.faults = Faults()
        self.requests: deque[Served] = deque(maxlen=REQUESTS_KEPT)
        self.history = History(world, seed, clock())
        self.northflank = Northflank(world, self.history)
        self.gitlab = GitLab(world, self.history)
        self.stopping = threading.Event()
        self._clock, self._listen = clock, listen
        self._allowances = [Allowance(rate_limit) if rate_limit else None for _ in range(2)]
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        if self._server is None:
            raise RuntimeError("The simulator was not started")
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """`http://127.0.0.1:40123`, for each provider the base that its clients are told."""
        return f"http://{self._listen[0]}:{self.port}"

    @property
    def now(self) -> float:
        """What its clock shows, in epoch seconds; its answers are dated by it."""
        return self._clock()

    def start(self) -> None:
        """Listens and serves, in threads of its own. Raises OSError where the address cannot be had."""
        self.stopping.clear()
        self._server = _Server(self, self._listen)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="simulator", daemon=True).start()

    def stop(self) -> None:
        """Ends at once, with whatever is going on."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None

    def answer(self, request: Request) -> Answer:
        """The answer without HTTP and without delay; of faults, those that change the answer."""
        return self.answer_and_effect(request)[0]

    def answer_and_effect(self, request: Request) -> tuple[Answer, Effect]:
        """The answer, and what is to go wrong in sending it."""
        now = self._clock()
        effect = self.faults.take(request.method, request.path) or NOTHING_WRONG
        answer = self._right_answer(request, now)
        if effect.change is not None:
            answer = effect.change(answer)
        if effect.shifts:
            self._shift(request.path, now)
        self.requests.append(Served(request.method, request.path, request.query, answer.status, request.headers))
        return answer, effect

    def _right_answer(self, request: Request, now: float) -> Answer:
        gitlab = request.path.startswith("/api/")
        if request.method == "GET" and not request.path.startswith(APIS):
            found = self.gitlab.page(request.path, now)
            if found is not None:
                return found
        allowance = self._allowances[gitlab]
        if allowance is None:
            return self._allowed_answer(request, now, gitlab=gitlab)
        allowed, left, seconds = allowance.spend(now)
        headers = _gitlab_headers if gitlab else _northflank_headers
        if allowed:
            return self._allowed_answer(request, now, gitlab=gitlab).with_headers(
                headers(allowance.limit, left, seconds, now)
            )
        return _refusal(gitlab=gitlab, seconds=seconds).with_headers(headers(allowance.limit, 0, seconds, now))

    def _allowed_answer(self, request: Request, now: float, *, gitlab: bool) -> Answer:
        if request.token != self.token:
            if request.path == GRAPHQL:
                return json_answer({"errors": [{"message": "Invalid token"}]}, 401)
            return message(401, "Unauthorized") if gitlab else error(401, "Unauthorized")
        return self.gitlab.answer(request, now) if gitlab else self.northflank.answer(request, now)

    def _shift(self, path: str, now: float) -> None:
        subject = self.northflank.find(path) or self.gitlab.find(path)
        if subject is not None:
            self.history.shift(subject, now)


def _refusal(*, gitlab: bool, seconds: float) -> Answer:
    if gitlab:
        return Answer(429, {"content-type": "text/plain", "retry-after": str(max(1, round(seconds)))}, b"Retry later\n")
    return json_answer(
        {"error": {"status": 429, "message": "Too many requests", "id": "simulated", "details": {}}}, 429
    )


def _northflank_headers(limit: Limit, left: int, seconds: float, _: float) -> dict[str, str]:
    """The reset is in seconds from now."""
    return {
        "x-ratelimit-limit": str(limit.requests),
        "x-ratelimit-remaining": str(left),
        "x-ratelimit-reset": str(max(0, round(seconds))),
    }


def _gitlab_headers(limit: Limit, left: int, seconds: float, now: float) -> dict[str, str]:
    """The reset is a moment, in epoch seconds."""
    return {
        "ratelimit-limit": str(limit.requests),
        "ratelimit-observed": str(limit.requests - left),
        "ratelimit-remaining": str(left),
        "ratelimit-reset": str(round(now + seconds)),
    }


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that it can end them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, simulator: Simulator, listen: tuple[str, int]) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        super().__init__(listen, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service for the host's name, which can take seconds, and nobody needs it.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends every connection under its handler."""
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was sent away, is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Logs nothing: `Simulator.requests` knows."""

    def do_GET(self) -> None:
        simulator = self.server.simulator
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request.of(self.command, self.path, dict(self.headers.items()), body)
        answer, effect = simulator.answer_and_effect(request)
        pause = simulator.latency + (0.0 if effect.sending is Sending.DRIP else effect.delay)
        if pause and simulator.stopping.wait(pause):
            self.close_connection = True
            return
        if effect.sending is Sending.HANG:
            self._hang()
        elif effect.sending is Sending.RESET:
            self._reset()
        else:
            self._send(answer, effect)

    do_HEAD = do_GET  # noqa: N815 - the names are http.server's
    do_POST = do_GET  # noqa: N815
    do_PUT = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    def _send(self, answer: Answer, effect: Effect) -> None:
        body, headers = answer.body, dict(answer.headers)
        if len(body) > GZIP_FROM and "gzip" in self.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1, mtime=0)
            headers["content-encoding"] = "gzip"
        lines = [
            f"HTTP/1.1 {answer.status} Simulated",
            f"date: {self.date_time_string(self.server.simulator.now)}",
            f"content-length: {len(body)}",
        ]
        head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1")
        sent = b"" if self.command == "HEAD" else body
        if effect.sending is Sending.TRUNCATED:
            self.connection.sendall(head + sent[: len(sent) // 2])
            self.close_connection = True
        elif effect.sending is Sending.DRIP:
            self._drip(head + sent, effect.delay)
        else:
            self.connection.sendall(head + sent)

    def _drip(self, message: bytes, pause: float) -> None:
        for begin in range(0, len(message), 16):
            self.connection.sendall(message[begin : begin + 16])
            if self.server.simulator.stopping.wait(pause):
                self.close_connection = True
                return

    def _hang(self) -> None:
        # Reading ends when the client goes, or when the server hangs up.
        with contextlib.suppress(OSError):
            while self.connection.recv(4096):
                pass
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The files that wrap the socket hold it open: it is closed, and so reset, once they are.
        self.wfile.close()
        self.rfile.close()
        self.connection.close()
        self.close_connection = True
