"""Lines of many targets, kept compressed, one piece a target, and put together to one gzip member.

A piece is raw deflate that ends with a full flush: it refers to nothing before it and ends on a whole byte,
so that pieces can be joined in any order. What a gzip member says at its end, the checksum and the length of the whole,
is combined from those of the pieces. It is one member, never several: RFC 1952 allows several, but curl and others stop
reading behind the first.
"""

import struct
import zlib
from array import array
from collections.abc import Sequence

from isal import isal_zlib

from exporter.store.arena import Arena

BLOCK = 16
"""Pieces whose checksums are combined in advance: a change costs one block and the row of blocks, not all pieces."""
PIECES = 256
"""Kept together: of fewer, more is held in reserve; of more, a change moves more."""
LEVEL = 1
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_WINDOW = -15
"""Raw deflate: no header and no checksum of its own."""
_SMALL_LEVEL, _SMALL_WINDOW, _SMALL_MEMORY = 6, -12, 4
"""As small as the largest window makes lines of one family, and a compressor of 24 KB instead of 256."""


class Member:
    """One gzip member that is put together."""

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray | memoryview] = [_HEADER]
        self._crc = 0
        self._size = 0

    def add(self, lines: bytes) -> None:
        """Lines of this moment, which are not kept."""
        self.extend([deflated(lines)], isal_zlib.crc32(lines), len(lines))

    def extend(self, pieces: Sequence[bytes | bytearray | memoryview], crc: int, size: int) -> None:
        """Pieces that are kept, with the checksum and the length of their lines."""
        self._parts += pieces
        self._crc = isal_zlib.crc32_combine(self._crc, crc, size)
        self._size += size

    def whole(self) -> bytes:
        """The member; nothing can be added behind it."""
        self._parts += [_LAST, struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)]
        return b"".join(self._parts)


class Column:
    """The lines of one family: a piece a target, by the target's place; an empty one where it has none."""

    def __init__(self) -> None:
        self._pieces = Arena(PIECES)
        self._crcs = array("I")
        self._sizes = array("I")
        """Of the lines of each piece."""
        self._block_crcs = array("I")
        self._block_sizes = array("Q")
        self._combined = bytearray()
        """Whether those of the block are of its pieces as they are now."""

    def put(self, place: int, lines: bytes) -> None:
        """Keep the lines at that place instead of those that were there."""
        self._reach(place)
        crc = isal_zlib.crc32(lines)
        if (self._crcs[place], self._sizes[place]) != (crc, len(lines)):
            self._pieces[place] = _kept(lines) if lines else b""
            self._crcs[place], self._sizes[place] = crc, len(lines)
            self._combined[place // BLOCK] = False

    def __bool__(self) -> bool:
        """Whether any target has lines."""
        return any(self._sizes)

    def add_to(self, member: Member) -> None:
        """Add all pieces."""
        crc = size = 0
        for block, combined in enumerate(self._combined):
            if not combined:
                self._combine(block)
            length = self._block_sizes[block]
            crc = isal_zlib.crc32_combine(crc, self._block_crcs[block], length)
            size += length
        member.extend(self._pieces.whole, crc, size)

    def _combine(self, block: int) -> None:
        crc = size = 0
        of_block = slice(block * BLOCK, (block + 1) * BLOCK)
        for one, length in zip(self._crcs[of_block], self._sizes[of_block], strict=True):
            if length:
                crc = isal_zlib.crc32_combine(crc, one, length)
                size += length
        self._block_crcs[block], self._block_sizes[block], self._combined[block] = crc, size, True

    def _reach(self, place: int) -> None:
        """Make all places up to that one."""
        places = [0] * (place + 1 - len(self._crcs))
        blocks = [0] * (place // BLOCK + 1 - len(self._combined))
        self._crcs.extend(places)
        self._sizes.extend(places)
        self._block_crcs.extend(blocks)
        self._block_sizes.extend(blocks)
        self._combined.extend(blocks)


def deflated(lines: bytes) -> bytes:
    """The lines as raw deflate behind which more may stand."""
    packing = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW)
    packed: bytes = packing.compress(lines) + packing.flush(isal_zlib.Z_FULL_FLUSH)
    return packed


def _kept(lines: bytes) -> bytes:
    """The same, smaller by an eighth, in twice the time: for what is compressed once and sent often."""
    packing = zlib.compressobj(_SMALL_LEVEL, zlib.DEFLATED, _SMALL_WINDOW, _SMALL_MEMORY)
    return packing.compress(lines) + packing.flush(zlib.Z_FULL_FLUSH)


def _ended() -> bytes:
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW)
    return packing.flush(zlib.Z_FINISH)


_LAST = _ended()
"""An empty block that says that it is the last."""
