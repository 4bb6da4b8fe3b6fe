"""Serving the application: the address, the socket, the signals."""

import asyncio
import errno
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from exporter.errors import ListenError
from exporter.web.process import settle

KEEP_ALIVE = 120
"""Seconds that an idle connection is kept: longer than any scrape interval."""
GRACE = 5
"""Seconds that scrapes under way have at the end."""
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


def server_of(application: ASGIApp, context: ssl.SSLContext | None, grace: int = GRACE) -> uvicorn.Server:
    """The server, over TLS where there is a context."""
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=grace,
        ssl_context_factory=(lambda _config, _default: context) if context else None,
    )
    return uvicorn.Server(config)


def run(
    application: ASGIApp, listening: socket.socket, on_hangup: Callable[[], None], context: ssl.SSLContext | None
) -> None:
    """Serve until SIGINT or SIGTERM; SIGHUP calls `on_hangup` beside the loop."""
    server = server_of(application, context)
    settle()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, on_hangup))
        await server.serve(sockets=[listening])

    # uvicorn raises the signal again once it has ended; to be told to end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    asyncio.run(serve())
