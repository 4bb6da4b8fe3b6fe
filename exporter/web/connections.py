"""The server's connections: how many there are, how long each may take, and what counts as one request.

uvicorn accepts without a bound, waits for the head of a first request for ever, and so does asyncio's listener once the
descriptors are used up: it logs a traceback for each of a thousand attempts a second. Here sockets are accepted one by
one, up to a bound. If that is reached, idle connections are closed, those without a request so far first.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import h11
import structlog
from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger()

OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
RETRY_SECONDS: Final = 0.05
"""Between two attempts to make room, if nothing was closed meanwhile; and how long a connection is not yet idle."""
LARGEST_UNREAD_BODY: Final = 1024 * 1024
"""Bytes of a request's body that are discarded after its answer; with more the connection is closed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take of the server."""

    connections: int = 512
    """Open at once."""
    head_seconds: float = 10.0
    """Until the head of a request is complete: from its first byte, of the first request from the connection on."""
    idle_seconds: float = 120.0
    """Between two requests; longer than any scrape interval."""
    stall_seconds: float = 30.0
    """How long a client may accept nothing of an answer."""
    unread_seconds: float = 5.0
    """How long the rest of a request's body may take after its answer."""
    log_seconds: float = 60.0
    """Between two log lines about the lack of room."""


