"""The dashboards and the rules are full where a real Prometheus scrapes the demo."""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import yaml
from dashboards import FOLDER, Expression, Json, boards, of_events, of_panels, of_variables, panels
from processes import running
from scraping import api, prometheus, query
from serving import TOKEN, eventually, gitlab, northflank, refused_url, serving, settings, simulating

from exporter.simulator.demo import demo_world
from exporter.simulator.faults import broken_records, server_error
from exporter.simulator.server import SIMULATOR_TOKEN

BOARDS = boards()
RULES = sorted(FOLDER.parent.glob("*.yaml"))

NO_FAILURE = "every read of the demo succeeds"
NO_DELIVERY = "the demo's providers deliver nothing"
SPARING = "the demo spends a small part of its allowance"
SMALL = "the demo is far below metrics.max_series"
SCRAPED = "the demo is scraped"
IN_MEMORY = "the demo keeps its state in memory"
WEEKS = "it compares with weeks that this Prometheus has not seen"
EMPTY = {
    "ci-build-overview: Unreadable": NO_FAILURE,
    "ci-build-target: Failed reads within an hour": NO_FAILURE,
    "ci-build-exporter: Sources down": NO_FAILURE,
    "ci-build-exporter: Targets unreadable": NO_FAILURE,
    "ci-build-exporter: Failed reads": NO_FAILURE,
    "ci-build-exporter: Rejected records": "every record of the demo makes sense",
    "ci-build-exporter: Webhook deliveries": NO_DELIVERY,
    "CIBuildSuccessRatioFallen": WEEKS,
    "CIBuildLatencyDoubled": WEEKS,
    "CIBuildOverdue": WEEKS,
    "CIBuildTargetUnreadable": NO_FAILURE,
    "CIBuildTargetStale": NO_FAILURE,
    "CIBuildsMissed": NO_FAILURE,
    "CIBuildSourceDown": NO_FAILURE,
    "CIBuildReplicaCutOff": NO_FAILURE,
    "CIBuildAllowanceNearlyUsed": SPARING,
    "CIBuildSourceResting": SPARING,
    "CIBuildExporterDown": SCRAPED,
    "CIBuildExporterAbsent": SCRAPED,
    "CIBuildConfigReloadFailed": "the demo has no configuration that could be wrong",
    "CIBuildStoreDown": IN_MEMORY,
    "ci-build-exporter: State stored": IN_MEMORY,
    "CIBuildTargetsHidden": SMALL,
    "CIBuildSeriesFolded": SMALL,
    "replica:ci_build_target_up:cut_off": NO_FAILURE,
    "source:ci_build_source_webhook_events:increase7h": NO_DELIVERY,
    "branch:ci_build_window_run_success_ratio:week": WEEKS,
    "branch:ci_build_conclude_latency_seconds:p90_week": WEEKS,
    "branch:ci_build_pause_seconds:longest": WEEKS,
    "branch:ci_build_pause_seconds:ended": "it compares with five minutes ago",
}
"""What is empty in the demo, and why. A number that would be 0 counts as empty."""
BY_CHANCE = {f"ci-build-overview: Other broken branches {ref}" for ref in "ABC"}
"""What is empty or not in the demo: at some times one of its release branches is broken, and at others none."""


