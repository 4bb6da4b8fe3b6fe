"""What answers change, request by request, over a simulator in the same process and a clock that is set by hand."""

import gzip
from collections.abc import Iterator
from itertools import pairwise

import pytest
from scenes import HOUR, JOBS, LIST, PROJECTS, START, Scene, builds_of, entity, shop
from serving import TOKEN
from structlog.testing import capture_logs
from structlog.typing import EventDict

from exporter.exposition.render import Format
from exporter.simulator import Limit, World, faults
from exporter.simulator.faults import Effect
from exporter.simulator.message import json_answer
from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.simulator.world import Extra


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


def said(lines: list[EventDict], event: str) -> int:
    return sum(line["event"] == event for line in lines)


LIMIT = Limit(1000, HOUR)
PAIR = World((shop(entity("quiet"), entity("web", Extra(at=1800.0, run=120.0))),))
"""A service that has not built for long, and one that builds for two minutes after half an hour."""


# Looks


def test_a_service_is_read_only_when_its_look_moves() -> None:
    scene = Scene(PAIR, LIMIT)
    scene.scrape(0)
    asked = scene.scrapes(2700)
    assert not [at for at, path in asked if path == builds_of("quiet")]
    reads = [at for at, path in asked if path == builds_of("web")]
    assert reads
    assert all(1800 <= at <= 2300 for at in reads)
    assert len(reads) <= 6
    assert scene.samples("ci_build_concluded_total")["web"] == 1.0
    assert [path for _, path in asked].count(LIST) > 10


def test_a_list_on_which_nothing_moved_makes_its_services_current() -> None:
    scene = Scene(PAIR, LIMIT)
    scene.scrape(0)
    scene.scrapes(1200)
    refreshed = scene.samples("ci_build_target_refresh_timestamp_seconds")
    assert all(scene.clock.now - at <= 400 for at in refreshed.values())
    assert min(refreshed.values()) > START


def test_a_list_that_fails_takes_its_services_down_and_brings_them_back(logged: list[EventDict]) -> None:
    job = entity("nightly", kind="job")
    scene = Scene(World((shop(entity("quiet"), entity("web"), jobs=(job,)),)))
    scene.scrape(0)
    assert scene.up == {"quiet": 1, "web": 1, "nightly": 1}
    scene.simulator.faults.add(LIST, faults.server_error())
    scene.scrapes(600)
    assert scene.up == {"quiet": 0, "web": 0, "nightly": 1}
    assert scene.samples("ci_build_target_errors_total")["web"] >= 2
    assert scene.samples("ci_build_source_up") == {"nf": 1}
    scene.simulator.faults.clear()
    reads = [path for _, path in scene.scrapes(900) if path != LIST and path.startswith(LIST)]
    assert scene.up == {"quiet": 1, "web": 1, "nightly": 1}
    assert reads == []
    assert said(logged, "read again") == 2


def test_a_read_that_lacks_the_running_build_is_repeated_three_times_at_most() -> None:
    jobs = tuple(entity(f"job-{n}", kind="job") for n in range(20))  # there is no room to read all every 30 s
    scene = Scene(World((shop(entity("web"), jobs=jobs),)), sources=({"spend": "1/h"},))
    scene.scrape(0)
    running = {"status": "BUILDING", "lastTransitionTime": "2026-11-22T00:00:00Z"}
    service = {"id": "web", "name": "web", "serviceType": "combined", "status": {"build": running}}
    listed = json_answer({"data": {"services": [service]}, "pagination": {"hasNextPage": False}})
    scene.simulator.faults.add(LIST, Effect(lambda _: listed))
    reads = [at for at, path in scene.scrapes(1200) if path == builds_of("web")]
    steady = [later - earlier for earlier, later in pairwise(reads[:4])]
    assert steady == [30.0, 30.0, 30.0]
    quick = [at for at in reads if at <= reads[0] + 120]
    assert len(quick) == 4


