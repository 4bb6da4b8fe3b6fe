"""What a reload keeps, what it undoes, and what it does not let in; and that all ways to look at a target agree."""

import json
import re
import threading
from collections.abc import Iterator

import pytest
from scenes import HOUR, LIST, Scene, builds_of, entity, shop
from serving import TOKEN, Clock, Exporter, northflank, refused_url, serving, settings, simulating
from structlog.testing import capture_logs

from exporter.build import Target
from exporter.cli.serve import Reload
from exporter.collector import Collector
from exporter.errors import ConfigError
from exporter.history.window import History
from exporter.polling.polls import only
from exporter.settings.settings import Settings
from exporter.simulator import Limit, World, faults
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import Entity, Extra, Habits

BUSY = World((shop(entity("web", per_hour=12.0)),))
WEB = Target("nf", "service", "shop", "web")
UNLIMITED = 100_000


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


# Folding


HABITS = Habits(per_hour=30.0, median=60.0, default="main", default_share=0.5)
"""Half of the builds are on main, the others on release branches and on those of pull requests."""
SERVICE = Entity(id="web", kind="service", project="shop", type="combined", habits=HABITS)
BRANCHING = World((shop(SERVICE),))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    with simulating(BRANCHING, clock) as running:
        yield running


@pytest.fixture
def exporter(simulator: Simulator, clock: Clock) -> Iterator[Exporter]:
    with serving(limited(simulator, UNLIMITED), clock) as running:
        yield running


def limited(simulator: Simulator, limit: int) -> Settings:
    return settings(northflank(simulator), more=f'metrics: {{max_series: {limit}, branches: ["*"]}}')


def scrapes(exporter: Exporter, clock: Clock, number: int) -> None:
    for _ in range(number):
        clock.now += 60.0
        exporter.scrape()


def branches(exporter: Exporter) -> set[str]:
    """The branches that the metrics show, after it was held that the API and the page show the same ones."""
    found = {labels["branch"] for labels, _value in exporter.scrape().samples("ci_build_concluded_total")}
    [target] = json.loads(exporter.ask("/api/v1/targets").text)["targets"]
    assert set(target["branches"]) == found
    page = exporter.ask("/targets/northflank/service/shop/web").text
    table = re.search(r'<tbody id="branches".*?</tbody>', page, re.DOTALL)
    assert table
    assert {branch for branch in found if branch in table[0]} == found
    assert table[0].count("<tr") == len(found)
    return found


def concluded(exporter: Exporter) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, value in exporter.scrape().samples("ci_build_concluded_total"):
        found[labels["branch"]] = found.get(labels["branch"], 0.0) + value
    return found


def test_a_folded_target_is_the_same_in_metrics_page_and_api_also_after_a_reload(
    exporter: Exporter, simulator: Simulator, clock: Clock
) -> None:
    scrapes(exporter, clock, 30)
    assert len(branches(exporter)) > 1
    with capture_logs():
        exporter.collector.configure(limited(simulator, exporter.collector.series - 1))
        assert branches(exporter) == {"other"}
        scrapes(exporter, clock, 10)
        assert branches(exporter) == {"other"}
        exporter.collector.configure(limited(simulator, exporter.collector.series + 1))
        assert branches(exporter) == {"other"}


def test_folding_ends_when_a_reload_raises_the_limit_and_each_branch_has_its_count(
    exporter: Exporter, simulator: Simulator, clock: Clock
) -> None:
    scrapes(exporter, clock, 60)
    before = concluded(exporter)
    assert before["main"] > 0
    with capture_logs():
        exporter.collector.configure(limited(simulator, exporter.collector.series - 1))
    assert concluded(exporter).keys() == {"other"}
    assert exporter.scrape().value("ci_build_exporter_folded_series") > 0
    exporter.collector.configure(limited(simulator, UNLIMITED))
    after = concluded(exporter)
    assert after == before
    assert exporter.scrape().value("ci_build_exporter_folded_series") == 0


def test_no_counter_falls_at_a_reload(exporter: Exporter, simulator: Simulator, clock: Clock) -> None:
    scrapes(exporter, clock, 60)
    before = concluded(exporter)
    exporter.collector.configure(limited(simulator, UNLIMITED))
    assert concluded(exporter) == before


# What is late


