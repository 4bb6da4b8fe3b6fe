"""The web side over real connections: scrapes and their deadlines, formats, probes, the life cycle."""

import http.client
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from threading import Event
from urllib.parse import urlsplit

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from serving import (
    PATIENCE,
    TOKEN,
    Clock,
    Exporter,
    Reply,
    ask_over,
    eventually,
    gitlab,
    held,
    northflank,
    refused_url,
    serving,
    settings,
    simulating,
)

from exporter.collector import Collector
from exporter.errors import ListenError
from exporter.simulator import faults
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import world
from exporter.web.application import usable_path

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"}
SMALL = world(1, 2, 1, 2)
"""`project-0` with `service-0`, `service-1` and `job-0`; `group-0/app-0` and `group-0/app-1`."""
SERVICES = {"service-0", "service-1"}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with simulating(SMALL) as running:
        yield running


@pytest.fixture
def exporter(simulator: Simulator) -> Iterator[Exporter]:
    with serving(settings(northflank(simulator), gitlab(simulator)), lifecycle=True) as running:
        yield running


def test_the_first_scrape_is_full(exporter: Exporter) -> None:
    first = exporter.scrape()
    assert first.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert first.targets("northflank") == {*SERVICES, "job-0"}
    assert first.targets("gitlab") == {"group-0/app-0", "group-0/app-1"}
    assert len(first.values("ci_build_target_refresh_timestamp_seconds")) == 5


def test_openmetrics_by_accept_can_be_parsed_and_bears_exemplars(exporter: Exporter) -> None:
    reply = exporter.ask(headers=OPENMETRICS)
    assert reply.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in openmetrics(reply.text)}  # type: ignore[no-untyped-call]
    assert families["ci_build_conclude_latency_seconds"].type == "gaugehistogram"
    assert families["ci_build_concluded"].type == "counter"
    buckets = families["ci_build_conclude_latency_seconds"].samples
    exemplars = [sample.exemplar for sample in buckets if sample.exemplar]
    assert exemplars
    assert all(set(exemplar.labels) == {"build_id", "sha"} for exemplar in exemplars)
    assert len(families["ci_build_target_refresh_timestamp_seconds"].samples) == 5


def test_a_format_asked_for_later_shows_the_same_samples(exporter: Exporter) -> None:
    text, later = exporter.scrape(), exporter.ask(headers=OPENMETRICS)
    lines = [line for line in text.text.splitlines() if line.startswith(("ci_build_window", "ci_build_target"))]
    assert len(lines) > 100
    assert not set(lines) - set(later.text.splitlines())


def test_gzip_is_one_member_that_python_undoes(exporter: Exporter) -> None:
    reply = exporter.ask(headers={"Accept-Encoding": "gzip"})
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["vary"] == "Accept, Accept-Encoding"
    member = zlib.decompressobj(wbits=31)
    assert b"ci_build_window_builds" in member.decompress(reply.body)
    assert (member.eof, member.unused_data) == (True, b"")
    assert "content-encoding" not in exporter.ask(headers={"Accept-Encoding": "gzip;q=0"}).headers


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_undoes_gzip(exporter: Exporter) -> None:
    got = subprocess.run(
        ["curl", "--silent", "--fail", "--compressed", f"{exporter.url}/metrics"], capture_output=True, check=True
    )
    assert Reply(200, {}, got.stdout).targets("northflank") == {*SERVICES, "job-0"}
    assert b"ci_build_exporter_scrape_duration_seconds" in got.stdout


def test_head_is_answered_without_a_body(exporter: Exporter) -> None:
    for path in ("/metrics", "/-/healthy", "/"):
        reply = exporter.ask(path, method="HEAD")
        assert (reply.status, reply.body) == (200, b"")


def test_a_connection_is_used_again(exporter: Exporter) -> None:
    connection = http.client.HTTPConnection(urlsplit(exporter.url).netloc, timeout=PATIENCE)
    try:
        assert ask_over(connection).status == 200
        kept = connection.sock
        assert kept is not None
        for path in ("/metrics", "/nowhere", "/probe", "/-/ready"):
            ask_over(connection, path)
            assert connection.sock is kept
    finally:
        connection.close()


@pytest.mark.parametrize("given", ["nonsense", "nan", "inf", "-1", "0", "0.4", ""])
def test_a_deadline_that_leaves_nothing_means_an_answer_at_once(simulator: Simulator, given: str) -> None:
    simulator.faults.add("*", faults.hang())
    with serving(settings(northflank(simulator))) as exporter:
        reply = exporter.ask(headers={"X-Prometheus-Scrape-Timeout-Seconds": given})
        assert reply.status == 200
        assert hangs(exporter, "northflank"), "it waited, as it does for 60 s where nothing is said"


