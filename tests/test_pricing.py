"""What a request is worth, and when each candidate is due."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf
from random import Random
from typing import Any

import pytest
from builds import DAY, NOW
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Target
from exporter.polling.due import SELDOMEST, DueQueue
from exporter.polling.hazard import Pulse
from exporter.polling.polls import PollTarget
from exporter.polling.pricing import ROOM, Demand, Price, followed, longest_pause, pause, solve
from exporter.polling.rate_limit import Allowance, TokenBucket, refilled
from exporter.polling.schedule import Candidate, plan, pledged, settled

TTL, IDLE = 30.0, 300.0


def candidate(number: int = 0, per_hour: float = 1.0, *, ago: float = 0.0, **more: Any) -> Candidate:
    """A target with so many builds an hour."""
    target = Target("nf", "job", "shop", f"job-{number}")
    known = Pulse(at=NOW, day=per_hour / 3600, usual=60.0)
    return replace(Candidate(PollTarget(target), TTL, IDLE, asked_at=NOW - ago, pulses=(known,)), **more)


def confirming(number: int, **more: Any) -> Candidate:
    return candidate(number, steady=False, pulses=(), longest=3600.0, slack=24.0, **more)


def many(number: int = 50) -> list[Candidate]:
    """Candidates of which each builds a little more than the one before."""
    return [candidate(n, 0.05 * n) for n in range(number)]


def rates(candidates: Sequence[Candidate], price: Price) -> float:
    return sum(one.cost / pause(one, price, NOW) for one in candidates)


# The price


def test_where_there_is_room_for_all_each_is_asked_after_its_shortest_pause() -> None:
    price = solve(many(), 100.0, 100.0, NOW)
    assert (price.worth, price.stretch) == (0, 1)
    assert {pause(one, price, NOW) for one in many()} == {TTL}


@given(available=st.floats(0.2, 1.6), costs=st.lists(st.floats(0.5, 4), min_size=50, max_size=50))
def test_the_price_is_such_that_what_is_asked_takes_what_may_be_spent(available: float, costs: list[float]) -> None:
    known = [replace(one, cost=cost) for one, cost in zip(many(), costs, strict=True)]
    price = solve(known, available, 100.0, NOW)
    low, high = (sum(one.cost for one in known) / seconds for seconds in (IDLE, TTL))
    wanted = min(high, max(low, available))
    assert rates(known, price) == pytest.approx(wanted, rel=0.1)
    assert Demand(known, price, NOW).at(price.worth) == pytest.approx(wanted, rel=0.01)


def test_more_is_asked_of_those_that_build_more() -> None:
    price = solve(many(), 0.5, 0.5, NOW)
    pauses = [pause(one, price, NOW) for one in many()]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] < pauses[0] / 3


def test_what_runs_is_asked_when_it_is_expected_to_end() -> None:
    running = candidate(1, pulses=(Pulse(NOW, unfinished=(NOW,), durations=(100.0,) * 9, usual=100.0),))
    price = solve([*many(), running], 0.2, 0.2, NOW)
    assert 100 <= pause(running, price, NOW) <= 180
    assert pause(replace(running, pulses=()), replace(price, worth=50.0), NOW) == IDLE


def test_those_with_slack_are_stretched_first_and_others_only_if_that_is_not_enough() -> None:
    known = [*many(), *(confirming(n) for n in range(1000, 1300))]
    assert solve(known, 1.0, 1.0, NOW) == replace(solve(known, 1.0, 1.0, NOW), given=0.0, stretch=1.0)
    tight = solve(known, 0.4, 0.4, NOW)
    assert 0 < tight.given < 1
    assert tight.stretch == 1
    assert sum(1 / longest_pause(one, tight) for one in known) == pytest.approx(ROOM * 0.4, rel=0.01)


@given(share=st.floats(0.05, 1.0), number=st.integers(2, 200))
def test_where_longest_pauses_cannot_be_kept_nobody_waits_for_more_than_one_and_a_half_times_an_even_split(
    share: float, number: int
) -> None:
    known = [candidate(n, 0.02 * n**1.5) for n in range(number)]
    usual = share * number / IDLE
    price = solve(known, usual, usual, NOW)
    even = number / usual
    assert max(longest_pause(one, price) for one in known) <= 1.5 * even
    assert rates(known, price) == pytest.approx(usual, rel=0.1)


def test_just_where_longest_pauses_can_be_kept_they_are() -> None:
    assert solve(many(), 50 / IDLE, 50 / IDLE, NOW).stretch == pytest.approx(1.0)


def test_the_worth_moves_towards_the_one_that_is_right_and_begins_with_it() -> None:
    dear = Price(worth=1000.0)
    begun = followed(Price(), dear, inf, 0.5)
    assert begun.worth == begun.average == 1000
    near, far = (followed(begun, Price(worth=worth), 60.0, 0.5).worth for worth in (500.0, 10.0))
    assert 900 < near < 1000
    assert 10 < far < 100
    assert followed(begun, Price(worth=500.0), 7200.0, 0.5).worth == pytest.approx(500.0, rel=0.01)


def test_a_request_must_be_worth_more_the_emptier_the_bucket() -> None:
    worths = [followed(Price(), Price(worth=10.0), inf, full).worth for full in (0.0, 0.5, 1.0)]
    assert worths == sorted(worths, reverse=True)
    assert worths[1] == pytest.approx(10.0)


# The queue


def test_over_a_day_what_is_spent_is_the_rate_and_the_bucket_never_runs_dry() -> None:
    """Fifty targets, and an allowance for a twentieth of a request a second."""
    budget, queue = TokenBucket(per_second=0.05, at=NOW), DueQueue(NOW, lambda: 0.0)
    known = {one.poll: replace(one, longest=1e6) for one in many()}
    for one in known.values():
        queue.put(one, NOW)
    asked = dry = 0
    for step in range(int(DAY / 15)):
        now = NOW + step * 15.0
        budget = refilled(budget, now)
        if queue.needs_price(now):
            queue.reprice(budget, now)
        for one in plan(queue.ready(now), budget, now):
            queue.put(replace(one, asked_at=now), now)
            budget = settled(pledged(budget, free=False), 1, free=False)
            asked += 1
        dry += step > 240 and budget.level < 1
    assert asked == pytest.approx(0.05 * DAY, rel=0.05)
    assert dry == 0


def queued(*known: Candidate, rate: float = 10.0) -> DueQueue:
    queue = DueQueue(NOW - 1, Random("due").random)
    for one in known:
        queue.put(one, NOW)
    queue.reprice(TokenBucket(per_second=rate, at=NOW), NOW)
    return queue


def test_what_is_due_stays_due_until_it_is_asked() -> None:
    queue = queued(candidate(ago=TTL))
    assert len(queue.ready(NOW)) == len(queue.ready(NOW + 1)) == 1
    queue.put(candidate(), NOW)
    assert queue.ready(NOW + 1) == []
    assert len(queue.ready(NOW + TTL)) == 1
    queue.drop(candidate().poll)
    assert queue.ready(NOW + TTL) == []


def test_what_is_forced_or_never_asked_is_due_at_once_unless_it_failed() -> None:
    forced, new = candidate(1, forced_at=NOW), candidate(2, ago=inf)
    assert len(queued(forced, new).ready(NOW)) == 2
    assert queued(replace(forced, not_before=NOW + 5), replace(new, not_before=NOW + 5)).ready(NOW) == []


def test_a_repriced_queue_has_the_due_times_of_the_new_price() -> None:
    queue = queued(*many(), rate=0.2)
    assert len(queue.ready(NOW + TTL)) < 10
    queue.reprice(TokenBucket(per_second=100.0, at=NOW), NOW + 3600)
    assert len(queue.ready(NOW + 3600)) == 50


def test_the_price_is_made_anew_now_and_then_and_at_once_where_much_is_read_for_the_first_time() -> None:
    queue = queued(*many())
    assert not queue.needs_price(NOW + 5)
    assert queue.needs_price(NOW + SELDOMEST)
    for number in range(100, 110):
        queue.put(candidate(number), NOW)
    assert queue.needs_price(NOW + 5)


def test_second_reads_are_spread_over_the_pause() -> None:
    queue = queued(*(candidate(n, 0.0, ago=inf) for n in range(400)), rate=1.5)
    for number in range(400):
        queue.put(candidate(number, 0.0), NOW)
    queue.reprice(TokenBucket(per_second=1.5, level=0.0, at=NOW), NOW)
    due = [len(queue.ready(NOW + second)) for second in range(0, int(IDLE) + 15, 15)]
    steps = [after - before for before, after in pairwise(due)]
    assert due[-1] == 400
    assert max(steps) <= 400 / 10


def test_ten_minutes_of_an_allowance_that_is_unspent_are_worth_nothing() -> None:
    named = TokenBucket(allowance=Allowance(1000), at=NOW)
    queue = queued(candidate(1), candidate(2))
    queue.reprice(named, NOW)
    assert len(queue.ready(NOW + TTL)) == 2
