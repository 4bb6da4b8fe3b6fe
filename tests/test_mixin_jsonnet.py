"""The mixin as Jsonnet: by default what the YAML files say, and otherwise what its settings say."""

import json
import subprocess
from pathlib import Path
from typing import Any

import _jsonnet  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml
from pages import ROOT
from real import tool

from mixin import jsonnet
from mixin.thresholds import THRESHOLDS, Threshold

MIXIN = ROOT / "mixin"
SETTINGS = {
    "selector": 'job="ci-builds"',
    "defaultBranches": "main|trunk",
    "externalUrl": "https://ci.example.com/",
    "grafanaUrl": "https://grafana.example.com/",
    "runbookUrl": "https://git.example.com/",
    "keepFiringFor": "7m",
    **{threshold.name: threshold.default + 7 for threshold in THRESHOLDS},
}


def evaluated(part: str, settings: dict[str, Any] | None = None) -> Any:
    """A part of the mixin with these settings."""
    program = f'((import "mixin.libsonnet") + {{_config+:: {json.dumps(settings or {})}}}).{part}'
    return json.loads(_jsonnet.evaluate_snippet(str(MIXIN / "test.jsonnet"), program))


def test_the_file_is_what_the_yaml_files_make() -> None:
    assert jsonnet.TARGET.read_text() == jsonnet.text(), "make dashboards writes it"


@pytest.mark.parametrize(("part", "name"), [("prometheusAlerts", "alerts.yaml"), ("prometheusRules", "rules.yaml")])
def test_by_default_it_is_what_the_yaml_files_say(part: str, name: str) -> None:
    expected = yaml.safe_load((MIXIN / name).read_text())
    assert evaluated(part) == expected


@pytest.mark.parametrize("part", ["prometheusAlerts", "prometheusRules"])
def test_prometheus_takes_it_with_every_setting_changed(part: str, tmp_path: Path) -> None:
    found = evaluated(part, SETTINGS)
    rules = [rule for group in found["groups"] for rule in group["rules"]]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(found))
    ended = subprocess.run([tool("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for rule in rules:
        assert jsonnet.BRANCHES not in rule["expr"]
        families = len(jsonnet.FAMILY.findall(rule["expr"]))
        assert rule["expr"].count('{job="ci-builds"') == families
        if "alert" in rule:
            annotations = rule["annotations"]
            assert annotations["runbook_url"].startswith("https://git.example.com/docs/runbook.md#")
            assert annotations["status_page"].startswith("https://ci.example.com/")
            assert annotations["dashboard"].startswith("https://grafana.example.com/d/")
            text = " ".join(annotations.values())
            assert "localhost" not in text
            assert text.count("| query") == text.count('{%sjob="ci-builds"}')
            assert rule.get("keep_firing_for", "7m") == "7m"


def test_a_severity_and_a_duration_are_changed_for_one_alert_alone() -> None:
    def found(settings: dict[str, Any]) -> dict[str, tuple[str, str]]:
        groups = evaluated("prometheusAlerts", settings)["groups"]
        return {rule["alert"]: (rule["labels"]["severity"], rule["for"]) for group in groups for rule in group["rules"]}

    default = found({})
    alerts = {name: {"severity": severity, "for": pending} for name, (severity, pending) in default.items()}
    assert found({"alerts": alerts | {"CIBuildStuck": {"severity": "critical", "for": "1h"}}}) == default | {
        "CIBuildStuck": ("critical", "1h")
    }


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda threshold: threshold.name)
def test_a_threshold_changes_its_alert_and_no_other(threshold: Threshold) -> None:
    def expressions(settings: dict[str, Any]) -> dict[str, str]:
        found = evaluated("prometheusAlerts", settings)
        return {rule["alert"]: rule["expr"] for group in found["groups"] for rule in group["rules"]}

    before, after = expressions({}), expressions({threshold.name: 4711})
    assert {alert for alert in before if before[alert] != after[alert]} == {threshold.alert}
    assert after[threshold.alert].count("4711") == 1


def test_it_has_the_dashboards() -> None:
    expected = {path.name: json.loads(path.read_text()) for path in (MIXIN / "dashboards").glob("*.json")}
    assert evaluated("grafanaDashboards") == expected
