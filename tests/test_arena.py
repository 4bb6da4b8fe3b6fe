"""What is put at a place of an arena stays there until something else is put in its place."""

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from exporter.store.arena import Arena, Slots

WIDTH = 3
KEPT = st.binary(max_size=40)


def room(arena: Arena) -> int:
    """Bytes of the memory that the chunks take."""
    return sum(memoryview(whole.obj if isinstance(whole, memoryview) else whole).nbytes for whole in arena.whole)


@given(st.lists(st.tuples(st.integers(0, 4 * WIDTH), KEPT), max_size=60))
def test_at_each_place_is_what_was_put_there_last(changes: list[tuple[int, bytes]]) -> None:
    arena, expected = Arena(WIDTH), dict[int, bytes]()
    for place, kept in changes:
        arena[place] = kept
        expected[place] = kept
        whole = [expected.get(at, b"") for at in range(len(arena))]
        assert [arena[at] for at in range(len(arena))] == whole
        assert b"".join(arena.whole) == b"".join(whole)
        assert len(arena) == max(expected) + 1


def test_an_arena_takes_no_more_room_than_twice_what_stands_on_it_when_that_grows_and_four_times_when_it_shrinks() -> (
    None
):
    arena = Arena(64)
    for size, times in ((10_000, 2), (30_000, 2), (5_000, 4), (40_000, 2)):
        for place in range(192):
            arena[place] = bytes([place]) * size
        assert room(arena) <= 192 * size * times
        assert [arena[place] for place in range(192)] == [bytes([place]) * size for place in range(192)]


def test_what_was_given_out_stays_as_it_was_while_the_arena_grows() -> None:
    arena = Arena(64)
    arena[0] = b"first"
    (whole,) = arena.whole
    arena[1] = bytes(1_000_000)
    assert bytes(whole) == b"first"


@given(st.lists(KEPT | st.integers(0, 9), max_size=60))
def test_slots_gives_back_what_was_put_there_and_takes_the_places_of_what_was_dropped(
    changes: list[bytes | int],
) -> None:
    slots, known, most = Slots(WIDTH), list[tuple[int, bytes]](), 0
    for change in changes:
        if isinstance(change, bytes):
            known.append((slots.put(change), change))
        elif change < len(known):
            slots.drop(known.pop(change)[0])
        most = max(most, len(known))
        assert [slots.get(place) for place, _kept in known] == [kept for _place, kept in known]
        assert {place for place, _kept in known} <= set(range(most))


def test_what_was_dropped_takes_no_room_once_something_is_put() -> None:
    slots = Slots(WIDTH)
    for place in [slots.put(bytes(100_000)) for _ in range(20)]:
        slots.drop(place)
    slots.put(b"all that is left")
    assert b"".join(slots.arena.whole) == b"all that is left"


def test_threads_may_put_get_and_drop_side_by_side() -> None:
    slots, together = Slots(WIDTH), threading.Barrier(4)

    def work(number: int) -> bool:
        together.wait(20)
        right = True
        for turn in range(500):
            kept = bytes([number]) * (turn % 37)
            place = slots.put(kept)
            right = right and slots.get(place) == kept
            slots.drop(place)
        return right

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))