def test_one_source_down_one_hanging_and_one_answering_500_hold_up_no_other() -> None:
    with (
        simulating(SMALL) as healthy,
        simulating(SMALL) as hanging,
        simulating(SMALL) as failing,
    ):
        hanging.faults.add("*/build", faults.hang())
        failing.faults.add("*", faults.server_error())
        sources = (
            northflank(refused_url(), "down"),
            northflank(hanging, "hanging"),
            northflank(failing, "failing"),
            northflank(healthy, "healthy"),
            gitlab(healthy, "healthy-too"),
        )

        with serving(settings(*sources)) as exporter:

            def all_but_the_hanging() -> bool:
                reply = exporter.scrape(1)
                up = {labels["source"]: value for labels, value in reply.samples("ci_build_source_up")}
                return (
                    reply.targets("healthy") == {*SERVICES, "job-0"}
                    and reply.targets("healthy-too") == {"group-0/app-0", "group-0/app-1"}
                    and up == {"down": 0.0, "hanging": 1.0, "failing": 0.0, "healthy": 1.0, "healthy-too": 1.0}
                )

            eventually(all_but_the_hanging)
            again = exporter.scrape(60)
            assert not again.targets("hanging")
            assert hangs(exporter, "hanging"), "the same late reads were waited for twice"


def hangs(exporter: Exporter, source: str) -> bool:
    """Whether no request for builds of the source has ended yet; one that hangs ends after 60 s."""
    ended = exporter.scrape(0).values("ci_build_source_requests_total", source=source, code="unreachable")
    return sum(ended) == 0


def test_many_hanging_targets_take_no_reader_from_another_source() -> None:
    with simulating(world(1, 20, 0, 0)) as hanging, simulating(SMALL) as healthy:
        hanging.faults.add("*/build", faults.hang())
        given = settings(
            northflank(hanging, "hanging"), northflank(healthy), more="refresh: {concurrency: 4, timeout: 60s}"
        )
        with serving(given) as exporter:
            eventually(lambda: exporter.scrape(1).targets("northflank") == {*SERVICES, "job-0"})
            assert hangs(exporter, "hanging")


def test_a_source_that_hangs_from_the_first_request_holds_up_no_other(simulator: Simulator) -> None:
    with simulating(SMALL) as hanging:
        hanging.faults.add("*", faults.hang())
        with serving(settings(gitlab(hanging, "hanging"), northflank(simulator))) as exporter:
            eventually(lambda: exporter.scrape(1).targets("northflank") == {*SERVICES, "job-0"})
            assert hangs(exporter, "hanging")


def test_what_was_late_is_there_at_a_later_scrape(simulator: Simulator) -> None:
    gate = Event()
    simulator.faults.add("*/services/service-0/build", held(gate), times=1)
    with serving(settings(northflank(simulator))) as exporter:
        eventually(lambda: exporter.scrape(1).targets("northflank") == {"service-1", "job-0"})
        gate.set()
        eventually(lambda: exporter.scrape(1).targets("northflank") == {*SERVICES, "job-0"})


def test_ready_comes_once_everything_was_tried(simulator: Simulator) -> None:
    gate = Event()
    with simulating(SMALL) as failing:
        failing.faults.add("*/services/service-1/build", faults.server_error())
        simulator.faults.add("*/services/service-0/build", held(gate), times=1)
        with serving(settings(northflank(simulator), northflank(failing, "failing"))) as exporter:
            eventually(lambda: exporter.scrape(1).targets("northflank") == {"service-1", "job-0"})
            early = exporter.ask("/-/ready")
            assert (early.status, early.text) == (503, "the first read is not done yet\n")
            assert exporter.ask("/-/healthy").status == 200
            gate.set()
            eventually(lambda: exporter.ask("/-/ready").status == 200)
            assert exporter.ask("/-/ready").text == "ci-build-exporter is ready.\n"


def test_ready_comes_after_thirty_seconds_though_a_provider_hangs(simulator: Simulator) -> None:
    simulator.faults.add("*", faults.hang())
    clock = Clock()
    with serving(settings(northflank(simulator)), clock) as exporter:
        clock.now += 29
        assert exporter.ask("/-/ready").status == 503
        clock.now += 1
        assert exporter.ask("/-/ready").status == 200


def test_the_metrics_are_where_they_are_wanted(simulator: Simulator) -> None:
    with serving(settings(northflank(simulator)), path="/ci/metrics") as exporter:
        assert exporter.ask("/ci/metrics").targets("northflank")
        assert exporter.ask("/metrics").status == 404
        assert 'href="/ci/metrics"' in exporter.ask("/").text
    with serving(settings(northflank(simulator)), path="/") as exporter:
        assert exporter.ask("/").targets("northflank")


