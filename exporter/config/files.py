"""Reading a file that may be anything, a pipe or a device included: bounded in size and in time."""

import os
import select
import time
from pathlib import Path

_CHUNK = 1 << 16
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Without O_NONBLOCK, opening a FIFO waits until somebody opens its other end."""


def content_of(path: Path, largest: int, wait_seconds: float = 0.0) -> bytes | None:
    """The content of a file; None if it has more than `largest` bytes.

    Raises TimeoutError if a pipe has no data and does not end within `wait_seconds`, and OSError for anything else that
    the system refuses.
    """
    deadline = time.monotonic() + wait_seconds
    descriptor = os.open(path, _OPEN)
    try:
        content = bytearray()
        while len(content) <= largest:
            try:
                chunk = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                _wait(descriptor, deadline)
                continue
            if not chunk:
                return bytes(content)
            content += chunk
        return None
    finally:
        os.close(descriptor)


def _wait(descriptor: int, deadline: float) -> None:
    """Wait until there is something to read. Raises TimeoutError at the deadline of the monotonic clock."""
    left = deadline - time.monotonic()
    readable = select.poll()
    readable.register(descriptor, select.POLLIN)
    if left <= 0 or not readable.poll(left * 1000):
        raise TimeoutError("no data, and no end")
