"""Many targets in one exposition: families stand together, and what changed alone is rendered anew."""

import gzip
import re
import subprocess
import zlib

import pytest
from builds import NOW, RULES, WEB, build, read
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Exemplar

from exporter.build import Build, Outcome, Target
from exporter.exposition.families import Words, window_families
from exporter.exposition.render import REFRESH, Exposition, Format, cut, lines, render
from exporter.exposition.self_metrics import SelfMetrics, family, gauge, target_families
from exporter.history.statistics import statistics
from exporter.history.window import Rules

WORDS = Words((("success", Outcome.SUCCESS),))
INFO = {"provider": "northflank", "url": "https://x", "default_branch": ""}
TARGETS = [Target("nf", "service", "shop", f"web{place}") for place in range(3)]


def families(target: Target, *builds: Build, rules: Rules = RULES) -> list[Metric]:
    found = statistics(read(*builds, rules=rules), rules)
    about = target_families(target, up=True, info=INFO, errors={"forbidden": 1})
    return [*window_families(target, found, WORDS, rules), *about]


def exposition(*targets: Target) -> Exposition:
    kept = Exposition()
    for form in Format:
        kept.want(form)
    for place, target in enumerate(targets):
        kept.put(target, families(target, build(f"a{place}", took=place), build(f"b{place}", Outcome.FAILURE)))
        kept.refreshed(target, NOW + place)
    return kept


def joined(kept: Exposition, form: Format, tail: list[Metric]) -> bytes:
    return gzip.decompress(kept.join(form, tail))


def parsed(text: bytes, form: Format) -> list[Metric]:
    parse = parse_text if form is Format.TEXT else parse_openmetrics
    return list(parse(text.decode()))


def series(text: bytes, form: Format) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    return [(one.name, tuple(sorted(one.labels.items()))) for metric in parsed(text, form) for one in metric.samples]


def of(text: bytes, start: str) -> list[str]:
    return [line for line in text.decode().splitlines() if line.startswith(start)]


@pytest.mark.parametrize("form", Format)
def test_the_families_of_many_targets_stand_together(form: Format) -> None:
    self_metrics = SelfMetrics()
    self_metrics.request("nf", "builds", "200", 0.1)
    text = joined(exposition(*TARGETS), form, list(self_metrics.registry.collect()))
    types = re.findall(r"^# TYPE (\S+)", text.decode(), re.MULTILINE)
    helps = re.findall(r"^# HELP (\S+)", text.decode(), re.MULTILINE)
    assert types == helps
    assert len(types) == len(set(types))
    found = series(text, form)
    assert len(found) == len(set(found))
    name = ""
    for line in text.decode().splitlines():
        if line.startswith("# TYPE"):
            name = line.split()[2]
        elif not line.startswith("#"):
            assert line.startswith(name)


@pytest.mark.parametrize("form", Format)
def test_the_exposition_of_many_targets_has_what_each_of_them_has(form: Format) -> None:
    together = series(joined(exposition(*TARGETS), form, []), form)
    alone = [one for target in TARGETS for one in series(joined(exposition(target), form, []), form)]
    # Apart from the ids, that differ by the place.
    assert {name for name, _labels in together} == {name for name, _labels in alone}
    assert len(together) == len(alone)
    assert {dict(labels)["target"] for _name, labels in together} == {"web0", "web1", "web2"}


def test_in_the_text_format_counts_and_sums_of_latencies_are_families_of_their_own() -> None:
    text = joined(exposition(*TARGETS), Format.TEXT, []).decode()
    for suffix in ("_gcount", "_gsum"):
        name = f"ci_build_conclude_latency_seconds{suffix}"
        block = text.partition(f"# TYPE {name} gauge\n")[2].partition("# HELP")[0].splitlines()
        assert len(block) == 2 * len(TARGETS)
        assert all(line.startswith(name + "{") for line in block)
    buckets = text.partition("# TYPE ci_build_conclude_latency_seconds histogram\n")[2].partition("# HELP")[0]
    assert all(line.startswith("ci_build_conclude_latency_seconds_bucket{") for line in buckets.splitlines())


