"""The bound on series: branches fold, new targets hide, and what is not wanted is dropped."""

import gzip
import re
from collections import Counter

import pytest
from builds import NOW, RULES, build, read, read_again
from prometheus_client.core import Metric
from structlog.testing import capture_logs

from exporter.build import Target
from exporter.config.secret import EnvToken
from exporter.exposition.families import WINDOW
from exporter.exposition.render import REFRESH, Format
from exporter.exposition.self_metrics import FAMILIES, Meters, source_families
from exporter.exposition.series_limit import Display
from exporter.history.window import History, Rules, recut
from exporter.http.fetch import Fetch
from exporter.polling.rate_limit import Budget
from exporter.polling.state import Origin, Purse, Subject, origin_of
from exporter.polling.workers import Inline
from exporter.providers.northflank import NorthflankSource
from exporter.store.codec import Packed

NOT_MANY = 10_000


@pytest.fixture
def origin() -> Origin:
    source = NorthflankSource(name="nf", provider="northflank", url="https://x.example", token=EnvToken("TOKEN"))
    fetch = Fetch(source="nf", url=source.url, headers=dict, observe=lambda _seen: None)
    return origin_of(source, fetch, Inline(), Purse(Budget()))


def display(limit: int = NOT_MANY, drop: frozenset[str] = frozenset(), rules: Rules = RULES) -> Display:
    return Display(rules, drop, limit, formats=Format)


def text(shown: Display, form: Format, tail: list[Metric]) -> str:
    return gzip.decompress(shown.expose(form, list, lambda: tail, NOW)).decode()


def subject(name: str = "web", history: History | None = None, *, branches: int = 1) -> Subject:
    builds = [build(f"b{place}", at=place, branch=f"release/{place}") for place in range(branches - 1)]
    found = read(build("other", branch=None), *builds) if history is None else history
    return Subject(Target("nf", "service", "shop", name), packed=Packed(found), up=True, errors=Counter(forbidden=1))


def lines(shown: Display, form: Format = Format.TEXT) -> list[str]:
    return [line for line in text(shown, form, []).splitlines() if not line.startswith("#")]


def bound(shown: Display) -> dict[str, float]:
    return {one.name.removeprefix("ci_build_exporter_"): one.value for m in shown.families() for one in m.samples}


def cost(origin: Origin, *subjects: Subject) -> int:
    """How many series the subjects are."""
    free = display()
    for one in subjects:
        free.show(origin, one, NOW)
    return free.total


def test_the_total_is_the_number_of_series_that_the_targets_show(origin: Origin) -> None:
    shown = display()
    for name in ("a", "b"):
        shown.show(origin, subject(name, branches=3), NOW)
        shown.show(origin, subject(name, branches=2), NOW)
    assert shown.total == len(lines(shown)) == len(lines(shown, Format.OPENMETRICS))
    shown.forget(subject("a").target)
    assert shown.total == len(lines(shown)) > 0
    shown.forget(subject("b").target)
    shown.forget(subject("never shown").target)
    assert (shown.total, lines(shown)) == (0, [])


def test_within_the_bound_nothing_folds_and_nothing_hides(origin: Origin) -> None:
    one = subject(branches=4)
    shown = display(limit=cost(origin, one))
    shown.show(origin, one, NOW)
    assert not one.history.folded
    assert bound(shown) == {"folded_series": 0, "hidden_targets": 0}


def test_what_would_be_too_many_series_folds_and_is_counted(origin: Origin) -> None:
    one = subject(branches=4)
    before, after = cost(origin, one), cost(origin, subject(branches=1))
    shown = display(limit=before - 1)
    with capture_logs() as told:
        shown.show(origin, one, NOW)
    assert one.history.folded
    assert not [line for line in lines(shown) if 'branch="release' in line]
    assert 'branch="other"' in "".join(lines(shown))
    assert bound(shown) == {"folded_series": before - after, "hidden_targets": 0}
    assert shown.total == after
    assert [(event["log_level"], event["target"]) for event in told] == [("warning", "nf/service/shop/web")]
    with capture_logs() as told:
        shown.show(origin, one, NOW)
    assert (told, bound(shown)["folded_series"]) == ([], before - after)


def test_what_was_folded_before_is_counted_by_a_new_display_too(origin: Origin) -> None:
    one = subject(branches=4)
    first = display(limit=cost(origin, one) - 1)
    first.show(origin, one, NOW)
    one.history = recut(one.history, RULES, NOW)
    again = display(limit=cost(origin, one))
    again.show(origin, one, NOW)
    assert bound(again) == bound(first)
    again.forget(one.target)
    assert bound(again)["folded_series"] == 0


def test_a_new_target_for_which_folding_does_not_make_room_shows_only_whether_it_is_up(origin: Origin) -> None:
    room = cost(origin, subject("a"))
    shown = display(limit=room)
    shown.show(origin, subject("a"), NOW)
    shown.refreshed(subject("a").target, NOW)
    with capture_logs():
        shown.show(origin, subject("b"), NOW)
    shown.refreshed(subject("b").target, NOW)
    hidden = [line for line in lines(shown) if 'target="b"' in line]
    assert hidden == ['ci_build_target_up{kind="service",project="shop",source="nf",target="b"} 1.0']
    assert bound(shown)["hidden_targets"] == 1
    assert shown.total == room + 1