def test_an_answer_of_the_old_server_sets_nothing_of_the_new_source() -> None:
    scene = Scene(BUSY, Limit(1000, HOUR))
    scene.simulator.faults.add("*", faults.headers({"date": "Wed, 01 Jan 2020 00:00:00 GMT"}))
    elsewhere = {"url": "http://elsewhere"}

    def reload() -> None:
        scene.sources = (elsewhere,)
        scene.collector.configure(scene.settings())

    scene.hooks[builds_of("web")] = reload
    scene.scrape(0)
    assert scene.asked[-1] == builds_of("web")
    assert scene.samples("ci_build_source_ratelimit_limit") == {}
    assert scene.samples("ci_build_source_up") == {}
    assert scene.up == {}
    assert scene.collector.history(WEB) == History()
    scene.simulator.faults.clear()
    scene.scrape()
    assert scene.samples("ci_build_source_ratelimit_limit") == {"nf": 1000.0}
    assert scene.collector.history(WEB).begun_at == scene.clock.now  # by the clock of the new server


def test_what_was_queued_before_a_reload_asks_nothing_after_it() -> None:
    scene = Scene(World((shop(*(entity(f"s{number}") for number in range(5))),)))
    scene.hooks[builds_of("s1")] = lambda: scene.collector.configure(scene.settings())
    asked = scene.scrape(0)
    assert [path for path in asked if path.endswith("/build")] == [builds_of("s0"), builds_of("s1")]
    scene.scrape()
    assert set(scene.up.values()) == {1}
    assert len(scene.up) == 5


# What is kept


def test_a_reload_of_an_unchanged_file_counts_no_rejected_record_again_and_keeps_the_source_up() -> None:
    scene = Scene(World((shop(entity("web", *(Extra(at=-600.0 * number, run=60.0) for number in range(1, 20)))),)))
    scene.simulator.faults.add(builds_of("web"), faults.broken_records())
    scene.scrape(0)
    rejected = scene.samples("ci_build_source_rejected_records_total")
    assert rejected["nf"] > 0
    for _ in range(3):
        scene.collector.configure(scene.settings())
        assert scene.samples("ci_build_source_up") == {"nf": 1}
        assert scene.up == {"web": 1}
        scene.scrape(2 * HOUR)
        assert builds_of("web") in scene.asked
        assert scene.samples("ci_build_source_rejected_records_total") == rejected


# A probe


def test_a_probe_of_one_target_starts_nothing_else_of_its_source() -> None:
    moving = tuple(entity(f"s{number}", Extra(at=600.0, run=60.0)) for number in range(5))
    job = entity("nightly", kind="job")
    scene = Scene(World((shop(*moving, jobs=(job,)),)), more={"refresh": {"discovery": "1d"}})
    scene.scrape(0)
    scene.clock.now += HOUR
    scene.asked.clear()
    target = Target("nf", "service", "shop", "s3")
    assert scene.collector.begin(only(target)).done.done()
    assert set(scene.asked) <= {LIST, builds_of("s3")}
    assert LIST in scene.asked
    assert builds_of("s3") in scene.asked
    scene.asked.clear()
    assert scene.collector.begin().done.done()
    assert {builds_of(f"s{number}") for number in (0, 1, 2, 4)} <= set(scene.asked)


# Reloads at once


def test_of_two_reloads_at_once_the_newer_file_stays_in_force() -> None:
    def named(name: str) -> Settings:
        return settings(northflank(refused_url(), name))

    older, newer = named("older"), named("newer")
    collector = Collector(older)
    file, first_has_read, second_has_read = [older], threading.Event(), threading.Event()

    def reread() -> Settings:
        found = file[0]
        if found is older:
            first_has_read.set()
            second_has_read.wait(0.5)  # the second one must not come between
        else:
            second_has_read.set()
        return found

    reload = Reload(collector, reread)
    first = threading.Thread(target=reload)
    first.start()
    assert first_has_read.wait(20)
    file[0] = newer
    second = threading.Thread(target=reload)
    second.start()
    for thread in (second, first):
        thread.join(20)
    assert collector.sources() == ["newer"]
    assert collector.self_metrics.reloaded()[0]
    collector.close()


def test_a_reload_that_fails_lets_the_next_one_in() -> None:
    good = settings(northflank(refused_url()))
    collector, answers = Collector(good), list[Settings | ConfigError]([ConfigError(["line 1: wrong"]), good])

    def reread() -> Settings:
        answer = answers.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    reload = Reload(collector, reread)
    with pytest.raises(ConfigError):
        reload()
    assert not collector.self_metrics.reloaded()[0]
    reload()
    assert collector.self_metrics.reloaded()[0]
    collector.close()
