"""What a look changes in how a target is polled, and which targets are looked at."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from builds import NOW, build, read

from exporter.build import Outcome, Run, Target
from exporter.config.secret import EnvToken
from exporter.errors import BadPayload, Forbidden, NotFound, SourceError, Unreachable
from exporter.history.window import History, Rules, merge
from exporter.polling import changes
from exporter.polling.candidates import CONFIRMED, candidates, looked_at
from exporter.polling.looks import (
    GROWS_AFTER,
    LARGEST,
    LATEST_RETRY,
    OVERLAP,
    SOONEST_RETRY,
    Look,
    Looks,
    after_answer,
    after_refusal,
)
from exporter.polling.polls import Asked, PollChanges, PollTarget
from exporter.polling.results import Times
from exporter.polling.schedule import Candidate
from exporter.polling.state import Budget, Polling, Source, SourceReader, SourceState, TargetState, bucket_of, digest
from exporter.polling.workers import InlinePool
from exporter.providers import Changes, RunChange
from exporter.providers.gitlab import GitLabSource
from exporter.settings.settings import Refresh

REFRESH = Refresh()
WEB, API, DOCS = (Target("gl", "project", f"shop/{n}", f"shop/{n}", str(k)) for k, n in enumerate("abc"))
WRITTEN = Target("gl", "project", "shop/w", "shop/w")
ENDED = RunChange("9", "success", Outcome.SUCCESS, NOW - 600)
RUNS = RunChange("10", "running", Outcome.EXECUTING, NOW)


@pytest.fixture
def source() -> Source:
    """Three projects that were read and listed a minute ago, and one whose number is not known."""
    settings = GitLabSource(
        name="gl", provider="gitlab", url="https://gitlab.example.com", token=EnvToken("TOKEN"), groups=("shop",)
    )
    made = Source(SourceReader(settings, InlinePool()), SourceState(), Budget(bucket_of(settings, NOW)))
    for target in (WEB, API, DOCS, WRITTEN):
        polling = Polling(asked=Asked(NOW - 60), listed_at=NOW - 60)
        made.targets[target] = TargetState(target, polling=polling, digest=digest(read(build("a")), NOW))
    return made


def times(now: float = NOW, chance: float = 0.5) -> Times:
    return Times(now, REFRESH, lambda: chance)


def look(source: Source, target: Target, *runs: RunChange, now: float = NOW, **more: Any) -> bool:
    """Book a look that showed these changes; whether the target is current."""
    shown = Changes(frozenset(runs), **more)
    until = changes.newest(source, [shown], now)
    state = source.targets[target]
    state.polling, current = changes.after_changes(source, state, shown, until, times(now))
    return current


def polling(source: Source, target: Target = WEB) -> Polling:
    return source.targets[target].polling


def possible(source: Source, now: float = NOW) -> dict[object, Candidate]:
    return {candidate.poll: candidate for candidate in candidates(source, REFRESH, now)}


def test_a_target_of_which_nothing_moved_is_as_good_as_read_and_read_itself_within_the_hour(source: Source) -> None:
    assert look(source, WEB, replace_time(ENDED, NOW - 200))
    assert (polling(source).current_at, polling(source).due_at) == (NOW, -inf)
    assert possible(source)[PollTarget(WEB)].longest == CONFIRMED
    assert not possible(source)[PollTarget(WEB)].steady
    assert possible(source)[PollTarget(API)].steady


def replace_time(run: RunChange, at: float) -> RunChange:
    return run._replace(updated_at=at)


def test_the_first_look_takes_for_moved_what_changed_about_when_the_list_was_read_or_later(source: Source) -> None:
    assert not look(source, WEB, replace_time(ENDED, NOW - 60 - OVERLAP))
    assert polling(source).due_at == NOW
    assert look(source, API, replace_time(ENDED, NOW - 60 - OVERLAP - 1))


@pytest.mark.parametrize(
    "run",
    [RUNS, ENDED._replace(status="running"), ENDED._replace(updated_at=NOW - 599), ENDED._replace(id="8")],
)
def test_whatever_differs_from_the_look_before_has_moved(source: Source, run: RunChange) -> None:
    assert look(source, WEB, ENDED)
    assert not look(source, WEB, ENDED, run, now=NOW + 15)
    assert (polling(source).wanted_at, polling(source).due_at, polling(source).unlisted) == (NOW + 15, NOW + 15, True)
    assert not look(source, WEB, ENDED, run, now=NOW + 30)  # it is not read yet


def test_what_is_shown_no_more_has_not_moved(source: Source) -> None:
    look(source, WEB, ENDED)
    assert look(source, WEB, now=NOW + 15)


def test_children_that_changed_are_listed_from_the_earliest_on(source: Source) -> None:
    look(source, WEB, ENDED)
    look(source, WEB, RUNS._replace(child=True, updated_at=NOW + 9), now=NOW + 15)
    look(source, WEB, RUNS._replace(id="11", child=True, updated_at=NOW + 5), now=NOW + 30)
    assert polling(source).child_since == NOW + 5


@pytest.mark.parametrize("shown", [Changes(complete=False), Changes(frozenset({RUNS}))])
def test_a_target_is_covered_only_where_all_is_shown_and_nothing_runs(source: Source, shown: Changes) -> None:
    state = source.targets[WEB]
    state.polling = replace(state.polling, look=Look(shown, NOW, NOW), current_at=NOW)
    assert not state.covered
    assert possible(source)[PollTarget(WEB)].steady


def test_a_target_with_a_run_under_way_is_not_covered_though_no_look_shows_it_any_more(source: Source) -> None:
    waiting = build("a", Outcome.WAITING, run="10")
    run = Run("10", "running", Outcome.EXECUTING, NOW - 3000, NOW - 2900)
    history = merge(History(), [(waiting, NOW)], Rules(), NOW, runs=[(run, NOW)])
    source.targets[WEB].digest = digest(history, NOW)
    assert not look(source, WEB)
    assert not source.targets[WEB].covered


def test_a_target_that_failed_is_not_covered(source: Source) -> None:
    source.targets[WEB].polling = replace(polling(source), asked=Asked(NOW - 60, failures=1))
    assert not look(source, WEB)
    assert possible(source)[PollTarget(WEB)].steady


def test_an_answer_without_the_target_leaves_it_to_be_polled_by_itself(source: Source) -> None:
    look(source, WEB)
    source.targets[WEB].polling = changes.after_absence(polling(source))
    candidate = possible(source)[PollTarget(WEB)]
    assert (candidate.steady, candidate.asked_at) == (True, NOW)


def test_a_look_counts_as_a_read_until_looks_fail(source: Source) -> None:
    look(source, WEB)
    assert not possible(source, NOW + 600)[PollTarget(WEB)].steady
    changes.apart(source, times(NOW + 600, chance=0.0), refused=False)
    alone = possible(source, NOW + 600)[PollTarget(WEB)]
    assert (alone.steady, alone.asked_at, alone.longest) == (True, NOW, REFRESH.idle_ttl)
    assert look(source, WEB, now=NOW + 615)
    assert not possible(source, NOW + 615)[PollTarget(WEB)].steady


def test_changes_are_asked_for_since_the_newest_that_was_shown_by_the_servers_clock(source: Source) -> None:
    source.state.skew = 600.0
    some = looked_at(source, NOW)
    assert changes.since(source, some, NOW) == NOW - 60 - 600 - OVERLAP
    for target in (WEB, API, DOCS):
        look(source, target, replace_time(RUNS, NOW - 610))
    assert changes.since(source, some, NOW + 15) == NOW - 610 - OVERLAP
    look(source, WEB, replace_time(RUNS, NOW + 86400), now=NOW + 15)  # a time that cannot be
    assert changes.known_until(source, source.targets[WEB]) == NOW + 15 - 600


def test_those_that_were_left_out_are_looked_at_first_and_those_that_deliver_not_at_all(source: Source) -> None:
    assert {state.target for state in looked_at(source, NOW)} == {WEB, API, DOCS}
    look(source, WEB)
    look(source, API, now=NOW - 15)
    assert [state.target for state in looked_at(source, NOW)] == [DOCS, API, WEB]
    source.state.webhook.heard_at = NOW
    source.targets[API].polling = replace(polling(source, API), announced=True)
    assert [state.target for state in looked_at(source, NOW)] == [DOCS, WEB]


def test_a_look_is_one_poll_of_as_many_requests_as_it_takes(source: Source) -> None:
    assert possible(source)[PollChanges("gl")].cost == 1
    source.state.looks = replace(source.state.looks, size=2, grows_at=NOW + 1)
    assert possible(source)[PollChanges("gl")].cost == 2
    source.state.looks = replace(source.state.looks, retry_at=NOW + 1)
    assert PollChanges("gl") not in possible(source)


def test_a_server_that_failed_is_asked_for_half_as_many_and_then_for_a_while_for_none() -> None:
    failed = Unreachable("no answer")
    looks = after_refusal(Looks(), failed, 100, NOW)
    assert (looks.size_at(NOW), looks.size_at(NOW + GROWS_AFTER), looks.retry_at) == (50, LARGEST, 0.0)
    looks = after_refusal(after_refusal(looks, failed, 50, NOW), failed, 25, NOW)
    assert looks.size_at(NOW) == 12
    looks = after_refusal(looks, failed, 12, NOW)
    assert (looks.retry_at, looks.refusals) == (NOW + SOONEST_RETRY, 1)
    for _ in range(20):
        looks = after_refusal(looks, failed, 12, NOW)
    assert looks.retry_at == NOW + LATEST_RETRY
    assert after_answer(looks, NOW, NOW + 4).refusals == 0
    assert after_answer(looks, NOW, NOW + 4).asked == Asked(NOW, not_before=NOW + 8)


@pytest.mark.parametrize(
    ("error", "until"),
    [(NotFound("x"), LATEST_RETRY), (Forbidden("x"), LATEST_RETRY), (BadPayload("x"), 0.0 - NOW)],
)
def test_a_server_without_such_a_request_is_not_asked_for_half_as_many(error: SourceError, until: float) -> None:
    assert after_refusal(Looks(), error, 100, NOW).retry_at == NOW + until


def test_targets_that_are_looked_at_no_more_are_spread_over_the_longest_pause(source: Source) -> None:
    chances = iter([0.0, 0.25, 0.75, 1.0])
    for target in (WEB, API, DOCS):
        look(source, target)
    changes.apart(source, Times(NOW, REFRESH, lambda: next(chances)), refused=True)
    polled = [possible(source)[PollTarget(target)] for target in (WEB, API, DOCS)]
    assert [NOW - one.asked_at for one in polled] == [0.0, 60.0, 60.0]  # their last read, where that was later
    assert all(state.polling.look is None for state in source.targets.values())
