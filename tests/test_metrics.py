"""The families of one target, compared whole with what a person works out, and read back."""

from math import inf
from pathlib import Path

import pytest
from builds import NOW, RULES, WEB, build, read, read_again
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.build import CONCLUDED, Build, Outcome, Run, Target
from exporter.exposition.families import EXEMPLAR_LIMIT, WINDOW, Words, go_float, series, window_families
from exporter.exposition.render import Format, render
from exporter.history.statistics import statistics
from exporter.history.window import History, Rules, merge

DATA = Path(__file__).parent / "data" / "exposition"
WORDS = Words(
    (
        ("queued", Outcome.PENDING),
        ("building", Outcome.EXECUTING),
        ("success", Outcome.SUCCESS),
        ("failed", Outcome.FAILURE),
    ),
    build_page=lambda one: f"https://ci.example/builds/{one.id}",
    run_page=lambda run_id: f"https://ci.example/runs/{run_id}",
)
GOLDEN_RULES = Rules(buckets=(60, 600), histograms=("conclude", "run", "queue", "execution", "concluded"))

Series = tuple[str, tuple[tuple[str, str], ...]]


def past() -> History:
    """A target with a red build that was restored, one that failed after it, and one that runs."""
    first = build("b1", at=-5000, took=30, started=10, sha="aaa")
    history = read(first, rules=GOLDEN_RULES, now=NOW - 4000)
    return read_again(
        history,
        build("b2", Outcome.FAILURE, at=-3600, took=600, started=100, sha="bbb"),
        build("b3", at=-1800, took=60, sha="bbb"),
        build("b4", Outcome.ERROR, at=-900, took=900.5, sha="ccc"),
        build("b5", Outcome.EXECUTING, at=-60, started=12, sha="ddd"),
        rules=GOLDEN_RULES,
    )


def families(
    history: History, rules: Rules = RULES, target: Target = WEB, drop: frozenset[str] = frozenset()
) -> list[Metric]:
    return window_families(target, statistics(history, rules), WORDS, rules, drop)


def parsed(found: list[Metric], form: Format) -> list[Metric]:
    text = render(found, form).decode()
    parse = parse_text if form is Format.TEXT else parse_openmetrics
    return list(parse(text))


def all_series(found: list[Metric]) -> list[Series]:
    return [(one.name, tuple(sorted(one.labels.items()))) for metric in found for one in metric.samples]


def values(found: list[Metric], name: str) -> dict[tuple[str, ...], float]:
    """A family's samples by the values of the labels that are not the target's."""
    known = {"source", "project", "kind", "target"}
    return {
        tuple(text for label, text in one.labels.items() if label not in known): one.value
        for metric in found
        for one in metric.samples
        if one.name == name
    }


@pytest.mark.parametrize(("form", "name"), [(Format.TEXT, "text.txt"), (Format.OPENMETRICS, "openmetrics.txt")])
def test_the_exposition_of_one_target_is_what_a_person_works_out(form: Format, name: str) -> None:
    assert render(families(past(), GOLDEN_RULES), form).decode() == (DATA / name).read_text()


@pytest.mark.parametrize("form", Format)
def test_what_is_exposed_reads_back_as_it_was_meant(form: Format) -> None:
    found = families(past(), GOLDEN_RULES)
    back = parsed(found, form)
    assert sorted(all_series(back)) == sorted(all_series(found))
    assert len(set(all_series(found))) == len(all_series(found)) == series(found)
    types = {metric.name: metric.type for metric in back}
    assert types["ci_build_concluded"] == "counter"
    assert types["ci_build_window_builds"] == "gauge"
    assert types["ci_build_conclude_latency_seconds"] == ("histogram" if form is Format.TEXT else "gaugehistogram")


def test_each_family_has_exactly_its_labels() -> None:
    found = families(past(), GOLDEN_RULES)
    assert len(found) == len(WINDOW) == 25
    for metric, family in zip(found, WINDOW, strict=True):
        for one in metric.samples:
            extra = {"le"} if one.name.endswith("_bucket") else set()
            wanted = {"source", "project", "kind", "target", "branch", *family.labels, *extra}
            assert one.labels.keys() == wanted, one.name


def test_every_label_set_of_the_opt_in_labels_is_there() -> None:
    rules = Rules(labels=("build_name", "build_stage"))
    found = families(read(build("a", name="unit", stage="test"), rules=rules), rules)
    labels = next(one.labels for metric in found for one in metric.samples if one.name == "ci_build_last_success")
    assert labels == {
        "source": "nf", "project": "shop", "kind": "service", "target": "web",
        "branch": "main", "build_name": "unit", "build_stage": "test",
    }  # fmt: skip


