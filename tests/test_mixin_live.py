"""The alerts in a real Prometheus: those of the demo's troubles fire and no others, then those of a source
that is down, and of an exporter that is.

All `for` are two seconds here, nothing is kept firing, and all rules are evaluated every second; the bounds are as they
are shipped.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from signal import SIGKILL
from time import sleep, time

import pytest
import yaml
from here import run
from pages import anchors
from processes import running
from scraping import JOB, api, prometheus, query
from serving import TOKEN, Clock, Reply, ask, configuration, eventually, gitlab, northflank, simulating

from exporter.simulator import faults
from exporter.simulator.demo import demo_world
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from mixin.jsonnet import EXPORTER, GRAFANA, repository

MIXIN = Path(__file__).parent.parent / "mixin"
QUICK = "refresh: {ttl: 2s, idle_ttl: 4s, timeout: 60s}"

Alert = tuple[str, str, str]
"""Its name, and the labels `source` and `target`, empty where it has none."""

BUSY = 300.0
"""Seconds: a scrape that is late on a busy machine fails, and each alert pends anew."""
GITLABS = {
    "gitlab": ("harbour/infra/runner-images", "harbour/infra/terraform", "harbour/mobile-app", "harbour/storefront"),
    "old-gitlab": ("2105", "2106"),
}
"""The targets of GitLab, by their source."""

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
    return copied(tmp_path)


def copied(folder: Path, keep_firing_for: str | None = None) -> list[Path]:
    """Copies of the rules in which each alert fires after two seconds, and is kept firing for that long."""
    copies = []
    for path in (MIXIN / "rules.yaml", MIXIN / "alerts.yaml"):
        content = yaml.safe_load(path.read_text())
        for group in content["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.update({"for": "2s"} if "alert" in rule else {})
                if rule.pop("keep_firing_for", None) and keep_firing_for:
                    rule["keep_firing_for"] = keep_firing_for
        copies.append(folder / path.name)
        copies[-1].write_text(yaml.safe_dump(content))
    return copies


def alerts(prometheus_url: str) -> Iterator[tuple[Alert, Mapping[str, str]]]:
    """Each alert that fires, with its annotations."""
    for alert in api(prometheus_url, "alerts")["alerts"]:
        if alert["state"] == "firing":
            of = alert["labels"]
            yield (of["alertname"], of.get("source", ""), of.get("target", "")), alert["annotations"]


def fire(prometheus_url: str, expected: set[Alert]) -> None:
    """Wait until each of these alerts fires once, and no other."""

    def found() -> list[Alert]:
        return sorted(alert for alert, _annotations in alerts(prometheus_url))

    with suppress(AssertionError):
        eventually(lambda: found() == sorted(expected), within=BUSY)
    assert found() == sorted(expected)


def serve(folder: Path, providers: Simulator, more: str = "") -> tuple[str, ...]:
    """The command that serves what the demo does, quickly."""
    old = gitlab(providers, "old-gitlab", "api: v3, projects: [2105, 2106]")
    sources = (northflank(providers), gitlab(providers, more="groups: [harbour]"), old)
    (folder / "config.yaml").write_text(configuration(*sources, more=f"{QUICK}\n{more}"))
    return "serve", f"--config.file={folder / 'config.yaml'}", "--web.listen-address=127.0.0.1:0"


def troubles(exporter_url: str) -> set[Alert]:
    """The alerts that are due for what an exporter shows once it has read all its targets.

    The simulator's clock stands still, so this stays as it is. `checkout` is always broken, `auth` flaky, `search` has
    a build that hangs; other targets of the demo may be broken at the moment at which the test begins.
    """
    eventually(lambda: ask(exporter_url).values("ci_build_target_up") == [1.0] * 19)
    return broken(ask(exporter_url)) | STUCK_AND_FLAKY


def broken(shown: Reply) -> set[Alert]:
    """The alerts for broken branches, read from an exposition as a person would."""
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
        simulating(demo_world(), Clock(time())) as providers,
        running(tmp_path / "log", *serve(tmp_path, providers)) as demo,
        prometheus(tmp_path, demo.url, rules=rules) as url,
    ):
        fire(url, troubles(demo.url))
        told = dict(alerts(url))["CIBuildDefaultBranchBroken", "northflank", "checkout"]
        ((failed, _),) = [
            sample
            for sample in ask(demo.url).samples("ci_build_last_failed_info")
            if (sample[0]["target"], sample[0]["branch"]) == ("checkout", "main")
        ]
        assert f"It is build {failed['build_id']} of commit {failed['sha']}. Broken since " in told["description"]
        for (name, _source, target), annotations in alerts(url):
            lead_on(demo.url, annotations)
            if name == "CIBuildDefaultBranchBroken" and target == "checkout":
                command = annotations["command"]
                assert command == f"ci-build-exporter builds show northflank/service/shop/checkout {failed['build_id']}"
                shown = run(*shlex.split(command)[1:], f"--config.file={tmp_path / 'config.yaml'}")
                assert (shown.status, failed["sha"] in shown.out) == (0, True)


def lead_on(demo_url: str, annotations: Mapping[str, str]) -> None:
    """Each link of an alert is answered: by the demo, by its providers, by a file, or it names a dashboard there is."""
    for key in ("status_page", "build_page"):
        link = annotations.get(key, f"{EXPORTER}/").replace(EXPORTER, demo_url)
        origin = "/".join(link.split("/")[:3])
        assert ask(origin, link.removeprefix(origin)).status == 200, link
    page, _, fragment = annotations["runbook_url"].removeprefix(repository()).partition("#")
    assert fragment in anchors((MIXIN.parent / page).read_text())
    uid = annotations["dashboard"].removeprefix(f"{GRAFANA}/d/").partition("?")[0]
    assert (MIXIN / "dashboards" / f"{uid}.json").exists()


def test_a_source_that_is_down_and_replicas_that_go_away_are_told_once(tmp_path: Path, rules: list[Path]) -> None:
    with ExitStack() as stack:
        providers = stack.enter_context(simulating(demo_world(), Clock(time())))
        command = serve(tmp_path, providers)
        one, other = (stack.enter_context(running(tmp_path / f"log-{name}", *command)) for name in ("one", "other"))
        url = stack.enter_context(prometheus(tmp_path, one.url, other.url, rules=rules))
        ever = troubles(one.url)
        fire(url, ever)

        providers.faults.add("/api/*", faults.reset())
        down = {
            ("CIBuildTargetUnreadable", source, target) for source, targets in GITLABS.items() for target in targets
        }
        down |= {("CIBuildSourceDown", source, "") for source in GITLABS}
        fire(url, ever | down)

        other.stop()
        eventually(lambda: sorted(value for _, value in query(url, "up")) == [0, 1])
        fire(url, ever | down)

        one.stop()
        fire(url, {("CIBuildExporterDown", "", "")})
        assert [annotations["summary"] for _, annotations in alerts(url)] == [f"No replica of {JOB} answers scrapes"]


KEPT = 30.0
"""Seconds for which an alert is kept firing without data: time for a process to start on a busy machine."""


def active_since(prometheus_url: str) -> dict[Alert, str]:
    """Since when each alert is active that fires."""
    return {
        (of["alertname"], of.get("source", ""), of.get("target", "")): alert["activeAt"]
        for alert in api(prometheus_url, "alerts")["alerts"]
        if alert["state"] == "firing" and (of := alert["labels"])
    }


def test_a_restart_with_a_state_file_resolves_no_alert_though_the_providers_are_away(tmp_path: Path) -> None:
    """Without the file there would be no data, and each alert would resolve once it is no longer kept firing."""
    with ExitStack() as stack:
        providers = stack.enter_context(simulating(demo_world(), Clock(time())))
        command = serve(tmp_path, providers, f"store: sqlite://{tmp_path / 'state.db'}")
        before = stack.enter_context(running(tmp_path / "log-before", *command))
        rules = copied(tmp_path, f"{KEPT:g}s")
        url = stack.enter_context(prometheus(tmp_path, before.url, rules=rules))
        expected = troubles(before.url)
        fire(url, expected)
        active = active_since(url)
        address = before.url.removeprefix("http://")

        providers.faults.add("/*", faults.reset())
        before.stop(SIGKILL)
        stack.enter_context(running(tmp_path / "log-after", *command[:2], f"--web.listen-address={address}"))
        begun = time()
        eventually(lambda: [value for _labels, value in query(url, "up")] == [1.0])
        while time() < begun + 1.5 * KEPT:
            now = active_since(url)
            assert {alert: now.get(alert) for alert in expected} == active
            sleep(1.0)
