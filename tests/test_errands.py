"""What is under way is so once, and who waits is told when nothing is left of what they wait for."""

from collections.abc import Callable

import pytest

from exporter.build import Target
from exporter.config.secret import EnvToken
from exporter.http.fetch import Fetch
from exporter.polling.in_flight import Batch, Errand, Round, UnderWay
from exporter.polling.rate_limit import Budget
from exporter.polling.schedule import Key
from exporter.polling.state import Origin, Purse, origin_of
from exporter.polling.workers import Abandoned, Inline
from exporter.providers.northflank import NorthflankSource

ONE, TWO = (Target("nf", "service", "shop", name) for name in ("one", "two"))
LIST: Key = ("nf", "list", "shop")


@pytest.fixture
def origin() -> Origin:
    source = NorthflankSource(name="nf", provider="northflank", url="https://x.example", token=EnvToken("TOKEN"))
    fetch = Fetch(source="nf", url=source.url, headers=dict, observe=lambda _seen: None)
    return origin_of(source, fetch, Inline(), Purse(Budget()))


class Scene:
    """Asks in the test's own thread, and notes what."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.under_way = UnderWay()
        self.asked: list[Key] = []
        self.cared: dict[Key, bool] = {}

    def ask(self, errand: Errand) -> None:
        self.asked.append(errand.key)

    def landed(self, errand: Errand) -> None:
        self.cared[errand.key] = self.under_way.landed(errand)

    def send(self, *keys: Key) -> Batch:
        batch = Batch(self, self.origin, free=False, only=None)
        for key in keys:
            self.under_way.begin(key, batch)
            self.origin.readers.submit(batch)
        return batch

    def round(self, concerns: Callable[[Key], bool] = lambda _key: True) -> Round:
        return self.under_way.round(concerns)


@pytest.fixture
def scene(origin: Origin) -> Scene:
    return Scene(origin)


def test_questions_are_asked_in_the_order_in_which_they_were_sent(scene: Scene) -> None:
    assert not scene.under_way
    scene.send(ONE, LIST)
    scene.send(TWO)
    assert all(key in scene.under_way for key in (ONE, TWO, LIST))
    scene.origin.readers.drain()
    assert scene.asked == [ONE, LIST, TWO]
    assert scene.cared == {ONE: True, LIST: True, TWO: True}
    assert not scene.under_way


def test_a_round_ends_when_all_that_it_concerns_have_landed_well_or_not(scene: Scene) -> None:
    batch = scene.send(ONE, TWO, LIST)
    everything, one = scene.round(), scene.round(lambda key: key == ONE)
    batch.take_off().end(Abandoned())
    assert one.done.done()
    assert not everything.done.done()
    batch.take_off().end()
    assert not everything.done.done()
    batch.take_off().end()
    assert everything.done.result(0) is None


def test_a_round_of_nothing_has_ended(scene: Scene) -> None:
    assert scene.round().done.done()


def test_what_is_late_is_not_waited_for_again_until_it_is_asked_anew(scene: Scene) -> None:
    batch = scene.send(ONE, TWO)
    asked = scene.round()
    batch.take_off().end()
    scene.under_way.give_up(asked)
    assert scene.round().done.done()
    other = scene.send(LIST)
    again = scene.round()
    assert again.left == {LIST}
    other.take_off().end()
    assert again.done.done()
    batch.take_off().end()
    assert not asked.done.done()  # nobody waits for it any more
    scene.send(TWO)
    assert scene.round().left == {TWO}


def test_a_round_that_has_ended_makes_nothing_late(scene: Scene) -> None:
    batch = scene.send(ONE)
    asked = scene.round()
    batch.take_off().end()
    scene.send(ONE)
    scene.under_way.give_up(asked)
    assert scene.round().left == {ONE}


def test_for_what_is_asked_by_old_settings_nobody_waits_and_it_ends_nothing_of_the_new(scene: Scene) -> None:
    before = scene.send(ONE)
    asked = scene.round()
    scene.under_way.clear()
    assert asked.done.done()
    assert not scene.under_way
    scene.send(ONE)
    again = scene.round()
    before.take_off().end()
    assert scene.cared == {ONE: False}
    assert ONE in scene.under_way
    assert not again.done.done()


def test_nobody_who_waits_for_a_round_can_break_it_for_the_others(scene: Scene) -> None:
    batch = scene.send(ONE)
    asked = scene.round()
    assert not asked.done.cancel()
    batch.take_off().end()
    assert asked.done.result(0) is None
