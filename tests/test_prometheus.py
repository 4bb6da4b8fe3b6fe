"""A real Prometheus reads the demo; its own checker reads the exposition."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import real
from processes import Running, running
from scraping import api, prometheus, query
from serving import TOKEN, ask, eventually, gitlab, northflank, serving, settings, simulating

from exporter.simulator.demo import demo_world
from exporter.simulator.server import SIMULATOR_TOKEN


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("demo") / "log"
    with running(log, "demo", "--web.listen-address=127.0.0.1:0") as process:
        yield process


def test_a_real_prometheus_scrapes_the_demo(demo: Running, tmp_path: Path) -> None:
    with prometheus(tmp_path, demo.url) as url:
        eventually(lambda: [value for _, value in query(url, "up")] == [1.0])
        eventually(lambda: len(query(url, "ci_build_target_up == 1")) == 19)
        quantiles = {
            labels["target"]: value
            for labels, value in query(url, "histogram_quantile(0.9, ci_build_conclude_latency_seconds_bucket)")
            if labels["outcome"] == "success" and labels["branch"] in {"main", "master"}
        }
        assert {"web", "api", "harbour/storefront", "2105"} <= set(quantiles)
        assert all(1 < value <= 14400 for value in quantiles.values())
        across = "histogram_quantile(0.9, sum by (le) (ci_build_conclude_latency_seconds_bucket))"
        assert [value > 0 for _, value in query(url, across)] == [True]
        found = api(
            url, "query_exemplars", query="ci_build_conclude_latency_seconds_bucket", start="0", end="4102444800"
        )
        exemplars = [exemplar for series in found for exemplar in series["exemplars"]]
        assert exemplars
        assert {"build_id", "sha"} == set(exemplars[0]["labels"])
        assert [
            labels["target"] for labels, _ in query(url, "ci_build_last_success == 0") if labels["branch"] == "main"
        ]
        assert not query(url, "ci_build_target_up == 0")
        scraped = api(url, "targets")["activeTargets"]
        assert [(target["health"], target["lastError"]) for target in scraped] == [("up", "")]
        assert api(url, "metadata")["ci_build_window_builds"][0]["help"].startswith("Builds in the window by status.")


def test_promtool_finds_nothing_to_say_of_the_demo(demo: Running) -> None:
    assert checked(ask(demo.url).text) == ""


def test_promtool_finds_nothing_to_say_of_opt_in_histograms_and_labels() -> None:
    histograms, labels = "conclude, run, queue, execution, concluded", "build_name, build_stage, trigger, ref_kind"
    more = f"metrics: {{histograms: [{histograms}], labels: [{labels}]}}"
    with simulating(demo_world()) as simulator:
        sources = (northflank(simulator), gitlab(simulator, more="groups: [harbour]"))
        with serving(settings(*sources, more=more)) as exporter:
            text = exporter.scrape().text
    assert "ci_build_queue_latency_seconds_bucket" in text
    assert "ci_build_execution_seconds_bucket" in text
    assert "ci_build_run_latency_seconds_bucket" in text
    assert "ci_build_concluded_latency_seconds_bucket" in text
    assert 'build_stage="test"' in text
    assert 'ref_kind="branch"' in text
    assert checked(text) == ""


def checked(text: str) -> str:
    """What promtool says."""
    ended = subprocess.run(
        [real.tool("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr
