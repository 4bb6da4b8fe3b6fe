"""Pieces that are compressed apart are one gzip member together."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.gzip_members import BLOCK, Column, Member

PLACES = 3 * BLOCK


def whole(columns: list[Column], tail: bytes = b"") -> bytes:
    member = Member()
    for column in columns:
        column.add_to(member)
    member.add(tail)
    return gzip.decompress(member.whole())


@given(st.lists(st.tuples(st.integers(0, PLACES), st.binary(max_size=300))), st.binary(max_size=50))
def test_whatever_is_put_where_the_member_is_the_lines_in_their_order(
    changes: list[tuple[int, bytes]], tail: bytes
) -> None:
    column, expected = Column(), dict[int, bytes]()
    for number, (place, lines) in enumerate(changes):
        column.put(place, lines)
        expected[place] = lines
        if number % 3 == 0:  # what was combined before must be combined anew where it changed
            whole([column])
    text = b"".join(expected[place] for place in sorted(expected))
    assert whole([column, column], tail) == text + text + tail
    assert bool(column) == bool(text)


def test_lines_without_end_are_counted_as_gzip_counts_them() -> None:
    member = Member()
    member.extend([], 0, (1 << 32) + 5)
    assert member.whole()[-4:] == (5).to_bytes(4, "little")


def test_an_empty_member_is_one() -> None:
    assert whole([]) == b""