@pytest.mark.parametrize("path", ["metrics", "", "/probe", "/-/ready", "/{path}", "/a b", "/a?b", "/#"])
def test_no_path_for_the_metrics_that_cannot_be_one(path: str) -> None:
    with pytest.raises(ListenError, match=r"--web\.telemetry-path"):
        usable_path(path)


def test_a_probe_shows_one_target_alone(exporter: Exporter) -> None:
    exporter.scrape()
    for name in ("service/project-0/service-0", "northflank/service/project-0/service-0"):
        reply = exporter.ask(f"/probe?source=northflank&target={name}")
        assert reply.status == 200
        assert reply.targets("northflank") == {"service-0"}
        assert not reply.targets("gitlab")
        assert reply.values("ci_build_target_refresh_timestamp_seconds")
    families = list(openmetrics(exporter.ask("/probe?source=gitlab&target=project/group-0/app-1", OPENMETRICS).text))  # type: ignore[no-untyped-call]
    assert {sample.labels["target"] for family in families for sample in family.samples} == {"group-0/app-1"}


def test_a_probe_that_comes_first_reads_what_it_asks_for(simulator: Simulator) -> None:
    with serving(settings(northflank(simulator))) as exporter:
        reply = exporter.ask("/probe?source=northflank&target=job/project-0/job-0")
        assert reply.targets("northflank") == {"job-0"}


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, "write /probe?target=ADDRESS, for example gitlab/project/shop/web\n"),
        ("?source=northflank", 400, "write /probe?target=ADDRESS, for example gitlab/project/shop/web\n"),
        ("?source=northflank&target=service/project-0/x", 404, "no such target; the command targets lists"),
        ("?target=githlab/project/x", 404, "no such source; the command targets lists"),
        ("?source=githlab&target=service/project-0/x", 404, "no such source; the command targets lists"),
    ],
)
def test_a_probe_of_nothing_says_so(exporter: Exporter, query: str, status: int, text: str) -> None:
    reply = exporter.ask(f"/probe{query}")
    assert reply.status == status
    assert reply.text.startswith(text)


def test_reload_is_refused_where_it_is_not_enabled(simulator: Simulator) -> None:
    with serving(settings(northflank(simulator))) as exporter:
        reply = exporter.ask("/-/reload", method="POST")
        assert (reply.status, "--web.enable-lifecycle" in reply.text) == (403, True)
        assert exporter.ask("/-/reload").status == 405


def test_reload_reads_the_new_configuration_and_a_bad_one_keeps_the_old(simulator: Simulator) -> None:
    text = [northflank(simulator)]

    def reload(collector: Collector) -> None:
        collector.configure(settings(*text))

    with serving(settings(*text), reload=reload, lifecycle=True) as exporter:
        assert exporter.scrape().targets("northflank")
        text.append(gitlab(simulator))
        assert exporter.ask("/-/reload", method="POST").text == "reloaded\n"
        both = exporter.scrape()
        assert both.targets("northflank") == {*SERVICES, "job-0"}
        assert both.targets("gitlab") == {"group-0/app-0", "group-0/app-1"}
        assert len(both.values("ci_build_target_refresh_timestamp_seconds")) == 5
        text.append("nmae: x, provider: gitlab")
        refused = exporter.ask("/-/reload", method="POST")
        assert refused.status == 500
        assert 'config.yaml:4: sources.2.nmae: unknown key; did you mean "name"?' in refused.text
        assert exporter.scrape().targets("gitlab") == {"group-0/app-0", "group-0/app-1"}


def test_a_reload_while_a_target_is_read_makes_nothing_fail(simulator: Simulator) -> None:
    given = settings(northflank(simulator))
    gate = Event()
    simulator.faults.add("*/services/service-0/build", held(gate), times=1)
    with serving(given, reload=lambda collector: collector.configure(given), lifecycle=True) as exporter:
        eventually(lambda: exporter.scrape(1).targets("northflank") == {"service-1", "job-0"})
        assert exporter.ask("/-/reload", method="POST").status == 200
        gate.set()
        eventually(lambda: exporter.scrape(2).targets("northflank") == {*SERVICES, "job-0"})
        assert not exporter.scrape().values("ci_build_target_errors_total")


def test_no_page_shows_a_token(exporter: Exporter, simulator: Simulator) -> None:
    simulator.faults.add("*", faults.instead(401, SIMULATOR_TOKEN.encode()))
    pages = ("/", "/metrics", "/-/ready", "/-/healthy", "/probe", f"/probe?source=gitlab&target={SIMULATOR_TOKEN}")
    assert not [page for page in pages if SIMULATOR_TOKEN in exporter.ask(page).text]
