"""What the status page shows of what is known, as a person would say it."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from builds import DAY, NOW, RULES, WEB, build, read
from driving import gitlab, northflank

from exporter.build import Build, Outcome, Target
from exporter.history.health import Standing, branch_of, quantile, standings, window_of
from exporter.history.statistics import statistics
from exporter.history.window import Rules
from exporter.polling.rate_limit import Allowance
from exporter.providers.gitlab import GitLab
from exporter.providers.northflank import Northflank
from exporter.snapshot import KnownSource, KnownTarget, Snapshot, failed_page, page_of
from exporter.web.overview import View, choices, faults, find, find_earlier, lenient, others_of, overview

HOUR = 3600.0
SOURCE = KnownSource(
    name="nf",
    provider="northflank",
    title="Northflank",
    url="https://x.example",
    page_of=Northflank(northflank()).page_of,
    page_of_run=Northflank(northflank()).page_of_run,
    up=True,
    resting_until=None,
    allowance=Allowance(),
    targets=1,
    errors=(),
)
GITLAB = replace(
    SOURCE,
    name="gl",
    provider="gitlab",
    title="GitLab",
    page_of=GitLab(gitlab("a/b")).page_of,
    page_of_run=GitLab(gitlab("a/b")).page_of_run,
)
API = Target("nf", "service", "shop", "api")


def target(
    of: Target = WEB, *builds: Build, up: bool | None = True, source: KnownSource = SOURCE, error: str = ""
) -> KnownTarget:
    history = read(*builds)
    found = standings(history, statistics(history, RULES))
    return KnownTarget(of, source, lambda _target: history, found, up, error, NOW, hidden=False)


def known(*targets: KnownTarget, at: float = NOW + 100) -> Snapshot:
    return Snapshot(at, (SOURCE, GITLAB), targets)


def failing(name: str, at: float = 0.0, branch: str | None = "main") -> Build:
    return build(name, Outcome.FAILURE, at=at, branch=branch)


def shown(what: Snapshot, **parameters: Any) -> list[str]:
    return [row.known.target.name for row in overview(what, View(**parameters)).rows]


def standing_of(*builds: Build, branch: str = "main", rules: Rules = RULES) -> Standing:
    history = read(*builds, rules=rules)
    return standings(history, statistics(history, rules)).branches[branch]


# How a target stands


def test_a_branch_whose_newest_run_failed_is_broken() -> None:
    found = standing_of(build("a"), failing("b", 10), failing("c", 20))
    assert (found.broken, found.broken_branch, found.failures) == (True, "main", 2)
    assert found.broken_since == NOW + 10 + 60
    assert found.success_ratio == pytest.approx(1 / 3)


def test_a_branch_that_succeeded_since_is_not() -> None:
    found = standing_of(failing("a"), build("b", at=10))
    assert (found.broken, found.broken_branch, found.broken_since, found.failures) == (False, "", None, 0)


def test_a_pull_request_that_fails_breaks_no_target() -> None:
    found = target(WEB, build("a"), failing("b", 10, branch="feature/x"))
    assert found.standings.branches["other"].broken
    assert not found.standings.whole.broken


def test_of_several_broken_branches_the_default_one_is_named_then_the_one_that_has_been_broken_longest() -> None:
    found = target(WEB, failing("a", 9), failing("b", 1, "release/1"), failing("c", 2, "release/1"))
    assert (found.standings.whole.broken_branch, found.standings.whole.broken_since) == ("main", NOW + 9 + 60)
    found = target(WEB, build("a"), failing("b", 2, "release/2"), failing("c", 1, "release/1"))
    assert (found.standings.whole.broken_branch, found.standings.whole.failures) == ("release/1", 1)
    assert found.standings.whole.failure == failing("c", 1, "release/1")


def test_a_branch_is_the_default_one_by_the_providers_word_or_as_its_stand_in() -> None:
    history = read(build("a"), build("b", branch="release/1"))
    found = standings(history, statistics(history, RULES)).branches
    assert (found["main"].default, found["release/1"].default) == (True, False)
    told = replace(history, default_branch="release/1")
    found = standings(told, statistics(told, RULES)).branches
    assert (found["main"].default, found["release/1"].default) == (False, True)


def test_a_build_is_stuck_after_an_hour_or_three_times_what_builds_take() -> None:
    assert standing_of(build("a", Outcome.EXECUTING)).stuck_at == NOW + HOUR
    slow = build("a", at=-3 * HOUR, took=2 * HOUR)
    assert standing_of(slow, build("b", Outcome.EXECUTING)).stuck_at == NOW + 6 * HOUR
    assert standing_of(slow).stuck_at == inf


def test_groups_of_opt_in_labels_are_one_branch() -> None:
    rules = replace(RULES, labels=("build_name",))
    found = standing_of(build("a", name="test"), failing("b", 1), rules=rules)
    assert (found.succeeded, found.decided, found.broken) == (1, 2, True)


def test_the_window_is_newest_first_and_each_build_has_its_label() -> None:
    history = read(build("a"), build("b", at=5, branch="feature/x"))
    assert [(one.id, branch_of(history, one)) for one in window_of(history)] == [("b", "other"), ("a", "main")]


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.9, 4.0), (0.0, 1.0), (1.0, 4.0)])
def test_a_quantile_is_one_of_the_values(share: float, value: float) -> None:
    assert quantile([4.0, 1.0, 2.0, 3.0], share) == value
    assert quantile([], share) is None


# Which targets, and in which order


def test_broken_default_branches_come_first_the_longest_before_all_then_stuck_then_unread() -> None:
    things = known(
        target(replace(WEB, name="a-fine"), build("a")),
        target(replace(WEB, name="b-unread"), build("a"), up=False),
        target(replace(WEB, name="c-stuck"), build("a", Outcome.EXECUTING, at=-2 * HOUR)),
        target(replace(WEB, name="d-release"), failing("a", -HOUR, "release/1"), build("b")),
        target(replace(WEB, name="e-broken"), failing("a"), failing("b", 1)),
        target(replace(WEB, name="f-longer"), failing("a", -60)),
    )
    assert shown(things) == ["f-longer", "e-broken", "d-release", "c-stuck", "b-unread", "a-fine"]
    rows = overview(things, View()).rows
    assert [row.state for row in rows] == ["broken", "broken", "broken", "stuck", "unread", "passing"]
    assert shown(things, sort="broken")[:4] == ["d-release", "f-longer", "e-broken", "a-fine"]


def test_a_row_is_about_the_branch_to_look_at_first() -> None:
    release = failing("r", 1, "release/1")
    running = build("x", Outcome.EXECUTING, at=9, branch="feature/x")
    things = known(target(WEB, build("a"), release, build("b", at=2), running))
    (row,) = overview(things, View()).rows
    assert (row.branch, row.state, row.builds, row.standing.failure) == ("release/1", "broken", [release], release)
    others = [(branch, state) for branch, _, state in others_of(row, things.at)]
    assert others == [("main", "passing"), ("other", "running")]
    (row,) = overview(things, View(), whole=True).rows
    assert (row.branch, row.state, len(row.builds)) == ("", "broken", 4)


def test_what_failed_on_other_branches_leads_nowhere() -> None:
    things = known(target(WEB, build("a"), failing("b", 1, "feature/x")))
    (row,) = overview(things, View()).rows
    assert (row.branch, row.state) == ("main", "passing")
    (row,) = overview(things, View(branch="other")).rows
    assert row.state == "quiet"


def test_a_broken_branch_awaits_its_newest_unfinished_build() -> None:
    retry = build("b", Outcome.EXECUTING, at=9)
    (row,) = overview(known(target(WEB, failing("a"), retry)), View()).rows
    assert row.awaited == retry
    (row,) = overview(known(target(WEB, build("a"), retry)), View()).rows
    assert row.awaited is None


def test_a_target_that_was_not_read_yet_is_new_and_one_without_builds_is_quiet() -> None:
    rows = overview(known(target(WEB, up=None), target(API)), View(sort="name")).rows
    assert [(row.known.target.name, row.state) for row in rows] == [("api", "quiet"), ("web", "new")]


def test_targets_are_sorted_by_name_newest_build_and_success() -> None:
    things = known(
        target(WEB, build("a", at=50), failing("b")), target(API, build("a")), target(replace(API, name="x"))
    )
    assert shown(things, sort="name") == ["api", "web", "x"]
    assert shown(things, sort="newest") == ["web", "api", "x"]
    assert shown(things, sort="ratio") == ["web", "api", "x"]


def test_targets_are_sorted_by_how_slow_and_how_fresh_they_are_those_that_are_neither_last() -> None:
    things = known(
        target(WEB, build("a", took=60))._replace(refreshed_at=NOW - 5),
        target(API, build("a", took=90))._replace(refreshed_at=None),
        target(replace(API, name="x"), failing("a")),
    )
    assert shown(things, sort="p90") == ["api", "web", "x"]
    assert shown(things, sort="read") == ["web", "x", "api"]


def test_every_word_of_a_search_must_be_in_the_address() -> None:
    things = known(target(WEB, build("a")), target(API, build("a")))
    assert shown(things, q="SHOP we") == ["web"]
    assert shown(things, q="nf/service/shop/api") == ["api"]
    assert shown(things, q="web api") == []


def test_a_project_is_chosen_with_all_below_it() -> None:
    things = known(*(target(Target("gl", "project", path, path)) for path in ("a/b", "a/b/c", "a/bc", "d")))
    assert shown(things, project="a/b") == ["a/b", "a/b/c"]
    assert choices(things, View()).projects == ["a", "a/b"]


def test_a_branch_is_looked_at_alone() -> None:
    things = known(target(WEB, failing("a"), build("b", at=1, branch="release/1")), target(API, failing("a")))
    (row,) = overview(things, View(branch="release/1")).rows
    assert (row.known.target, row.state, [one.id for one in row.builds]) == (WEB, "passing", ["b"])
    assert choices(things, View()).branches == ["main", "release/1"]


def test_counts_are_of_the_filter_and_states_choose_among_them() -> None:
    things = known(
        target(WEB, failing("a")), target(API, build("a", Outcome.EXECUTING)), target(replace(API, source="gl"))
    )
    seen = overview(things, View(source="nf", state="running"))
    assert seen.counts == {"targets": 2, "broken": 1, "running": 1, "stuck": 0, "flaky": 0, "unread": 0}
    assert [row.known.target for row in seen.rows] == [API]


def test_the_outcome_is_that_of_the_newest_build() -> None:
    things = known(target(WEB, failing("a"), build("b", at=1)), target(API, build("a"), failing("b", 1)))
    assert shown(things, outcome=Outcome.FAILURE) == ["api"]


def test_a_page_beyond_the_last_is_the_last() -> None:
    things = known(*(target(replace(WEB, name=f"web-{place}"), build("a")) for place in range(5)))
    seen = overview(things, View(page=9, per_page=2))
    assert (seen.page, seen.pages, seen.total) == (3, 3, 5)
    assert [row.known.target.name for row in seen.rows] == ["web-4"]


def test_a_row_has_thirty_builds_and_the_latencies_of_all_that_succeeded() -> None:
    builds = [build(f"b{place}", at=place, took=place + 1.0) for place in range(40)]
    (row,) = overview(known(target(WEB, *builds, failing("f", 99))), View()).rows
    assert [one.id for one in row.builds[:2]] == ["f", "b39"]
    assert len(row.builds) == 30
    assert (row.p50, row.p90) == (20.0, 36.0)


# Addresses


def test_a_target_is_found_by_its_address_and_in_older_forms_a_job_by_its_kind() -> None:
    service, job = target(WEB), target(replace(WEB, kind="job"))
    project = target(Target("gl", "project", "a/b", "a/b"))
    things = known(job, service, project)
    for one in (service, job, project):
        assert find(things, one.target.address) is one
    assert find(things, "nf/shop/web") is None
    assert find_earlier(things, "nf/shop/web") is service
    assert find_earlier(things, "nf/shop/web", "job") is job
    assert find_earlier(things, "gl/a/b/a/b") is project
    assert find_earlier(things, "gl/a/b") is project
    assert find_earlier(things, "gl/a") is None


def test_the_page_of_a_failure_is_that_of_the_build_or_of_the_run() -> None:
    path = Target("gl", "project", "shop/web", "shop/web")
    one = target(path, failing("7"), source=GITLAB)
    assert failed_page(one, one.standings.whole) == "https://gitlab.example.com/shop/web/-/jobs/7"
    of_run = replace(one.standings.whole, failure=None, failed_run="12")
    assert failed_page(one, of_run) == "https://gitlab.example.com/shop/web/-/pipelines/12"
    assert failed_page(one, Standing()) is None


@pytest.mark.parametrize(
    ("path", "source", "build_id", "expected"),
    [
        ("shop/web", GITLAB, "7", "https://gitlab.example.com/shop/web/-/jobs/7"),
        (
            "shop/web",
            replace(GITLAB, page_of=GitLab(gitlab("a/b", v3=True)).page_of),
            "7",
            "https://gitlab.example.com/shop/web/builds/7",
        ),
        ("shop/w b", GITLAB, "7", "https://gitlab.example.com/shop/w%20b/-/jobs/7"),
        ("shop/web", GITLAB, "7/../../x", None),
        ("42", GITLAB, "7", None),
        ("shop/web", SOURCE, "7", None),
    ],
)
def test_a_build_has_a_page_where_its_address_is_documented(
    path: str, source: KnownSource, build_id: str, expected: str | None
) -> None:
    assert page_of(target(Target("gl", "project", path, path), source=source), build(build_id)) == expected


def test_a_view_is_the_parameters_that_differ_from_what_it_is_anyway() -> None:
    assert View().parameters() == {}
    assert View(q="web", page=2, outcome=Outcome.FAILURE).parameters() == {
        "q": "web",
        "page": "2",
        "outcome": "failure",
    }
    assert View(q="web", page=2).parameters(page=1, state="broken") == {"q": "web", "state": "broken"}


def test_what_no_view_can_have_is_told_and_for_a_person_left_out() -> None:
    typed = {"page": "-1", "sort": "best", "q": "web"}
    assert set(faults(typed)) == {"page", "sort"}
    assert lenient(typed) == View(q="web")


def test_nothing_older_than_the_window_is_shown() -> None:
    old = [build(f"o{place}", at=-8 * DAY + place) for place in range(3)]
    (row,) = overview(known(target(WEB, *old, build("new"))), View()).rows
    assert [one.id for one in row.builds] == ["new"]