@pytest.fixture(scope="module")
def scraping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes one demo as if it were two replicas, with the rules evaluated every second."""
    folder = tmp_path_factory.mktemp("prometheus")
    rules = [quickly(path, folder) for path in RULES]
    with running(folder / "log", "demo", "--web.listen-address=127.0.0.1:0") as demo:
        other = demo.url.replace("127.0.0.1", "localhost")
        with prometheus(folder, demo.url, other, rules=rules) as url:
            yield url


def quickly(path: Path, folder: Path) -> Path:
    """A copy of the rules that are all evaluated as often as Prometheus does by default."""
    rules = yaml.safe_load(path.read_text())
    for group in rules["groups"]:
        group.pop("interval", None)
    copy = folder / path.name
    copy.write_text(yaml.safe_dump(rules))
    return copy


def answered(url: str, expression: Expression) -> bool:
    """Whether Prometheus has data."""
    text = expression.of_everything.removesuffix(" or vector(0)")
    if expression.over_time:
        now = time.time()
        return bool(api(url, "query_range", query=text, start=str(now - 5), end=str(now), step="1")["result"])
    return bool(query(url, text))


def never_answered(url: str, expressions: Iterable[Expression]) -> list[str]:
    """Those of which Prometheus had no data at any time of the wait."""
    pending = {expression.where: expression for expression in expressions}

    def none_pending() -> bool:
        for where, expression in list(pending.items()):
            if answered(url, expression):
                del pending[where]
        return not pending

    with suppress(AssertionError):
        eventually(none_pending)
    return sorted(pending)


def rules_of(path: Path) -> list[Expression]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [
        Expression(rule.get("alert") or rule["record"], rule["expr"]) for group in groups for rule in group["rules"]
    ]


def test_every_expression_has_data_of_the_demo_or_a_reason_to_have_none(scraping: str) -> None:
    asked = [expression for board in BOARDS for expression in (*of_panels(board), *of_events(board))]
    asked += [rule for path in RULES for rule in rules_of(path)]
    assert {expression.where for expression in asked} >= BY_CHANCE
    asked = [expression for expression in asked if expression.where not in BY_CHANCE]
    assert EMPTY.keys() <= {expression.where for expression in asked}
    assert never_answered(scraping, (expression for expression in asked if expression.where not in EMPTY)) == []
    assert [
        expression.where for expression in asked if expression.where in EMPTY and answered(scraping, expression)
    ] == []


def test_what_is_empty_in_the_demo_is_full_where_something_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    monkeypatch.setenv("SECRET", "of the webhook")
    empty = [
        expression
        for board in BOARDS
        for expression in of_panels(board)
        if EMPTY.get(expression.where, IN_MEMORY) != IN_MEMORY
    ]
    with simulating(demo_world()) as simulator:
        simulator.faults.add("/v1/projects/shop/services/web/build*", server_error())
        simulator.faults.add("/v1/projects/shop/services/api/build*", broken_records())
        sources = (
            northflank(simulator, more="webhook: {secret: {env: SECRET}}"),
            gitlab(refused_url(), more="projects: [shop/web]"),
        )
        with serving(settings(*sources)) as exporter, prometheus(tmp_path, exporter.url) as url:
            assert exporter.ask("/webhooks/northflank", method="POST").status == 401
            assert never_answered(url, empty) == []


def test_every_variable_has_values_of_the_demo(scraping: str) -> None:
    for board in BOARDS:
        for expression, label in of_variables(board):
            eventually(partial(api, scraping, f"label/{label}/values", **{"match[]": expression.of_everything}))


def test_the_rows_of_a_table_have_no_name_of_a_family(scraping: str) -> None:
    """Grafana would make a row of each family's series, not one of all."""
    eventually(lambda: bool(query(scraping, "ci_build_target_up")))
    for board in BOARDS:
        tables = {f"{board['uid']}: {panel['title']}" for panel in panels(board) if panel["type"] == "table"}
        for expression in of_panels(board):
            if expression.where.startswith(tuple(tables)):
                rows = query(scraping, expression.of_everything)
                assert not any("__name__" in labels for labels, _value in rows), expression.where


def test_each_panel_with_exemplars_has_some(scraping: str) -> None:
    with_exemplars = [
        Expression(f"{board['uid']}: {panel['title']}", target["expr"])
        for board in BOARDS
        for panel in panels(board)
        for target in panel["targets"]
        if target["exemplar"]
    ]
    assert len(with_exemplars) > 10

    def of(expression: Expression) -> list[Json]:
        asked = {"query": expression.of_everything, "start": "0", "end": "4102444800"}
        return [exemplar for series in api(scraping, "query_exemplars", **asked) for exemplar in series["exemplars"]]

    eventually(lambda: all(of(expression) for expression in with_exemplars))
    for expression in with_exemplars:
        assert all("build_id" in exemplar["labels"] for exemplar in of(expression)), expression.where


def test_two_replicas_show_what_one_does(scraping: str) -> None:
    instance = min(labels["instance"] for labels, _value in query(scraping, "up"))
    pending = [e for board in BOARDS if board["uid"] != "ci-build-exporter" for e in of_panels(board)]
    eventually(lambda: len(query(scraping, "ci_build_target_up")) == 2 * 19)

    def all_the_same() -> bool:
        at = str(time.time() - 1)
        pending[:] = [expression for expression in pending if not same(expression.of_everything, at)]
        return not pending

    def same(text: str, at: str) -> bool:
        of_one = re.sub(r"\b(ci_build_\w+)\{", rf'\1{{instance="{instance}",', text)
        both, alone = (
            {tuple(sorted(labels.items())): value for labels, value in query(scraping, asked, time=at)}
            for asked in (text, of_one)
        )
        # What the scrapes saw and when differs a little; twice as much is what must not be.
        return both == pytest.approx(alone, rel=0.3, abs=0.3, nan_ok=True)

    with suppress(AssertionError):
        eventually(all_the_same)
    assert not pending
