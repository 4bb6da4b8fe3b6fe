"""What a process needs that is to live long, with thousands of targets in memory."""

import ctypes
import gc
from contextlib import suppress

CYCLES = 50_000
"""Objects that come before Python looks for cycles among them, of which there are next to none: with a thousand targets
it held up everything for a tenth of a second, every other second.
"""
_M_MMAP_THRESHOLD = -3
LARGE = 1 << 20
"""Bytes of what the C library gives back to the system once it is free. Left to itself, glibc raises this to the
largest it has seen, and with every answer to a scrape a hole of its size stayed open.
"""


def settle() -> None:
    """Call it once all is loaded, and before anything is read."""
    gc.freeze()
    gc.set_threshold(CYCLES)
    with suppress(AttributeError, OSError, TypeError):  # not every C library has it
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)
