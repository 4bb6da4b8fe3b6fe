"""What comes from outside, changed at random: nothing crashes, and what follows is read as if it had not come.

The number of examples is bounded; `make fuzz EXAMPLES=10000` tries more. An example that fails is printed with its
seed: it becomes a test of its own.
"""

import gzip
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import bytes_mutated, mutated
from scenes import Scene, entity, shop
from serving import TOKEN, northflank, serving, simulating
from serving import settings as settings_of
from structlog.testing import capture_logs

from exporter.errors import ConfigError
from exporter.exposition.render import Format
from exporter.polling.deliveries import Result
from exporter.settings.load import load
from exporter.simulator import World, hooks, world
from exporter.simulator.faults import Effect
from exporter.simulator.message import Answer
from exporter.simulator.server import SIMULATOR_TOKEN

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
FEW = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SEEDS = st.integers(0, 1 << 32)


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


# Answers


def changed(dice: Random) -> Callable[[Answer], Answer]:
    """Changes the JSON, or the bytes, of one answer in two."""

    def change(answer: Answer) -> Answer:
        match dice.randrange(4):
            case 0:
                return Answer(answer.status, answer.headers, bytes_mutated(answer.body, dice))
            case 1 if answer.body:
                body = mutated(orjson.loads(answer.body), dice)
                return Answer(answer.status, answer.headers, encoded(body))
            case _:
                return answer

    return change


def encoded(document: Any) -> bytes:
    """The document as JSON, with whatever JSON can hold."""
    return json.dumps(document).encode()


BOTH: tuple[dict[str, Any], ...] = (
    {},
    {"name": "gl", "provider": "gitlab", "groups": ["group-0"]},
)


@settings(FEW, max_examples=max(4, EXAMPLES // 10))  # each is hours of an exporter
@given(SEEDS)
def test_any_change_of_answers_is_read_or_refused_and_goes_with_its_cause(seed: int) -> None:
    dice = Random(seed)
    services = World((shop(entity("web", per_hour=20.0), jobs=(entity("nightly", kind="job", per_hour=10.0),)),))
    known = World(services.northflank, world(northflank_projects=0, gitlab_projects=2).gitlab)
    with capture_logs() as logged:
        scene = Scene(known, sources=BOTH)
        scene.scrape(0)
        scene.simulator.faults.add("*", Effect(change=changed(dice)))
        scene.scrapes(600)
        scene.simulator.faults.clear()
        scene.scrapes(3600, every=60.0)
        up = scene.up
    assert [line for line in logged if line.get("reason") == "unexpected" or line["log_level"] == "critical"] == []
    assert set(up.values()) == {1.0}
    assert {"web", "nightly"} < up.keys()
    assert scene.samples("ci_build_target_errors_total").keys() <= up.keys()


# Deliveries


@pytest.fixture(scope="module")
def scene() -> Scene:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKEN, SIMULATOR_TOKEN)
        made = Scene(World((shop(entity("web", per_hour=20.0)),), world(gitlab_projects=1).gitlab), sources=BOTH)
        made.scrapes(600)
        return made


@FEW
@given(SEEDS)
def test_any_delivery_is_taken_or_refused(scene: Scene, seed: int) -> None:
    dice = Random(seed)
    project = scene.world.gitlab[0]
    builds = scene.simulator.history.of(project)
    sent = dice.choice(hooks.deliveries(project, builds, scene.clock.now - 86400, scene.clock.now))
    of_northflank = {
        "event": dice.choice(["trigger:success", "trigger:failure", "build:started"]),
        "data": {
            "build": {"id": "b", "status": "SUCCESS", "createdAt": "2026-11-25T00:00:00Z", "concluded": True},
            "service": {"id": "web"},
            "project": {"id": "shop"},
        },
    }
    for source, headers, body in (
        ("gl", {"x-gitlab-event": sent.event, "x-gitlab-event-uuid": str(seed)}, sent.body),
        ("nf", {}, of_northflank),
    ):
        for content in (encoded(mutated(body, dice)), bytes_mutated(encoded(body), dice)):
            assert scene.collector.delivered(source, headers, content) in Result
    assert b"ci_build_source_up" in gzip.decompress(scene.collector.expose(Format.OPENMETRICS))


# Configuration

CONFIGURATION = b"""
sources:
  - name: northflank
    provider: northflank
    url: https://api.northflank.com
    token: {env: SIMULATED_TOKEN}
    spend: 40%
    projects:
      - {id: shop, services: [web, "api-*"], jobs: [nightly]}
    webhook: {secret: {env: SIMULATED_TOKEN}}
  - name: gitlab
    provider: gitlab
    url: https://gitlab.example.com
    token: {file: /nowhere/token}
    groups: ["shop/**"]
    projects: [shop/web, 17]
    topics: [production]
    tls: {insecure_skip_verify: true}
refresh: {ttl: 30s, idle_ttl: 5m, discovery: 10m, concurrency: 16, timeout: 8s}
window: {builds: 100, runs: 100, age: 7d, remember: 30d}
metrics:
  branches: [default, main, "release/*"]
  buckets: {conclude: [60, 120]}
  histograms: [conclude]
  labels: [build_name]
  max_series: 1000
"""


@FEW
@given(SEEDS)
def test_any_configuration_is_taken_or_its_faults_are_named(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    content = bytes_mutated(CONFIGURATION, Random(seed))
    path = tmp_path_factory.mktemp("fuzz") / "config.yaml"
    path.write_bytes(content)
    for line in faults_of(path):
        assert line.startswith(str(path))
        assert "\n" not in line


def faults_of(path: Path) -> list[str]:
    """The faults of the file, a line each; none where it can be used."""
    try:
        load(path)
    except ConfigError as error:
        return [str(fault) for fault in error.faults] or ["no fault is named"]
    return []


# HTTP

HEADS = (
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text;q=0.5,*/*;q=0.1\r\n\r\n",
    b"GET /probe?source=nf&target=service/shop/web HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /webhooks/nf HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /webhooks/nf HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"GET /targets/nf/service/shop/web?range=1 HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\n\r\n",
    b"GET /api/v1/targets?page=2&per_page=10 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
)


def test_any_bytes_on_a_connection_leave_the_server_answering(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        simulating(World((shop(entity("web")),))) as simulator,
        serving(settings_of(northflank(simulator, "nf"))) as exporter,
    ):
        host, port = urlsplit(exporter.url).netloc.split(":")

        @FEW
        @given(SEEDS)
        def sent(seed: int) -> None:
            dice = Random(seed)
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(bytes_mutated(dice.choice(HEADS), dice))
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                try:
                    while piece := connection.recv(65536):
                        answer += piece
                except ConnectionError:
                    pass
            assert not answer or answer.startswith(b"HTTP/1.1 ")
            assert b" 500 " not in answer[:20]
            assert exporter.ask("/-/healthy").status == 200

        sent()
    assert "Traceback" not in capfd.readouterr().err
