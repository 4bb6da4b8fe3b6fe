"""The limit on series: branches fold, new targets hide, and what is not wanted is dropped."""

import gzip
import re
from dataclasses import replace

import pytest
from builds import NOW, RULES, build, read, read_again
from prometheus_client.core import Metric
from structlog.testing import capture_logs

from exporter.build import Outcome, Target
from exporter.exposition.families import WINDOW, Words
from exporter.exposition.render import REFRESH, Format
from exporter.exposition.self_metrics import FAMILIES, SelfMetrics, SourceStatus, source_families
from exporter.exposition.series_limit import SeriesLimit, TargetView
from exporter.history.window import History, Rules

NOT_MANY = 10_000
WORDS = Words((("success", Outcome.SUCCESS), ("failed", Outcome.FAILURE)))
STATUS = SourceStatus("nf", up=True, resting=False, targets={"service": 1}, limit=1000, remaining=1, reset_at=NOW)


def limited(limit: int = NOT_MANY, drop: frozenset[str] = frozenset(), rules: Rules = RULES) -> SeriesLimit:
    return SeriesLimit(rules, drop, limit, formats=Format)


def text(shown: SeriesLimit, form: Format, tail: list[Metric]) -> str:
    return gzip.decompress(shown.expose(form, tail)).decode()


def view(name: str = "web", history: History | None = None, *, branches: int = 1) -> TargetView:
    builds = [build(f"b{place}", at=place, branch=f"release/{place}") for place in range(branches - 1)]
    found = read(build("other", branch=None), *builds) if history is None else history
    target = Target("nf", "service", "shop", name)
    return TargetView(
        target, found, up=True, errors={"forbidden": 1}, provider="northflank", url="https://x.example", words=WORDS
    )


def lines(shown: SeriesLimit, form: Format = Format.TEXT) -> list[str]:
    return [line for line in text(shown, form, []).splitlines() if not line.startswith("#")]


def bound(shown: SeriesLimit) -> dict[str, float]:
    return {one.name.removeprefix("ci_build_exporter_"): one.value for m in shown.families() for one in m.samples}


def cost(*views: TargetView) -> int:
    """How many series the views are."""
    free = limited()
    for one in views:
        free.show(one)
    return free.total


def test_the_total_is_the_number_of_series_that_the_targets_show() -> None:
    shown = limited()
    for name in ("a", "b"):
        shown.show(view(name, branches=3))
        shown.show(view(name, branches=2))
    assert shown.total == len(lines(shown)) == len(lines(shown, Format.OPENMETRICS))
    shown.forget(view("a").target)
    assert shown.total == len(lines(shown)) > 0
    shown.forget(view("b").target)
    shown.forget(view("never shown").target)
    assert (shown.total, lines(shown)) == (0, [])


def test_within_the_bound_nothing_folds_and_nothing_hides() -> None:
    one = view(branches=4)
    shown = limited(limit=cost(one))
    shown.show(one)
    assert not shown.folded
    assert bound(shown) == {"folded_series": 0, "hidden_targets": 0}


def test_what_would_be_too_many_series_folds_and_is_counted() -> None:
    one = view(branches=4)
    before, after = cost(one), cost(view(branches=1))
    shown = limited(limit=before - 1)
    with capture_logs() as told:
        shown.show(one)
    assert shown.folded.keys() == {one.target}
    assert not [line for line in lines(shown) if 'branch="release' in line]
    assert 'branch="other"' in "".join(lines(shown))
    assert bound(shown) == {"folded_series": before - after, "hidden_targets": 0}
    assert shown.total == after
    assert [(event["log_level"], event["target"]) for event in told] == [("warning", "nf/service/shop/web")]
    with capture_logs() as told:
        shown.show(one)
    assert (told, bound(shown)["folded_series"]) == ([], before - after)


def test_folding_changes_nothing_that_is_remembered_and_a_higher_limit_shows_all_again() -> None:
    one = view(branches=4)
    before = one.history
    folded = limited(limit=cost(one) - 1)
    with capture_logs():
        folded.show(one)
    assert one.history is before
    again = limited(limit=cost(one))
    again.show(one)
    assert bound(again) == {"folded_series": 0, "hidden_targets": 0}
    assert {line for line in lines(again) if 'branch="release/0"' in line}


