"""What is asked, and when: from how a target builds to the polls that a budget reaches."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from builds import DAY, NOW, build, read
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Outcome, Target
from exporter.history.window import History
from exporter.polling.polls import PollTarget
from exporter.polling.rate_limit import Allowance, TokenBucket, refilled
from exporter.polling.schedule import (
    BURST,
    FIRST_READ,
    LONGEST_PAUSE,
    PRIOR,
    QUIET,
    SOONEST,
    USUAL,
    Candidate,
    Pulse,
    accrued,
    free,
    overdue,
    plan,
    pledged,
    pulse,
    requests_a_second,
    retry_at,
    settled,
)

TTL, IDLE = 30.0, 300.0
UNBOUNDED = TokenBucket(at=NOW)
FULL = TokenBucket(per_second=0.1, fullness=0.5, cost=10.0, at=NOW)
"""A request is worth ten seconds of delay."""


def target(number: int) -> Target:
    return Target("nf", "service", "shop", f"service-{number}")


def candidate(number: int = 0, *, ago: float = 60.0, **more: Any) -> Candidate:
    """One that was asked so many seconds ago, and is worth nothing."""
    known = Candidate(PollTarget(target(number)), TTL, IDLE, asked_at=NOW - ago, stirred_at=NOW)
    return replace(known, **more)


def never(number: int = 0, **more: Any) -> Candidate:
    return candidate(number, ago=inf, **more)


def numbers(candidates: Sequence[Candidate]) -> list[int]:
    return [
        int(asked.poll.target.name.rpartition("-")[2]) for asked in candidates if isinstance(asked.poll, PollTarget)
    ]


# How a target builds


def test_a_target_of_which_nothing_is_known_has_the_prior_alone() -> None:
    known = pulse(History(), NOW)
    assert (known.burst, known.day, known.unfinished, known.durations, known.usual) == (0, 0, (), (), USUAL)
    assert 0 < accrued(known, NOW - 3600, NOW) <= PRIOR * 3600**2 / 2


def test_the_pulse_of_a_target_tells_its_runs_its_unfinished_builds_and_what_the_others_took() -> None:
    history = read(
        build("old", at=-600, took=100),
        build("quick", at=-500, took=20),
        build("slow", at=-400, took=300),
        build("usual", at=-300, took=60),
        build("now", Outcome.EXECUTING, at=-10),
        build("asleep", Outcome.WAITING, at=-5),
    )
    known = pulse(history, NOW)
    assert list(known.unfinished) == [NOW - 10]
    assert list(known.durations) == [20, 60, 100, 300]
    assert known.usual == 60
    assert (known.at, known.stirred_at) == (NOW, NOW)


def test_where_nothing_runs_only_the_usual_time_is_kept() -> None:
    known = pulse(read(build("a", took=40), build("b", at=1, took=50)), NOW)
    assert (known.durations, known.usual) == ((), 40)


def test_a_run_of_many_builds_is_one_arrival() -> None:
    jobs = [build(f"job-{place}", run="pipeline", at=-100 + place) for place in range(12)]
    assert pulse(read(*jobs), NOW).burst == pytest.approx(pulse(read(build("one", at=-100)), NOW).burst)


def test_a_build_of_the_future_counts_as_one_of_now() -> None:
    assert pulse(read(build("a", at=3600)), NOW).burst == pulse(read(build("a")), NOW).burst


def test_builds_of_the_last_minutes_make_more_haste_than_those_of_yesterday() -> None:
    fresh, stale = (pulse(read(*(build(f"b{n}", at=-ago) for n in range(5))), NOW) for ago in (60, DAY))
    nothing = pulse(History(), NOW)
    rates = [accrued(known, NOW - 300, NOW) for known in (fresh, stale, nothing)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3


def test_haste_wears_off() -> None:
    known = pulse(read(*(build(f"b{n}", at=-60) for n in range(5))), NOW)
    assert accrued(known, NOW + 3600, NOW + 3900) < accrued(known, NOW, NOW + 300)


# The delay that has accrued


def test_nothing_has_accrued_at_the_moment_of_asking() -> None:
    known = pulse(read(build("a"), build("b", Outcome.EXECUTING)), NOW)
    assert accrued(known, NOW, NOW) == 0


def test_what_was_never_asked_comes_before_all() -> None:
    assert accrued(Pulse(), -inf, NOW) == inf
    assert accrued(pulse(read(build("b", Outcome.EXECUTING)), NOW), -inf, NOW) == inf


def test_a_build_that_runs_as_long_as_the_earlier_ones_did_must_be_expected_to_have_ended() -> None:
    assert overdue((100.0,) * 9, 10.0, 90.0) < 10
    assert overdue((100.0,) * 9, 10.0, 200.0) > 90


def test_a_build_that_has_outrun_all_others_is_expected_to_go_on_about_as_long_again() -> None:
    short, long = overdue((10.0,), 100.0, 160.0), overdue((10.0,), 1000.0, 1060.0)
    assert 0 < long < short < 60


def test_where_no_build_has_ended_yet_the_usual_time_is_expected() -> None:
    assert overdue((), 1.0, 61.0) == pytest.approx(overdue((), 1000.0, 1060.0))
    assert 0 < overdue((), 0.0, SOONEST) < SOONEST / 2


def test_a_build_that_began_after_the_asking_is_overdue_by_no_more_than_its_age() -> None:
    assert overdue((1.0, 2.0), -50.0, 10.0) <= 10


ages = st.floats(0, 7200)


@given(
    durations=st.lists(st.floats(0.0, 20_000), max_size=12).map(sorted),
    running=st.lists(st.floats(-3600, 100), max_size=3),
    ended=st.lists(st.floats(-DAY, 0), max_size=6),
    asked=ages,
    waits=st.lists(st.floats(0, 2 * BURST), min_size=2, max_size=6).map(sorted),
)
def test_the_delay_that_has_accrued_grows_with_time_until_a_burst_is_forgotten(
    durations: list[float], running: list[float], ended: list[float], asked: float, waits: list[float]
) -> None:
    builds = [build(f"e{place}", at=at) for place, at in enumerate(ended)]
    known = pulse(read(*builds), NOW) if builds else Pulse(at=NOW)
    known = replace(known, unfinished=tuple(NOW + at for at in running), durations=tuple(durations))
    grown = [accrued(known, NOW + asked, NOW + asked + wait) for wait in waits]
    for shorter, longer in pairwise(grown):
        assert 0 <= shorter <= longer * (1 + 1e-9) + 1e-6
    assert grown[-1] < inf


@given(
    durations=st.lists(st.floats(0.0, 20_000), max_size=12).map(sorted),
    before=st.floats(-1e4, 1e5),
    wait=st.floats(0, 1e5),
)
def test_no_build_is_overdue_for_longer_than_nobody_has_asked(
    durations: list[float], before: float, wait: float
) -> None:
    late = overdue(durations, before, before + wait)
    assert -1e-6 <= late <= wait * (1 + 1e-9) + 1e-6 or before < 0


def test_a_build_of_the_far_future_is_expected_to_have_ended_for_no_time_at_all() -> None:
    assert accrued(pulse(read(build("b", Outcome.EXECUTING, at=1e9)), NOW), NOW, NOW + 60) < 1


# The plan


def test_what_was_never_asked_comes_first_then_what_is_forced_then_what_is_worth_it() -> None:
    worth = candidate(1, accrued=50.0)
    forced = candidate(2, forced_at=NOW - 1)
    assert numbers(plan([worth, forced, never(3)], FULL, NOW)) == [3, 2, 1]
    assert numbers(plan([worth, forced, never(3)], UNBOUNDED, NOW)) == [3, 2, 1]


def test_the_most_pressing_come_first() -> None:
    waiting = [candidate(1, accrued=20.0), candidate(2, accrued=40.0), candidate(3, accrued=30.0)]
    assert numbers(plan(waiting, FULL, NOW)) == [2, 3, 1]
    forced = [candidate(1, forced_at=NOW - 1), candidate(2, forced_at=NOW - 3), candidate(3, forced_at=NOW)]
    assert numbers(plan(forced, FULL, NOW)) == [2, 1, 3]


def test_a_question_is_asked_once_its_delay_is_worth_the_price() -> None:
    assert plan([candidate(accrued=9.9)], FULL, NOW) == []
    assert len(plan([candidate(accrued=10.0)], FULL, NOW)) == 1


def test_where_the_bucket_is_low_a_request_must_be_worth_more() -> None:
    asked = candidate(accrued=11.0)
    assert len(plan([asked], replace(FULL, fullness=0.5), NOW)) == 1
    assert plan([asked], replace(FULL, fullness=0.1), NOW) == []
    assert len(plan([replace(asked, accrued=9.0)], replace(FULL, fullness=1.0), NOW)) == 1


def test_nothing_is_asked_again_within_its_shortest_pause_but_what_is_forced() -> None:
    assert plan([candidate(ago=TTL - 5, accrued=1e9)], FULL, NOW) == []
    assert plan([candidate(ago=TTL - 5)], UNBOUNDED, NOW) == []
    assert len(plan([candidate(ago=TTL - 5, forced_at=NOW)], FULL, NOW)) == 1


@pytest.mark.parametrize("budget", [FULL, UNBOUNDED])
def test_nothing_waits_for_longer_than_its_longest_pause(budget: TokenBucket) -> None:
    still = candidate(ago=IDLE, stirred_at=-inf)
    assert len(plan([still], budget, NOW)) == 1
    assert plan([replace(still, asked_at=NOW - IDLE + 5)], budget, NOW) == []


def test_without_a_limit_a_question_is_asked_the_sooner_the_later_something_stirred() -> None:
    for still_for, pause in ((0.0, TTL), (QUIET * 100, 100.0), (DAY, IDLE)):
        asked = candidate(stirred_at=NOW - still_for)
        assert plan([replace(asked, asked_at=NOW - pause + 5)], UNBOUNDED, NOW) == [], still_for
        assert len(plan([replace(asked, asked_at=NOW - pause)], UNBOUNDED, NOW)) == 1, still_for


def test_what_is_not_steady_waits_until_it_is_forced() -> None:
    idle = candidate(ago=DAY, accrued=1e9, steady=False)
    for budget in (FULL, UNBOUNDED):
        assert plan([idle, replace(idle, forced_at=NOW + 1)], budget, NOW) == []
        assert len(plan([replace(idle, forced_at=NOW)], budget, NOW)) == 1


def test_what_failed_waits_whatever_it_is() -> None:
    failed = [never(1), candidate(2, forced_at=NOW - 5), candidate(3, accrued=1e9)]
    for budget in (FULL, UNBOUNDED):
        assert plan([replace(one, not_before=NOW + 1) for one in failed], budget, NOW) == []
        assert len(plan([replace(one, not_before=NOW) for one in failed], budget, NOW)) == 3


def test_a_source_that_rests_is_asked_nothing() -> None:
    everything = [never(1), candidate(2, forced_at=NOW - 5), candidate(3, accrued=1e9)]
    for budget in (FULL, UNBOUNDED):
        assert plan(everything, replace(budget, resting_until=NOW + 1), NOW) == []
        assert len(plan(everything, replace(budget, resting_until=NOW), NOW)) == 3


def test_no_more_is_asked_than_there_is_in_the_bucket() -> None:
    pressing = [candidate(n, forced_at=NOW) for n in range(5)] + [candidate(n, accrued=99.0) for n in range(5, 10)]
    assert numbers(plan(pressing, replace(FULL, level=7.9), NOW)) == [0, 1, 2, 3, 4, 5, 6]
    assert plan(pressing, replace(FULL, level=0.9), NOW) == []
    assert plan(pressing, replace(FULL, level=-3.0), NOW) == []


def test_first_reads_are_paid_from_what_the_server_says_is_left() -> None:
    news = [never(n) for n in range(100)]
    told = replace(FULL, level=0.0, allowance=Allowance(1000, 400, NOW + 600))
    assert len(plan(news, told, NOW)) == 200 / FIRST_READ
    assert len(plan(news, replace(told, pledged=150), NOW)) == 50 / FIRST_READ
    assert len(plan(news, replace(told, allowance=Allowance()), NOW)) == 100


def test_where_little_is_left_first_reads_are_paid_from_the_bucket_and_what_is_known_is_read_on() -> None:
    told = replace(FULL, level=60.0, allowance=Allowance(1000, 100, NOW + 600))
    asked = plan([*(never(n) for n in range(100)), *(candidate(n, accrued=99.0) for n in range(100, 200))], told, NOW)
    assert [one.first for one in asked].count(True) == 60 / FIRST_READ
    assert [one.first for one in asked].count(False) == 30
    assert plan([never()], replace(told, level=FIRST_READ - 1), NOW) == []
    assert plan([never()], replace(told, level=-50.0), NOW) == []


def test_a_first_read_has_a_purse_of_its_own_while_that_lasts_and_gives_back_what_it_was_promised() -> None:
    told = replace(FULL, allowance=Allowance(1000, 201, NOW + 600))
    assert free(never(), told, NOW)
    assert not free(candidate(), told, NOW)
    promised = pledged(told, free=True)
    assert (promised.pledged, promised.level) == (FIRST_READ, told.level)
    assert not free(never(), promised, NOW)
    for requests in (0, 1, 25):
        assert settled(promised, requests, free=True) == told


@pytest.mark.parametrize("requests", [0, 1, 2, 25])
def test_any_other_read_costs_what_it_took(requests: int) -> None:
    after = settled(pledged(FULL, free=False), requests, free=False)
    assert (after.level, after.pledged) == (FULL.level - requests, 0)


kinds = st.builds(
    candidate,
    st.integers(0, 1000),
    ago=st.one_of(st.just(inf), st.floats(0, 1000)),
    accrued=st.floats(0, 1e5),
    steady=st.booleans(),
    stirred_at=st.floats(NOW - DAY, NOW),
    forced_at=st.one_of(st.none(), st.floats(NOW - 100, NOW + 100)),
    not_before=st.one_of(st.just(-inf), st.floats(NOW - 100, NOW + 100)),
)


@given(
    candidates=st.lists(kinds, max_size=30, unique_by=lambda one: one.poll),
    level=st.floats(-20, 80),
    remaining=st.one_of(st.none(), st.floats(0, 1200)),
    cost=st.floats(0.01, 10_000),
)
def test_the_plan_asks_no_more_than_the_level_allows_and_nothing_before_its_time(
    candidates: list[Candidate], level: float, remaining: float | None, cost: float
) -> None:
    budget = TokenBucket(allowance=Allowance(1000, remaining, NOW + 60), level=level, cost=cost, at=NOW)
    asked = plan(candidates, budget, NOW)
    assert len({one.poll for one in asked}) == len(asked)
    assert all(one.not_before <= NOW for one in asked)
    assert sum(not one.first for one in asked) <= max(0, level)
    for one in asked:
        forced = one.forced_at is not None and one.forced_at <= NOW
        assert one.first or forced or (one.steady and NOW - one.asked_at >= one.shortest - 1)
    spent = budget
    for one in asked:
        spent = pledged(spent, free=free(one, spent, NOW))
    if remaining is not None and asked:
        assert spent.pledged <= max(0.0, remaining - 200) + FIRST_READ


@given(candidates=st.lists(kinds, max_size=20, unique_by=lambda one: one.poll))
def test_without_a_limit_nothing_that_is_ready_waits_past_its_longest_pause(candidates: list[Candidate]) -> None:
    asked = {one.poll for one in plan(candidates, UNBOUNDED, NOW)}
    late = {
        one.poll for one in candidates if one.steady and one.not_before <= NOW - 0 and NOW - one.asked_at >= one.longest
    }
    assert late <= asked


# What it comes to


def test_what_is_foretold_is_the_rate_at_most() -> None:
    many = [candidate(n) for n in range(100)]
    assert requests_a_second(many, FULL, NOW) == pytest.approx(0.1)
    assert requests_a_second(many[:1], FULL, NOW) == pytest.approx(1 / TTL)
    assert requests_a_second([candidate(steady=False)], FULL, NOW) == 0


def test_without_a_limit_what_is_foretold_follows_what_stirs() -> None:
    moving, still = candidate(stirred_at=NOW), candidate(stirred_at=NOW - DAY)
    between = candidate(stirred_at=NOW - QUIET * 100)
    assert requests_a_second([moving, still, between], UNBOUNDED, NOW) == pytest.approx(1 / TTL + 1 / IDLE + 1 / 100)


def test_what_fails_is_asked_after_a_pause_that_doubles_up_to_ten_minutes() -> None:
    pauses = [retry_at(failures, NOW, TTL, 0.0) - NOW for failures in range(1, 8)]
    assert pauses == [30, 60, 120, 240, 480, LONGEST_PAUSE, LONGEST_PAUSE]
    assert retry_at(10**6, NOW, TTL, 0.0) == NOW + LONGEST_PAUSE
    assert retry_at(1, NOW, TTL, 1.0) == NOW + TTL * 0.75


def test_over_a_day_the_price_finds_the_rate_and_then_the_bucket_never_runs_dry() -> None:
    """Fifty targets, each worth a little more every second, and an allowance for a hundredth of a request a second."""
    budget = TokenBucket(per_second=0.05, at=NOW)
    asked_at, asked, dry = dict.fromkeys(range(50), NOW), 0, 0
    for step in range(int(DAY / 15)):
        now = NOW + step * 15.0
        budget = refilled(budget, now)
        known = [
            Candidate(PollTarget(target(n)), TTL, 1e9, asked_at=at, accrued=(now - at) ** 2 / 2000)
            for n, at in asked_at.items()
        ]
        for one in plan(known, budget, now):
            asked_at[numbers([one])[0]] = now
            budget = settled(pledged(budget, free=False), 1, free=False)
            asked += 1
        dry += step > DAY / 60 and budget.level < 1
    assert asked == pytest.approx(0.05 * DAY, rel=0.05)
    assert dry == 0
