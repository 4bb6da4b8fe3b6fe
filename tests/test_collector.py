"""The cached collector against providers that fail in every way, scraped over HTTP by a clock that is set by hand."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving import TOKEN, Clock, Exporter, eventually, gitlab, northflank, refused_url, serving, settings, simulating
from structlog.testing import capture_logs
from structlog.typing import EventDict

from exporter.simulator import faults
from exporter.simulator.faults import Effect
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import NorthflankProject, World, world

HOUR = 3600.0
SMALL = world(1, 2, 1, 2)
"""`project-0` with `service-0`, `service-1` and `job-0`; `group-0/app-0` and `group-0/app-1`."""
ENDS = {
    "SUCCESS": "success",
    "FAILURE": "failure",
    "CRASHED": "error",
    "SUBMISSION_FAILURE": "error",
    "ABORTED": "cancellation",
}
ALL = {"service-0", "service-1", "job-0"}
LISTS = "/v1/projects/project-0/services"
BUILDS = "/v1/projects/project-0/services/service-0/build"
JOB_BUILDS = "/v1/projects/project-0/jobs/job-0/build"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    with simulating(SMALL, clock) as running:
        yield running


@pytest.fixture
def exporter(simulator: Simulator, clock: Clock) -> Iterator[Exporter]:
    with serving(settings(northflank(simulator)), clock) as running:
        yield running


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


def text(lines: list[EventDict]) -> str:
    return "\n".join(f"{line}" for line in lines)


def asked(simulator: Simulator, path: str) -> int:
    return sum(request.path == path for request in simulator.requests)


def window(exporter: Exporter, target: str) -> list[str]:
    """The samples of a target's builds, but for what only time moves."""
    lines = exporter.scrape().text.splitlines()
    return [line for line in lines if f'target="{target}"' in line and not line.startswith("ci_build_target")]


def test_twenty_scrapes_at_once_ask_each_question_once(simulator: Simulator, exporter: Exporter) -> None:
    with ThreadPoolExecutor(20) as scrapers:
        replies = list(scrapers.map(lambda _: exporter.scrape(), range(20)))
    assert all(reply.targets("northflank") == ALL for reply in replies)
    questions = Counter((request.path, str(request.query)) for request in simulator.requests)
    assert set(questions.values()) == {1}


def test_nothing_is_asked_again_before_it_is_due(simulator: Simulator, exporter: Exporter, clock: Clock) -> None:
    exporter.scrape()
    before = len(simulator.requests)
    clock.now += 1
    exporter.scrape()
    assert len(simulator.requests) == before
    clock.now += HOUR
    exporter.scrape()
    assert len(simulator.requests) > before


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        (faults.server_error(502), "unreachable"),
        (faults.reset(), "unreachable"),
        (faults.truncated(), "unreachable"),
        (faults.malformed(), "bad_payload"),
        (faults.html(), "bad_payload"),
        (faults.html(404), "not_found"),
        (faults.redirect("http://169.254.0.1/"), "not_found"),
        (faults.instead(403), "forbidden"),
        (faults.instead(200, b"[]", {"content-type": "application/json"}), "bad_payload"),
        (faults.instead(200, b"", {}), "bad_payload"),
    ],
)
def test_the_last_good_window_is_served_while_a_target_fails(
    simulator: Simulator, exporter: Exporter, clock: Clock, effect: Effect, reason: str
) -> None:
    good = window(exporter, "job-0")
    refreshed = exporter.scrape().value("ci_build_target_refresh_timestamp_seconds", target="job-0")
    simulator.faults.add(JOB_BUILDS, effect)
    clock.now += HOUR
    with capture_logs() as logged:
        failed = exporter.scrape()
    assert failed.targets("northflank") == ALL - {"job-0"}
    assert failed.targets("northflank", up=0.0) == {"job-0"}
    assert failed.values("ci_build_target_errors_total", target="job-0", reason=reason) == [1.0]
    assert failed.value("ci_build_target_refresh_timestamp_seconds", target="job-0") == refreshed
    assert failed.value("ci_build_source_up", source="northflank") == 1.0
    names = {line.partition("{")[0] for line in good}
    assert names <= {line.partition("{")[0] for line in window(exporter, "job-0")}
    lines = [line for line in logged if "job-0" in str(line)]
    assert [line["reason"] for line in lines] == [reason]
    assert "\n" not in lines[0]["error"]
    simulator.faults.clear()
    clock.now += HOUR
    assert exporter.scrape().targets("northflank") == ALL


def test_each_failure_is_asked_later_than_the_last(simulator: Simulator, exporter: Exporter, clock: Clock) -> None:
    exporter.scrape()
    simulator.faults.add(BUILDS, faults.server_error())
    clock.now += HOUR
    exporter.scrape()
    pauses, since = list[float](), 0.0
    seen = asked(simulator, BUILDS)
    while len(pauses) < 7:
        clock.now += 10
        since += 10
        exporter.scrape()
        now_seen = asked(simulator, BUILDS)
        if now_seen > seen:
            pauses.append(since)
            seen, since = now_seen, 0.0
    assert pauses == [30, 60, 120, 240, 480, 600, 600]


