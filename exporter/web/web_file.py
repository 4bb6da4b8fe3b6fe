"""The web configuration file and what it names, as they are now: what is renewed on disk holds without a restart."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from exporter.config.errors import text_of
from exporter.errors import ConfigError
from exporter.web import tls
from exporter.web.web_config import TLS, TlsServer, WebSettings, read

log = structlog.get_logger()

Version = tuple[int, int, int] | None
"""What changes when a file does; None where it cannot be had."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What a reading of the file came to."""

    context: ssl.SSLContext | None
    """None where TLS is off."""
    users: Mapping[bytes, bytes]
    """Names to bcrypt hashes."""
    headers: tuple[tuple[bytes, bytes], ...]
    """In lower case, as ASGI has them."""
    versions: Mapping[Path, Version]
    """Of the files that were read, from before they were."""
    notes: tuple[str, ...]
    """What is odd and no fault."""

    @property
    def summary(self) -> str:
        """What is on: `TLS, 2 users, 1 header`."""
        counts = ((len(self.users), "user"), (len(self.headers), "header"))
        some = [f"{count} {what}{'s' if count > 1 else ''}" for count, what in counts if count]
        return ", ".join([*(["TLS"] if self.context else []), *some]) or "nothing is on"


class WebFile:
    """The file, read again when it changes, or a certificate or key that it names; a bad one changes nothing."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises ConfigError."""
        self._path = path
        self._lock = threading.RLock()
        self._tried: Mapping[Path, Version] = {}
        self._now: InForce | None = None
        self.use(self.read())

    def now(self) -> InForce:
        """What is in force, once what has changed was read."""
        with self._lock:
            if self._now is None or any(_version(path) != seen for path, seen in self._tried.items()):
                self._renew()
            assert self._now is not None  # noqa: S101  # the first reading came to something, or raised
            return self._now

    def read(self) -> InForce:
        """What the file says, without putting it in force. Raises ConfigError."""
        versions = {self._path: _version(self._path)}

        def look(named: TlsServer) -> Iterator[tuple[str, str]]:
            versions.update((path, _version(path)) for path in tls.files(named))
            return tls.look(named)

        with self._lock:
            try:
                settings = read(text_of(self._path, wait_seconds=0), str(self._path), self._path.parent, look)
                return self._made(settings, versions)
            except ConfigError:
                self._tried = {**self._tried, **versions}  # what is bad is told once, till one of them changes
                raise

    def use(self, made: InForce) -> None:
        """Put in force what was read."""
        with self._lock:
            self._now, self._tried = made, made.versions
        for note in made.notes:
            log.warning(note)

    def context(self) -> ssl.SSLContext | None:
        """A context by which every new connection is made as the file then says; None where TLS is off."""
        return tls.Renewing(ssl.PROTOCOL_TLS_SERVER, self._newest) if self.now().context else None

    def _newest(self) -> ssl.SSLContext:
        context = self.now().context
        assert context is not None  # noqa: S101  # TLS is not switched off while it serves
        return context

    def _renew(self) -> None:
        try:
            self.use(self.read())
        except ConfigError as error:
            log.error("the web configuration changed and cannot be used: what ran before stays", faults=error.faults)  # noqa: TRY400  # no bug
        else:
            log.info("web configuration read again")

    def _made(self, settings: WebSettings, versions: Mapping[Path, Version]) -> InForce:
        named = settings.tls
        try:
            context = tls.context_of(named) if named else None
            ended = tls.expired(named, datetime.now(UTC)) if named else None
        except (
            ValueError,
            ssl.SSLError,
        ) as error:  # a file changed since it was looked at, or OpenSSL has no such curve
            raise ConfigError([f"{self._path}: {TLS} cannot be had: {error}"]) from None
        if self._now is not None and (context is None) != (self._now.context is None):
            raise ConfigError([f"{self._path}: {TLS} comes and goes with a restart only; start the exporter anew"])
        users = {name.encode(): known.encode() for name, known in settings.basic_auth_users.items()}
        headers = tuple(
            (name.lower().encode(), value.encode()) for name, value in settings.http_server_config.headers.given()
        )
        notes = (f"{self._path}: {TLS}: the certificate expired at {ended:%Y-%m-%d %H:%M} UTC",) if ended else ()
        return InForce(context, users, headers, versions, notes)


def _version(path: Path) -> Version:
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_mtime_ns, now.st_size, now.st_ino
