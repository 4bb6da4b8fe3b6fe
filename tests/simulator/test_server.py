"""The server itself, its limits and its faults: over real sockets where the wire is what goes wrong."""

import http.client
import queue
import threading
import time
from collections.abc import Iterator

import orjson
import pytest
import requests
from asking import BEARER, NOW, Clock, ask, builds, read, simulator
from serving import PATIENCE, eventually

from exporter.simulator import Limit, Request, Simulator, faults, world

BUILD = "/v1/projects/project-0/services/service-0/build"
JOBS = "/api/v4/projects/1001/jobs"


@pytest.fixture
def server() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        one.headers.update(BEARER)
        one.trust_env = False
        yield one


def test_an_answer_over_http_is_the_one_in_process(server: Simulator, session: requests.Session) -> None:
    for path in (BUILD, "/v1/projects", JOBS):
        got = session.get(server.url + path)
        host = {**BEARER, "host": f"127.0.0.1:{server.port}"}
        assert got.content == server.answer(Request.of("GET", path, host)).body


def test_large_answers_are_compressed_for_those_who_take_it(server: Simulator, session: requests.Session) -> None:
    assert session.get(server.url + BUILD).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in session.get(server.url + BUILD, headers={"accept-encoding": "identity"}).headers
    assert "content-encoding" not in session.get(server.url + "/v1/projects").headers


def test_a_connection_is_kept(server: Simulator) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.connect()
    first = connection.sock
    for method in ("GET", "HEAD", "GET"):
        connection.request(method, BUILD, headers=BEARER)
        assert bool(connection.getresponse().read()) == (method == "GET")
    assert connection.sock is first
    connection.close()


def test_requests_are_remembered_with_their_headers(server: Simulator, session: requests.Session) -> None:
    session.get(server.url + BUILD, params={"per_page": 3})
    session.get(server.url + "/v1/nowhere")

    first, second = server.requests
    assert (first.method, first.path, first.query, first.status) == ("GET", BUILD, {"per_page": ["3"]}, 200)
    assert first.headers["authorization"] == BEARER["authorization"]
    assert second.status == 404


def test_it_can_be_started_again(session: requests.Session) -> None:
    server = simulator()
    for _ in range(2):
        with server:
            assert session.get(server.url + BUILD).status_code == 200
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url


def test_a_limit_of_northflank_counts_from_the_first_request_and_tells_seconds() -> None:
    clock = Clock()
    server = simulator(clock=clock, limit=Limit(2, 60))
    clock.now += 1000

    left = []
    for _ in range(3):
        answer = ask(server, BUILD)
        left.append((answer.status, answer.headers["x-ratelimit-remaining"], answer.headers["x-ratelimit-reset"]))
        clock.now += 10
    assert left == [(200, "1", "60"), (200, "0", "50"), (429, "0", "40")]
    assert ask(server, JOBS).status == 200, "the other provider has an allowance of its own"
    clock.now += 40
    assert ask(server, BUILD).headers["x-ratelimit-remaining"] == "1"


def test_a_limit_of_gitlab_tells_the_moment_and_when_to_come_again() -> None:
    server = simulator(limit=Limit(1, 60))

    assert ask(server, JOBS).headers["ratelimit-reset"] == str(int(NOW + 60))
    refused = ask(server, JOBS)
    assert (refused.status, refused.body, refused.headers["content-type"]) == (429, b"Retry later\n", "text/plain")
    assert refused.headers["retry-after"] == "60"


def test_without_a_limit_there_are_no_headers_of_one() -> None:
    assert not any("ratelimit" in name for path in (BUILD, JOBS) for name in ask(simulator(), path).headers)


def test_latency_delays_each_answer(session: requests.Session) -> None:
    with Simulator(world(), latency=0.05) as slow:
        begun = time.monotonic()
        session.get(slow.url + "/v1/projects")
        assert time.monotonic() - begun >= 0.05


def test_a_fault_befalls_what_fits_as_often_as_it_says() -> None:
    server = simulator()
    server.faults.add("/v1/projects/*/build", faults.server_error(503), times=2)
    server.faults.add("/v1/projects", faults.not_found(), method="POST")

    assert [ask(server, path).status for path in ("/v1/projects", BUILD, JOBS, BUILD, BUILD)] == [
        200,
        503,
        200,
        503,
        200,
    ]
    server.faults.add("*", faults.gone())
    assert [ask(server, BUILD).status for _ in range(3)] == [410] * 3
    server.faults.clear()
    assert ask(server, BUILD).status == 200


