"""The example answers of the vendors' documentation, served byte for byte, as the samples that a person computes."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from serving import TOKEN, Reply, gitlab, northflank, serving, settings

DATA = Path(__file__).parent / "data"
SERVICES = b'{"data": {"services": [{"id": "web", "name": "Web", "serviceType": "combined"}]}}'
JOBS = b'{"data": {"jobs": [{"id": "report", "name": "Report"}]}}'
LONG_AGO = "window: {age: 50y}"


@contextmanager
def answering(answers: Mapping[str, bytes]) -> Iterator[str]:
    """The address of a server that knows these paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body or b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def document(name: str) -> bytes:
    return (DATA / f"{name}.json").read_bytes()


def lines(reply: Reply, target: str, *but: str) -> list[str]:
    """The target's sample lines without its own labels, but those of these families."""
    found = []
    for line in reply.text.splitlines():
        name, _, rest = line.partition("{")
        if f'target="{target}"' in rest and name not in but and not name.startswith("ci_build_target"):
            labels, _, value = rest.rpartition("} ")
            own = [label for label in labels.split(",") if label.partition("=")[0] not in OF_TARGET]
            found.append(f"{name}{{{','.join(own)}}} {value}")
    return found


OF_TARGET = {"source", "project", "kind", "target"}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "documented")


@pytest.mark.parametrize("year", ["2021", "2025"])
def test_northflanks_documented_build_which_concludes_before_its_creation(year: str) -> None:
    answers = {
        "/v1/projects/shop/services": SERVICES,
        "/v1/projects/shop/jobs": JOBS,
        "/v1/projects/shop/services/web/build": document(f"northflank/documented_service_builds_{year}"),
        "/v1/projects/shop/jobs/report/build": document(f"northflank/documented_job_builds_{max(year, '2024')}"),
    }
    with (
        answering(answers) as url,
        serving(settings(northflank(url, more="projects: [{id: shop}]"), more=LONG_AGO)) as exporter,
    ):
        reply = exporter.scrape()
    sha = "12c15e7ee25fd78f567ebf87f9178b8ad70025b3"
    outcomes = ("success", "failure", "allowed_failure", "error", "timeout", "cancellation", "skip", "unknown")
    for target in ("web", "report"):
        found = lines(reply, target)
        counts = [line for line in found if line.startswith("ci_build_window_builds{")]
        assert len(counts) == 13
        assert [line for line in counts if not line.endswith(" 0.0")] == [
            'ci_build_window_builds{branch="main",outcome="success",status="success"} 1.0'
        ]
        assert sorted(line for line in found if line not in counts) == sorted(
            [
                *(f'ci_build_concluded_total{{branch="main",outcome="{outcome}"}} 0.0' for outcome in outcomes),
                *(
                    f'ci_build_runs_concluded_total{{branch="main",outcome="{outcome}"}} 0.0'
                    for outcome in outcomes
                    if outcome not in {"allowed_failure", "unknown"}
                ),
                'ci_build_concluded_seconds_total{branch="main",outcome="success"} 0.0',
                'ci_build_concluded_seconds_total{branch="main",outcome="failure"} 0.0',
                'ci_build_window_success_ratio{branch="main"} 1.0',
                'ci_build_window_runs{branch="main",outcome="success"} 1.0',
                'ci_build_window_runs{branch="main",outcome="failure"} 0.0',
                'ci_build_window_run_success_ratio{branch="main"} 1.0',
                'ci_build_window_oldest_created_timestamp_seconds{branch="main"} 1.627487738296e+09',
                'ci_build_last_created_timestamp_seconds{branch="main"} 1.627487738296e+09',
                'ci_build_last_success{branch="main"} 1.0',
                (
                    f'ci_build_last_info{{branch="main",build_id="joyous-view-6290",outcome="success",sha="{sha}",'
                    'status="success"} 1.0'
                ),
                'ci_build_consecutive_failures{branch="main"} 0.0',
                'ci_build_window_flaky_commits{branch="main"} 0.0',
                'ci_build_window_restores{branch="main"} 0.0',
                'ci_build_window_restore_seconds{branch="main"} 0.0',
            ]
        )
    rejected = 'ci_build_source_rejected_records_total{reason="concluded_before_created",source="northflank"} 2.0'
    assert rejected in reply.text.splitlines()


