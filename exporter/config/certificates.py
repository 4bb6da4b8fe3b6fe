"""Certificates in PEM files."""

import ssl
from pathlib import Path
from typing import Final

from exporter.config.files import content_of

LARGEST_PEM: Final = 4 * 1024 * 1024
"""Bytes; a system's bundle of authorities has some 200 KiB."""


def authority_fault(path: Path) -> str:
    """What is wrong with a file of certificates to trust; empty if it can be used."""
    try:
        content = content_of(path, LARGEST_PEM)
    except TimeoutError:
        return f"{path} is a pipe without an end"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if content is None:
        return f"{path} is larger than {LARGEST_PEM // 1024**2} MiB"
    try:
        trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), content)
    except ValueError as error:
        return f"{path} {error}"
    return ""


def trust(context: ssl.SSLContext, content: bytes) -> None:
    """Trust the certificates of a PEM text. Raises ValueError if there are none, or damaged ones."""
    try:
        # A bundle may have comments in any script; `cadata` takes ASCII.
        context.load_verify_locations(cadata=content.decode("ascii", "replace").replace("\ufffd", "?"))
    except (ssl.SSLError, ValueError):
        raise ValueError("holds no certificate in PEM, or one that is damaged") from None
