"""What is asked of a provider over hours: from the first minute on, where there is much room, little, and none."""

from collections import Counter

import pytest
from scenes import HOUR, JOBS, LIST, SCRAPE, Scene, builds_of, entity, shop
from serving import TOKEN
from structlog.testing import capture_logs

from exporter.config.secret import EnvToken
from exporter.simulator import Limit, World, faults
from exporter.simulator.world import GitLabProject, Habits, NorthflankProject, Step

LIMIT = Limit(1000, HOUR)


def small() -> World:
    return World((shop(*(entity(f"s{n}") for n in range(3))),))


def large() -> World:
    """Thirty projects, each with a few services and two jobs."""
    return World(
        tuple(
            NorthflankProject(
                f"p{n}",
                f"P{n}",
                tuple(entity(f"s{n}-{m}", project=f"p{n}") for m in range(4)),
                tuple(entity(f"j{n}-{m}", kind="job", project=f"p{n}") for m in range(2)),
            )
            for n in range(30)
        )
    )


def test_a_small_source_has_its_list_asked_at_each_scrape_from_the_first_one_on() -> None:
    scene = Scene(small(), LIMIT)
    assert LIST in scene.scrape(0)
    asked = scene.scrapes(1200)
    lists = [at for at, path in asked if path == LIST]
    assert len(lists) >= 0.95 * 1200 / SCRAPE
    assert len(asked) <= 400 / 3 + 60


def test_what_is_read_itself_is_read_at_its_shortest_pause_while_there_is_room() -> None:
    scene = Scene(World((shop(jobs=(entity("a", kind="job"), entity("b", kind="job"))),)), LIMIT)
    scene.scrape(0)
    reads = Counter(path for _at, path in scene.scrapes(1200))
    assert min(reads[builds_of("a", "jobs")], reads[builds_of("b", "jobs")]) >= 0.9 * 1200 / 30


def test_where_longest_pauses_cannot_be_kept_all_wait_alike_and_the_exporter_says_so_once() -> None:
    with capture_logs() as logged:
        scene = Scene(large(), LIMIT, exposes=False)
        scene.scrape(0)
        scene.scrapes(HOUR)
        asked = scene.scrapes(4 * HOUR)
    assert len(asked) <= 4 * 400 + 60
    questions = Counter(path for _at, path in asked if path.endswith("/services") or "/jobs/" in path)
    assert len(questions) == 30 + 60
    last: dict[str, float] = {}
    longest: dict[str, float] = {}
    for at, path in asked:
        if path in questions:
            longest[path] = max(longest.get(path, 0.0), at - last.get(path, HOUR))
            last[path] = at
    even = len(questions) / (400 - 15) * HOUR
    assert max(longest.values()) <= 1.5 * even
    foretold = scene.samples("ci_build_source_longest_pause_seconds")["nf"]
    assert even < foretold <= 1.6 * even
    (report,) = scene.collector.reports()
    assert not report.kept
    assert report.pauses[1] == pytest.approx(foretold, rel=0.2)
    assert report.requests_an_hour == pytest.approx(400, rel=0.1)
    assert len([line for line in logged if "too low to read each target" in line["event"]]) == 1
    discovered = [at for at, path in asked if path == JOBS.replace("shop", "p0")]
    assert len(discovered) <= 3


@pytest.mark.parametrize("reset", ["2592000", "9999999999"])
def test_a_limit_that_makes_no_sense_is_ignored_with_one_log_line(reset: str) -> None:
    scene = Scene(small(), LIMIT)
    scene.scrape(0)
    headers = {"x-ratelimit-limit": "1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    with capture_logs() as logged:
        scene.simulator.faults.add("*", faults.headers(headers))
        asked = scene.scrapes(1200)
        scene.simulator.faults.clear()
    assert len(asked) >= 1200 / SCRAPE / 2
    assert len([line for line in logged if "makes no sense" in line["event"]]) == 1


def test_a_server_that_says_that_nothing_is_left_shows_as_resting_with_one_log_line() -> None:
    scene = Scene(small(), LIMIT)
    scene.scrape(0)
    headers = {"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "2592000"}
    scene.simulator.faults.add("*", faults.headers(headers))
    with capture_logs() as logged:
        scene.scrapes(600)
        assert scene.samples("ci_build_source_resting") == {"nf": 1}
        scene.simulator.faults.clear()
        scene.scrapes(HOUR)
        assert scene.samples("ci_build_source_resting") == {"nf": 0}
    assert [line["event"] for line in logged if "rests" in line["event"]] == [
        "the allowance is used up: the source rests",
        "the source no longer rests",
    ]


def test_where_no_limit_is_named_reads_are_bounded() -> None:
    step = (Step("test", "unit", 60.0),)
    projects = tuple(
        GitLabProject(id=1 + n, path=f"g/p{n}", index=n, steps=step, habits=Habits(0.0)) for n in range(500)
    )
    gitlab = {"name": "gl", "provider": "gitlab", "token": EnvToken(TOKEN), "groups": ["g"]}
    scene = Scene(World(gitlab=projects), sources=(gitlab,), exposes=False)
    scene.scrape(0)
    by_scrape = Counter(at for at, _path in scene.scrapes(600) if at > 60)
    assert sum(by_scrape.values()) <= 5.2 * 540
