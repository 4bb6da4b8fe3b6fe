"""The dashboards are what their code writes, and keep their conventions."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from dashboards import FOLDER, Expression, Json, boards, expressions, panels
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.exposition.families import TARGET_LABELS, WINDOW
from exporter.exposition.self_metrics import FAMILIES
from mixin.dashboards.panels import PAGE_OF_THE_BUILD
from mixin.dashboards.written import written

BOARDS = boards()
PANELS = [pytest.param(board, panel, id=f"{board['uid']}-{panel['id']}") for board in BOARDS for panel in panels(board)]
ALL = [expression for board in BOARDS for expression in expressions(board)]
TYPES = {"heatmap", "stat", "state-timeline", "table", "timeseries"}
OF_REPLICAS = (
    "ci_build_source_requests_total",
    "ci_build_source_request_duration_seconds_bucket",
    "ci_build_source_webhook_events_total",
    "ci_build_exporter_",
    "ci_build_store_up",
)
"""Families of which each replica has its own."""

# Written


def test_the_files_are_what_the_code_writes() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == written(), "make dashboards"


def test_grafanas_schema_takes_the_dashboards() -> None:
    register_default_plugins()
    for board in BOARDS:
        taken = Dashboard.from_json(board)
        assert taken.panels
        assert len(taken.panels) == len(board["panels"])
        assert (taken.uid, taken.title) == (board["uid"], board["title"])


# Conventions


def test_each_dashboard_has_its_address_for_good() -> None:
    assert [board["uid"] for board in BOARDS] == ["ci-build-exporter", "ci-build-overview", "ci-build-target"]
    assert {f"{board['uid']}.json" for board in BOARDS} == {path.name for path in FOLDER.glob("*.json")}
    assert len({board["title"] for board in BOARDS}) == len(BOARDS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_a_dashboard_says_what_it_is_and_leads_to_the_others(board: Json) -> None:
    assert board["description"]
    assert board["refresh"] == "30s"
    assert board["tags"] == ["ci-build-exporter"]
    (link,) = board["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        board["tags"],
        True,
        True,
    )


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_a_dashboard_has_its_variables(board: Json) -> None:
    first, *others = board["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    names = [variable["name"] for variable in others]
    assert names == (
        ["job", "instance", "source"]
        if board["uid"] == "ci-build-exporter"
        else ["job", "instance", "source", "project", "target", "branch"]
    )
    for variable in others:
        assert (variable["includeAll"], variable["multi"]) == (True, True), variable["name"]
        assert variable["label"]
        assert variable["description"]


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_panel_says_what_it_is_and_in_which_unit(board: Json, panel: Json) -> None:
    assert panel["type"] in TYPES
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        latency = (
            re.search(r"_(latency|duration|execution)_seconds_bucket", target["expr"]) and "rate(" not in target["expr"]
        )
        of_builds = "increase(" not in target["expr"] and "ci_build_run_latency" not in target["expr"]  # runs have none
        assert target["exemplar"] is bool(latency and target.get("range") and of_builds), board


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_panels_have_numbers_and_places_of_their_own(board: Json) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({panel["title"] for panel in panels(board)}) == len(panels(board))
    for one, other in itertools.combinations([panel["gridPos"] for panel in board["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


def found(value: Any, key: str) -> Iterator[Any]:
    """What stands under a key, wherever."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from found(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from found(inner, key)


def test_all_ask_the_data_source_that_is_chosen() -> None:
    for board in BOARDS:
        asked = list(found(board, "datasource"))
        assert len(asked) > len(panels(board))
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in asked)


def test_links_of_rows_lead_to_a_dashboard_that_has_their_variables() -> None:
    variables = {board["uid"]: {variable["name"] for variable in board["templating"]["list"]} for board in BOARDS}
    links = [
        (panel, link["url"])
        for board in BOARDS
        for panel in panels(board)
        for override in panel["fieldConfig"]["overrides"]
        for given in override["properties"]
        if given["id"] == "links"
        for link in given["value"]
        if link["url"] != PAGE_OF_THE_BUILD
    ]
    assert len(links) >= 4
    for panel, url in links:
        uid = re.match(r"/d/([\w-]+)\?", url)
        assert uid
        for name, field in re.findall(r"var-(\w+)=\$\{__data\.fields\.(\w+)\}", url):
            assert name in variables[uid[1]]
            kept = next(step for step in panel["transformations"] if step["id"] == "filterFieldsByName")
            assert field in kept["options"]["include"]["names"]


def test_a_table_shows_labels_as_they_are() -> None:
    """Grafana formats what looks like a number, such as the id of a build, unless its unit is `string`."""
    for panel in (panel for board in BOARDS for panel in panels(board) if panel["type"] == "table"):
        for override in panel["fieldConfig"]["overrides"]:
            given = {each["id"]: each["value"] for each in override["properties"]}
            assert (given["unit"] == "string") != override["matcher"]["options"].startswith("Value"), given


def test_events_tell_which_build_failed() -> None:
    for board in BOARDS:
        events = {event["name"]: event for event in board["annotations"]["list"]}
        if board["uid"] != "ci-build-exporter":
            assert {"Failed builds", "Branches that broke"} == set(events)
            assert "{{build_id}}" in events["Failed builds"]["textFormat"]
        for event in events.values():
            assert event["useValueForTime"]
            assert event["expr"].endswith(" * 1000")
            assert event["target"]["expr"] == event["expr"]


