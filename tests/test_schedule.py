"""What is asked now, of what is due: as far as the budget reaches, and whom it leaves something."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from builds import NOW
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Target
from exporter.polling.polls import PollTarget
from exporter.polling.rate_limit import Allowance, TokenBucket
from exporter.polling.schedule import (
    FIRST_READ,
    KEPT,
    LONGEST_PAUSE,
    Candidate,
    Ready,
    free,
    is_forced,
    plan,
    pledged,
    retry_at,
    settled,
)

TTL, IDLE = 30.0, 300.0
FULL = TokenBucket(per_second=0.1, at=NOW)


def candidate(number: int = 0, *, ago: float = 60.0, **more: Any) -> Candidate:
    """One that was asked so many seconds ago."""
    target = Target("nf", "service", "shop", f"service-{number}")
    return replace(Candidate(PollTarget(target), TTL, IDLE, asked_at=NOW - ago), **more)


def ready(number: int = 0, *, late: float = 1.0, overdue: bool = False, **more: Any) -> Ready:
    """One that is due."""
    return Ready(candidate(number, **more), late, overdue)


def never(number: int = 0, **more: Any) -> Ready:
    """One that was never asked."""
    return ready(number, ago=inf, **more)


def numbers(candidates: Sequence[Candidate]) -> list[int]:
    return [
        int(asked.poll.target.name.rpartition("-")[2]) for asked in candidates if isinstance(asked.poll, PollTarget)
    ]


def test_what_was_never_asked_comes_first_then_what_is_forced_then_the_rest() -> None:
    forced = ready(2, forced_at=NOW - 1)
    assert numbers(plan([ready(1), forced, never(3)], FULL, NOW)) == [3, 2, 1]


def test_those_come_first_that_have_waited_for_longest_compared_with_what_is_worth_it() -> None:
    assert numbers(plan([ready(1, late=2), ready(2, late=4), ready(3, late=3)], FULL, NOW)) == [2, 3, 1]
    forced = [ready(1, forced_at=NOW - 1), ready(2, forced_at=NOW - 3), ready(3, forced_at=NOW)]
    assert numbers(plan(forced, FULL, NOW)) == [2, 1, 3]


def test_and_before_them_those_that_have_waited_for_their_longest_pause() -> None:
    assert numbers(plan([ready(1, late=9), ready(2, overdue=True), ready(3, late=8)], FULL, NOW)) == [2, 1, 3]


def test_what_failed_waits_whatever_it_is() -> None:
    failed = [never(1), ready(2, forced_at=NOW - 5), ready(3)]
    later = [one._replace(candidate=replace(one.candidate, not_before=NOW + 1)) for one in failed]
    assert plan(later, FULL, NOW) == []
    assert len(plan(failed, FULL, NOW)) == 3


def test_a_source_that_rests_is_asked_nothing() -> None:
    everything = [never(1), ready(2, forced_at=NOW - 5), ready(3)]
    assert plan(everything, replace(FULL, resting_until=NOW + 1), NOW) == []
    assert len(plan(everything, replace(FULL, resting_until=NOW), NOW)) == 3


def test_no_more_is_asked_than_there_is_in_the_bucket() -> None:
    pressing = [ready(n, forced_at=NOW) for n in range(5)] + [ready(n) for n in range(5, 10)]
    assert len(plan(pressing, replace(FULL, level=7.9), NOW)) == 7
    assert plan(pressing, replace(FULL, level=0.9), NOW) == []
    assert plan(pressing, replace(FULL, level=-3.0), NOW) == []


def test_forced_reads_leave_a_part_of_the_bucket_to_what_is_due_beside_them() -> None:
    forced = [ready(n, forced_at=NOW) for n in range(100)]
    alone = plan(forced, replace(FULL, level=40.0), NOW)
    beside = plan([*forced, *(ready(n) for n in range(100, 200))], replace(FULL, level=40.0), NOW)
    assert len(alone) == len(beside) == 40
    assert sum(is_forced(one, NOW) for one in beside) == 40 - KEPT * 60
    assert not any(is_forced(one, NOW) for one in plan([*forced, *(ready(n) for n in range(100, 200))], FULL, NOW)[45:])


def test_first_reads_are_paid_from_what_the_server_says_is_left() -> None:
    news = [never(n) for n in range(100)]
    told = replace(FULL, level=0.0, allowance=Allowance(1000, 400, NOW + 600))
    assert len(plan(news, told, NOW)) == 200 / FIRST_READ
    assert len(plan(news, replace(told, pledged=150), NOW)) == 50 / FIRST_READ
    assert len(plan(news, replace(told, allowance=Allowance()), NOW)) == 100


def test_where_little_is_left_first_reads_are_paid_from_the_bucket_and_what_is_known_is_read_on() -> None:
    told = replace(FULL, level=60.0, allowance=Allowance(1000, 100, NOW + 600))
    asked = plan([*(never(n) for n in range(100)), *(ready(n) for n in range(100, 200))], told, NOW)
    assert [one.first for one in asked].count(True) == 60 / FIRST_READ
    assert [one.first for one in asked].count(False) == 30
    assert plan([never()], replace(told, level=FIRST_READ - 1), NOW) == []
    assert plan([never()], replace(told, level=-50.0), NOW) == []


def test_a_first_read_has_a_purse_of_its_own_while_that_lasts_and_gives_back_what_it_was_promised() -> None:
    told = replace(FULL, allowance=Allowance(1000, 201, NOW + 600))
    assert free(never().candidate, told, NOW)
    assert not free(candidate(), told, NOW)
    promised = pledged(told, free=True)
    assert (promised.pledged, promised.level) == (FIRST_READ, told.level)
    assert not free(never().candidate, promised, NOW)
    for requests in (0, 1, 25):
        assert settled(promised, requests, free=True) == told


@pytest.mark.parametrize("requests", [0, 1, 2, 25])
def test_any_other_read_costs_what_it_took(requests: int) -> None:
    after = settled(pledged(FULL, free=False), requests, free=False)
    assert (after.level, after.pledged) == (FULL.level - requests, 0)


def test_what_forced_reads_took_is_remembered() -> None:
    after = settled(pledged(FULL, free=False), 6, free=False, forced=True)
    assert after.level == FULL.level - 6
    assert after.forced == pytest.approx(6 / 600)


kinds = st.builds(
    ready,
    st.integers(0, 1000),
    ago=st.one_of(st.just(inf), st.floats(0, 1000)),
    late=st.floats(1, 1e5),
    overdue=st.booleans(),
    forced_at=st.one_of(st.none(), st.floats(NOW - 100, NOW + 100)),
    not_before=st.one_of(st.just(-inf), st.floats(NOW - 100, NOW + 100)),
)


@given(
    known=st.lists(kinds, max_size=80, unique_by=lambda one: one.candidate.poll),
    level=st.floats(-20, 80),
    remaining=st.one_of(st.none(), st.floats(0, 1200)),
)
def test_the_plan_asks_no_more_than_the_level_allows_and_nothing_before_its_time(
    known: list[Ready], level: float, remaining: float | None
) -> None:
    budget = TokenBucket(allowance=Allowance(1000, remaining, NOW + 60), level=level, at=NOW)
    asked = plan(known, budget, NOW)
    assert len({one.poll for one in asked}) == len(asked)
    assert all(one.not_before <= NOW for one in asked)
    assert sum(not one.first for one in asked) <= max(0, level)
    spent = budget
    for one in asked:
        spent = pledged(spent, free=free(one, spent, NOW))
    if remaining is not None and asked:
        assert spent.pledged <= max(0.0, remaining - 200) + FIRST_READ


def test_what_fails_is_asked_after_a_pause_that_doubles_up_to_ten_minutes() -> None:
    pauses = [retry_at(failures, NOW, TTL, 0.0) - NOW for failures in range(1, 8)]
    assert pauses == [30, 60, 120, 240, 480, LONGEST_PAUSE, LONGEST_PAUSE]
    assert retry_at(10**6, NOW, TTL, 0.0) == NOW + LONGEST_PAUSE
    assert retry_at(1, NOW, TTL, 1.0) == NOW + TTL * 0.75
