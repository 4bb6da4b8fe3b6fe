"""A poll is in flight once, and a scrape that waits is told when nothing is left of what it waits for."""

from collections.abc import Callable

import pytest

from exporter.build import Target
from exporter.polling.in_flight import InFlight, Waiter
from exporter.polling.polls import Poll, PollList, PollTarget

ONE, TWO = (PollTarget(Target("nf", "service", "shop", name)) for name in ("one", "two"))
LIST = PollList("nf", "shop")


class Job:
    """A job of which only the identity matters."""

    def __init__(self) -> None:
        self.requests = 0
        self.ended = False

    def run(self) -> None:
        raise AssertionError

    def end(self, error: BaseException | None = None) -> None:
        raise AssertionError from error


class Scene:
    """Polls in flight, and the job of each."""

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self.jobs: dict[Poll, Job] = {}

    def begin(self, *polls: Poll) -> None:
        for poll in polls:
            self.jobs[poll] = Job()
            self.in_flight.begin(poll, self.jobs[poll])

    def end(self, poll: Poll) -> bool:
        return self.in_flight.end(poll, self.jobs[poll])

    def wait(self, covers: Callable[[Poll], bool] = lambda _poll: True) -> Waiter:
        return self.in_flight.wait(covers)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_poll_is_in_flight_from_its_beginning_to_its_end(scene: Scene) -> None:
    assert not scene.in_flight
    scene.begin(ONE, LIST)
    assert ONE in scene.in_flight
    assert TWO not in scene.in_flight
    assert scene.end(ONE)
    assert ONE not in scene.in_flight
    assert scene.in_flight
    assert scene.end(LIST)
    assert not scene.in_flight


def test_a_waiter_ends_when_all_that_it_covers_have_ended(scene: Scene) -> None:
    scene.begin(ONE, TWO, LIST)
    everything, one = scene.wait(), scene.wait(lambda poll: poll == ONE)
    scene.end(ONE)
    assert one.done.done()
    assert not everything.done.done()
    scene.end(TWO)
    assert not everything.done.done()
    scene.end(LIST)
    assert everything.done.result(0) is None


def test_a_waiter_for_nothing_has_ended(scene: Scene) -> None:
    assert scene.wait().done.done()
    scene.begin(ONE)
    assert scene.wait(lambda poll: poll == TWO).done.done()


def test_what_is_late_is_not_waited_for_again_until_it_begins_anew(scene: Scene) -> None:
    scene.begin(ONE, TWO)
    waiter = scene.wait()
    scene.end(ONE)
    scene.in_flight.abandon(waiter)
    assert scene.wait().done.done()
    scene.begin(LIST)
    again = scene.wait()
    assert again.left == {LIST}
    scene.end(LIST)
    assert again.done.done()
    scene.end(TWO)
    assert not waiter.done.done()  # nobody waits for it any more
    scene.begin(TWO)
    assert scene.wait().left == {TWO}


def test_a_waiter_that_has_ended_makes_nothing_late(scene: Scene) -> None:
    scene.begin(ONE)
    waiter = scene.wait()
    scene.end(ONE)
    scene.begin(ONE)
    scene.in_flight.abandon(waiter)
    assert scene.wait().left == {ONE}


def test_nobody_waits_for_polls_of_old_settings_and_they_end_nothing_of_the_new(scene: Scene) -> None:
    scene.begin(ONE)
    before, waiter = scene.jobs[ONE], scene.wait()
    scene.in_flight.clear()
    assert waiter.done.done()
    assert not scene.in_flight
    scene.begin(ONE)
    again = scene.wait()
    assert not scene.in_flight.end(ONE, before)
    assert ONE in scene.in_flight
    assert not again.done.done()
    assert scene.end(ONE)
    assert again.done.done()


def test_nobody_who_waits_can_break_it_for_the_others(scene: Scene) -> None:
    scene.begin(ONE)
    waiter = scene.wait()
    assert not waiter.done.cancel()
    scene.end(ONE)
    assert waiter.done.result(0) is None
