"""Connections that end in time, and say so when they were dead before they were used: what urllib3 leaves open.

Its read timeout bounds each wait for a socket, so that a server which drips a byte at a time is never late. Here each
wait is given what is left of the timeout with which the answer's head was awaited, and that is what `Timeout(total=…)`
left after connecting; it holds for the head, too, and for the frames of a chunked body.

Of a kept connection urllib3 notices before a request that the server has closed it, and opens another. But the server's
end can be under way just then: the request goes out, and the connection ends without a byte. urllib3 repeats nothing
where retries are off, and where they are on it cannot tell this case, in which a GET surely may be repeated, from a
server that dies over each request. So the connection tells it, by raising `Dead`.
"""

import http.client
import io
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
import urllib3.connection
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from exporter import __version__

CONNECT_TIMEOUT = 5.0
"""Seconds for one try to connect, TLS included."""


class Authentication(AuthBase):
    """Headers as requests' `auth`: where one is given, requests does not look into a netrc."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the headers set."""
        request.headers.update(self._headers)
        return request


def new_session(url: str, verify: bool | str) -> requests.Session:  # noqa: FBT001  # as requests calls it
    """A session for one thread and origin: one kept connection, no retries, no cookies.

    The environment is asked for a proxy once, not with every request. `verify` is kept as given: requests would let
    REQUESTS_CA_BUNDLE win over it.
    """
    session = requests.Session()
    with suppress(ValueError):  # the url is no address: the first request says so
        session.proxies = requests.utils.get_environ_proxies(url)
    session.verify = verify
    session.trust_env = False
    session.headers = requests.structures.CaseInsensitiveDict(
        {
            "User-Agent": f"ci-build-exporter/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }
    )
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_connections=1, pool_maxsize=1, max_retries=0))
    return session


class Dead(http.client.RemoteDisconnected):
    """A connection that had served before ended without a byte of an answer."""


class _Waiting(io.RawIOBase):
    """Reads a socket, waits included for no longer than until `deadline` of the monotonic clock."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self._silent = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        try:
            size = self._raw.readinto(buffer)
        except ConnectionError as error:
            if self._silent:
                raise http.client.RemoteDisconnected(str(error)) from error
            raise
        self._silent = False
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Source:
    """What `http.client` wants of a socket to read an answer from it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        timeout = self._sock.gettimeout()
        return io.BufferedReader(
            _Waiting(self._sock, time.monotonic() + (CONNECT_TIMEOUT if timeout is None else timeout))
        )


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        source: Any = _Source(sock)
        super().__init__(source, *args, **kwargs)


class _Kept(urllib3.connection.HTTPConnection):
    response_class = _Response
    served = False

    def getresponse(self) -> urllib3.response.HTTPResponse:  # type: ignore[override]  # as in urllib3 itself
        served = self.served  # `http.client` closes the connection before it lets the error go
        try:
            response = super().getresponse()
        except http.client.RemoteDisconnected as error:
            if served:
                raise Dead(str(error)) from error
            raise
        self.served = True
        return response

    def close(self) -> None:
        self.served = False
        super().close()


class _KeptTls(_Kept, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Kept


class _PoolTls(urllib3.HTTPSConnectionPool):
    ConnectionCls = _KeptTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTls}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> urllib3.PoolManager:
        manager: urllib3.PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTls}
        return manager