def test_openmetrics_ends_with_one_end_mark_and_the_text_format_has_none() -> None:
    kept = exposition(*TARGETS)
    tail = [gauge("ci_build_exporter_hidden_targets", 0)]
    for text in (
        joined(kept, Format.OPENMETRICS, tail),
        joined(kept, Format.OPENMETRICS, []),
        kept.of_target(TARGETS[0], families(TARGETS[0], build("a")), Format.OPENMETRICS),
        joined(Exposition(), Format.OPENMETRICS, []),
    ):
        assert text.endswith(b"# EOF\n")
        assert text.count(b"# EOF") == 1
    assert b"# EOF" not in joined(kept, Format.TEXT, tail)
    assert joined(Exposition(), Format.TEXT, []) == b""


def test_families_come_in_the_order_of_the_table_and_the_tail_last() -> None:
    text = joined(exposition(*TARGETS), Format.TEXT, [gauge("ci_build_exporter_hidden_targets", 0)])
    names = [line.split()[2] for line in of(text, "# TYPE")]
    assert names[0] == "ci_build_window_builds"
    assert names[-2:] == [REFRESH, "ci_build_exporter_hidden_targets"]


@pytest.mark.parametrize("form", Format)
def test_a_family_without_a_sample_has_no_header(form: Format) -> None:
    kept = Exposition()
    kept.want(form)
    kept.put(WEB, families(WEB, build("a", Outcome.CANCELLATION)))
    text = joined(kept, form, [])
    assert b"ci_build_last_success" not in text
    assert REFRESH.encode() not in text
    assert REFRESH.encode() not in kept.of_target(WEB, families(WEB), form)


@pytest.mark.parametrize("form", Format)
def test_what_is_put_again_stands_instead_of_what_was(form: Format) -> None:
    kept = exposition(*TARGETS)
    before = joined(kept, form, [])
    kept.put(TARGETS[1], families(TARGETS[1], build("new")))
    after = joined(kept, form, [])
    assert b'build_id="b1"' in before
    assert b'build_id="b1"' not in after
    lines = [set(of(text, "ci_build_")) for text in (before, after)]
    assert all('target="web1"' in line for line in lines[0] ^ lines[1])


@pytest.mark.parametrize("form", Format)
def test_what_is_forgotten_is_not_shown(form: Format) -> None:
    kept = exposition(*TARGETS)
    kept.forget(TARGETS[1])
    kept.forget(WEB)
    text = joined(kept, form, [])
    assert b"web1" not in text
    assert b"web2" in text
    kept.forget(TARGETS[0])
    kept.forget(TARGETS[2])
    assert joined(kept, form, []) == render([], form)
    assert kept.of_target(TARGETS[0], [], form) == render([], form)


def test_the_time_of_refresh_moves_alone() -> None:
    kept = exposition(*TARGETS)
    kept.refreshed(TARGETS[0], 1_700_000_030.25)
    kept.refreshed(TARGETS[0], 1_700_000_060.5)
    for form in Format:
        text = joined(kept, form, [])
        assert of(text, REFRESH) == [
            REFRESH + '{kind="service",project="shop",source="nf",target="web0"} 1.7000000605e+09',
            REFRESH + '{kind="service",project="shop",source="nf",target="web1"} 1.700000001e+09',
            REFRESH + '{kind="service",project="shop",source="nf",target="web2"} 1.700000002e+09',
        ]
        assert len(of(text, f"# TYPE {REFRESH} gauge")) == 1


def test_the_line_of_the_refresh_is_what_prometheus_client_writes() -> None:
    target = Target("nf", "service", 'a"b\\c\nd', "x y } 1")
    kept = Exposition()
    kept.refreshed(target, NOW)
    kept.refreshed(target, NOW + 0.5)
    metric = family(REFRESH)
    labels = {"source": "nf", "kind": "service", "project": target.project, "target": target.name}
    metric.add_sample(REFRESH, labels, NOW + 0.5)
    for form in Format:
        assert joined(kept, form, []) == render([metric], form)


@pytest.mark.parametrize("form", Format)
def test_one_target_alone_is_a_whole_exposition(form: Format) -> None:
    kept = exposition(*TARGETS)
    shown = families(TARGETS[1], build("a1", took=1), build("b1", Outcome.FAILURE))
    text = kept.of_target(TARGETS[1], shown, form)
    assert {dict(labels)["target"] for _name, labels in series(text, form)} == {"web1"}
    assert len(of(text, REFRESH)) == 1
    assert sorted(series(text, form)) == sorted(
        one for one in series(joined(kept, form, []), form) if ("target", "web1") in one[1]
    )