def test_a_list_without_statuses_leaves_each_service_a_question_of_its_own() -> None:
    scene = Scene(World((shop(entity("quiet"), entity("web")),)))
    scene.simulator.northflank.build_status = False
    scene.scrape(0)
    asked = [path for _, path in scene.scrapes(900)]
    assert asked.count(builds_of("quiet")) >= 2
    assert asked.count(builds_of("web")) >= 2
    assert scene.up == {"quiet": 1, "web": 1}


def test_every_target_is_read_once_an_hour_whatever_its_list_says() -> None:
    scene = Scene(World((shop(entity("a"), entity("b", Extra(at=-900.0, run=60.0))),)), LIMIT)
    scene.scrape(0)
    asked = [path for _, path in scene.scrapes(6 * HOUR, every=30.0)]
    assert 5 <= asked.count(builds_of("b")) <= 7


# Lists and discovery


def test_discovery_leaves_out_the_lists_that_are_read_anyway() -> None:
    scene = Scene(World((shop(entity("web"), jobs=(entity("nightly", kind="job"),)),)))
    assert scene.scrape(0).count(LIST) == 1
    asked = scene.scrapes(HOUR)
    rounds = [at for at, path in asked if path == PROJECTS]
    assert len(rounds) >= 5
    at_discovery = [[path for when, path in asked if when == at] for at in rounds]
    assert all(JOBS in paths for paths in at_discovery)
    assert all(paths.count(LIST) <= 1 for paths in at_discovery)


def test_a_new_service_appears_by_its_list() -> None:
    scene = Scene(PAIR, more={"refresh": {"discovery": "1d"}})
    scene.scrape(0)
    scene.simulator.northflank = type(scene.simulator.northflank)(
        World((shop(*PAIR.northflank[0].services, entity("new")),)), scene.simulator.history
    )
    scene.scrapes(400)
    assert scene.up == {"quiet": 1, "web": 1, "new": 1}


def test_a_service_that_two_lists_lack_is_dropped_and_nothing_shows_it_again(logged: list[EventDict]) -> None:
    scene = Scene(PAIR)
    scene.scrape(0)
    smaller = World((shop(PAIR.northflank[0].services[0]),))
    scene.simulator.northflank = type(scene.simulator.northflank)(smaller, scene.simulator.history)
    scene.scrapes(900)
    assert scene.up == {"quiet": 1}
    assert 'target="web"' not in gzip.decompress(scene.collector.expose(Format.TEXT)).decode()
    assert said(logged, "target is gone") == 1


def test_one_list_that_lacks_a_service_drops_nothing() -> None:
    scene = Scene(PAIR)
    scene.scrape(0)
    empty = json_answer({"data": {"services": []}, "pagination": {"hasNextPage": False}})
    scene.simulator.faults.add(LIST, Effect(lambda _: empty), times=1)
    scene.scrapes(900)
    assert scene.up == {"quiet": 1, "web": 1}


# The allowance


def test_a_source_that_is_refused_rests_as_a_whole_and_says_so_once(logged: list[EventDict]) -> None:
    scene = Scene(World((shop(*(entity(f"s{n}") for n in range(40))),)))
    scene.simulator.northflank.build_status = False
    scene.scrape(0)
    assert set(scene.up.values()) == {1}
    scene.simulator.faults.add("*", faults.too_many({"retry-after": "120"}))
    scene.scrapes(1000)
    assert len(scene.asked) <= 1
    assert said(logged, "the allowance is used up: the source rests") == 1
    assert scene.samples("ci_build_source_resting") == {"nf": 1}
    assert set(scene.up.values()) == {1}
    assert said(logged, "read failed") == 0
    scene.simulator.faults.clear()
    scene.scrapes(600)
    assert scene.samples("ci_build_source_resting") == {"nf": 0}
    assert said(logged, "the source no longer rests") == 1
    assert set(scene.up.values()) == {1}


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-limit": "1000", "x-ratelimit-reset": "0"}])
def test_a_server_that_refuses_without_a_word_is_asked_ever_more_seldom(headers: dict[str, str]) -> None:
    scene = Scene(PAIR)
    scene.scrape(0)
    scene.simulator.faults.add("*", faults.too_many(headers))
    asked = [at for at, _ in scene.scrapes(HOUR)]
    pauses = [round(later - earlier) for earlier, later in pairwise(asked) if later > earlier]
    assert pauses[0] >= 30
    assert pauses[1:4] == [60, 120, 240]
    assert all(pause >= 480 for pause in pauses[4:])