class Connection(H11Protocol):
    """One client."""

    def __init__(self, acceptor: "Acceptor", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Framing(h11.SERVER, DEFAULT_MAX_INCOMPLETE_EVENT_SIZE)
        self._acceptor = acceptor
        self.connected = False
        """Whether it is past the TLS handshake, if there is one."""
        self.looked_at = False
        """Whether data that came with the connection has been read."""
        self.served = False
        """Whether a request was answered."""
        self.aborted = False
        self.idle_since = self.loop.time()
        self._head_since: float | None = self.idle_since
        """Since when a head is awaited; None between two requests, and while one is answered."""
        self._unread_since: float | None = None
        """When a request was answered whose body has not arrived yet."""
        self._unread = 0
        self._accepted_at = self.idle_since
        """When the client last accepted something of an answer, or had accepted all."""
        self._to_write = 0

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        in_request = self.cycle is not None and not self.cycle.response_complete
        return in_request or self._write_buffer_size() > 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Await the first request."""
        super().connection_made(transport)
        self.connected = True

    def data_received(self, data: bytes) -> None:
        """Parse it; uvicorn calls the application once a head is complete."""
        if self._unread_since is not None:
            self._unread += len(data)
        elif self._head_since is None and not self.busy:
            self._head_since = self.loop.time()
        super().data_received(data)
        if self.busy:
            self._head_since = None
        if self._unread_since is not None and self.conn.their_state is not h11.SEND_BODY:
            self._unread_since, self.idle_since = None, self.loop.time()
        if self._unread > LARGEST_UNREAD_BODY:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        self.served, self.idle_since = True, self.loop.time()
        self._unread, self._unread_since = 0, None
        if self.conn.their_state is h11.SEND_BODY:
            self._unread_since = self.idle_since
        super().on_response_complete()
        self._acceptor.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        super().connection_lost(exc)
        self._acceptor.forget(self)

    def abort(self) -> None:
        """Close it at once, whatever is still to be sent."""
        self.aborted = True
        self.transport.abort()

    def check(self, now: float, limits: Limits) -> None:
        """Close it if it exceeds a limit. `now` is the time of the event loop."""
        if not self.connected:
            return  # the TLS handshake has a timeout of its own
        to_write = self._write_buffer_size()
        if to_write == 0 or to_write < self._to_write:
            self._accepted_at = now
        self._to_write = to_write
        idle_since = None if self.busy else self.idle_since
        if now - self._accepted_at > limits.stall_seconds:
            self.abort()
        elif (
            _over(self._head_since, now, limits.head_seconds)
            or _over(self._unread_since, now, limits.unread_seconds)
            or _over(idle_since, now, limits.idle_seconds)
        ):
            self.transport.close()

    def _write_buffer_size(self) -> int:
        """Bytes that the client has not accepted yet."""
        return self.transport.get_write_buffer_size() if self.connected else 0


def _over(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since > seconds


class _Framing(h11.Connection):
    """Refuses requests whose end is ambiguous: what a proxy takes for their body could be read as a second request."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            # RFC 9112, 6.1: such a message may be an attempt to smuggle a request.
            if b"transfer-encoding" in names and (b"content-length" in names or event.http_version < b"1.1"):
                raise h11.RemoteProtocolError("the end of the request is ambiguous")
        return event


class Acceptor:
    """Accepts connections, up to a limit."""

    def __init__(
        self, connection: Callable[["Acceptor"], Connection], limits: Limits, context: ssl.SSLContext | None
    ) -> None:
        self.changed = asyncio.Event()
        """Set when a connection becomes idle or closed."""
        self._connection = connection
        self._limits = limits
        self._context = context
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._crowded = False
        self._logged_at = float("-inf")

    async def run(self, listening: socket.socket) -> None:
        """Accept until cancelled."""
        listening.setblocking(False)  # noqa: FBT003  # it takes no name
        loop = asyncio.get_running_loop()
        while True:
            await self._room()
            try:
                accepted, _address = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in OUT_OF_RESOURCES:
                    await self._exhausted(error)
            else:
                self._begin(accepted)

    async def check(self) -> None:
        """Close what exceeds a limit, until cancelled."""
        limits = self._limits
        shortest = min(limits.head_seconds, limits.stall_seconds, limits.unread_seconds)
        while True:
            await asyncio.sleep(min(1.0, shortest / 4))
            now = asyncio.get_running_loop().time()
            for connection in list(self._open):
                connection.check(now, limits)

    def abort(self) -> None:
        """Close all connections at once."""
        for connection in list(self._open):
            self._abort(connection)

    def forget(self, connection: Connection) -> None:
        """Count the connection no longer."""
        self._open.pop(connection, None)
        self.changed.set()

    def _begin(self, accepted: socket.socket) -> None:
        connection = self._connection(self)

        def begun(_task: asyncio.Task[None]) -> None:
            if not connection.connected:  # the handshake failed, or was cancelled
                accepted.close()
                self.forget(connection)

        task = asyncio.get_running_loop().create_task(self._handshake(connection, accepted))
        self._open[connection] = task
        task.add_done_callback(begun)

    async def _handshake(self, connection: Connection, accepted: socket.socket) -> None:
        timeout = self._limits.head_seconds if self._context else None
        with suppress(OSError):  # module `tls` logs the reason
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, accepted, ssl=self._context, ssl_handshake_timeout=timeout
            )
            await asyncio.sleep(0)  # the event loop reads from it in this turn
            connection.looked_at = True

    async def _room(self) -> None:
        """Return once there is room for one more connection."""
        while len(self._open) >= self._limits.connections:
            self._log_once(f"{self._limits.connections} connections are open")
            await self._make_room()
        self._crowded = self._crowded and len(self._open) > self._limits.connections // 2

    async def _exhausted(self, error: OSError) -> None:
        """Return when it makes sense to accept again."""
        self._log_once(error.strerror or str(error))
        await self._make_room()

    async def _make_room(self) -> None:
        """Close an idle connection, and wait until something has been closed; not for long."""
        self.changed.clear()
        self._close_one()
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self.changed.wait()

    def _close_one(self) -> None:
        """Close the idle connection that is needed least, if there is one and none is closing already."""
        if any(connection.aborted for connection in self._open):
            return
        idle = [connection for connection in self._open if not connection.busy]
        if not idle:
            return
        chosen = min(idle, key=lambda connection: (connection.served, connection.idle_since))
        old = chosen.idle_since < asyncio.get_running_loop().time() - RETRY_SECONDS
        if old and (chosen.looked_at or not chosen.connected):
            self._abort(chosen)

    def _abort(self, connection: Connection) -> None:
        if connection.connected:
            connection.abort()
        else:
            self._open[connection].cancel()

    def _log_once(self, reason: str) -> None:
        """Log the change, and no more than one line in `log_seconds`."""
        now = asyncio.get_running_loop().time()
        if not self._crowded and now - self._logged_at > self._limits.log_seconds:
            log.warning("no room for new connections: idle ones are closed", reason=reason)
            self._logged_at = now
        self._crowded = True
