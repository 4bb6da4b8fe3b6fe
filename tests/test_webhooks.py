"""Deliveries over HTTP: who may deliver, what is answered, and what the next scrape shows of it."""

import http.client
import socket
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from serving import TOKEN, Clock, Exporter, Reply, gitlab, northflank, serving, settings, simulating
from structlog.testing import capture_logs

from exporter.simulator import faults
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import world

SECRET_NAME, SECRET = "WEBHOOK_SECRET", "correct horse/battery+staple"
SMALL = world(1, 2, 1, 2)
"""`project-0` with `service-0`, `service-1` and `job-0`; `group-0/app-0` and `group-0/app-1`."""
TOKEN_OF_NORTHFLANK = "X-Northflank-Notification-Integration-Token"
EVENT_ID = "X-Northflank-Notification-Integration-Event-Id"
WEBHOOK = f"webhook: {{secret: {{env: {SECRET_NAME}}}}}"
EVENTS = "ci_build_source_webhook_events_total"
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    monkeypatch.setenv(SECRET_NAME, SECRET)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    with simulating(SMALL, clock) as running:
        yield running


@pytest.fixture
def exporter(simulator: Simulator, clock: Clock) -> Iterator[Exporter]:
    sources = (
        northflank(simulator, more=WEBHOOK),
        northflank(simulator, "silent"),
        gitlab(simulator, more=f"groups: [group-0], {WEBHOOK}"),
    )
    with serving(settings(*sources), clock) as running:
        running.scrape()
        yield running


def post(
    exporter: Exporter,
    body: bytes | Iterable[bytes],
    headers: Mapping[str, str | bytes] | None = None,
    source: str = "northflank",
    **options: bool,
) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(exporter.url).netloc, timeout=30)
    given: Any = {TOKEN_OF_NORTHFLANK: SECRET} if headers is None else headers
    try:
        connection.request("POST", f"/webhooks/{source}", body, given, **options)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def delivered(exporter: Exporter, build: Mapping[str, Any], event: str, of: str = "service-0", key: str = "") -> Reply:
    data = {"build": build, "service": {"id": of}, "project": {"id": "project-0"}}
    headers = {TOKEN_OF_NORTHFLANK: SECRET, **({EVENT_ID: key} if key else {})}
    return post(exporter, orjson.dumps({"event": event, "data": data}), headers)


def started(clock: Clock, name: str = "new-build-1") -> dict[str, Any]:
    created = datetime.fromtimestamp(clock.now, UTC).isoformat()
    return {"id": name, "branch": "main", "status": "STARTING", "concluded": False, "createdAt": created}


def ended(build: Mapping[str, Any], clock: Clock, status: str = "FAILURE") -> dict[str, Any]:
    return {**build, "status": status, "concluded": True, "buildConcludedAt": int(clock.now)}


def counted(reply: Reply, outcome: str) -> float:
    of_main = {"source": "northflank", "target": "service-0", "branch": "main"}
    return reply.value("ci_build_concluded_total", **of_main, outcome=outcome)


def newest(reply: Reply) -> Mapping[str, str]:
    found = [labels for labels, _ in reply.samples("ci_build_last_info")]
    of_main = {"source": "northflank", "target": "service-0", "branch": "main"}
    (labels,) = (labels for labels in found if of_main.items() <= labels.items())
    return labels


def results(exporter: Exporter, source: str = "northflank") -> dict[tuple[str, str], float]:
    return {
        (labels["event"], labels["result"]): value
        for labels, value in exporter.scrape().samples(EVENTS)
        if labels["source"] == source
    }