def test_a_hidden_target_comes_back_when_there_is_room(origin: Origin) -> None:
    shown = display(limit=cost(origin, subject("a")) + 1)
    with capture_logs():
        for name in ("a", "b"):
            shown.show(origin, subject(name), NOW)
        shown.show(origin, subject("b"), NOW)
    assert bound(shown)["hidden_targets"] == 1
    shown.forget(subject("a").target)
    shown.show(origin, subject("b"), NOW)
    shown.refreshed(subject("b").target, NOW)
    assert bound(shown)["hidden_targets"] == 0
    assert [line for line in lines(shown) if line.startswith("ci_build_last_success")]
    assert [line for line in lines(shown) if line.startswith(REFRESH)]
    assert shown.total == cost(origin, subject("b"))


def test_a_hidden_target_that_goes_is_not_counted_any_more(origin: Origin) -> None:
    shown = display(limit=0)
    with capture_logs():
        shown.show(origin, subject(), NOW)
    assert bound(shown)["hidden_targets"] == 1
    shown.forget(subject().target)
    assert bound(shown)["hidden_targets"] == 0
    assert shown.total == 0


def test_a_target_that_is_shown_is_not_hidden_when_it_grows(origin: Origin) -> None:
    small, grown = subject(history=read()), subject()
    shown = display(limit=cost(origin, small))
    shown.show(origin, small, NOW)
    with capture_logs():
        shown.show(origin, grown, NOW)
    assert grown.history.folded
    assert bound(shown)["hidden_targets"] == 0
    assert [line for line in lines(shown) if line.startswith("ci_build_last_success")]


def test_a_folded_target_counts_on_under_other(origin: Origin) -> None:
    one = subject(branches=3)
    one.history = read_again(one.history, build("x", at=50, branch=None), build("y", at=51, branch="release/0"))
    shown = display(limit=cost(origin, one) - 1)
    with capture_logs():
        shown.show(origin, one, NOW)
        one.history = read_again(one.history, build("z", at=60, branch="release/0"))
        shown.show(origin, one, NOW)
    total = [line for line in lines(shown) if line.startswith("ci_build_concluded_total")]
    assert [line.endswith(" 2.0") for line in total if 'outcome="success"' in line] == [True]
    assert all('branch="other"' in line for line in total)


# What is not wanted


def everything(origin: Origin, drop: frozenset[str]) -> str:
    rules = Rules(histograms=("conclude", "queue", "run"))
    one, meters = subject(history=read(build("a", started=1), rules=rules)), Meters()
    shown = display(drop=drop, rules=rules)
    meters.request("nf", "builds", "200", 0.1)
    meters.rejected("nf", "no_id")
    shown.show(origin, one, NOW)
    shown.refreshed(one.target, NOW)
    tail = [*meters.registry.collect(), *source_families([origin.status(NOW)]), *shown.families()]
    return text(shown, Format.TEXT, tail) + shown.of_target(origin, one, Format.TEXT).decode()


NAMES = [*(one.name for one in WINDOW), *FAMILIES, "process_cpu_seconds_total", "python_info"]


@pytest.mark.parametrize("name", NAMES)
def test_any_family_can_be_dropped_wherever_it_stands(origin: Origin, name: str) -> None:
    of_family = re.compile(rf"^(# HELP |# TYPE )?{name}(_bucket|_sum|_count|_gsum|_gcount)?[ {{]", re.MULTILINE)
    assert not of_family.search(everything(origin, frozenset({name})))


def test_dropping_one_family_drops_no_other(origin: Origin) -> None:
    def headers(drop: frozenset[str]) -> set[str]:
        return set(re.findall(r"^# TYPE (\S+)", everything(origin, drop), re.MULTILINE))

    every = headers(frozenset())
    for name in ("ci_build_concluded_total", "ci_build_target_errors_total", REFRESH, "process_cpu_seconds_total"):
        assert every - headers(frozenset({name})) == {name}


def test_what_is_dropped_is_not_counted(origin: Origin) -> None:
    shown = display(drop=frozenset({"ci_build_window_builds", "ci_build_target_errors_total"}))
    shown.show(origin, subject(), NOW)
    assert shown.total == len(lines(shown)) < cost(origin, subject())


def test_a_hidden_target_shows_nothing_where_up_is_dropped(origin: Origin) -> None:
    shown = display(limit=0, drop=frozenset({"ci_build_target_up"}))
    with capture_logs():
        shown.show(origin, subject(), NOW)
    assert (lines(shown), shown.total) == ([], 0)


def test_a_format_is_rendered_from_when_it_was_first_asked_for(origin: Origin) -> None:
    shown = Display(RULES, frozenset(), NOT_MANY)
    origin.subjects = {one.target: one for one in (subject("a"), subject("b"))}
    for one in origin.subjects.values():
        shown.show(origin, one, NOW)
    assert not shown.formats
    gone = subject("gone")
    everything = [(origin, one) for one in (*origin.subjects.values(), gone)]
    told = gzip.decompress(shown.expose(Format.TEXT, lambda: everything, list, NOW)).decode()
    assert set(shown.formats) == {Format.TEXT}
    assert set(re.findall(r'target="(\w+)"', told)) == {"a", "b"}
    assert shown.expose(Format.TEXT, list, list, NOW) == shown.expose(Format.TEXT, list, list, NOW)


def test_one_target_can_be_shown_alone(origin: Origin) -> None:
    shown = display()
    for name in ("a", "b"):
        shown.show(origin, subject(name), NOW)
    alone = shown.of_target(origin, subject("a"), Format.TEXT).decode()
    assert 'target="a"' in alone
    assert 'target="b"' not in alone