# Rules of dashboard-linter that apply, as it names them (https://github.com/grafana/dashboard-linter/tree/main/docs)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_template_rules(board: Json) -> None:
    """`template-datasource-rule`, `-job-rule`, `-instance-rule`, `template-on-time-change-reload-rule`."""
    by_name = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert by_name["datasource"]["label"] == "Data source"
    for name in ("job", "instance"):
        assert by_name[name]["datasource"]["uid"] == "${datasource}"
        assert by_name[name]["label"] == name.capitalize()
        assert (by_name[name]["type"], by_name[name]["multi"]) == ("query", True)
    on_time_range_change = 2
    assert {one["refresh"] for one in by_name.values() if one["type"] == "query"} == {on_time_range_change}


@pytest.mark.parametrize("expression", ALL, ids=lambda expression: expression.where)
def test_target_rules(expression: Expression) -> None:
    """`target-job-rule`, `target-instance-rule`, `target-rate-interval-rule`, `target-counter-agg-rule`."""
    names = re.findall(r"\b((?:ci_build|process)_\w+)(\{[^}]*\})?", expression.text)
    if ": $" not in expression.where:
        for family, selectors in names:
            assert 'job=~"$job",instance=~"$instance"' in selectors, family
    for window in re.findall(r"rate\([^[]*\[([^]]+)\]", expression.text):
        assert window in {"$__rate_interval", "1h"}, (
            window
        )  # the second: what concluded within an hour, as its title says
    for family, _selectors in names:
        if family.endswith("_total"):
            assert re.search(r"(rate|increase)\(", expression.text), family


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_panel_rules(board: Json, panel: Json) -> None:
    """`panel-datasource-rule`, `panel-title-description-rule`, `panel-units-rule`, `panel-no-targets-rule`."""
    assert panel["datasource"]["uid"] == "${datasource}", board["uid"]
    assert panel["title"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_a_failed_build_is_a_link(board: Json) -> None:
    for panel in panels(board):
        if any("ci_build_last_failed_info" in target["expr"] for target in panel["targets"]):
            overrides = {one["matcher"]["options"]: one["properties"] for one in panel["fieldConfig"]["overrides"]}
            (links,) = [given["value"] for given in overrides["build_id"] if given["id"] == "links"]
            assert links[0]["url"] == PAGE_OF_THE_BUILD


def test_what_to_fix_first_is_what_is_broken_longest_default_branches_before_others() -> None:
    (board,) = (board for board in BOARDS if board["uid"] == "ci-build-overview")
    titles = [panel["title"] for panel in board["panels"]]
    begin = titles.index("What do I fix first")
    default, other = board["panels"][begin + 1 : begin + 3]
    for panel in (default, other):
        assert panel["options"]["sortBy"] == [{"displayName": "Broken for", "desc": True}]
        assert panel["targets"][0]["expr"].startswith("time() - ")
    assert all("default_branch" in target["expr"] for target in default["targets"])
    assert all(" unless on (" in target["expr"] for target in other["targets"])


# Expressions

LABELS = (
    {
        family.name + part: {*TARGET_LABELS, "branch", *family.labels, *more}
        for family in WINDOW
        for part, more in (
            (("_bucket", ("le",)), ("_gcount", ()), ("_gsum", ()))
            if family.type == "gaugehistogram"
            else (("_bucket", ("le",)), ("_count", ()), ("_sum", ()))
            if family.type == "histogram"
            else (("", ()),)
        )
    }
    | {name: set(labels) for name, (_type, _help, labels) in FAMILIES.items()}
    | {"ci_build_source_request_duration_seconds_bucket": {"source", "le"}}
)
OF_SCRAPE = {"job", "instance", "pod"}


@pytest.mark.parametrize("expression", ALL, ids=lambda expression: expression.where)
def test_an_expression_names_what_the_exporter_has(expression: Expression) -> None:
    known = set(OF_SCRAPE)
    for family, selectors in re.findall(r"\b((?:ci_build|process)_\w+)\{([^}]*)\}", expression.text):
        of_family = (LABELS[family] if family.startswith("ci_build_") else set()) | OF_SCRAPE
        assert set(re.findall(r"(\w+)[=!]", selectors)) <= of_family, family
        known |= of_family
    for listed in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right) \(([^)]*)\)", expression.text):
        assert set(filter(None, listed.split(", "))) <= known, listed


@pytest.mark.parametrize("expression", ALL, ids=lambda expression: expression.where)
def test_replicas_are_made_one_first(expression: Expression) -> None:
    if ": $" in expression.where:
        return
    for before, family in re.findall(r"(.{0,60})\b(ci_build_\w+)", expression.text):
        if not family.startswith(OF_REPLICAS):
            first = re.search(r"(max|min) without \(instance, pod\) \((\w+\()?$", before)
            assert first or before.endswith((" unless ", " or increase(")), family


def test_every_family_is_on_a_dashboard() -> None:
    shown = {family for expression in ALL for family in re.findall(r"ci_build_\w+", expression.text)}
    parts = {family.removesuffix(part) for family in shown for part in ("_bucket", "_gcount", "_gsum")}
    assert {family.name for family in WINDOW} | set(FAMILIES) <= shown | parts