def test_how_a_folded_target_stands_is_by_the_branches_that_are_shown() -> None:
    one = view(branches=4)
    shown = limited(limit=cost(one) - 1)
    with capture_logs():
        for _ in range(3):
            shown.show(one)
            assert shown.standings[one.target].branches.keys() == {"other"}


# Counters begin at 0


def concluded(shown: SeriesLimit) -> list[float]:
    """The successes in the counter, by group."""
    total = [line for line in lines(shown) if line.startswith("ci_build_concluded_total")]
    return [float(line.rpartition(" ")[2]) for line in total if 'outcome="success"' in line]


def two_of_a_new_branch() -> TargetView:
    history = read(build("first", at=-10, branch="gone"))
    return view(history=read_again(history, *(build(f"n{place}", at=10 + place, branch="main") for place in range(2))))


def test_a_new_group_is_seen_at_0_by_one_scrape_and_then_as_it_is() -> None:
    one, shown = two_of_a_new_branch(), limited()
    shown.show(one)
    assert not shown.outdated()
    assert max(concluded(shown)) == 0
    assert shown.outdated() == [one.target]
    shown.show(one)
    assert max(concluded(shown)) == 2
    assert not shown.outdated()


def test_showing_one_target_alone_holds_nothing_back_in_the_whole() -> None:
    one, shown = two_of_a_new_branch(), limited()
    shown.show(one)
    assert max(concluded(shown)) == 0
    shown.of_target(one, Format.TEXT)
    assert shown.outdated() == [one.target]


def test_a_counter_that_was_seen_does_not_begin_anew_after_a_reload() -> None:
    one, before = two_of_a_new_branch(), limited()
    before.show(one)
    assert max(concluded(before)) == 0
    after = SeriesLimit(RULES, frozenset(), NOT_MANY, formats=Format, before=before)
    after.show(one)
    assert max(concluded(after)) == 2


def test_a_branch_that_folding_hid_comes_back_with_its_count() -> None:
    one = two_of_a_new_branch()
    before = limited(limit=cost(one) - 1)
    with capture_logs():
        before.show(one)
    assert lines(before)
    after = SeriesLimit(RULES, frozenset(), NOT_MANY, formats=Format, before=before)
    after.show(one)
    assert [line for line in lines(after) if 'branch="main"' in line and line.startswith("ci_build_concluded_total")]
    assert max(concluded(after)) == 2


def test_a_new_target_for_which_folding_does_not_make_room_shows_only_whether_it_is_up() -> None:
    room = cost(view("a"))
    shown = limited(limit=room)
    shown.show(view("a"))
    shown.refreshed(view("a").target, NOW)
    with capture_logs():
        shown.show(view("b"))
    shown.refreshed(view("b").target, NOW)
    hidden = [line for line in lines(shown) if 'target="b"' in line]
    assert hidden == ['ci_build_target_up{kind="service",project="shop",source="nf",target="b"} 1.0']
    assert bound(shown)["hidden_targets"] == 1
    assert shown.total == room + 1


def test_a_hidden_target_comes_back_when_there_is_room() -> None:
    shown = limited(limit=cost(view("a")) + 1)
    with capture_logs():
        for name in ("a", "b"):
            shown.show(view(name))
        shown.show(view("b"))
    assert bound(shown)["hidden_targets"] == 1
    shown.forget(view("a").target)
    shown.show(view("b"))
    shown.refreshed(view("b").target, NOW)
    assert bound(shown)["hidden_targets"] == 0
    assert [line for line in lines(shown) if line.startswith("ci_build_last_success")]
    assert [line for line in lines(shown) if line.startswith(REFRESH)]
    assert shown.total == cost(view("b"))


def test_a_hidden_target_that_goes_is_not_counted_any_more() -> None:
    shown = limited(limit=0)
    with capture_logs():
        shown.show(view())
    assert bound(shown)["hidden_targets"] == 1
    shown.forget(view().target)
    assert bound(shown)["hidden_targets"] == 0
    assert shown.total == 0


