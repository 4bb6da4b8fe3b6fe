"""Settings of a process that runs for long, with thousands of targets in memory."""

import ctypes
import gc
import resource
from contextlib import suppress

GC_THRESHOLD = 50_000
"""Objects created before Python looks for cycles, of which there are next to none. With its default and a thousand
targets, the search stopped everything for a tenth of a second, every other second.
"""
_M_MMAP_THRESHOLD = -3
LARGE_BLOCK = 1 << 20
"""Bytes from which the C library returns a block to the system once it is free. By default glibc raises this to the
largest block it has seen, and each answer to a scrape left a hole of its size.
"""
DESCRIPTORS = 1 << 16
"""File descriptors to ask for, as far as the system's hard limit allows; many systems set the soft limit to 1024."""


def settle() -> None:
    """Apply the settings: once all modules are loaded, and before anything is read."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    with suppress(AttributeError, OSError, TypeError):  # not every C library has it
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # some systems allow less than their limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
