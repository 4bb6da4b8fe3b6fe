"""Where a token is kept, and reading it from there. Its text is never part of an error, a log or a representation."""

import hmac
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.files import content_of
from exporter.errors import Unauthorized

LONGEST_TOKEN = 64 * 1024
"""Bytes; a file that is larger is not a token's."""


@dataclass(frozen=True, slots=True)
class EnvToken:
    """A token in an environment variable."""

    env: str
    """The variable's name."""
    place: str = field(default="", compare=False, repr=False)
    """`FILE:LINE` of the configuration that names it."""

    def read(self) -> str:
        """The token. Raises `Unauthorized` where the variable is not set or holds no token."""
        return _token(os.environ.get(self.env, ""), f"the environment variable {self.env}", "is not set, or empty")


class _Kept:
    """What was read last. No dataclass, so that no dump of the settings walks into it."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: tuple[tuple[int, int, int], str] | None = None


@dataclass(frozen=True, slots=True)
class FileToken:
    """A token in a file, as Docker and Kubernetes mount secrets."""

    file: Path
    place: str = field(default="", compare=False, repr=False)
    """`FILE:LINE` of the configuration that names it."""
    _kept: _Kept = field(default_factory=_Kept, init=False, compare=False, repr=False)

    def read(self) -> str:
        """The token, read again when the file changed. Raises `Unauthorized` where there is no file, or none in it."""
        origin = f"the token file {self.file}"
        try:
            now = self.file.stat()
            if not stat.S_ISREG(now.st_mode):
                raise Unauthorized(f"{origin} is not a regular file")
            version = (now.st_mtime_ns, now.st_size, now.st_ino)
            last = self._kept.last
            if last is not None and last[0] == version:
                return last[1]
            content = content_of(self.file, LONGEST_TOKEN)
        except OSError as error:
            raise Unauthorized(f"{origin} cannot be read: {error.strerror}") from error
        except ValueError:
            raise Unauthorized("the path of a token file cannot be a path") from None
        if content is None:
            raise Unauthorized(f"{origin} is too large to be a token's")
        token = _token(content.decode("utf-8", "replace"), origin, "is empty")
        self._kept.last = (version, token)
        return token


def _token(text: str, origin: str, absent: str) -> str:
    token = text.strip()
    if not token:
        raise Unauthorized(f"{origin} {absent}")
    # A header takes no more than this; a line break would even begin another header.
    if not token.isprintable() or any(character > "\xff" for character in token):
        raise Unauthorized(f"{origin} holds a character that no token has (a line break, a control or a non-Latin one)")
    return token


def same_secret(secret: str, presented: str) -> bool:
    """Whether a header's value, as HTTP has it (a character a byte), is the secret; as quick however much of it is."""
    given = presented.encode("latin-1", "replace")
    # Senders spell what is not ASCII in one or the other way.
    return hmac.compare_digest(given, secret.encode()) | hmac.compare_digest(given, secret.encode("latin-1", "replace"))
