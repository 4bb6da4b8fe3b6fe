"""Threads that read: how many, and what becomes of those that are stuck."""

import threading
from collections.abc import Callable, Iterator

import pytest

from exporter.polling.workers import Abandoned, FairLock, InlinePool, WorkerPool

PATIENCE = 20.0
"""Seconds after which a test has failed; nothing waits that long where the code is right."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """Work that tells when it runs and ends when it may."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.open.wait(PATIENCE)


class Job:
    """A job that does the work that it is made with."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.requests = 0
        self.ended = False
        self.error: BaseException | None = None
        self.over = threading.Event()
        self._work = work

    def run(self) -> None:
        self._work()

    def end(self, error: BaseException | None = None) -> None:
        assert not self.ended
        self.ended, self.error = True, error
        self.over.set()


class Stumbling(Job):
    """A job that breaks when it has ended."""

    def end(self, error: BaseException | None = None) -> None:
        super().end(error)
        raise ValueError("stumbled")


def submit(pool: WorkerPool | InlinePool, work: Callable[[], object]) -> Job:
    job = Job(work)
    pool.submit(job)
    return job


def nothing() -> None:
    pass


def breaking() -> None:
    raise ValueError("broken")


def ended(*jobs: Job) -> bool:
    return all(job.over.wait(PATIENCE) for job in jobs)


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
def make_pool(clock: Clock) -> Iterator[Callable[[int], WorkerPool]]:
    made: list[WorkerPool] = []

    def pool(size: int) -> WorkerPool:
        made.append(WorkerPool(size, 90.0, clock))
        return made[-1]

    yield pool
    for one in made:
        one.close()


def test_as_many_reads_as_may_run_side_by_side(make_pool: Callable[[int], WorkerPool]) -> None:
    pool, together = make_pool(3), threading.Barrier(3)
    jobs = [submit(pool, lambda: _met(together)) for _ in range(3)]
    assert ended(*jobs)
    assert not any(job.error for job in jobs)


def _met(barrier: threading.Barrier) -> None:
    barrier.wait(PATIENCE)


def test_no_more_reads_run_than_may(make_pool: Callable[[int], WorkerPool]) -> None:
    pool, lock, running, most = make_pool(3), threading.Lock(), 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    assert ended(*(submit(pool, work) for _ in range(300)))
    assert 1 <= most <= 3


def test_the_next_read_waits_until_one_of_them_ends(
    make_pool: Callable[[int], WorkerPool], gates: Callable[[], Gate]
) -> None:
    pool, first, second, third = make_pool(2), gates(), gates(), gates()
    for gate in (first, second, third):
        submit(pool, gate)
    assert first.entered.wait(PATIENCE)
    assert second.entered.wait(PATIENCE)
    assert not third.entered.is_set()
    second.open.set()
    assert third.entered.wait(PATIENCE)


def test_no_read_waits_for_another_while_a_thread_may_be_started(
    make_pool: Callable[[int], WorkerPool], gates: Callable[[], Gate]
) -> None:
    # A thread that has just taken a read is busy, whatever it has had time to tell.
    for _ in range(200):
        pool, stuck = make_pool(2), gates()
        assert ended(submit(pool, nothing))
        submit(pool, stuck)
        assert ended(submit(pool, nothing))
        stuck.open.set()


def test_an_idle_thread_takes_the_next_read(make_pool: Callable[[int], WorkerPool]) -> None:
    pool, threads = make_pool(3), set[int]()
    for _ in range(5):
        assert ended(submit(pool, lambda: threads.add(threading.get_ident())))
    assert len(threads) == 1


def test_what_is_stuck_is_abandoned_and_another_thread_takes_its_place(
    make_pool: Callable[[int], WorkerPool], gates: Callable[[], Gate], clock: Clock
) -> None:
    pool, stuck = make_pool(1), gates()
    job = submit(pool, stuck)
    assert stuck.entered.wait(PATIENCE)
    waiting = submit(pool, nothing)
    clock.now = 90.0
    pool.reap()
    assert not job.ended
    clock.now = 90.1
    pool.reap()
    assert ended(job)
    assert isinstance(job.error, Abandoned)
    assert str(job.error) == "no answer within 90 s"
    assert ended(waiting)
    pool.reap()
    assert ended(submit(pool, nothing))


def test_an_abandoned_read_that_comes_back_changes_nothing(
    make_pool: Callable[[int], WorkerPool], gates: Callable[[], Gate], clock: Clock
) -> None:
    pool, stuck, threads = make_pool(1), gates(), list[threading.Thread]()

    def work() -> None:
        threads.append(threading.current_thread())
        stuck()

    job = submit(pool, work)
    assert stuck.entered.wait(PATIENCE)
    clock.now = 100.0
    pool.reap()
    stuck.open.set()
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    assert isinstance(job.error, Abandoned)
    first, second = gates(), gates()
    submit(pool, first)
    submit(pool, second)
    assert first.entered.wait(PATIENCE)
    assert not second.entered.is_set()


def test_a_read_that_waits_for_a_thread_is_not_stuck(
    make_pool: Callable[[int], WorkerPool], gates: Callable[[], Gate], clock: Clock
) -> None:
    pool, stuck, quick = make_pool(1), gates(), gates()
    submit(pool, stuck)
    assert stuck.entered.wait(PATIENCE)
    waiting = submit(pool, quick)
    clock.now = 100.0
    pool.reap()
    assert quick.entered.wait(PATIENCE)
    pool.reap()
    assert not waiting.ended
    quick.open.set()
    assert ended(waiting)
    assert waiting.error is None


def test_a_job_that_raises_ends_its_job_and_not_its_thread(make_pool: Callable[[int], WorkerPool]) -> None:
    pool, threads = make_pool(1), set[int]()
    for _ in range(3):
        job = submit(pool, breaking)
        assert ended(job)
        assert isinstance(job.error, ValueError)
        assert ended(submit(pool, lambda: threads.add(threading.get_ident())))
    assert len(threads) == 1


def test_threads_end_once_what_was_asked_is_done(clock: Clock, gates: Callable[[], Gate]) -> None:
    pool, gate, threads = WorkerPool(2, 90.0, clock), gates(), set[threading.Thread]()
    together = threading.Barrier(2)

    def work() -> None:
        threads.add(threading.current_thread())
        together.wait(PATIENCE)
        gate()

    jobs = [submit(pool, work) for _ in range(2)]
    last = submit(pool, nothing)
    pool.close()
    gate.open.set()
    assert ended(*jobs, last)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_threads_hold_up_no_exit(make_pool: Callable[[int], WorkerPool]) -> None:
    daemons: list[bool] = []
    assert ended(submit(make_pool(1), lambda: daemons.append(threading.current_thread().daemon)))
    assert daemons == [True]


def test_an_inline_pool_runs_each_job_at_once_in_the_thread_of_the_caller() -> None:
    pool, threads = InlinePool(), list[int]()
    job = submit(pool, lambda: threads.append(threading.get_ident()))
    assert threads == [threading.get_ident()]
    assert (job.ended, job.error) == (True, None)
    broken = submit(pool, breaking)
    assert isinstance(broken.error, ValueError)
    assert submit(pool, nothing).error is None
    pool.reap()
    pool.close()


def test_a_job_that_another_submits_runs_inline_after_it() -> None:
    pool, order, inner = InlinePool(), list[str](), list[Job]()

    def first() -> None:
        inner.append(submit(pool, lambda: order.append("second")))
        order.append("first")
        assert not inner[0].ended

    job = submit(pool, first)
    assert order == ["first", "second"]
    assert (job.error, job.ended, inner[0].ended) == (None, True, True)


def test_what_goes_wrong_when_a_job_has_ended_ends_no_thread(make_pool: Callable[[int], WorkerPool]) -> None:
    pool, threads = make_pool(1), set[int]()
    for _ in range(3):
        pool.submit(Stumbling(nothing))
        assert ended(submit(pool, lambda: threads.add(threading.get_ident())))
    assert len(threads) == 1


def test_at_a_fair_lock_workers_wait_one_at_a_time_and_a_scrape_waits_for_one() -> None:
    lock = threading.RLock()
    queue = FairLock(lock)
    order: list[str] = []
    waiting = threading.Semaphore(0)

    def read(name: str) -> None:
        waiting.release()
        with queue, queue:  # a worker may hold it twice
            order.append(name)

    lock.acquire()
    workers = [threading.Thread(target=read, args=(f"worker {number}",)) for number in range(4)]
    for worker in workers:
        worker.start()
        waiting.acquire()
    assert order == []
    order.append("scrape")
    lock.release()
    for worker in workers:
        worker.join(10)
    assert order[0] == "scrape"
    assert sorted(order[1:]) == [f"worker {number}" for number in range(4)]
    with lock:  # all of them have let go
        order.clear()