def test_gitlabs_documented_builds_of_a_project_and_of_a_commit() -> None:
    """Two failed jobs of one pipeline, after 7386.093 s and 7383.194 s; and one failed, the newer canceled."""
    answers = {
        "/api/v3/projects/1/builds": document("gitlab/documented_v3_project_builds"),
        "/api/v3/projects/2/builds": document("gitlab/documented_v3_commit_builds"),
    }
    with (
        answering(answers) as url,
        serving(settings(gitlab(url, more="api: v3, projects: [1, 2]"), more=LONG_AGO)) as exporter,
    ):
        reply = exporter.scrape()
    sha = "0ff3ae198f8601a285adcf5c0fff204ee6fba5fd"
    counted = ("ci_build_concluded_total", "ci_build_runs_concluded_total", "ci_build_concluded_seconds_total")
    first = [line for line in lines(reply, "1", *counted) if not line.startswith("ci_build_window_builds")]
    bucket = "ci_build_conclude_latency_seconds_bucket"
    below = ("10.0", "30.0", "60.0", "120.0", "300.0", "600.0", "900.0", "1800.0", "3600.0", "7200.0")
    assert sorted(first) == sorted(
        [
            'ci_build_window_success_ratio{branch="master"} 0.0',
            'ci_build_window_runs{branch="master",outcome="success"} 0.0',
            'ci_build_window_runs{branch="master",outcome="failure"} 1.0',
            'ci_build_window_run_success_ratio{branch="master"} 0.0',
            'ci_build_window_oldest_created_timestamp_seconds{branch="master"} 1.450972281727e+09',
            *(f'{bucket}{{branch="master",le="{le}",outcome="failure"}} 0.0' for le in below),
            f'{bucket}{{branch="master",le="14400.0",outcome="failure"}} 2.0',
            f'{bucket}{{branch="master",le="+Inf",outcome="failure"}} 2.0',
            'ci_build_conclude_latency_seconds_gcount{branch="master",outcome="failure"} 2.0',
            *(line for line in first if line.startswith("ci_build_conclude_latency_seconds_gsum{")),
            'ci_build_last_created_timestamp_seconds{branch="master"} 1.450972281802e+09',
            'ci_build_last_concluded_timestamp_seconds{branch="master",outcome="failure"} 1.450979667895e+09',
            'ci_build_last_success{branch="master"} 0.0',
            f'ci_build_last_info{{branch="master",build_id="7",outcome="failure",sha="{sha}",status="failed"}} 1.0',
            (
                f'ci_build_last_failed_info{{branch="master",build_id="7",outcome="failure",reason="",sha="{sha}",'
                'url=""} 1.0'
            ),
            'ci_build_consecutive_failures{branch="master"} 1.0',
            'ci_build_broken_since_timestamp_seconds{branch="master"} 1.450979664921e+09',
            'ci_build_window_flaky_commits{branch="master"} 0.0',
            'ci_build_window_restores{branch="master"} 0.0',
            'ci_build_window_restore_seconds{branch="master"} 0.0',
        ]
    )
    total = reply.value("ci_build_conclude_latency_seconds_gsum", target="1")
    assert total == pytest.approx(7386.093 + 7383.194, abs=1e-3)
    assert {value for family in counted for value in reply.values(family)} == {0.0}
    builds = [
        (labels["target"], labels["status"], value)
        for labels, value in reply.samples("ci_build_window_builds")
        if value
    ]
    assert builds == [("1", "failed", 2.0), ("2", "failed", 1.0), ("2", "canceled", 1.0)]
    canceled = reply.samples("ci_build_last_info")[1][0]
    assert (canceled["build_id"], canceled["status"], canceled["outcome"]) == ("69", "canceled", "cancellation")
    latencies = {
        labels["outcome"]: value
        for labels, value in reply.samples("ci_build_conclude_latency_seconds_gsum")
        if labels["target"] == "2"
    }
    assert latencies == {"cancellation": pytest.approx(36.02), "failure": pytest.approx(7391.956)}