def test_a_target_that_is_shown_is_not_hidden_when_it_grows() -> None:
    small, grown = view(history=read()), view()
    shown = limited(limit=cost(small))
    shown.show(small)
    with capture_logs():
        shown.show(grown)
    assert grown.target in shown.folded
    assert bound(shown)["hidden_targets"] == 0
    assert [line for line in lines(shown) if line.startswith("ci_build_last_success")]


def test_a_folded_target_counts_on_under_other() -> None:
    one = view(branches=3)
    one = replace(
        one, history=read_again(one.history, build("x", at=50, branch=None), build("y", at=51, branch="release/0"))
    )
    shown = limited(limit=cost(one) - 1)
    with capture_logs():
        shown.show(one)
        assert concluded(shown) == [0]
        shown.show(replace(one, history=read_again(one.history, build("z", at=60, branch="release/0"))))
    assert concluded(shown) == [3]
    total = [line for line in lines(shown) if line.startswith("ci_build_concluded_total")]
    assert all('branch="other"' in line for line in total)


# What is not wanted


def everything(drop: frozenset[str]) -> str:
    rules = Rules(histograms=("conclude", "queue", "run"))
    one, self_metrics = view(history=read(build("a", started=1), rules=rules)), SelfMetrics()
    shown = limited(drop=drop, rules=rules)
    self_metrics.request("nf", "builds", "200", 0.1)
    self_metrics.rejected("nf", "no_id")
    shown.show(one)
    shown.refreshed(one.target, NOW)
    tail = [*self_metrics.registry.collect(), *source_families([STATUS]), *shown.families()]
    return text(shown, Format.TEXT, tail) + shown.of_target(one, Format.TEXT).decode()


NAMES = [*(one.name for one in WINDOW), *FAMILIES, "process_cpu_seconds_total", "python_info"]


@pytest.mark.parametrize("name", NAMES)
def test_any_family_can_be_dropped_wherever_it_stands(name: str) -> None:
    of_family = re.compile(rf"^(# HELP |# TYPE )?{name}(_bucket|_sum|_count|_gsum|_gcount)?[ {{]", re.MULTILINE)
    assert not of_family.search(everything(frozenset({name})))


def test_dropping_one_family_drops_no_other() -> None:
    def headers(drop: frozenset[str]) -> set[str]:
        return set(re.findall(r"^# TYPE (\S+)", everything(drop), re.MULTILINE))

    every = headers(frozenset())
    for name in ("ci_build_concluded_total", "ci_build_target_errors_total", REFRESH, "process_cpu_seconds_total"):
        assert every - headers(frozenset({name})) == {name}


def test_what_is_dropped_is_not_counted() -> None:
    shown = limited(drop=frozenset({"ci_build_window_builds", "ci_build_target_errors_total"}))
    shown.show(view())
    assert shown.total == len(lines(shown)) < cost(view())


def test_a_hidden_target_shows_nothing_where_up_is_dropped() -> None:
    shown = limited(limit=0, drop=frozenset({"ci_build_target_up"}))
    with capture_logs():
        shown.show(view())
    assert (lines(shown), shown.total) == ([], 0)


def test_a_format_is_rendered_from_when_it_was_first_asked_for() -> None:
    shown = SeriesLimit(RULES, frozenset(), NOT_MANY)
    shown.show(view("a"))
    assert not shown.formats
    shown.want(Format.TEXT)
    assert set(shown.formats) == {Format.TEXT}
    assert lines(shown) == []
    for name in ("a", "b"):
        shown.show(view(name))
    assert set(re.findall(r'target="(\w+)"', "".join(lines(shown)))) == {"a", "b"}
    assert shown.expose(Format.TEXT, []) == shown.expose(Format.TEXT, [])


def test_one_target_can_be_shown_alone() -> None:
    shown = limited()
    for name in ("a", "b"):
        shown.show(view(name))
    alone = shown.of_target(view("a"), Format.TEXT).decode()
    assert 'target="a"' in alone
    assert 'target="b"' not in alone