def test_only_formats_that_were_asked_for_are_rendered() -> None:
    kept = Exposition()
    kept.put(WEB, families(WEB, build("a")))
    assert joined(kept, Format.TEXT, []) == b""
    kept.want(Format.TEXT)
    kept.put(WEB, families(WEB, build("a")))
    assert b"ci_build_last_success" in joined(kept, Format.TEXT, [])
    assert joined(kept, Format.OPENMETRICS, []) == b"# EOF\n"


@pytest.mark.parametrize("form", Format)
def test_a_hostile_name_breaks_no_familys_lines(form: Format) -> None:
    name = "x\n# HELP ci_build_last_success no\n# TYPE ci_build_last_success counter\n# EOF\n"
    hostile = Target("nf", "service", name, name)
    kept = exposition(hostile, WEB)
    text = joined(kept, form, [])
    found = series(text, form)
    assert len(found) == len(set(found))
    assert {dict(labels)["target"] for _name, labels in found} == {name, "web"}
    assert len(of(text, "# TYPE ci_build_last_success")) == 1


def test_what_is_joined_is_one_gzip_member_that_other_programs_read() -> None:
    kept = exposition(*TARGETS)
    kept.put(TARGETS[1], families(TARGETS[1], build("new")))
    compressed = kept.join(Format.TEXT, [gauge("ci_build_exporter_hidden_targets", 0)])
    unpacking = zlib.decompressobj(31)
    text = unpacking.decompress(compressed)
    assert unpacking.eof
    assert unpacking.unused_data == b""
    assert b'build_id="new"' in text
    program = subprocess.run(["gzip", "-dc"], input=compressed, capture_output=True, check=True)
    assert program.stdout == text


def test_the_place_of_a_target_that_is_gone_is_taken_by_the_next() -> None:
    kept = exposition(*TARGETS)
    kept.forget(TARGETS[1])
    kept.put(WEB, families(WEB, build("new")))
    text = joined(kept, Format.TEXT, [])
    assert {dict(labels)["target"] for _name, labels in series(text, Format.TEXT)} == {"web0", "web", "web2"}


NAMES = st.sampled_from(("branch", "outcome", "project", "source", "le"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(('"', "\\", "\n", "\\n"))
LABELS = st.dictionaries(NAMES, TEXTS, max_size=4)
VALUES = st.floats() | st.integers(0, 2_000_000_000).map(float)
EXEMPLARS = st.none() | st.builds(Exemplar, LABELS, VALUES, st.floats(0, 2e9))


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    """A family of any of the kinds that are shown of targets."""
    type_, suffixes = draw(
        st.sampled_from(
            (("gauge", ("",)), ("counter", ("_total",)), ("gaugehistogram", ("_bucket", "_gcount", "_gsum"))),
        )
    )
    metric = Metric(f"ci_build_{draw(st.sampled_from('abc'))}_{type_}", draw(TEXTS), type_)
    for suffix in suffixes:
        for labels in draw(st.lists(LABELS, max_size=3)):
            exemplar = draw(EXEMPLARS) if suffix in {"_bucket", "_total"} else None
            metric.add_sample(metric.name + suffix, labels, draw(VALUES), exemplar=exemplar)
    return metric


@given(st.lists(metrics(), max_size=3, unique_by=lambda metric: metric.name), st.sampled_from(Format))
def test_lines_are_those_of_prometheus_client(found: list[Metric], form: Format) -> None:
    assert lines(found, form) == cut(render(found, form))


@pytest.mark.parametrize("form", Format)
def test_the_lines_of_a_target_are_those_of_prometheus_client(form: Format) -> None:
    found = families(WEB, build("a"), build("b", Outcome.FAILURE, branch='x"y\\z\n'))
    headers, samples = lines(found, form)
    expected = cut(render(found, form))
    assert (list(headers.items()), list(samples.items())) == tuple(list(one.items()) for one in expected)


def test_a_rendered_text_is_cut_at_its_families() -> None:
    found = families(WEB, build("a"))
    for form in Format:
        headers, samples = cut(render(found, form))
        whole = b"".join(headers[name] + samples[name] for name in headers)
        assert whole + render([], form) == render(found, form)
        assert all(header.count(b"\n") == 2 for header in headers.values())
    assert cut(b"") == ({}, {})
