"""What fails again and again is logged at the change, then once an hour with the count."""

from collections.abc import Iterator

import pytest
from scenes import Scene, builds_of, entity, shop
from serving import TOKEN
from structlog.testing import capture_logs
from structlog.typing import EventDict

from exporter.errors import NotFound, RateLimited, Unreachable
from exporter.polling.results import Line
from exporter.reading.failure_log import FailureLog
from exporter.simulator import World, faults
from exporter.simulator.server import SIMULATOR_TOKEN


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


def times(lines: list[EventDict]) -> list[object]:
    return [line.get("times", 1) for line in lines]


def test_a_repeated_failure_is_logged_once_an_hour_with_the_count(logged: list[EventDict]) -> None:
    log = FailureLog()
    for number in range(361):
        log.failed("read failed", "nf/service/shop/web", Unreachable(f"no answer within {number} s"), number * 30.0)
    assert [line["error"] for line in logged] == [f"no answer within {n} s" for n in (0, 120, 240, 360)]
    assert times(logged) == [1, 120, 120, 120]


def test_another_reason_another_target_and_a_failure_after_a_success_are_logged_at_once(
    logged: list[EventDict],
) -> None:
    log = FailureLog()
    log.failed("read failed", "a", Unreachable("away"), 0.0)
    log.failed("read failed", "b", Unreachable("away"), 1.0)
    log.failed("read failed", "a", NotFound("gone"), 2.0)
    log.failed("read failed", "a", NotFound("gone"), 3.0)
    log.succeeded("read failed", "a")
    log.failed("read failed", "a", NotFound("gone"), 4.0)
    assert [(line["of"], line["reason"]) for line in logged] == [
        ("a", "unreachable"),
        ("b", "unreachable"),
        ("a", "not_found"),
        ("a", "not_found"),
    ]


def test_an_error_of_our_own_is_logged_with_its_traceback_once(logged: list[EventDict]) -> None:
    log = FailureLog()
    for now in range(10):
        log.failed("read failed", "a", ZeroDivisionError("division by zero"), now)
    assert [(line["log_level"], line["reason"]) for line in logged] == [("error", "unexpected")]


def test_a_rest_is_not_logged_here(logged: list[EventDict]) -> None:
    FailureLog().failed("read failed", "a", RateLimited("too many"), 0.0)
    assert logged == []


def test_a_line_of_each_discovery_is_logged_once_an_hour(logged: list[EventDict]) -> None:
    log = FailureLog()
    lines = [Line("warning", "nothing matches", {"source": "nf", "note": note}) for note in ("x", "y")]
    for number in range(13):
        log.recurring(lines, number * 600.0)
    assert [line["note"] for line in logged] == ["x", "y"] * 3


def test_a_target_that_fails_for_hours_logs_a_line_an_hour(logged: list[EventDict]) -> None:
    scene = Scene(World((shop(jobs=(entity("a", kind="job"), entity("b", kind="job"))),)))
    scene.scrapes(300)
    scene.simulator.faults.add(builds_of("a", "jobs"), faults.server_error())
    scene.scrapes(4 * 3600)
    failed = [line for line in logged if line["event"] == "read failed"]
    assert {line["of"] for line in failed} == {"nf/job/shop/a"}
    assert 4 <= len(failed) <= 5
    counted = scene.samples("ci_build_target_errors_total")["a"]
    assert counted > 10
    assert 0 <= counted - sum(int(line.get("times", 1)) for line in failed) < counted / 4
