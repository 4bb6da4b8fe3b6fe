"""No lock is held for long: neither health checks nor scrapes wait for what is parsed, merged or shown.

What is counted is work, the calls of functions while the lock is held, and not time.
"""

import gzip
import sys
import threading
from collections.abc import Callable
from types import FrameType

import orjson
import pytest
from scenes import LIST, Scene, builds_of, entity, shop
from serving import TOKEN, Reply, eventually, northflank, serving, settings, simulating

from exporter.exposition.render import Format
from exporter.simulator import World, faults
from exporter.simulator.faults import Effect
from exporter.simulator.message import Answer
from exporter.simulator.server import SIMULATOR_TOKEN

TARGETS = 20
SOME_TARGETS = 16_000
"""Calls: to show a target takes some 3,000, to go through all of them without showing any some more."""
NAMES = [f"s{number}" for number in range(TARGETS)]


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


class CountingLock:
    """A lock for one thread that counts the calls of functions while it is held."""

    def __init__(self) -> None:
        self.depth = 0
        self.calls = 0
        self.longest = 0
        self.called: set[str] = set()
        """The names of the functions that were called while it was held."""
        self.released: Callable[[], object] = lambda: None
        """Called whenever nobody holds it any more."""

    def __enter__(self) -> None:
        self.depth += 1
        if self.depth == 1:
            self.calls = 0
            sys.setprofile(self.count)

    def __exit__(self, *_raised: object) -> None:
        self.depth -= 1
        if self.depth == 0:
            sys.setprofile(None)
            self.longest = max(self.longest, self.calls)
            self.released()

    def count(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            self.calls += 1
            self.called.add(frame.f_code.co_name)


@pytest.fixture
def lock() -> CountingLock:
    return CountingLock()


@pytest.fixture
def scene(lock: CountingLock) -> Scene:
    """Twenty services whose first reads, and first scrape, are over."""
    known = Scene(World((shop(*(entity(name, per_hour=2.0) for name in NAMES)),)), lock=lock)
    known.scrapes(900)
    assert known.up == dict.fromkeys(NAMES, 1.0)
    lock.longest = 0
    return known


def shown(scene: Scene) -> Reply:
    return Reply(200, {}, gzip.decompress(scene.collector.expose(Format.TEXT)))


def test_reads_and_lists_show_one_target_at_a_time(scene: Scene, lock: CountingLock) -> None:
    scene.scrapes(1200)
    assert 0 < lock.longest < SOME_TARGETS


def test_a_list_that_fails_shows_one_target_at_a_time(scene: Scene, lock: CountingLock) -> None:
    scene.simulator.faults.add(LIST, faults.server_error())
    scene.scrapes(600)
    assert sum(scene.up.values()) <= 3, "only what runs is read by itself"
    assert lock.longest < SOME_TARGETS


def test_a_reload_shows_one_target_at_a_time_and_scrapes_get_all_of_them_meanwhile(
    scene: Scene, lock: CountingLock
) -> None:
    before = shown(scene).samples("ci_build_window_builds")
    scrapes = []

    def scrape() -> None:
        lock.released = lambda: None
        scrapes.append(shown(scene).samples("ci_build_window_builds") == before)
        lock.released = scrape

    lock.released = scrape
    scene.collector.configure(scene.settings())
    lock.released = lambda: None
    assert len(scrapes) > TARGETS
    assert all(scrapes)
    assert lock.longest < SOME_TARGETS


def test_a_page_is_parsed_and_merged_without_the_lock(scene: Scene, lock: CountingLock) -> None:
    """The largest page that is taken costs no more under the lock than any other."""

    def many(answer: Answer) -> Answer:
        body = orjson.loads(answer.body)
        (first, *_rest) = body["data"]["builds"]
        body["data"]["builds"] = [first | {"id": f"{first['id']}{number}"} for number in range(400)]
        return Answer(answer.status, answer.headers, orjson.dumps(body))

    scene.simulator.faults.add(builds_of("s1"), Effect(change=many))
    scene.scrapes(1200)
    assert scene.samples("ci_build_window_builds")["s1"] == 100
    assert lock.longest < SOME_TARGETS
    assert "statistics" in lock.called
    assert not lock.called & {"page_from", "walk", "merge", "applied"}


def test_health_is_answered_while_the_lock_is_held() -> None:
    lock = threading.RLock()
    answers: list[Reply] = []
    with (
        simulating(World((shop(entity("web")),))) as simulator,
        serving(settings(northflank(simulator)), lock=lock) as it,
    ):
        eventually(lambda: it.ask("/-/ready").status == 200)
        scraping = threading.Thread(target=lambda: answers.append(it.scrape()), daemon=True)
        with lock:
            scraping.start()
            for _ in range(20):
                assert it.ask("/-/healthy").status == 200
            assert answers == []
        scraping.join()
    assert answers[0].status == 200
