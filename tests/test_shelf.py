"""What is put on a shelf stands there until something else is put in its place."""

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from exporter.store.arena import Shelf, Store

WIDTH = 3
KEPT = st.binary(max_size=40)


@given(st.lists(st.tuples(st.integers(0, 4 * WIDTH), KEPT), max_size=60))
def test_at_each_place_is_what_was_put_there_last(changes: list[tuple[int, bytes]]) -> None:
    shelf, expected = Shelf(WIDTH), dict[int, bytes]()
    for place, kept in changes:
        shelf[place] = kept
        expected[place] = kept
        whole = [expected.get(at, b"") for at in range(len(shelf))]
        assert [shelf[at] for at in range(len(shelf))] == whole
        assert b"".join(shelf.whole) == b"".join(whole)
        assert len(shelf) == max(expected) + 1


def test_a_shelf_takes_no_more_room_than_twice_what_stands_on_it_when_that_grows_and_four_times_when_it_shrinks() -> (
    None
):
    shelf = Shelf(64)
    for size, times in ((10_000, 2), (30_000, 2), (5_000, 4), (40_000, 2)):
        for place in range(192):
            shelf[place] = bytes([place]) * size
        assert shelf.room <= 192 * size * times
        assert [shelf[place] for place in range(192)] == [bytes([place]) * size for place in range(192)]


def test_what_was_given_out_stays_as_it_was_while_the_shelf_grows() -> None:
    shelf = Shelf(64)
    shelf[0] = b"first"
    (whole,) = shelf.whole
    shelf[1] = bytes(1_000_000)
    assert bytes(whole) == b"first"


@given(st.lists(KEPT | st.integers(0, 9), max_size=60))
def test_a_store_gives_back_what_was_put_there_and_takes_the_places_of_what_was_dropped(
    changes: list[bytes | int],
) -> None:
    store, known, most = Store(WIDTH), list[tuple[int, bytes]](), 0
    for change in changes:
        if isinstance(change, bytes):
            known.append((store.put(change), change))
        elif change < len(known):
            store.drop(known.pop(change)[0])
        most = max(most, len(known))
        assert [store.get(place) for place, _kept in known] == [kept for _place, kept in known]
        assert {place for place, _kept in known} <= set(range(most))


def test_what_was_dropped_takes_no_room_once_something_is_put() -> None:
    store = Store(WIDTH)
    for place in [store.put(bytes(100_000)) for _ in range(20)]:
        store.drop(place)
    store.put(b"all that is left")
    assert b"".join(store.shelf.whole) == b"all that is left"


def test_threads_may_put_get_and_drop_side_by_side() -> None:
    store, together = Store(WIDTH), threading.Barrier(4)

    def work(number: int) -> bool:
        together.wait(20)
        right = True
        for turn in range(500):
            kept = bytes([number]) * (turn % 37)
            place = store.put(kept)
            right = right and store.get(place) == kept
            store.drop(place)
        return right

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))
