"""The alerts in a real Prometheus: those of the demo's troubles fire and no others, then those of a source
that is down, and of an exporter that is.

All `for` are two seconds here, and all rules are evaluated every second; the bounds are as they are shipped.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import yaml
from processes import running
from scraping import JOB, api, prometheus, query
from serving import TOKEN, Reply, ask, configuration, eventually, gitlab, northflank, simulating

from exporter.simulator import faults
from exporter.simulator.demo import demo_world
from exporter.simulator.server import SIMULATOR_TOKEN

MIXIN = Path(__file__).parent.parent / "mixin"
QUICK = "refresh: {ttl: 2s, idle_ttl: 4s, timeout: 5s}"

Alert = tuple[str, str, str]
"""Its name, and the labels `source` and `target`, empty where it has none."""

BUSY = 80.0
"""Seconds: on a busy machine a scrape is late now and then, and an alert pends anew."""
HARBOUR = ("harbour/infra/runner-images", "harbour/infra/terraform", "harbour/mobile-app", "harbour/storefront")
"""What there is of GitLab."""

STUCK_AND_FLAKY: set[Alert] = {
    ("CIBuildStuck", "northflank", "search"),
    ("CIBuildFlaky", "northflank", "auth"),
}
BROKEN: set[Alert] = {
    ("CIBuildDefaultBranchBroken", "northflank", "checkout"),
    ("CIBuildFailingRepeatedly", "northflank", "checkout"),
}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


@pytest.fixture
def rules(tmp_path: Path) -> list[Path]:
    """Copies of the rules that lose no time."""
    copies = []
    for path in (MIXIN / "rules.yaml", MIXIN / "alerts.yaml"):
        content = yaml.safe_load(path.read_text())
        for group in content["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.update({"for": "2s"} if "alert" in rule else {})
        copies.append(tmp_path / path.name)
        copies[-1].write_text(yaml.safe_dump(content))
    return copies


def alerts(prometheus_url: str) -> Iterator[tuple[Alert, Mapping[str, str]]]:
    """Each alert that fires, with its annotations."""
    for alert in api(prometheus_url, "alerts")["alerts"]:
        if alert["state"] == "firing":
            of = alert["labels"]
            yield (of["alertname"], of.get("source", ""), of.get("target", "")), alert["annotations"]


def fire(prometheus_url: str, expected: Callable[[], set[Alert]]) -> None:
    """Wait until each of these alerts fires once, and no other."""

    def found() -> list[Alert]:
        return sorted(alert for alert, _annotations in alerts(prometheus_url))

    with suppress(AssertionError):
        eventually(lambda: found() == sorted(expected()), within=BUSY)
    assert found() == sorted(expected())


def broken(shown: Reply) -> set[Alert]:
    """What is to be said of broken branches, read from an exposition as a person would.

    `checkout` is always among them. The others of the demo fail now and then, and are broken till their next run.
    """
    defaults = [
        of for of, value in shown.samples("ci_build_last_success") if value == 0 and of["branch"] in {"main", "master"}
    ]
    rows = [
        of for of, value in shown.samples("ci_build_consecutive_failures") if value >= 5 and of["branch"] != "other"
    ]
    found = {("CIBuildDefaultBranchBroken", of["source"], of["target"]) for of in defaults}
    found |= {("CIBuildFailingRepeatedly", of["source"], of["target"]) for of in rows}
    return found | BROKEN


def test_alerts_for_the_demos_broken_stuck_and_flaky_targets_fire_and_no_other(
    tmp_path: Path, rules: list[Path]
) -> None:
    with (
        running(tmp_path / "log", "demo", "--web.listen-address=127.0.0.1:0") as demo,
        prometheus(tmp_path, demo.url, rules=rules) as url,
    ):
        fire(url, lambda: broken(ask(demo.url)) | STUCK_AND_FLAKY)
        told = dict(alerts(url))["CIBuildDefaultBranchBroken", "northflank", "checkout"]
        ((failed, _),) = [
            sample
            for sample in ask(demo.url).samples("ci_build_last_failed_info")
            if (sample[0]["target"], sample[0]["branch"]) == ("checkout", "main")
        ]
        assert f"It is build {failed['build_id']} of commit {failed['sha']}. Broken since " in told["description"]


def test_a_source_that_is_down_and_replicas_that_go_away_are_told_once(tmp_path: Path, rules: list[Path]) -> None:
    with ExitStack() as stack:
        providers = stack.enter_context(simulating(demo_world()))
        sources = (northflank(providers), gitlab(providers, more="groups: [harbour]"))
        (tmp_path / "config.yaml").write_text(configuration(*sources, more=QUICK))
        serve = ("serve", f"--config.file={tmp_path / 'config.yaml'}", "--web.listen-address=127.0.0.1:0")
        one, other = (stack.enter_context(running(tmp_path / f"log-{name}", *serve)) for name in ("one", "other"))
        url = stack.enter_context(prometheus(tmp_path, one.url, other.url, rules=rules))
        fire(url, lambda: broken(ask(one.url)) | STUCK_AND_FLAKY)

        providers.faults.add("/api/v4/*", faults.reset())
        down = {("CIBuildTargetUnreadable", "gitlab", target) for target in HARBOUR} | {
            ("CIBuildSourceDown", "gitlab", "")
        }
        fire(url, lambda: broken(ask(one.url)) | STUCK_AND_FLAKY | down)

        other.stop()
        eventually(lambda: sorted(value for _, value in query(url, "up")) == [0, 1])
        fire(url, lambda: broken(ask(one.url)) | STUCK_AND_FLAKY | down)

        one.stop()
        fire(url, lambda: {("CIBuildExporterDown", "", "")})
        assert [annotations["summary"] for _, annotations in alerts(url)] == [f"No replica of {JOB} answers scrapes"]
