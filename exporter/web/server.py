"""Serving the application: the address, the socket, the signals."""

import asyncio
import errno
import math
import os
import resource
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from exporter.errors import ListenError
from exporter.web.connections import Acceptor, Connection, Limits
from exporter.web.process import settle

log = structlog.get_logger()

GRACE_SECONDS = 1
"""How long answers in progress may take at the end."""
BACKLOG = 1024
LARGEST_PORT = 65535


def listen(address: str) -> socket.socket:
    """A listening socket for `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every address). Raises ListenError."""
    host, port = host_and_port("web.listen-address", address)
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise cannot_listen("web.listen-address", address, error) from error


def host_and_port(option: str, address: str) -> tuple[str, int]:
    """The parts of an address as the option takes it, the host without brackets. Raises ListenError."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isascii() or not port.isdecimal() or int(port) > LARGEST_PORT:
        raise ListenError(f'--{option}: "{address}" is no HOST:PORT; write :10065 or 127.0.0.1:10065')
    return host.removeprefix("[").removesuffix("]"), int(port)


def cannot_listen(option: str, address: str, error: OSError) -> ListenError:
    """What the system refused, in one line."""
    if isinstance(error, socket.gaierror) or (error.errno or 0) < 0:  # create_server makes an OSError of the former
        return ListenError(f"--{option}: {address} is no address of this machine: the name does not resolve")
    hints = {errno.EADDRINUSE: "; choose another, or end what listens there", errno.EACCES: "; choose one above 1023"}
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return ListenError(f"--{option}: cannot listen on {address}: {reason}{hints.get(error.errno or 0, '')}")


class Server(uvicorn.Server):
    """uvicorn with bounded connections, which ends soon whatever its clients and the providers do."""

    def __init__(
        self, config: uvicorn.Config, context: ssl.SSLContext | None, stopping: asyncio.Event, limits: Limits
    ) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._acceptor = Acceptor(self._connection, limits, context)
        self._tasks: list[asyncio.Task[None]] = []

    def _connection(self, acceptor: Acceptor) -> Connection:
        return Connection(acceptor, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and accept connections."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._acceptor.run(listening)) for listening in sockets or []]
        self._tasks.append(loop.create_task(self._acceptor.check()))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the scrapes that wait, with the data there is, and close all connections."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # What is left then would be cancelled by uvicorn, with a traceback in the log.
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._acceptor.abort)
        await super().shutdown(sockets)

    def stop(self) -> None:
        """End as soon as possible."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """No handlers: `run` has its own."""
        yield


def server_of(
    application: ASGIApp,
    context: ssl.SSLContext | None,
    stopping: asyncio.Event,
    limits: Limits | None = None,
) -> Server:
    """The server, with TLS if there is a context. It sets `stopping` when it begins to end."""
    config = uvicorn.Config(
        application,
        log_config=None,
        log_level="error",  # not a line for each bad request
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=math.ceil(Limits().idle_seconds),
        timeout_graceful_shutdown=GRACE_SECONDS + 1,
    )
    return Server(config, context, stopping, limits or Limits(connections=most_connections()))


def most_connections() -> int:
    """How many connections may be open: half of the process's descriptors are for requests to the providers."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = Limits().connections
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft // 2))


def run(  # noqa: PLR0913, PLR0917  # what is served, where, and what happens at each signal
    application: ASGIApp,
    listening: socket.socket,
    on_hangup: Callable[[], None],
    context: ssl.SSLContext | None,
    stopping: asyncio.Event,
    on_end: Callable[[], None],
) -> None:
    """Serve until SIGINT or SIGTERM, then call `on_end`; at SIGHUP, call `on_hangup` in a thread."""
    settle()
    server = server_of(application, context, stopping)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        server.stop()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        # A daemon: if it hangs, the process can still end.
        loop.add_signal_handler(signal.SIGHUP, lambda: threading.Thread(target=on_hangup, daemon=True).start())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        await server.serve(sockets=[listening])

    asyncio.run(serve())
    on_end()
    log.info("stopped", signal=received[0].name if received else "")
    _end()


def _end() -> None:
    """End the process even if a thread hangs: Python would wait for it."""
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