def test_a_delivered_build_is_shown_at_the_next_scrape_without_a_request(
    exporter: Exporter, simulator: Simulator, clock: Clock
) -> None:
    failures = counted(exporter.scrape(), "failure")
    asked = len(simulator.requests)
    begun = started(clock)
    assert delivered(exporter, begun, "build:start").status == 200
    assert newest(exporter.scrape())["status"] == "starting"
    clock.now += 5
    assert delivered(exporter, ended(begun, clock), "build:failure").text == "applied\n"
    reply = exporter.scrape()
    assert (newest(reply)["build_id"], newest(reply)["outcome"]) == ("new-build-1", "failure")
    assert counted(reply, "failure") == failures + 1
    assert len(simulator.requests) == asked
    assert results(exporter) == {("build:start", "applied"): 1, ("build:failure", "applied"): 1}


def test_what_comes_again_or_late_changes_nothing(exporter: Exporter, clock: Clock) -> None:
    begun = started(clock)
    clock.now += 20
    end = ended(begun, clock)
    assert delivered(exporter, end, "build:failure", key="2").text == "applied\n"
    before = counted(exporter.scrape(), "failure")
    assert delivered(exporter, end, "build:failure", key="2").text == "repeated\n"
    assert delivered(exporter, end, "build:failure", key="3").text == "stale\n"
    assert delivered(exporter, begun, "build:start", key="1").text == "stale\n"
    assert delivered(exporter, ended(begun, clock, "SUCCESS"), "build:success").text == "stale\n"
    reply = exporter.scrape()
    assert (counted(reply, "failure"), newest(reply)["outcome"]) == (before, "failure")


def test_a_delivery_that_only_hints_makes_its_target_be_read(
    exporter: Exporter, simulator: Simulator, clock: Clock
) -> None:
    asked = len(simulator.requests)
    answer = delivered(exporter, {"id": "who-knows-1"}, "build:success", "service-1")
    assert (answer.status, answer.text) == (200, "due\n")
    clock.now += 1
    exporter.scrape()
    paths = [request.path for request in list(simulator.requests)[asked:]]
    assert paths == ["/v1/projects/project-0/services/service-1/build"]


@pytest.mark.parametrize(
    "given", [{}, {TOKEN_OF_NORTHFLANK: ""}, {TOKEN_OF_NORTHFLANK: "x"}, {"X-Gitlab-Token": SECRET}]
)
def test_whoever_does_not_know_the_secret_is_refused(exporter: Exporter, given: Mapping[str, str]) -> None:
    with capture_logs() as logged:
        answer = post(exporter, b"{}", given)
    assert answer.status == 401
    assert results(exporter) == {("other", "unauthorized"): 1}
    assert SECRET not in f"{logged}{answer.text}{exporter.scrape().text}"