def test_a_project_that_does_not_exist_is_named_and_the_rest_is_read(
    simulator: Simulator, clock: Clock, logged: list[EventDict]
) -> None:
    projects = "projects: [{id: project-0}, {id: prject-9}]"
    sources = (northflank(simulator, more=projects), gitlab(simulator, more="projects: [group-0/app-0, no/such]"))
    with serving(settings(*sources), clock) as exporter:
        reply = exporter.scrape()
        assert reply.targets("northflank") == ALL
        assert reply.targets("gitlab") == {"group-0/app-0"}
        assert reply.targets("gitlab", up=0.0) == {"no/such"}
        assert reply.values("ci_build_source_up") == [1.0, 1.0]
    assert len([line for line in logged if "prject-9" in str(line)]) == 1
    assert len([line for line in logged if "no/such" in str(line)]) == 1
    assert len(logged) == 2


def test_a_refused_token_is_one_clear_line_a_source_and_never_shown(
    simulator: Simulator, clock: Clock, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "glpat-hunter2-hunter2"
    monkeypatch.setitem(os.environ, TOKEN, wrong)
    simulator.faults.add("/api/*", faults.instead(401, f'{{"message": "401 {wrong}"}}'.encode()))
    with serving(settings(northflank(simulator), gitlab(simulator)), clock) as exporter:
        reply = exporter.scrape()
        assert reply.values("ci_build_source_up") == [0.0, 0.0]
        assert exporter.ask("/-/ready").status == 200
        pages = [exporter.ask(path).text for path in ("/", "/metrics", "/-/ready", "/probe?source=gitlab&target=x")]
    lines = [line for line in logged if line["log_level"] == "warning"]
    assert sorted(line["error"] for line in lines) == [
        "/api/v4/groups/group-0/projects answered 401 (401 [token]): check the token of source gitlab",
        "/v1/projects answered 401 (Unauthorized): check the token of source northflank",
    ]
    assert wrong not in text(logged) + "".join(pages)


def test_a_source_rests_while_its_allowance_is_used_up(simulator: Simulator, exporter: Exporter, clock: Clock) -> None:
    exporter.scrape()
    simulator.faults.add("*", faults.too_many({"retry-after": "900"}))
    clock.now += HOUR
    resting = exporter.scrape()
    assert resting.value("ci_build_source_resting", source="northflank") == 1.0
    assert resting.values("ci_build_window_success_ratio")
    simulator.faults.clear()
    before = len(simulator.requests)
    clock.now += 890
    assert exporter.scrape().value("ci_build_source_resting", source="northflank") == 1.0
    assert len(simulator.requests) == before
    clock.now += 700
    assert exporter.scrape().value("ci_build_source_resting", source="northflank") == 0.0
    assert exporter.scrape().targets("northflank") == ALL
    assert len(simulator.requests) > before


def test_a_server_without_api_v3_says_which_line_to_change(
    simulator: Simulator, clock: Clock, logged: list[EventDict]
) -> None:
    simulator.gitlab.v3 = False
    simulator.faults.add("/api/v3/*", faults.gone())
    with serving(settings(gitlab(simulator, more="projects: [group-0/app-0], api: v3")), clock) as exporter:
        assert exporter.scrape().targets("gitlab", up=0.0) == {"group-0/app-0"}
    assert 'write "api: v4" at config.yaml:2' in text(logged)


def test_broken_records_cost_only_themselves(simulator: Simulator, clock: Clock) -> None:
    given = settings(northflank(simulator), more="window: {builds: 20}")
    simulator.faults.add(BUILDS, faults.broken_records(), times=1)
    with serving(given, clock) as exporter:
        reply = exporter.scrape()
    assert reply.targets("northflank") == ALL
    rejected = {labels["reason"]: value for labels, value in reply.samples("ci_build_source_rejected_records_total")}
    assert set(rejected) == {"no_created_at", "no_id", "concluded_before_created", "not_an_object"}
    # A record without a status, and one with a status never heard of: `success` says how they ended.
    for status in ("unknown", "reimagined"):
        of = {
            outcome: sum(reply.values("ci_build_window_builds", target="service-0", status=status, outcome=outcome))
            for outcome in ("success", "failure", "unknown")
        }
        assert (of["success"] + of["failure"], of["unknown"]) == (1.0, 0.0)
    assert sum(reply.values("ci_build_window_builds", target="service-0", status="success")) > 10


def test_a_page_that_shifts_counts_nothing_twice_and_loses_nothing(simulator: Simulator, clock: Clock) -> None:
    steady = settings(northflank(simulator), more="window: {builds: 1000}")
    with serving(steady, clock) as exporter:
        right = sum(exporter.scrape().values("ci_build_window_builds", target="service-0"))
    pages = asked(simulator, BUILDS)
    assert pages > 1
    simulator.faults.add(BUILDS, faults.shifting(), times=1)
    with serving(steady, clock) as exporter:
        shifted = sum(exporter.scrape().values("ci_build_window_builds", target="service-0"))
        assert shifted == right
        clock.now += HOUR
        later = exporter.scrape()
        assert later.targets("northflank") == ALL
        seen = sum(later.values("ci_build_window_builds", target="service-0"))
    with serving(steady, clock) as fresh:
        assert sum(fresh.scrape().values("ci_build_window_builds", target="service-0")) == seen


def test_discovery_keeps_what_it_knew_when_it_fails_or_is_partial(
    simulator: Simulator, exporter: Exporter, clock: Clock
) -> None:
    assert exporter.scrape().targets("northflank") == ALL
    for effect in (faults.server_error(), faults.html()):
        for path in ("/v1/projects", LISTS, "/v1/projects/project-0/jobs"):
            simulator.faults.add(path, effect)
            for _ in range(4):
                clock.now += HOUR
                reply = exporter.scrape()
                known = reply.targets("northflank") | reply.targets("northflank", up=0.0)
                assert known == ALL, path
            simulator.faults.clear()


def test_what_discovery_has_found_is_read_while_it_goes_on(clock: Clock) -> None:
    with simulating(world(2, 1, 0, 0), clock) as simulator:
        simulator.faults.add("/v1/projects/project-1/services", faults.hang())
        patient = settings(northflank(simulator), more="refresh: {timeout: 20s}")
        with serving(patient, clock) as exporter:
            exporter.ask(headers={"X-Prometheus-Scrape-Timeout-Seconds": "0"})
            eventually(lambda: [target.project for target in exporter.collector.targets()] == ["project-0"])
            eventually(lambda: exporter.collector.history(exporter.collector.targets()[0]).baseline is not None)


def test_a_target_goes_after_two_complete_lists_without_it(clock: Clock, logged: list[EventDict]) -> None:
    (project,) = SMALL.northflank
    smaller = NorthflankProject(project.id, project.name, project.services[1:], project.jobs)
    with simulating(SMALL, clock) as simulator, serving(settings(northflank(simulator)), clock) as exporter:
        assert exporter.scrape().targets("northflank") == ALL
        simulator.northflank = type(simulator.northflank)(World((smaller,)), simulator.history)
        clock.now += HOUR
        once = exporter.scrape()
        assert once.targets("northflank") | once.targets("northflank", up=0.0) == ALL
        clock.now += HOUR
        gone = exporter.scrape()
        assert gone.targets("northflank") == ALL - {"service-0"}
        assert 'target="service-0"' not in gone.text
        assert gone.value("ci_build_source_targets", kind="service") == 1.0
    assert [line["target"] for line in logged if line["event"] == "target is gone"] == [
        "northflank/service/project-0/service-0"
    ]


def test_what_a_reloaded_configuration_no_longer_names_goes_at_once(clock: Clock) -> None:
    with simulating(SMALL, clock) as simulator, serving(settings(northflank(simulator)), clock) as exporter:
        assert exporter.scrape().targets("northflank") == ALL
        only = "projects: [{id: project-0, services: [service-1], jobs: []}]"
        exporter.collector.configure(settings(northflank(simulator, more=only)))
        exporter.scrape()
        assert exporter.scrape().targets("northflank") == {"service-1"}


def test_a_host_that_does_not_resolve_and_a_closed_port_are_one_line_each(
    clock: Clock, logged: list[EventDict]
) -> None:
    sources = (northflank("http://no-such-host.invalid", "nowhere"), northflank(refused_url(), "closed"))
    with serving(settings(*sources), clock) as exporter:
        reply = exporter.scrape()
        assert reply.values("ci_build_source_up") == [0.0, 0.0]
    errors = {str(line["of"]): str(line["error"]) for line in logged if line["log_level"] == "warning"}
    assert len(logged) == 2
    assert "no-such-host.invalid" in errors["nowhere"]
    assert errors["closed"].startswith("connection refused by 127.0.0.1:")


def test_a_source_that_fails_is_not_asked_at_every_scrape(simulator: Simulator, clock: Clock) -> None:
    simulator.faults.add("*", faults.server_error())
    with serving(settings(northflank(simulator)), clock) as exporter:
        for _ in range(10):
            exporter.scrape()
        assert len(simulator.requests) == 1


def test_each_conclusion_is_counted_once(simulator: Simulator, clock: Clock) -> None:
    begun = clock.now
    with serving(settings(northflank(simulator), more="metrics: {branches: []}"), clock) as exporter:
        assert set(exporter.scrape().values("ci_build_concluded_total")) == {0.0}
        for pause in (*[97.0] * 60, HOUR):
            clock.now += pause
            exporter.scrape()
        reply = exporter.scrape()
    for service in SMALL.northflank[0].services[:2]:
        ends = [plan.steps[-1] for plan in simulator.history.newest(service, clock.now)]
        right = Counter(ENDS[word] for at, word in ends if word in ENDS and begun < at <= clock.now)
        counted = {
            labels["outcome"]: value
            for labels, value in reply.samples("ci_build_concluded_total")
            if labels["target"] == service.id and value
        }
        assert counted == right