def test_a_reload_in_the_middle_of_a_rest_does_not_end_it() -> None:
    scene = Scene(PAIR)
    scene.scrape(0)
    scene.simulator.faults.add("*", faults.too_many({"retry-after": "600"}))
    scene.scrapes(300)
    scene.collector.configure(scene.settings())
    scene.simulator.faults.clear()
    assert scene.scrape() == []
    assert scene.samples("ci_build_source_resting") == {"nf": 1}
    scene.scrapes(900)
    assert scene.samples("ci_build_source_resting") == {"nf": 0}
    assert scene.up == {"quiet": 1, "web": 1}


def test_two_sources_with_one_token_share_a_budget() -> None:
    both = World((shop(*(entity(f"s{n}", per_hour=2.0) for n in range(20))),))
    one, two = Scene(both, LIMIT), Scene(both, LIMIT, sources=({}, {}))
    for scene in (one, two):
        scene.simulator.northflank.build_status = False
        scene.scrape(0)
        scene.scrapes(HOUR)
    alone, together = (len(scene.scrapes(2 * HOUR)) for scene in (one, two))
    assert together <= 1.1 * max(alone, 800)
    assert set(two.samples("ci_build_source_up")) == {"nf", "nf1"}


def test_first_reads_stop_at_a_fifth_of_the_limit_and_go_on_when_there_is_more() -> None:
    many = World((shop(*(entity(f"s{n}") for n in range(400))),))
    scene = Scene(many, Limit(400, HOUR), exposes=False)
    asked = scene.scrape(0) + [path for _, path in scene.scrapes(900)]
    reads = [path for path in asked if path.endswith("/build")]
    assert 300 <= len(reads) < 400
    assert len(reads) <= len(set(reads)) + 5
    assert scene.samples("ci_build_source_ratelimit_remaining")["nf"] > 0
    scene.scrapes(6 * HOUR, every=60.0)
    assert not [served for served in scene.simulator.requests if served.status == 429]
    assert len(scene.up) == 400


# Reads that break


def test_what_cannot_be_reached_is_down_and_comes_back(logged: list[EventDict]) -> None:
    scene = Scene(World((shop(jobs=(entity("a", kind="job"), entity("b", kind="job"))),)))
    scene.scrape(0)
    scene.down.add(builds_of("a", "jobs"))
    scene.scrapes(600)
    assert scene.up == {"a": 0, "b": 1}
    failures = scene.samples("ci_build_target_errors_total")
    assert failures.keys() == {"a"}
    scene.down.clear()
    scene.scrapes(700)
    assert scene.up == {"a": 1, "b": 1}
    assert said(logged, "read again") == 1


def test_a_burst_past_ten_pages_is_missed_in_the_open(logged: list[EventDict]) -> None:
    burst = tuple(Extra(at=60.0 + n * 4, run=2.0) for n in range(1100))
    scene = Scene(World((shop(jobs=(entity("a", *burst, kind="job"),)),)))
    scene.scrape(0)
    scene.scrape(2 * HOUR)
    assert scene.samples("ci_build_target_errors_total") == {"a": 1}
    assert said(logged, "more builds came than one read may follow: the oldest are missed") == 1
    assert scene.up == {"a": 1}


def test_a_first_scrape_waits_for_nothing_more_once_all_is_read() -> None:
    scene = Scene(PAIR)
    scene.scrape(0)
    assert scene.scrape(0) == []