def test_a_secret_of_other_than_ascii_is_compared_by_its_bytes(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "geheimnis-ä"
    monkeypatch.setenv(SECRET_NAME, secret)
    for given, status in ((secret.encode(), 202), (secret.encode("latin-1"), 202), (b"geheimnis-\xff", 401)):
        assert post(exporter, b"{}", {TOKEN_OF_NORTHFLANK: given}).status == status


def test_a_secret_that_cannot_be_read_is_a_fault_of_ours(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_NAME)
    with capture_logs() as logged:
        assert post(exporter, b"{}", {TOKEN_OF_NORTHFLANK: SECRET}).status == 503
    assert [line["source"] for line in logged if line["log_level"] == "error"] == ["northflank"]


def test_a_source_without_a_webhook_answers_as_one_that_is_not_there(exporter: Exporter) -> None:
    silent, absent = (post(exporter, b"{}", source=source) for source in ("silent", "nowhere"))
    assert (silent.status, absent.status) == (404, 404)
    assert silent.body == absent.body
    assert not exporter.scrape().samples(EVENTS)
    assert exporter.ask("/webhooks/northflank").status == 405


def test_what_is_no_json_is_refused_and_any_json_is_not(exporter: Exporter) -> None:
    for body in (b"", b"{", b"event=build:start", b"\xff\xfe"):
        assert post(exporter, body).status == 400
    for body in (b"null", b"[1]", b'"x"', b'{"event": "backup:start"}', b"[" * 200 + b"]" * 200):
        assert post(exporter, body).status == 202
    assert results(exporter) == {("other", "malformed"): 4, ("other", "unknown_event"): 5}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_a_mebibyte_at_most(exporter: Exporter, *, chunked: bool) -> None:
    def sent(size: int) -> bytes | Iterable[bytes]:
        body = b"1" + b" " * (size - 1)
        return (body[place : place + 65536] for place in range(0, size, 65536)) if chunked else body

    assert post(exporter, sent(MEBIBYTE), encode_chunked=chunked).status == 202
    assert post(exporter, sent(MEBIBYTE + 1), encode_chunked=chunked).status == 413
    assert results(exporter) == {("other", "unknown_event"): 1, ("other", "too_large"): 1}


def test_a_sender_that_leaves_disturbs_nobody(exporter: Exporter) -> None:
    with socket.create_connection((urlsplit(exporter.url).hostname, urlsplit(exporter.url).port)) as leaving:
        lines = (
            "POST /webhooks/northflank HTTP/1.1",
            "Host: x",
            f"{TOKEN_OF_NORTHFLANK}: {SECRET}",
            "Content-Length: 9",
        )
        leaving.sendall("\r\n".join([*lines, "", "{"]).encode())
    assert post(exporter, b"{}").status == 202


def test_a_target_that_is_not_read_makes_discovery_look_once(
    exporter: Exporter, simulator: Simulator, clock: Clock
) -> None:
    assert delivered(exporter, started(clock), "build:start", "stranger").status == 202
    clock.now += 31
    exporter.scrape()
    asked = len(simulator.requests)
    for _ in range(3):
        assert delivered(exporter, started(clock), "build:start", "stranger").text == "unknown_target\n"
        clock.now += 1
        exporter.scrape()
    assert "/v1/projects" not in [request.path for request in list(simulator.requests)[asked:]]
    assert results(exporter) == {("build:start", "unknown_target"): 4}


def test_a_failed_target_stays_down_and_shows_what_is_delivered(
    exporter: Exporter, simulator: Simulator, clock: Clock
) -> None:
    simulator.faults.add("/v1/*", faults.server_error())
    delivered(exporter, {}, "build:success")
    clock.now += 1
    assert exporter.scrape().value("ci_build_target_up", source="northflank", target="service-0") == 0.0
    assert delivered(exporter, started(clock), "build:start").text == "applied\n"
    reply = exporter.scrape()
    assert newest(reply)["build_id"] == "new-build-1"
    assert reply.value("ci_build_target_up", source="northflank", target="service-0") == 0.0


def test_a_job_of_gitlab_moves_on(exporter: Exporter, simulator: Simulator, clock: Clock) -> None:
    target = {"project": {"path_with_namespace": "group-0/app-0"}, "project_id": 7}
    at = datetime.fromtimestamp(clock.now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    part = {"id": 2**40, "name": "unit", "stage": "test", "status": "pending", "created_at": at}
    attributes = {"id": 2**40, "ref": "main", "tag": False, "sha": "5" * 40, "source": "push"}
    pipeline = {"object_kind": "pipeline", "object_attributes": attributes, "builds": [part], **target}
    job = {"object_kind": "build", "build_id": 2**40, "build_status": "success", "ref": "main", "pipeline_id": 2**40}
    times = {"build_created_at": at, "build_started_at": at, "build_finished_at": at}
    headers, asked = {"X-Gitlab-Token": SECRET}, len(simulator.requests)
    assert post(exporter, orjson.dumps(pipeline), headers, "gitlab").text == "applied\n"
    assert post(exporter, orjson.dumps(job | times | target), headers, "gitlab").text == "applied\n"
    found = [labels for labels, _ in exporter.scrape().samples("ci_build_last_info")]
    (status,) = (labels["status"] for labels in found if labels["build_id"] == str(2**40))
    assert status == "success"
    assert len(simulator.requests) == asked
    assert results(exporter, "gitlab") == {("pipeline", "applied"): 1, ("job", "applied"): 1}
