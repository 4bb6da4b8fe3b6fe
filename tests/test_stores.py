"""Every store keeps the newest history of each target, and commits what a change makes of it."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from builds import NOW, RULES, WEB, build, read, read_again, seen

from exporter.build import Target
from exporter.history.window import History, merge
from exporter.store.contract import Store
from exporter.store.memory import MemoryStore
from exporter.store.sqlite import SqliteStore

API = Target("nf", "service", "shop", "api")
ELSEWHERE = Target("gl", "project", "a/b", "a/b")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = SqliteStore(tmp_path / "state.db") if request.param == "sqlite" else MemoryStore()
    made.use({"nf": "1", "gl": "1"})
    yield made
    assert made.up in {None, True}
    made.close()


def keeping(history: History) -> Callable[[History], History]:
    return lambda _before: history


def test_of_a_target_that_was_never_read_nothing_is_known(store: Store) -> None:
    assert store.read(WEB) == History()
    assert store.read(WEB).baseline is None
    assert list(store.load("nf")) == []


def test_what_was_committed_is_read(store: Store) -> None:
    history = read(build("a"), build("b", at=1))
    assert store.update(WEB, keeping(history)) is history
    del history
    gc.collect()
    assert store.read(WEB) == read(build("a"), build("b", at=1))
    assert store.read(API) == History()


def test_a_change_is_made_of_the_newest_history(store: Store) -> None:
    store.update(WEB, keeping(read(build("a"))))
    store.update(WEB, lambda history: read_again(history, build("b", at=1)))
    store.update(WEB, lambda history: read_again(history, build("c", at=2)))
    assert set(store.read(WEB).rows) == {"a", "b", "c"}


def test_a_change_that_raises_commits_nothing(store: Store) -> None:
    def broken(_history: History) -> History:
        raise ValueError("broken")

    store.update(WEB, keeping(read(build("a"))))
    with pytest.raises(ValueError, match="broken"):
        store.update(WEB, broken)
    assert set(store.read(WEB).rows) == {"a"}


def test_those_who_read_at_the_same_time_share_one_history(store: Store) -> None:
    store.update(WEB, keeping(read(build("a"))))
    gc.collect()
    history = store.read(WEB)
    assert store.read(WEB) is history


def test_only_the_targets_of_a_source_are_loaded(store: Store) -> None:
    for target in (WEB, API, ELSEWHERE):
        store.update(target, keeping(read(build(target.name))))
    assert {target: set(history.rows) for target, history in store.load("nf")} == {WEB: {"web"}, API: {"api"}}
    assert [target for target, _history in store.load("gl")] == [ELSEWHERE]


def test_what_was_forgotten_is_gone_and_can_begin_anew(store: Store) -> None:
    store.update(WEB, keeping(read(build("a"))))
    store.forget(WEB)
    store.forget(API)
    assert store.read(WEB) == History()
    assert list(store.load("nf")) == []
    store.update(WEB, keeping(read(build("b"))))
    assert set(store.read(WEB).rows) == {"b"}


def test_what_is_refused_is_not_kept(store: Store) -> None:
    store.update(API, keeping(read(build("a"))))
    store.refuse(WEB)
    assert store.read(WEB) == History()
    store.update(WEB, keeping(read(build("b"))))
    assert set(store.read(WEB).rows) == {"b"}


def test_no_other_replica_changes_anything(store: Store) -> None:
    store.update(WEB, keeping(read(build("a"))))
    assert not store.changed()


def test_changes_of_many_threads_are_all_kept(store: Store) -> None:
    together, targets = threading.Barrier(4), [replace(WEB, name=f"web-{place}") for place in range(7)]

    def work(number: int) -> None:
        together.wait(20)
        for turn in range(35):
            one = build(f"b{number}-{turn}", at=turn)
            store.update(targets[turn % 7], lambda history, one=one: merge(history, seen(one), RULES, NOW))  # type: ignore[misc]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    gc.collect()
    for place, target in enumerate(targets):
        expected = {f"b{number}-{turn}" for number in range(4) for turn in range(place, 35, 7)}
        assert set(store.read(target).rows) == expected
