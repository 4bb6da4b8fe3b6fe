"""The way from an alert's text to a green build, in five steps and without a search, as docs/alerts.md shows it."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from time import time

import pytest
import yaml
from here import run
from processes import running
from scraping import api, prometheus
from serving import TOKEN, ask, configuration, eventually, gitlab

from exporter.simulator.definition import Job
from exporter.simulator.script import Script, scripted
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from mixin.jsonnet import EXPORTER

MIXIN = Path(__file__).parent.parent / "mixin"
BROKEN = "CIBuildDefaultBranchBroken"
SLOW = 300.0
"""Seconds within which an alert fires or ends on a busy machine."""


@pytest.fixture
def alerts_file(tmp_path: Path) -> Path:
    """The alert alone, which fires at once and ends at once."""
    groups = yaml.safe_load((MIXIN / "alerts.yaml").read_text())["groups"]
    rules = [rule | {"for": "0s"} for group in groups for rule in group["rules"] if rule.get("alert") == BROKEN]
    for rule in rules:
        rule.pop("keep_firing_for")
    path = tmp_path / "alerts.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "alerts", "rules": rules}]}))
    return path


def test_five_steps_lead_from_the_alert_to_a_green_build(
    tmp_path: Path, alerts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    shop = Script("shop/web")
    jobs = [Job("compile", "build", lasts=40), Job("unit", lasts=3, ends=("failed", "success"))]
    shop.pipeline([Job("compile", "build", lasts=40), Job("unit", lasts=30)], at=time() - 7200)
    shop.pipeline(jobs, at=time() - 600)
    file = tmp_path / "config.yaml"
    with Simulator(scripted(shop)) as simulator:
        source = gitlab(simulator, more="projects: [shop/web]")
        file.write_text(configuration(source, more="refresh: {ttl: 2s, idle_ttl: 4s, timeout: 60s}"))
        serve = ("serve", f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
        with (
            running(tmp_path / "log", *serve) as exporter,
            prometheus(tmp_path, exporter.url, rules=[MIXIN / "rules.yaml", alerts_file]) as url,
        ):

            def firing() -> list[Mapping[str, str]]:
                return [alert["annotations"] for alert in api(url, "alerts")["alerts"] if alert["state"] == "firing"]

            # 1. The alert says what is broken, since when, by which build and why.
            eventually(lambda: len(firing()) == 1, within=SLOW)
            (alert,) = firing()
            assert (
                "The latest finished run on main of gitlab/project/shop/web failed. It is build "
                in alert["description"]
            )
            # 2. Its page shows the branch, and that nothing is under way.
            page = ask(exporter.url, alert["status_page"].removeprefix(EXPORTER)).text
            assert "no build under way" in page
            # 3. Its command shows the build.
            shown = run(*shlex.split(alert["command"])[1:], f"--config.file={file}")
            assert (shown.status, "why       script_failure" in shown.out) == (0, True)
            # 4. The page has the command for the log, whose end says what failed.
            build = alert["command"].split()[-1]
            logs = f"ci-build-exporter builds logs gitlab/project/shop/web {build} -n 50"
            assert f">{logs}<" in page
            log = run(*shlex.split(logs)[1:], f"--config.file={file}")
            assert (log.status, "ERROR: Job failed" in log.out) == (0, True)
            # 5. And the command that builds it again; then the alert ends.
            retry = f"ci-build-exporter builds retry gitlab/project/shop/web {build} --wait"
            assert f">{retry}<" in page
            ended = run(*shlex.split(retry)[1:], "--yes", f"--config.file={file}")
            assert (ended.status, ": success after " in ended.out) == (0, True), ended.err
            eventually(lambda: not firing(), within=SLOW)
            for text in (alert["description"], alert["command"], shown.out, log.out[-400:], ended.out):
                print(text)  # noqa: T201  # with `pytest -s`: the transcript of docs/alerts.md
