"""Serving the application: the address, the socket, the signals."""

import asyncio
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from exporter.errors import ListenError

KEEP_ALIVE = 120
"""Seconds that an idle connection is kept: longer than any scrape interval."""
GRACE = 5
"""Seconds that scrapes under way have at the end."""


def listen(address: str) -> socket.socket:
    """A listening socket for `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every address). Raises ListenError."""
    host, separator, port_text = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not port_text.isascii() or not port_text.isdecimal() or int(port_text) > 65535:  # noqa: PLR2004
        raise ListenError(f'--web.listen-address: "{address}" is no HOST:PORT; write :10065 or 127.0.0.1:10065')
    port = int(port_text)
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except socket.gaierror as error:
        raise ListenError(f'--web.listen-address: "{host}" is no address of this machine') from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ListenError(f"--web.listen-address: cannot listen on {address}: {reason}") from error


def run(application: Starlette, listening: socket.socket, on_hangup: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; SIGHUP calls `on_hangup` beside the loop."""
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    server = uvicorn.Server(config)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, on_hangup))
        await server.serve(sockets=[listening])

    asyncio.run(serve())