def test_every_help_says_how_often_it_is_read_and_those_of_windows_that_they_are() -> None:
    """Counters, and what is remembered of the newest runs, are not over a window."""
    found = families(read())
    assert all("refresh.ttl" in one.documentation for one in found)
    windowed = {one.name for one in found if "Over the window" in one.documentation}
    assert windowed == {one.name for one in found if "window" in one.name or one.type == "gaugehistogram"}
    assert {"ci_build_concluded", "ci_build_last_success", "ci_build_consecutive_failures"}.isdisjoint(windowed)


def test_no_sample_bears_a_time_stamp() -> None:
    assert not [one for metric in families(past(), GOLDEN_RULES) for one in metric.samples if one.timestamp is not None]


def test_every_status_that_the_provider_documents_is_there_and_so_is_one_it_does_not() -> None:
    odd = build("b")._replace(status="odd", outcome=Outcome.UNKNOWN)
    assert values(families(read(build("a"), odd)), "ci_build_window_builds") == {
        ("main", "queued", "pending"): 0,
        ("main", "building", "executing"): 0,
        ("main", "success", "success"): 1,
        ("main", "failed", "failure"): 0,
        ("main", "odd", "unknown"): 1,
    }


def test_every_outcome_is_counted_from_zero() -> None:
    found = values(families(read(build("a"))), "ci_build_concluded_total")
    outcomes = [outcome.value for outcome in CONCLUDED]
    assert found == {("main", outcome): 0 for outcome in outcomes}


def test_what_is_unknown_has_no_sample() -> None:
    found = families(read(build("a", Outcome.CANCELLATION, at=1)))
    absent = {
        "ci_build_window_success_ratio",
        "ci_build_window_run_success_ratio",
        "ci_build_last_coverage_ratio",
        "ci_build_last_success",
        "ci_build_last_failed_info",
        "ci_build_broken_since_timestamp_seconds",
        "ci_build_oldest_unfinished_created_timestamp_seconds",
    }
    assert {metric.name for metric in found if not metric.samples} == absent


def test_the_newest_failed_build_is_named_only_while_the_target_is_red() -> None:
    red, green = build("a", Outcome.FAILURE), build("b", at=1)
    name = "ci_build_last_failed_info"
    assert values(families(read(red)), name) == {
        ("main", "a", "sha-a", "failure", "", "https://ci.example/builds/a"): 1
    }
    assert values(families(read(red, green)), name) == {}
    broken = "ci_build_broken_since_timestamp_seconds"
    assert values(families(read(red)), broken) == {("main",): NOW + 60}
    assert values(families(read(red, green)), broken) == {}


def test_a_failed_run_without_a_failed_build_is_named_by_its_page() -> None:
    """A pipeline of invalid YAML has no jobs; it broke the branch when GitLab last changed it."""
    run = Run("p1", "failed", Outcome.FAILURE, NOW, updated_at=NOW + 2, branch="main")
    found = families(merge(read(), [], RULES, NOW + 9, runs=[(run, NOW + 9)]))
    info = {("main", "", "", "failure", "", "https://ci.example/runs/p1"): 1}
    assert values(found, "ci_build_last_failed_info") == info
    assert values(found, "ci_build_broken_since_timestamp_seconds") == {("main",): NOW + 2}
    assert values(found, "ci_build_window_runs") == {("main", "success"): 0, ("main", "failure"): 1}


def test_coverage_is_that_of_the_newest_decided_run() -> None:
    jobs = [build("a", run="p1", name="unit"), build("b", run="p1", name="browser")]
    covered = [job._replace(coverage=share) for job, share in zip(jobs, (0.8, 0.6), strict=True)]
    ended = Run("p1", "success", Outcome.SUCCESS, NOW, updated_at=NOW + 90, branch="main")
    begun = Run("p2", "running", Outcome.EXECUTING, NOW + 100, updated_at=NOW + 100, branch="main")
    sights = [(job, NOW + 200) for job in covered]
    found = families(merge(read(), sights, RULES, NOW + 200, runs=[(run, NOW + 200) for run in (ended, begun)]))
    assert values(found, "ci_build_last_coverage_ratio") == {("main",): pytest.approx(0.7)}


def test_a_target_without_builds_has_families_and_no_samples() -> None:
    found = families(read())
    assert found
    assert series(found) == 0


def test_histograms_are_opt_in_but_for_the_one_to_conclusion() -> None:
    names = {metric.name for metric in families(read())}
    assert "ci_build_conclude_latency_seconds" in names
    assert not {"ci_build_queue_latency_seconds", "ci_build_execution_seconds", "ci_build_run_latency_seconds"} & names
    assert not [one for one in families(read(), Rules(histograms=())) if one.type == "gaugehistogram"]


@pytest.mark.parametrize("name", [family.name for family in WINDOW])
def test_any_family_can_be_dropped(name: str) -> None:
    found = families(past(), GOLDEN_RULES, drop=frozenset({name}))
    assert len(found) == len(WINDOW) - 1
    assert name.removesuffix("_total") not in {metric.name for metric in found}