@pytest.mark.parametrize(
    ("effect", "status", "body"),
    [
        (faults.html(502), 502, b"<!DOCTYPE html>"),
        (faults.unauthorized(), 401, b'{"message":"401 Unauthorized"}'),
        (faults.not_found(), 404, b"{"),
        (faults.gone(), 410, b'{"error":"API V3 is no longer supported'),
        (faults.server_error(), 500, b'{"error":{"status":500'),
        (faults.instead(418, b"tea"), 418, b"tea"),
    ],
)
def test_another_answer_in_the_place_of_the_right_one(effect: faults.Effect, status: int, body: bytes) -> None:
    server = simulator()
    server.faults.add("*", effect)
    answer = ask(server, BUILD)

    assert answer.status == status
    assert answer.body.startswith(body)


def test_too_many_requests_can_come_with_or_without_headers_or_with_untrue_ones() -> None:
    server = simulator(limit=Limit(100, 3600))
    server.faults.add("*", faults.too_many(), times=1)
    server.faults.add("*", faults.too_many({"retry-after": "7", "x-ratelimit-reset": "-5"}), times=1)
    server.faults.add("*", faults.headers({"x-ratelimit-remaining": "1000000"}), times=1)

    bare, past, lie = (ask(server, BUILD) for _ in range(3))
    assert (bare.status, set(bare.headers)) == (429, {"content-type"})
    assert (past.headers["retry-after"], past.headers["x-ratelimit-reset"]) == ("7", "-5")
    assert (lie.status, lie.headers["x-ratelimit-remaining"]) == (200, "1000000")


def test_a_redirect_leads_to_another_host(server: Simulator, session: requests.Session) -> None:
    server.faults.add("*", faults.redirect("http://elsewhere.example.com/v1/projects"))
    answer = session.get(server.url + BUILD, allow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.example.com/v1/projects")


def test_malformed_json_comes_whole_and_cannot_be_read(server: Simulator, session: requests.Session) -> None:
    server.faults.add("*", faults.malformed())
    answer = session.get(server.url + BUILD)

    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_truncated_body_is_shorter_than_promised(server: Simulator, session: requests.Session) -> None:
    server.faults.add("*", faults.truncated())
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        session.get(server.url + BUILD)


def test_a_reset_is_a_reset(server: Simulator, session: requests.Session) -> None:
    server.faults.add("*", faults.reset(), times=1)
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        session.get(server.url + BUILD)
    assert session.get(server.url + BUILD).status_code == 200


def test_a_hanging_request_does_not_answer_its_client(server: Simulator, session: requests.Session) -> None:
    server.faults.add("*", faults.hang())
    with pytest.raises(requests.ReadTimeout):
        session.get(server.url + BUILD, timeout=(PATIENCE, 0.05))


def test_a_server_stops_at_once_with_a_hanging_request(session: requests.Session) -> None:
    server = simulator()
    server.start()
    server.faults.add("*", faults.hang())
    ended: queue.Queue[Exception] = queue.Queue()

    def wait_for_it() -> None:
        try:
            session.get(server.url + BUILD)  # it waits as long as the server lets it
        except requests.ConnectionError as error:
            ended.put(error)

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    eventually(lambda: bool(server.requests))
    server.stop()
    assert ended.get(timeout=PATIENCE)
    thread.join()


def test_dripping_bytes_make_the_right_answer_in_the_end(server: Simulator, session: requests.Session) -> None:
    right = session.get(server.url + "/v1/projects").content
    server.faults.add("*", faults.drip(0.001))

    assert session.get(server.url + "/v1/projects").content == right


def test_with_shifting_pages_a_build_appears_between_two_pages_by_number() -> None:
    server = simulator()
    before = [build["id"] for build in builds(server, BUILD)][:40]
    server.faults.add(BUILD, faults.shifting(), times=1)

    pages = [read(server, f"{BUILD}?per_page=20&page={n}")["data"]["builds"] for n in (1, 2)]
    seen = [build["id"] for page in pages for build in page]
    assert seen == [*before[:20], *before[19:39]]


def test_with_shifting_pages_a_job_appears_between_two_pages_by_offset() -> None:
    server = simulator()
    before = [job["id"] for job in read(server, f"{JOBS}?per_page=40")]
    server.faults.add(JOBS, faults.shifting(), times=1)

    pages = [read(server, f"{JOBS}?per_page=20&page={n}") for n in (1, 2)]
    assert [job["id"] for page in pages for job in page] == [*before[:20], *before[19:39]]


@pytest.mark.parametrize("path", [BUILD, JOBS])
def test_a_page_of_broken_records_holds_right_ones_too(path: str) -> None:
    server = simulator()
    server.faults.add(path, faults.broken_records())
    page = orjson.loads(ask(server, f"{path}?per_page=20").body)
    records = page if isinstance(page, list) else page["data"]["builds"]

    assert len(records) == 21
    assert "status" not in records[0]
    assert not {"createdAt", "created_at"} & records[1].keys()
    assert "id" not in records[2]
    assert records[4]["status"] == "REIMAGINED"
    assert set(records[5].values()) == {None}
    assert records[6] == "not a build"
    assert records[-1] == records[-2]
