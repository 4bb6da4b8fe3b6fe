"""Threads that read: how many, what becomes of those that are stuck, and when a round has ended."""

import threading
from collections.abc import Callable, Iterator

import pytest

from exporter.polling.workers import Abandoned, Flight, Inline, Readers, Turnstile

PATIENCE = 20.0
"""Seconds after which a test has failed; nothing waits that long where the code is right."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A job that tells when it runs and ends when it may."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _flight: Flight) -> None:
        self.entered.set()
        assert self.open.wait(PATIENCE)


class Job(Flight):
    """A flight that does what it is given."""

    def __init__(self, job: Callable[[Flight], object]) -> None:
        super().__init__()
        self._job = job
        self.over = threading.Event()

    def fly(self) -> None:
        self._job(self)

    def landed(self) -> None:
        assert self.ended
        self.over.set()


def submit(readers: Readers | Inline, job: Callable[[Flight], object]) -> Job:
    flight = Job(job)
    readers.submit(flight)
    return flight


def nothing(_flight: Flight) -> None:
    pass


def breaking(_flight: Flight) -> None:
    raise ValueError("broken")


def ended(*flights: Job) -> bool:
    return all(flight.over.wait(PATIENCE) for flight in flights)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gates() -> Iterator[Callable[[], Gate]]:
    """Makes gates, and opens all of them in the end."""
    made: list[Gate] = []

    def gate() -> Gate:
        made.append(Gate())
        return made[-1]

    yield gate
    for one in made:
        one.open.set()


@pytest.fixture
def make_readers(clock: Clock) -> Iterator[Callable[[int], Readers]]:
    made: list[Readers] = []

    def readers(size: int) -> Readers:
        made.append(Readers(size, 90.0, clock))
        return made[-1]

    yield readers
    for one in made:
        one.close()


def test_as_many_reads_as_may_run_side_by_side(make_readers: Callable[[int], Readers]) -> None:
    readers, together = make_readers(3), threading.Barrier(3)
    flights = [submit(readers, lambda _flight: _met(together)) for _ in range(3)]
    assert ended(*flights)
    assert not any(flight.error for flight in flights)


def _met(barrier: threading.Barrier) -> None:
    barrier.wait(PATIENCE)


def test_no_more_reads_run_than_may(make_readers: Callable[[int], Readers]) -> None:
    readers, lock, running, most = make_readers(3), threading.Lock(), 0, 0

    def job(_flight: Flight) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    assert ended(*(submit(readers, job) for _ in range(300)))
    assert 1 <= most <= 3


def test_the_next_read_waits_until_one_of_them_ends(
    make_readers: Callable[[int], Readers], gates: Callable[[], Gate]
) -> None:
    readers, first, second, third = make_readers(2), gates(), gates(), gates()
    for gate in (first, second, third):
        submit(readers, gate)
    assert first.entered.wait(PATIENCE)
    assert second.entered.wait(PATIENCE)
    assert not third.entered.is_set()
    second.open.set()
    assert third.entered.wait(PATIENCE)


def test_no_read_waits_for_another_while_a_thread_may_be_started(
    make_readers: Callable[[int], Readers], gates: Callable[[], Gate]
) -> None:
    # A thread that has just taken a read is busy, whatever it has had time to tell.
    for _ in range(200):
        readers, stuck = make_readers(2), gates()
        assert ended(submit(readers, nothing))
        submit(readers, stuck)
        assert ended(submit(readers, nothing))
        stuck.open.set()


def test_an_idle_thread_takes_the_next_read(make_readers: Callable[[int], Readers]) -> None:
    readers, threads = make_readers(3), set[int]()
    for _ in range(5):
        assert ended(submit(readers, lambda _flight: threads.add(threading.get_ident())))
    assert len(threads) == 1


def test_what_is_stuck_is_abandoned_and_another_thread_takes_its_place(
    make_readers: Callable[[int], Readers], gates: Callable[[], Gate], clock: Clock
) -> None:
    readers, stuck = make_readers(1), gates()
    flight = submit(readers, stuck)
    assert stuck.entered.wait(PATIENCE)
    waiting = submit(readers, nothing)
    clock.now = 90.0
    readers.reap()
    assert not flight.ended
    clock.now = 90.1
    readers.reap()
    assert ended(flight)
    assert isinstance(flight.error, Abandoned)
    assert str(flight.error) == "no answer within 90 s"
    assert ended(waiting)
    readers.reap()
    assert ended(submit(readers, nothing))


def test_an_abandoned_read_that_comes_back_changes_nothing(
    make_readers: Callable[[int], Readers], gates: Callable[[], Gate], clock: Clock
) -> None:
    readers, stuck, threads = make_readers(1), gates(), list[threading.Thread]()

    def job(flight: Flight) -> None:
        threads.append(threading.current_thread())
        stuck(flight)

    flight = submit(readers, job)
    assert stuck.entered.wait(PATIENCE)
    clock.now = 100.0
    readers.reap()
    stuck.open.set()
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    assert isinstance(flight.error, Abandoned)
    first, second = gates(), gates()
    submit(readers, first)
    submit(readers, second)
    assert first.entered.wait(PATIENCE)
    assert not second.entered.is_set()


def test_a_read_that_waits_for_a_thread_is_not_stuck(
    make_readers: Callable[[int], Readers], gates: Callable[[], Gate], clock: Clock
) -> None:
    readers, stuck, quick = make_readers(1), gates(), gates()
    submit(readers, stuck)
    assert stuck.entered.wait(PATIENCE)
    waiting = submit(readers, quick)
    clock.now = 100.0
    readers.reap()
    assert quick.entered.wait(PATIENCE)
    readers.reap()
    assert not waiting.ended
    quick.open.set()
    assert ended(waiting)
    assert waiting.error is None


def test_a_job_that_raises_ends_its_flight_and_not_its_thread(make_readers: Callable[[int], Readers]) -> None:
    readers, threads = make_readers(1), set[int]()
    for _ in range(3):
        flight = submit(readers, breaking)
        assert ended(flight)
        assert isinstance(flight.error, ValueError)
        assert ended(submit(readers, lambda _flight: threads.add(threading.get_ident())))
    assert len(threads) == 1


def test_threads_end_once_what_was_asked_is_done(clock: Clock, gates: Callable[[], Gate]) -> None:
    readers, gate, threads = Readers(2, 90.0, clock), gates(), set[threading.Thread]()
    together = threading.Barrier(2)

    def job(flight: Flight) -> None:
        threads.add(threading.current_thread())
        together.wait(PATIENCE)
        gate(flight)

    flights = [submit(readers, job) for _ in range(2)]
    last = submit(readers, nothing)
    readers.close()
    gate.open.set()
    assert ended(*flights, last)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_threads_hold_up_no_exit(make_readers: Callable[[int], Readers]) -> None:
    daemons: list[bool] = []
    assert ended(submit(make_readers(1), lambda _flight: daemons.append(threading.current_thread().daemon)))
    assert daemons == [True]


def test_inline_readers_read_one_after_the_other_once_they_are_told_to() -> None:
    readers, done = Inline(), list[Flight]()
    flights = [submit(readers, done.append), submit(readers, done.append)]
    assert done == []
    assert not any(flight.ended for flight in flights)
    readers.drain()
    assert done == flights
    assert all(flight.ended for flight in flights)
    broken = submit(readers, breaking)
    readers.drain()
    assert isinstance(broken.error, ValueError)
    readers.reap()
    readers.close()


def test_a_job_of_inline_readers_may_put_another_in_the_queue() -> None:
    readers, order = Inline(), list[str]()

    def first(_flight: Flight) -> None:
        submit(readers, lambda _flight: order.append("second"))
        order.append("first")

    flight = submit(readers, first)
    readers.drain()
    assert order == ["first", "second"]
    assert flight.ended


class Landing(Flight):
    """A flight that stumbles when it has landed."""

    def landed(self) -> None:
        raise ValueError("stumbled")


def test_what_goes_wrong_when_a_flight_has_landed_ends_no_thread(make_readers: Callable[[int], Readers]) -> None:
    readers, threads = make_readers(1), set[int]()
    for _ in range(3):
        readers.submit(Landing())
        assert ended(submit(readers, lambda _flight: threads.add(threading.get_ident())))
    assert len(threads) == 1


def test_behind_the_turnstile_readers_wait_one_at_a_time_and_a_scrape_waits_for_one() -> None:
    lock = threading.RLock()
    queue = Turnstile(lock)
    order: list[str] = []
    waiting = threading.Semaphore(0)

    def read(name: str) -> None:
        waiting.release()
        with queue, queue:  # a reader may hold it twice
            order.append(name)

    lock.acquire()
    readers = [threading.Thread(target=read, args=(f"reader {number}",)) for number in range(4)]
    for reader in readers:
        reader.start()
        waiting.acquire()
    assert order == []
    order.append("scrape")
    lock.release()
    for reader in readers:
        reader.join(10)
    assert order[0] == "scrape"
    assert sorted(order[1:]) == [f"reader {number}" for number in range(4)]
    with lock:  # all of them have let go
        order.clear()
