"""Byte strings kept one after the other, in few large chunks of memory.

Thousands that change their sizes, each in memory of its own, leave holes between them: those came to a tenth of all
that the targets take.
"""

import threading
from array import array
from mmap import ACCESS_COPY, mmap

LARGE = 1 << 17
"""Bytes of what is taken from the system: in the heap it would leave a hole of its size wherever it grows."""


class Arena:
    """A byte string a place, an empty one where none was put."""

    def __init__(self, width: int) -> None:
        self._width = width
        """Places a chunk."""
        self._lengths = array("I")
        self._chunks: list[_Chunk] = []

    def __len__(self) -> int:
        """How many places there are."""
        return len(self._lengths)

    def __getitem__(self, place: int) -> bytes:
        """What is kept at that place, which there is."""
        chunk, start, end = self._span(place)
        return chunk[start:end]

    def __setitem__(self, place: int, kept: bytes) -> None:
        """Keep that at that place, and no longer what was there; where there is no such place, it is made."""
        missing = place + 1 - len(self._lengths)
        if missing > 0:
            self._lengths.extend([0] * missing)
            self._chunks += [_Chunk() for _ in range(place // self._width + 1 - len(self._chunks))]
        chunk, start, end = self._span(place)
        chunk.put(start, end, kept)
        self._lengths[place] = len(kept)

    @property
    def whole(self) -> list[bytearray | memoryview]:
        """All that is kept, in the order of the places, until something is put."""
        return [chunk.whole for chunk in self._chunks]

    def _span(self, place: int) -> tuple["_Chunk", int, int]:
        chunk = place // self._width
        start = sum(self._lengths[chunk * self._width : place])
        return self._chunks[chunk], start, start + self._lengths[place]


class _Chunk:
    """What is kept of some places; what stands behind a change is moved."""

    __slots__ = ("_large", "_small", "_used")

    def __init__(self) -> None:
        self._small = bytearray()
        self._large: mmap | None = None
        """Holds it instead, as soon as that is `LARGE`."""
        self._used = 0

    def __getitem__(self, span: slice) -> bytes:
        return self._large[span] if self._large else bytes(self._small[span])

    def put(self, start: int, end: int, kept: bytes) -> None:
        """Put that between start and end."""
        behind = start + len(kept)
        used = behind + self._used - end
        if not (used <= len(self._large) <= used * 4 if self._large else used < LARGE):
            before = memoryview(self.whole)
            self._move(bytearray().join([before[:start], kept, before[end:]]))
        elif self._large:
            self._large.move(behind, end, self._used - end)
            self._large[start:behind] = kept
        else:
            self._small[start:end] = kept
        self._used = used

    def _move(self, whole: bytearray) -> None:
        if len(whole) < LARGE:
            self._small, self._large = whole, None
        else:
            self._small, self._large = bytearray(), mmap(-1, len(whole) * 2, access=ACCESS_COPY)
            self._large[: len(whole)] = whole  # only what is written to is taken

    @property
    def whole(self) -> bytearray | memoryview:
        """What is kept."""
        return memoryview(self._large)[: self._used] if self._large else self._small


class Slots:
    """Byte strings that come and go in any order and from any thread."""

    def __init__(self, width: int) -> None:
        self.arena = Arena(width)
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._dropped: list[int] = []
        """Places whose strings nobody needs any more, but which are not empty yet."""

    def put(self, kept: bytes) -> int:
        """Keep that, and tell its place."""
        with self._lock:
            while self._dropped:
                self._free.append(self._dropped.pop())
                if self._dropped:  # the last is taken at once
                    self.arena[self._free[-1]] = b""
            place = self._free.pop() if self._free else len(self.arena)
            self.arena[place] = kept
            return place

    def get(self, place: int) -> bytes:
        """What was put there."""
        with self._lock:
            return self.arena[place]

    def drop(self, place: int) -> None:
        """Let go of what was put there. It waits for nothing, so that a finalizer can call it at any moment."""
        self._dropped.append(place)
