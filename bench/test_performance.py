"""The code that `make bench` measures with does what it says. Nothing is measured here."""

import gzip

from bench.performance.inside import Loop, rendering
from bench.performance.provider import Northflank
from bench.performance.section import Scale, Section, ratio
from bench.table import Figure, Row
from exporter.build import Target

START = 1_795_300_000.0


def samples(answer: bytes) -> list[str]:
    return [line for line in gzip.decompress(answer).decode().splitlines() if not line.startswith("#")]


def test_every_target_of_the_made_up_provider_is_read_with_two_full_windows_and_some_180_samples() -> None:
    loop = Loop(Northflank(60, start=START))
    loop.read()
    targets = loop.collector.targets()
    assert len(targets) == 60
    builds = [row.build for row in loop.collector.history(targets[0]).rows.values()]
    assert len([build for build in builds if build.branch == "main"]) == 100
    assert len([build for build in builds if build.branch != "main"]) == 100
    assert all(build.concluded for build in builds)
    shown = samples(loop.exposed())
    assert 160 < len(shown) / 60 < 200
    assert not any(line.startswith("ci_build_source_rejected_records_total{") for line in shown)


def test_only_the_targets_that_change_are_read_and_rendered() -> None:
    loop = Loop(Northflank(20, start=START))
    loop.read()
    before = newest(loop)
    changed = loop.collector.targets()[:3]
    with rendering() as rendered:
        loop.change(changed)
    after = newest(loop)
    assert {target for target in after if after[target] != before[target]} == set(changed)
    assert len(rendered) == 3
    assert all(taken >= 0 for taken in rendered)


def test_in_a_round_every_target_changes() -> None:
    loop = Loop(Northflank(5, start=START))
    loop.read()
    before = newest(loop)
    loop.round()
    after = newest(loop)
    assert all(after[target] != before[target] for target in before)


def newest(loop: Loop) -> dict[Target, str]:
    histories = {target: loop.collector.history(target) for target in loop.collector.targets()}
    return {
        target: max((row.build for row in history.rows.values()), key=lambda build: build.created_at).id
        for target, history in histories.items()
    }


def test_a_ratio_is_that_of_neighbouring_runs() -> None:
    assert ratio([10, 100, 30], [10, 50, 30]) == 1


def test_a_figure_says_whether_it_is_within_its_limit_and_a_section_whether_all_are() -> None:
    kept, broken = Figure(0.95, limit=0.9, digits=2, floor=True), Figure(0.85, limit=0.9, digits=2, floor=True)
    assert str(kept) == "0.95 ≥ 0.9 ✓"
    assert str(broken) == "**0.85** < 0.9 ✗"
    assert Section("title", "text", [Row("one", {"ratio": kept})]).holds
    assert not Section("title", "text", [Row("one", {"ratio": kept}), Row("two", {"ratio": broken})]).holds


def test_quick_measures_little() -> None:
    assert Scale(quick=True).of(1000) < Scale().of(1000) == 1000
    assert Scale(quick=True).runs < Scale().runs == 5
