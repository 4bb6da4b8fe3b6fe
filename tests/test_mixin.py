"""The alerts: what they are made of, their unit tests by Prometheus' own tool, their runbook."""

import os
import re
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from promql_parser import parse
from real import tool

from exporter.exposition.families import TARGET_LABELS, WINDOW
from exporter.exposition.self_metrics import FAMILIES
from mixin.jsonnet import EXPORTER, GRAFANA, repository

ROOT = Path(__file__).parent.parent
MIXIN = ROOT / "mixin"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
CASES = sorted((MIXIN / "tests").glob("*.yaml"))

Rule = dict[str, Any]


def rules(name: str) -> list[Rule]:
    return [rule for group in yaml.safe_load((MIXIN / name).read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yaml")}
RECORDS = {rule["record"]: rule for rule in rules("rules.yaml")}
EXPRESSIONS = {name: rule["expr"] for name, rule in (RECORDS | ALERTS).items()}

OPT_IN = {"build_name", "build_stage", "trigger", "ref_kind"}
OF_THE_SCRAPE = {"job", "namespace", "instance", "pod"}
REPLICA = {"instance", "pod"}
LABELS = {family.name: {*TARGET_LABELS, "branch", *OPT_IN, *family.labels} for family in WINDOW}
LABELS |= {
    family.name + part: LABELS[family.name] | ({"le"} if part == "_bucket" else set())
    for family in WINDOW
    if family.type.endswith("histogram")
    for part in (("_bucket", "_gcount", "_gsum") if family.type == "gaugehistogram" else ("_bucket", "_count", "_sum"))
}
LABELS |= {name: set(own) for name, (_type, _help, own) in FAMILIES.items()} | {"up": set()}
"""The labels that the series of a name have, but for those of the scrape."""


def labels_of(name: str) -> set[str]:
    """The labels of a family, or of what is recorded of families."""
    if name in RECORDS:
        return set().union(
            *(labels_of(str(selector.name)) - without for selector, without in selectors(parse(RECORDS[name]["expr"])))
        )
    return LABELS[name] | OF_THE_SCRAPE


# What an expression is made of


def selectors(
    node: promql.Expr, without: frozenset[str] = frozenset()
) -> Iterator[tuple[promql.VectorSelector, frozenset[str]]]:
    """Each selector of an expression, with the labels that the aggregations around it leave out."""
    match node:
        case promql.VectorSelector():
            yield node, without
        case promql.MatrixSelector():
            yield node.vector_selector, without
        case promql.AggregateExpr():
            if node.modifier and node.modifier.type == promql.AggModifierType.Without:
                without |= frozenset(node.modifier.labels)
            yield from selectors(node.expr, without)
        case promql.BinaryExpr():
            yield from chain(selectors(node.lhs, without), selectors(node.rhs, without))
        case promql.Call():
            yield from chain.from_iterable(selectors(argument, without) for argument in node.args)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from selectors(node.expr, without)


def written_labels(text: str) -> set[str]:
    """The labels in the clauses of aggregations and matchings."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", text))))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_several_replicas_show_is_made_one_first(name: str) -> None:
    if name.startswith("replica:"):
        return
    for selector, without in selectors(parse(EXPRESSIONS[name])):
        of_one = (selector.name or "").startswith(("branch:", "source:"))
        assert of_one or without >= REPLICA, selector


@pytest.mark.parametrize(
    "text",
    [*EXPRESSIONS.values(), *re.findall(r"^```promql\n(.*?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL)],
    ids=lambda text: " ".join(text.split())[:60],
)
def test_expressions_name_what_the_exporter_shows(text: str) -> None:
    for selector, _ in selectors(parse(text)):
        if selector.name:
            assert {matcher.name for matcher in selector.matchers.matchers} <= labels_of(selector.name), selector
    known = set().union(*LABELS.values()) | OF_THE_SCRAPE
    assert written_labels(text) <= known


@pytest.mark.parametrize("name", ALERTS)
def test_the_id_of_a_build_is_in_no_label_of_an_alert(name: str) -> None:
    names = {selector.name for selector, _ in selectors(parse(ALERTS[name]["expr"]))}
    assert not any(labels_of(str(family)) & {"build_id", "sha"} for family in names)


# What an alert says

NOT_BRIDGED = {
    "CIBuildsMissed",
    "CIBuildExporterDown",
    "CIBuildExporterAbsent",
    "CIBuildConfigReloadFailed",
}
"""Alerts about the past hour or the process itself. All others are about data that is absent until the first read."""


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_what_it_needs(name: str) -> None:
    alert = ALERTS[name]
    assert name.startswith("CIBuild")
    assert re.fullmatch(r"\d+[mh]", alert["for"])
    assert alert.get("keep_firing_for") == (None if name in NOT_BRIDGED else "5m")
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = alert["annotations"]
    needed = {"summary", "description", "runbook_url", "status_page", "dashboard", "command"}
    assert annotations.keys() - {"build_page"} == needed
    assert ("build_page" in annotations) == ("ci_build_last_failed_info" in annotations["description"])
    assert annotations["runbook_url"] == f"{repository()}docs/runbook.md#{name.lower()}"
    assert annotations["status_page"].startswith(f"{EXPORTER}/")
    assert re.match(rf"{GRAFANA}/d/ci-build-(target|exporter)\?", annotations["dashboard"])


@pytest.mark.parametrize("name", ALERTS)
def test_summary_and_description_name_what_the_alert_is_about(name: str) -> None:
    found = selectors(parse(ALERTS[name]["expr"]))
    labels = set().union(*(labels_of(str(selector.name)) - without for selector, without in found))
    summary, description = (ALERTS[name]["annotations"][key] for key in ("summary", "description"))
    for label in ("source", "target"):
        assert label not in labels or f"$labels.{label}" in summary
    for label in ("project", "kind", "target", "branch"):
        assert label not in labels or f"$labels.{label}" in description


@pytest.mark.parametrize("name", ALERTS)
def test_what_a_description_asks_is_there(name: str) -> None:
    for text in ALERTS[name]["annotations"].values():
        asking = re.findall(r"printf `(?:topk\(1, )?([\w:]+)\{%s\}\)?` \$of \| query (.*?)\{\{-? ?end", text)
        assert len(asking) == text.count("| query }}")
        for family, told in asking:
            assert set(re.findall(r'label "(\w+)"', told)) <= labels_of(family)


def test_no_word_is_doubled_where_a_project_is_the_target() -> None:
    texts = [
        annotations["description"]
        for path in CASES
        for case in yaml.safe_load(path.read_text())["tests"]
        for moment in case.get("alert_rule_test", ())
        for alert in moment["exp_alerts"]
        for annotations in (alert["exp_annotations"],)
    ]
    assert any("s/project/p " in text for text in texts)
    assert not [text for text in texts if re.search(r"\b(\w+) in \1\b|\b(\w+) \2\b", text)]


def test_alerts_of_failed_builds_ask_which() -> None:
    asking = {
        name for name, alert in ALERTS.items() if "ci_build_last_failed_info{%s}" in alert["annotations"]["description"]
    }
    assert asking == {
        "CIBuildDefaultBranchBroken",
        "CIBuildFailingRepeatedly",
        "CIBuildSuccessRatioFallen",
        "CIBuildFlaky",
    }


# Prometheus' own tool


def promtool(*arguments: str | Path) -> str:
    """What promtool says, or the program in PROMTOOL; the test fails where it finds a fault."""
    ended = subprocess.run(
        [os.environ.get("PROMTOOL") or tool("promtool"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=MIXIN / "tests",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_promtool_finds_nothing_to_say_of_the_rules() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", MIXIN / "rules.yaml", MIXIN / "alerts.yaml")
    assert re.findall(r"SUCCESS: (\d+) rules", said) == [str(len(RECORDS)), str(len(ALERTS))]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_alerts_behave_as_their_cases_say(path: Path) -> None:
    promtool("test", "rules", path)


def case(alert: str, how: str) -> Rule:
    """The one case of an alert that fires, is silent, or is at the edge."""
    found = [
        case
        for path in CASES
        for case in yaml.safe_load(path.read_text())["tests"]
        if case["name"].startswith(f"{alert} {how}")
    ]
    assert len(found) == 1, (alert, how)
    return dict(found[0])


def expected(case: Rule, alert: str) -> list[int]:
    """How many alerts of that name are expected at each of the case's moments."""
    return [len(moment["exp_alerts"]) for moment in case["alert_rule_test"] if moment["alertname"] == alert]


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_a_case_that_fires_one_that_must_not_and_one_at_the_edge(name: str) -> None:
    assert expected(case(name, "fires"), name) == [1]
    assert set(expected(case(name, "is silent"), name)) == {0}
    edge = expected(case(name, "at the edge"), name)
    assert 0 in edge
    assert set(edge) & {1, 2}


@pytest.mark.parametrize("name", ALERTS)
def test_where_an_alert_fires_there_are_replicas_and_one_goes_away(name: str) -> None:
    series = case(name, "fires")["input_series"]
    instances = {instance for row in series for instance in re.findall(r'instance="(\w+)"', row["series"])}
    assert len(instances) >= 2
    assert any(row["values"].endswith("stale") for row in series)


# The runbook


def test_each_alert_has_its_section_and_each_section_its_alert() -> None:
    sections = re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)[2:]
    assert [section.splitlines()[0] for section in sections] == list(ALERTS)
    for section in sections:
        parts = ["Look first:", "1. **Page.** ", "2. **Command.** `", "3. **Query.** ", "```promql"]
        parts += ["\nDo: ", "\nTune: "]
        places = [section.find(part) for part in parts]
        assert -1 not in places, section.splitlines()[0]
        assert places == sorted(places)


def test_what_is_stuck_leads_to_what_runs_and_to_its_end() -> None:
    section = RUNBOOK.split("\n## CIBuildStuck\n")[1].split("\n## ")[0]
    assert "builds list northflank/service/shop/web --scope running" in section
    assert "builds cancel northflank/service/shop/web BUILD_ID" in section
    assert ALERTS["CIBuildStuck"]["annotations"]["command"].endswith(" --scope running")


def test_alertmanager_takes_the_runbooks_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"CIBuild\w+", example)) <= ALERTS.keys()
    path = tmp_path / "alertmanager.yaml"
    path.write_text(example)
    ended = subprocess.run([tool("amtool"), "check-config", path], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
