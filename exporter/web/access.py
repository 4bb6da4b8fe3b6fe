"""Who is let in, by user and password; and the headers that every answer bears. All round the application."""

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import MutableMapping
from typing import Any, Final

import bcrypt
from cachetools import LRUCache
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.web_file import InForce, WebFile

OPEN: Final = ("/-/healthy", "/-/ready")
"""Whoever asks whether it runs, such as a kubelet, has no password; and they tell nothing."""
OPEN_TO_POST: Final = "/webhooks/"
"""A delivery has a secret of its own."""
WAITING: Final = 32
"""Passwords that may wait to be compared, which takes long on purpose; with more a request is put off."""
REMEMBERED: Final = 1024
"""Passwords that were right and need not be compared again."""
LONGEST: Final = 72
"""Bytes of a password that bcrypt knows of; the rest says nothing, as with the toolkit."""
NOBODY: Final = b"C6UzMDM.H6dfI/f/IKcEe.4WnfMBl4CrtYeFNuRC5cOpfDnlHIMWy"
"""Salt and hash that stand for users who are not there, so that their refusal takes as long."""
CHALLENGE: Final = 'Basic realm="ci-build-exporter", charset="UTF-8"'


class Access:
    """The application, for those who may."""

    def __init__(self, application: ASGIApp, web: WebFile) -> None:
        self._application = application
        self._web = web
        self._right: MutableMapping[bytes, bool] = LRUCache(REMEMBERED)
        self._key = secrets.token_bytes(32)
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application."""
        if scope["type"] != "http":  # of its start and end; there are no others
            await self._application(scope, receive, send)
            return
        now = self._web.now()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in now.headers}
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in own]
                message = {**message, "headers": [*kept, *now.headers]}
            await send(message)

        answer = None if not now.users or _is_open(scope) else await self._refusal(scope, now)
        await (answer or self._application)(scope, receive, with_headers)

    async def _refusal(self, scope: Scope, now: InForce) -> ASGIApp | None:
        """The answer to whoever is not let in."""
        given = _credentials(scope)
        if given is None:
            return _unauthorized()
        user, password = given
        known = now.users.get(user)
        seen = self._digest(user, known or b"", password)
        if seen in self._right:
            return None
        if self._waiting >= WAITING:
            return PlainTextResponse("too many passwords are being compared\n", 503, {"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                if seen in self._right:  # others who waited had the same
                    return None
                same = await run_in_threadpool(_same, password, known or _of_nobody(now.users.values()))
        finally:
            self._waiting -= 1
        if known is None or not same:
            return _unauthorized()
        self._right[seen] = True
        return None

    def _digest(self, *parts: bytes) -> bytes:
        """What is remembered in the password's place; with another hash for the user it is another."""
        digest = hashlib.blake2b(key=self._key)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def _is_open(scope: Scope) -> bool:
    path: str = scope["path"]
    return path in OPEN or (scope["method"] == "POST" and path.startswith(OPEN_TO_POST))


def _credentials(scope: Scope) -> tuple[bytes, bytes] | None:
    """User and password of a request (RFC 7617)."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, encoded = given.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password) if colon else None


def _same(password: bytes, known: bytes) -> bool:
    return bcrypt.checkpw(password[:LONGEST], known)


def _of_nobody(hashes: Any) -> bytes:
    """A hash that no password has, as costly as the costliest of those."""
    cost = max(known.split(b"$")[2] for known in hashes)
    return b"$2b$%s$%s" % (cost, NOBODY)


def _unauthorized() -> ASGIApp:
    return PlainTextResponse("a user and a password are needed\n", 401, {"WWW-Authenticate": CHALLENGE})