def test_the_bound_of_a_bucket_is_a_float() -> None:
    rules = Rules(buckets=(0.5, 10, 600, 14_400))
    found = families(read(build("a"), rules=rules), rules)
    bounds = [one.labels["le"] for metric in found for one in metric.samples if "le" in one.labels]
    assert bounds == ["0.5", "10.0", "600.0", "14400.0", "+Inf"]
    assert go_float(inf) == "+Inf"
    assert go_float(1.7e9) == "1.7e+09"


# Exemplars


def exemplars(found: list[Metric]) -> list[tuple[str, dict[str, str], float, float]]:
    return [
        (one.labels["le"], dict(one.exemplar.labels), one.exemplar.value, float(one.exemplar.timestamp or 0))
        for metric in parsed(found, Format.OPENMETRICS)
        for one in metric.samples
        if one.exemplar
    ]


def test_a_bucket_carries_the_build_that_concluded_last_with_the_time_of_its_conclusion() -> None:
    rules = Rules(buckets=(60, 600))
    found = exemplars(families(read(build("a", took=50), build("b", at=5, took=70.5), rules=rules), rules))
    assert found == [
        ("60.0", {"build_id": "a", "sha": "sha-a"}, 50.0, NOW + 50),
        ("600.0", {"build_id": "b", "sha": "sha-b"}, 70.5, NOW + 75.5),
    ]


def test_an_exemplar_of_the_queue_has_the_time_in_the_queue_and_of_the_run_the_time_that_it_took() -> None:
    rules = Rules(buckets=(60,), histograms=("queue", "execution"))
    found = exemplars(families(read(build("a", took=50, started=20), rules=rules), rules))
    assert [(value, at) for _le, _labels, value, at in found] == [(20.0, NOW + 50), (30.0, NOW + 50)]


def test_a_build_without_a_commit_is_an_exemplar_by_its_id() -> None:
    assert [labels for _le, labels, _value, _at in exemplars(families(read(build("a")._replace(sha=""))))] == [
        {"build_id": "a"}
    ]


def test_a_build_that_has_not_ended_is_no_exemplar() -> None:
    rules = Rules(buckets=(60,), histograms=("queue",))
    assert exemplars(families(read(build("a", Outcome.EXECUTING, started=20), rules=rules), rules)) == []


@pytest.mark.parametrize(("length", "there"), [(EXEMPLAR_LIMIT - 12, True), (EXEMPLAR_LIMIT - 11, False)])
def test_an_exemplar_has_a_hundred_and_twenty_eight_characters_at_most(
    length: int,
    there: bool,  # noqa: FBT001  # a table's column
) -> None:
    # build_id and sha are eleven characters, and the commit here is one.
    found = exemplars(families(read(build("é" * length, sha="c"))))
    assert bool(found) is there
    for _le, labels, _value, _at in found:
        assert sum(len(name) + len(text) for name, text in labels.items()) == EXEMPLAR_LIMIT


# Names that mean harm

HOSTILE = [
    "line\n# HELP ci_build_window_builds broken\n# TYPE ci_build_window_builds counter\n",
    'quote" } 1\nci_build_target_up{source="x"} 0',
    "back\\slash \\n \\",
    "ünïcode \u2028 \x85 \x0b \x1f 🚀",
    "# EOF\n",
    "{}=,'",
    "",
]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_come_back_as_they_were(text: str, form: Format) -> None:
    # Without exemplars: prometheus-client's parser takes a brace in the name of one for its end.
    rules = Rules(branches=("*",), labels=("build_name", "build_stage"), histograms=())
    target = Target("nf", "service", text, text)
    hostile: list[Build] = [
        build(f"1{text}", branch=text, name=text, stage=text, sha=f"2{text}")._replace(status=text),
        build(f"3{text}", Outcome.FAILURE, at=1, branch=text, name=text, stage=text)._replace(status=text),
    ]
    found = families(read(*hostile, rules=rules), rules, target)
    assert sorted(all_series(parsed(found, form))) == sorted(all_series(found))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_commit_stays_on_the_line_of_its_exemplar(text: str) -> None:
    lines = render(families(read(build("a", sha="plain"))), Format.OPENMETRICS).decode().split("\n")
    hostile = render(families(read(build("a", sha=f"x{text}"))), Format.OPENMETRICS).decode().split("\n")
    assert len(hostile) == len(lines)
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    assert [line for line in hostile if f' # {{build_id="a",sha="x{escaped}"}} 60.0 ' in line]


def test_a_group_whose_builds_were_all_cut_names_no_newest_build() -> None:
    rules = Rules(builds=1, labels=("build_name",))
    newer = [build(f"n{place}", name="often", at=9999 + 60 * place) for place in range(200)]
    found = families(read(build("a", name="once"), *newer, rules=rules), rules)
    assert values(found, "ci_build_last_created_timestamp_seconds")["main", "once"] == NOW
    assert {key[1] for key in values(found, "ci_build_last_info")} == {"often"}
