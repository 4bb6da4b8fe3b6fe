"""How much JSON is decoded at once.

The decoder holds the interpreter's lock: while it works on one answer, no other thread runs, so no health check either.
"""

import re
from typing import Final

from exporter.errors import BadPayload

LARGEST_PAGE: Final = 400
"""Records of a list. At most 100 are asked for; a server that answers some more is not refused for that."""
MOST_VALUES: Final = 100_000
"""Keys and values of an answer of more than `SMALL` bytes; a page of 100 GitLab jobs has some 12,000."""
SMALL: Final = 1024 * 1024
"""Bytes. A body of this size is decoded within some milliseconds, whatever it contains."""

_TOKEN: Final = re.compile(rb'[,{\[}\]]|"(?:[^"\\]++|\\.)*+["\\]?', re.DOTALL)
"""A string, whatever is in it, or what separates values. Each string is passed once, also one without an end."""


def check_size(body: bytes) -> None:
    """Raise `BadPayload` where a large body has more records or values than any page.

    It ends at the first record too many, and lets other threads run. Of a small body nothing is looked at, and whether
    the body is JSON is for the decoder to say.
    """
    if len(body) <= SMALL:
        return
    lengths: list[int] = []
    for number, token in enumerate(_TOKEN.finditer(body)):
        if number > 2 * MOST_VALUES:
            raise BadPayload(f"answered more than {MOST_VALUES:,} values in {len(body):,} bytes")
        match body[token.start()]:
            case 0x5B | 0x7B:  # [ {
                lengths.append(1)
            case 0x5D | 0x7D if lengths:  # ] }
                lengths.pop()
            case 0x2C if lengths:  # ,
                lengths[-1] += 1
                check_length(lengths[-1])


def check_length(length: int) -> None:
    """Raise `BadPayload` for a list, or an object, of too many records."""
    if length > LARGEST_PAGE:
        raise BadPayload(f"answered {length:,} records or more at once; {LARGEST_PAGE} are the most that are taken")
