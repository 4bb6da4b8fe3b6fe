"""After a restart the exporter goes on where it was: what it showed is shown at once, and nothing is counted twice."""

import gzip
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from scenes import LIST, PROJECTS, START, Scene, builds_of, entity, shop

from exporter.build import Target
from exporter.exposition.render import Format
from exporter.history.window import History
from exporter.simulator import Limit, World
from exporter.simulator.definition import Job
from exporter.simulator.script import Script, scripted
from exporter.simulator.world import Extra
from exporter.store.contract import Change
from exporter.store.sqlite import SqliteStore

TOTALS = "ci_build_concluded_total"
REFRESH = "ci_build_target_refresh_timestamp_seconds"
WEB = Target("nf", "service", "shop", "web")
EVERY_MINUTE = tuple(Extra(at=60.0 * number, run=20.0, succeeds=number % 3 > 0) for number in range(1, 51))
WORLD = World((shop(entity("web", *EVERY_MINUTE), entity("api", Extra(at=600.0, run=30.0)), entity("quiet")),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def scene(path: Path, world: World = WORLD, **more: object) -> Scene:
    return Scene(world, **({"store": lambda: SqliteStore(path)} | more))  # type: ignore[arg-type]  # fields of a scene


def samples(shown: Scene) -> dict[str, float]:
    """All samples about targets as they are, by name and labels."""
    text = gzip.decompress(shown.collector.expose(Format.TEXT)).decode()
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "target" in sample.labels
    }


def restart(scene: Scene, *, down_for: float = 0.0, killed: bool = False) -> None:
    """The process ends, in order or without any notice, and later another one begins."""
    if not killed:
        scene.collector.close()
    else:
        scene.collector._store._file.close()  # type: ignore[attr-defined]  # as the system does for a process that is killed
    scene.clock.now += down_for
    scene.start()


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_shown_is_shown_at_once_without_a_request(path: Path, *, killed: bool) -> None:
    running = scene(path)
    running.scrapes(1800.0)
    before = samples(running)
    restart(running, down_for=5.0, killed=killed)
    running.asked.clear()
    after = samples(running)
    if killed:  # the times of refresh are kept every 15 seconds
        before, after = ({name: value for name, value in of.items() if REFRESH not in name} for of in (before, after))
    assert after == before
    assert running.asked == []
    assert running.samples("ci_build_store_up") == {"": 1.0}


def test_a_killed_process_has_kept_its_times_of_refresh_to_15_seconds(path: Path) -> None:
    running = scene(path)
    running.scrapes(1800.0)
    before = running.samples(REFRESH)
    restart(running, killed=True)
    after = running.samples(REFRESH)
    assert after.keys() == before.keys()
    assert all(before[name] - 15.0 <= after[name] <= before[name] for name in before)


def test_what_concluded_while_it_was_down_is_counted_once(path: Path) -> None:
    running, through = scene(path), scene(path.with_name("other.db"))
    for one in (running, through):
        one.scrapes(1200.0)
    restart(running, down_for=1800.0, killed=True)
    through.scrapes(1800.0)
    for one in (running, through):
        one.scrapes(900.0)
    assert running.samples(TOTALS) == through.samples(TOTALS)
    plans = running.simulator.history.newest(WORLD.northflank[0].services[0], running.clock.now)
    ended = [plan.at(running.clock.now).ended for plan in plans if plan.created > START]
    assert running.samples(TOTALS)["web"] == len(ended)
    assert None not in ended


def test_an_older_copy_of_the_file_is_read_on_from_its_mark(path: Path) -> None:
    """So it is after a power cut that lost the last changes, and with a backup."""
    running, through = scene(path), scene(path.with_name("other.db"))
    for one in (running, through):
        one.scrapes(900.0)
    with closing(sqlite3.connect(path)) as now, closing(sqlite3.connect(path.with_name("copy.db"))) as copy:
        now.backup(copy)
    for one in (running, through):
        one.scrapes(900.0)
    running.collector.close()
    path.with_name("copy.db").rename(path)
    running.start()
    for one in (running, through):
        one.scrapes(1200.0)
    assert running.samples(TOTALS) == through.samples(TOTALS)


def test_no_counter_goes_back_and_a_restored_one_is_not_shown_at_0_first(path: Path) -> None:
    running = scene(path)
    last: dict[str, float] = {}
    for turn in range(80):
        if turn % 7 == 6:
            restart(running, down_for=40.0, killed=turn % 2 == 0)
        running.scrape()
        shown = {name: value for name, value in samples(running).items() if "_total" in name and "errors" not in name}
        assert all(shown.get(name, 0.0) >= value for name, value in last.items())
        last |= shown
    assert sum(value for name, value in last.items() if name.startswith(TOTALS)) > 20


def test_a_counter_that_appears_after_the_restart_is_shown_at_0_first(path: Path) -> None:
    habits = replace(entity("new").habits, extras=(Extra(at=1200.0, run=30.0),))
    running = scene(path, World((shop(replace(entity("new"), habits=habits)),)))
    running.scrapes(900.0)
    assert running.samples(TOTALS) == {}
    restart(running)
    shown = []
    for _ in range(60):
        running.scrape()
        shown.append(running.samples(TOTALS).get("new"))
    assert [value for before, value in pairwise(shown) if value != before] == [0.0, 1.0]


def test_nothing_is_read_again_that_is_current(path: Path) -> None:
    running = scene(path)
    running.scrapes(1800.0)
    restart(running, down_for=5.0)
    asked = running.scrape(1.0)
    assert PROJECTS in asked, "discovery begins anew, since other targets may be configured"
    assert not {builds_of("quiet"), builds_of("api")} & set(asked)


def test_a_target_that_went_meanwhile_goes_with_the_first_list_and_leaves_no_trace(path: Path) -> None:
    running = scene(path)
    running.scrapes(900.0)
    running.collector.close()
    fewer = World((shop(entity("web", *EVERY_MINUTE)),))
    running.world, after = fewer, scene(path, fewer)
    after.clock.now = running.clock.now
    assert set(after.up) == {"web", "api", "quiet"}
    after.scrape()
    assert set(after.up) == {"web"}
    after.collector.close()
    assert [target for target, _history in loaded(path)] == [WEB]


def loaded(path: Path) -> list[tuple[Target, object]]:
    store = SqliteStore(path)
    assert store._file
    fingerprint = store._file._connection.execute("SELECT fingerprint FROM history").fetchone()[0]
    store.use({"nf": fingerprint})
    found = list(store.load("nf"))
    store.close()
    return found  # type: ignore[return-value]


def test_windows_are_shown_while_the_provider_is_away(path: Path) -> None:
    running = scene(path)
    running.scrapes(900.0)
    before = running.samples("ci_build_window_builds")
    restart(running, down_for=300.0)
    running.down = {PROJECTS, LIST, *map(builds_of, ("web", "api", "quiet"))}
    running.scrapes(120.0)
    assert running.samples("ci_build_window_builds") == before
    assert running.samples("ci_build_source_up") == {"nf": 0.0}


def test_a_restart_earns_no_requests(path: Path) -> None:
    running = scene(path, limit=Limit(60, 3600.0))
    running.scrapes(600.0)
    budget = running.collector._reading.sources["nf"].budget  # the level is shown nowhere
    level = budget.bucket.level
    restart(running)
    bucket = running.collector._reading.sources["nf"].budget.bucket
    assert bucket.level == level < 60.0
    assert bucket.allowance == budget.bucket.allowance


def test_other_settings_begin_anew_and_the_earlier_ones_find_their_state_again(path: Path) -> None:
    running = scene(path)
    running.scrapes(900.0)
    counted = running.samples(TOTALS)["web"]
    running.more = {"window": {"builds": 50}}
    restart(running)
    assert running.samples(TOTALS) == {}
    running.scrapes(30.0)
    assert running.samples(TOTALS)["web"] <= 1.0 < counted
    running.more = {}
    restart(running)
    assert running.samples(TOTALS)["web"] == counted


def test_a_source_on_another_server_takes_nothing_over(path: Path) -> None:
    running = scene(path)
    running.scrapes(900.0)
    running.sources = ({"url": "http://elsewhere"},)
    restart(running)
    assert running.samples(TOTALS) == {}


def test_folded_targets_stay_folded_and_shown(path: Path) -> None:
    running = scene(path, more={"metrics": {"max_series": 176}})
    running.scrapes(1800.0)
    before = {name: value for name, value in samples(running).items() if "('branch', 'other')" in name}
    assert {name.partition("'target', ")[2] for name in before} == {"'web')]", "'api')]"}
    restart(running, down_for=5.0)
    assert before.items() <= samples(running).items()


def test_a_project_that_moved_keeps_its_counters(path: Path) -> None:
    """The configuration still has its former path, which the provider settles."""
    script = Script("shop/web", former=("shop/old",))
    for number in range(20):
        script.pipeline([Job("unit", lasts=20)], at=START + 60.0 * number + 30.0)
    source = {"name": "gl", "provider": "gitlab", "projects": ("shop/old",)}
    running = Scene(scripted(script), sources=(source,), store=lambda: SqliteStore(path))
    running.scrapes(300.0)
    counted = running.samples(TOTALS)
    assert counted["shop/web"] > 0
    for _ in range(3):
        restart(running, killed=True)
        running.scrape()
        assert running.samples(TOTALS)["shop/web"] >= counted["shop/web"]
        counted = running.samples(TOTALS)
    assert set(counted) == {"shop/web"}
    running.scrapes(1500.0)
    assert running.samples(TOTALS) == {"shop/web": 20.0}


def test_a_stored_record_that_makes_no_sense_stops_nothing(path: Path) -> None:
    running = scene(path)
    running.scrapes(600.0)
    running.collector.close()
    store = SqliteStore(path)
    assert store._file
    fingerprint = store._file._connection.execute("SELECT fingerprint FROM history").fetchone()[0]
    store.use({"nf": fingerprint})
    assert {target for target, _history in store.load("nf")} >= {WEB}
    store.update(WEB, lambda history: replace(history, totals={("main", "and", "more"): {}}))
    store.keep_progress("nf", b"\x01nonsense")
    store.close()
    running.start()
    assert set(running.samples("ci_build_target_up")) == {"api", "quiet"}
    running.scrapes(60.0)
    assert set(running.samples("ci_build_target_up")) == {"web", "api", "quiet"}


def test_a_source_that_a_reload_adds_finds_its_state(path: Path) -> None:
    running = scene(path)
    running.sources = ({}, {"name": "more"})
    restart(running)
    running.scrapes(900.0)
    before = {name: value for name, value in samples(running).items() if "'more'" in name}
    running.sources = ({},)
    restart(running)
    running.scrapes(30.0)
    running.sources = ({}, {"name": "more"})
    running.collector.configure(running.settings())
    assert before
    assert {name: value for name, value in samples(running).items() if "'more'" in name} == before


class Unlocked(SqliteStore):
    """Fails where it is made to wait under the collector's lock."""

    held = staticmethod(lambda: False)
    calls = 0

    def _check(self) -> None:
        assert not self.held()
        type(self).calls += 1

    def use(self, fingerprints: Mapping[str, str]) -> None:
        self._check()
        super().use(fingerprints)

    def load(self, source: str) -> Iterator[tuple[Target, History]]:
        self._check()
        yield from super().load(source)

    def update(self, target: Target, change: Change) -> History:
        self._check()
        return super().update(target, change)

    def forget(self, target: Target) -> None:
        self._check()
        super().forget(target)

    def keep_progress(self, source: str, progress: bytes) -> None:
        self._check()
        super().keep_progress(source, progress)


def test_nothing_is_stored_under_the_lock_for_which_scrapes_wait(path: Path) -> None:
    opened = Unlocked(path)
    running = scene(path, store=lambda: opened)
    opened.held = running.collector._lock._is_owned  # type: ignore[attr-defined]  # its owner is shown nowhere
    running.scrapes(900.0)
    running.more = {"window": {"builds": 50}}
    running.collector.configure(running.settings())
    running.world = World((shop(entity("web")),))
    running.simulator.northflank._projects["shop"] = running.world.northflank[0]  # the others are gone
    running.scrapes(1500.0)
    assert set(running.up) == {"web"}
    running.sources = ({"name": "other"},)
    running.collector.configure(running.settings())
    running.collector.close()
    assert Unlocked.calls > 100


def test_a_clock_that_was_set_back_delays_no_read(path: Path) -> None:
    running = scene(path)
    running.scrapes(900.0)
    restart(running, down_for=-600.0)
    asked = {path for _at, path in running.scrapes(120.0)}
    assert builds_of("web") in asked
