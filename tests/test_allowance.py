"""What a provider allows, and the bucket, the price and the rests that follow from it."""

from dataclasses import replace
from math import inf

import pytest
from builds import NOW
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.rate_limit import (
    CAPACITY,
    HELD,
    LONGEST_REST,
    SHARED,
    SHORTEST_REST,
    TRICKLE,
    UNNAMED,
    Allowance,
    TokenBucket,
    affords_first,
    after_429,
    after_answer,
    allowance_of,
    available,
    capacity,
    first_reads,
    lasting,
    makes_sense,
    rate,
    refilled,
    skew_of,
    spent,
    starved,
    with_allowance,
)
from exporter.providers.contract import LimitHeaders

HOURLY = TokenBucket(allowance=Allowance(1000), at=NOW)


HOUR, MINUTE = LimitHeaders("x-ratelimit-", 3600), LimitHeaders("ratelimit-", 60)


@pytest.mark.parametrize(
    ("reported", "headers", "found"),
    [
        (HOUR, {}, None),
        (HOUR, {"retry-after": "5"}, None),
        # Seconds that are left.
        (
            HOUR,
            {"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "998", "x-ratelimit-reset": "1800"},
            Allowance(1000, 998, NOW + 1800, 3600),
        ),
        # A time.
        (
            MINUTE,
            {"ratelimit-limit": "2000", "ratelimit-remaining": "0", "ratelimit-reset": "1700000060"},
            Allowance(2000, 0, NOW + 60, 60),
        ),
        (MINUTE, {"ratelimit-limit": "60"}, Allowance(60, None, None, 60)),
        (HOUR, {"x-ratelimit-remaining": "0"}, Allowance(None, 0, None)),
        (HOUR, {"x-ratelimit-remaining": "7", "x-ratelimit-reset": "0"}, Allowance(None, 7, NOW)),
        (HOUR, {"x-ratelimit-reset": "60"}, None),
        (MINUTE, {"x-ratelimit-reset": "60", "ratelimit-limit": "5"}, Allowance(5, None, None, 60)),
        (HOUR, {"x-ratelimit-limit": "many", "ratelimit-limit": "5"}, None),
        (HOUR, {"x-ratelimit-limit": "", "x-ratelimit-remaining": "3"}, Allowance(None, 3, None)),
        (HOUR, {"x-ratelimit-limit": "-1", "x-ratelimit-remaining": "nan"}, None),
        (HOUR, {"x-ratelimit-limit": "inf", "x-ratelimit-remaining": "1e999"}, None),
        (HOUR, {"x-ratelimit-limit": "10", "x-ratelimit-reset": "soon"}, Allowance(10, None, None)),
    ],
)
def test_an_answers_headers_say_what_is_allowed(
    reported: LimitHeaders, headers: dict[str, str], found: Allowance | None
) -> None:
    assert allowance_of(headers, reported, NOW) == found


# Headers of one answer


def test_our_clock_is_ahead_by_what_the_servers_date_says() -> None:
    assert skew_of({"date": "Tue, 14 Nov 2023 22:13:20 GMT"}, NOW + 7) == 7
    assert skew_of({"date": "Tue, 14 Nov 2023 22:13:20 GMT"}, NOW - 7) == -7


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "yesterday"}, {"date": "Tue, 14 Nov 99999 22:13 GMT"}])
def test_a_date_that_cannot_be_read_says_nothing(headers: dict[str, str]) -> None:
    assert skew_of(headers, NOW) == 0.0


# The rate


def test_without_any_limit_a_few_requests_a_second_are_spent_and_spend_can_raise_that() -> None:
    assert rate(TokenBucket(), NOW) == UNNAMED
    assert rate(TokenBucket(allowance=Allowance(None, 5, NOW + 60)), NOW) == UNNAMED
    assert rate(TokenBucket(allowance=Allowance(0, 0, NOW + 60)), NOW) == UNNAMED
    assert rate(TokenBucket(per_second=20.0), NOW) == 20


def test_the_share_is_of_what_the_headers_say() -> None:
    assert rate(HOURLY, NOW) == pytest.approx(400 / 3600)
    minutely = TokenBucket(share=0.5, allowance=Allowance(600, None, None, 60))
    assert rate(minutely, NOW) == pytest.approx(5.0)


def test_a_number_in_the_configuration_holds_without_headers_and_never_passes_four_fifths_of_the_limit() -> None:
    assert rate(TokenBucket(per_second=2.0), NOW) == 2.0
    assert rate(TokenBucket(per_second=2.0, allowance=Allowance(1000)), NOW) == pytest.approx(800 / 3600)
    assert rate(TokenBucket(per_second=0.1, allowance=Allowance(1000)), NOW) == 0.1


def test_what_others_left_is_spread_till_the_reset() -> None:
    budget = replace(HOURLY, allowance=Allowance(1000, 60, NOW + 1800))
    assert rate(budget, NOW) == pytest.approx(60 / 1800)


@pytest.mark.parametrize("budget", [TokenBucket(per_second=1.0), TokenBucket(allowance=Allowance(3600))])
def test_a_remainder_of_nothing_leaves_a_trickle_for_it_may_be_wrong(budget: TokenBucket) -> None:
    usual = rate(budget, NOW)
    told_nothing = replace(budget, allowance=replace(budget.allowance, remaining=0, reset_at=NOW + 1800))
    assert usual is not None
    assert rate(told_nothing, NOW) == pytest.approx(TRICKLE * usual)


def test_a_remainder_beyond_the_limit_gives_no_more_than_the_share() -> None:
    assert rate(replace(HOURLY, allowance=Allowance(1000, 10**9, NOW + 60)), NOW) == rate(HOURLY, NOW)


@pytest.mark.parametrize("reset_at", [NOW - 3600, NOW, None])
def test_a_remainder_whose_period_is_over_or_not_told_says_nothing(reset_at: float | None) -> None:
    assert rate(replace(HOURLY, allowance=Allowance(1000, 0, reset_at)), NOW) == rate(HOURLY, NOW)


# The bucket and the price


def test_the_bucket_fills_by_the_rate_up_to_what_it_holds() -> None:
    empty = replace(HOURLY, level=0.0, at=NOW)
    assert refilled(empty, NOW + 90).level == pytest.approx(10.0)
    assert refilled(empty, NOW + 10 * 3600).level == CAPACITY
    assert refilled(refilled(empty, NOW + 45), NOW + 90).level == pytest.approx(refilled(empty, NOW + 90).level)


def test_a_fast_rate_has_a_bucket_for_as_many_requests_as_come_in_within_some_seconds() -> None:
    fast = TokenBucket(per_second=50.0, level=0.0, at=NOW)
    assert refilled(fast, NOW + 3600).level == capacity(fast, NOW) == 50 * HELD


def test_a_clock_that_goes_back_takes_nothing_and_gives_nothing() -> None:
    back = refilled(replace(HOURLY, level=30.0, at=NOW), NOW - 3600)
    assert (back.level, back.at) == (30.0, NOW - 3600)


def test_what_was_spent_is_missing_and_may_be_owed() -> None:
    assert spent(replace(HOURLY, level=3.0), 5).level == -2.0


def test_the_bucket_holds_what_comes_in_between_two_scrapes() -> None:
    fast = TokenBucket(per_second=5.0, level=0.0, at=NOW)
    for minute in range(1, 20):
        fast = refilled(replace(fast, level=0.0), NOW + 60.0 * minute)
    assert fast.level == pytest.approx(300.0, rel=0.02)
    assert refilled(refilled(HOURLY, NOW + 15), NOW + 15.1).interval == refilled(HOURLY, NOW + 15).interval


@given(
    level=st.floats(-1000, 1000),
    per_second=st.floats(0.001, 100),
    steps=st.lists(st.floats(0, 10_000), max_size=8),
)
def test_the_bucket_never_holds_more_than_it_may_and_no_time_takes_from_it(
    level: float, per_second: float, steps: list[float]
) -> None:
    budget, now = TokenBucket(per_second=per_second, level=level, at=NOW), NOW
    for step in steps:
        now += step
        after = refilled(budget, now)
        assert min(budget.level, capacity(budget, now)) - 1e-9 <= after.level <= capacity(budget, now)
        budget = after


def test_what_forced_reads_took_is_left_out_of_what_is_available_but_for_one_half() -> None:
    half_full = replace(HOURLY, level=CAPACITY / 2 + 15 / 2 * 400 / 3600)
    assert available(half_full, NOW) == lasting(half_full, NOW) == pytest.approx(400 / 3600)
    some = spent(half_full, 0, forced=12)
    assert lasting(some, NOW) == pytest.approx(400 / 3600 - 12 / 600)
    assert lasting(refilled(some, NOW + 6000), NOW + 6000) == pytest.approx(400 / 3600, rel=0.01)
    assert lasting(spent(half_full, 0, forced=500), NOW) == pytest.approx(SHARED * 400 / 3600)
    assert available(spent(half_full, 0, forced=500), NOW) == pytest.approx(SHARED * 400 / 3600)


def test_more_is_available_the_fuller_the_bucket() -> None:
    rates = [available(replace(HOURLY, level=level), NOW) for level in (10.0, 30.0, 45.0, 60.0)]
    assert rates == sorted(rates)
    assert len(set(rates)) == 4


# What the server said


def test_an_answer_without_headers_leaves_what_was_said_before() -> None:
    assert with_allowance(HOURLY, None, NOW) is HOURLY
    assert with_allowance(HOURLY, Allowance(5), NOW).allowance == Allowance(5)


def test_of_two_limits_the_lower_governs_until_a_period_has_passed_without_it() -> None:
    jobs, others = Allowance(600, 10, NOW + 30, 60), Allowance(2000, 1999, NOW + 30, 60)
    known = with_allowance(with_allowance(TokenBucket(at=NOW), others, NOW), jobs, NOW + 1)
    assert known.allowance == jobs
    assert with_allowance(known, others, NOW + 60).allowance == jobs
    assert with_allowance(known, others, NOW + 61).allowance == others
    assert with_allowance(known, Allowance(None, 7, NOW + 30, 60), NOW + 2).allowance.limit == 600


def test_a_reset_that_is_months_away_is_taken_for_one_period() -> None:
    told = with_allowance(HOURLY, Allowance(1000, 0, NOW + 30 * 86400), NOW)
    assert told.allowance.reset_at == NOW + 3600
    assert with_allowance(HOURLY, Allowance(1000, 0, NOW + 7000), NOW).allowance.reset_at == NOW + 7000


@pytest.mark.parametrize(("limit", "sensible"), [(1, False), (9, False), (10, True), (None, True), (10**6, True)])
def test_a_limit_far_below_the_documented_one_makes_no_sense(limit: float | None, *, sensible: bool) -> None:
    assert makes_sense(Allowance(limit, 0, NOW + 60), documented=1000) is sensible


def test_where_the_server_says_that_nothing_is_left_the_source_is_starved() -> None:
    assert not starved(HOURLY, NOW)
    assert starved(replace(HOURLY, allowance=Allowance(1000, 0, NOW + 1800)), NOW)
    assert not starved(replace(HOURLY, allowance=Allowance(1000, 100, NOW + 1800)), NOW)


def test_first_reads_may_make_what_is_left_down_to_a_fifth_less_those_under_way() -> None:
    budget = replace(HOURLY, allowance=Allowance(1000, 700, NOW + 60), pledged=120)
    assert first_reads(budget, NOW) == 700 - 200 - 120


@pytest.mark.parametrize("allowance", [Allowance(), Allowance(1000), Allowance(None, 5)])
def test_first_reads_have_no_bound_where_the_server_names_none(allowance: Allowance) -> None:
    assert first_reads(TokenBucket(allowance=allowance), NOW) == inf


def test_what_was_left_of_a_period_that_is_over_binds_no_first_read() -> None:
    assert first_reads(replace(HOURLY, allowance=Allowance(1000, 0, NOW - 1)), NOW) == 800


def test_a_first_read_that_waits_begins_only_while_something_is_left_and_nothing_rests() -> None:
    some = replace(HOURLY, allowance=Allowance(1000, 300, NOW + 60), pledged=100)
    assert affords_first(some, NOW)
    assert not affords_first(replace(some, allowance=Allowance(1000, 200, NOW + 60)), NOW)
    assert not affords_first(replace(some, resting_until=NOW + 1), NOW)
    assert affords_first(replace(some, resting_until=NOW), NOW)


# 429


def test_it_rests_for_as_long_as_the_server_says() -> None:
    budget = replace(HOURLY, allowance=Allowance(1000, 0, NOW + 1000))
    assert after_429(budget, 17.0, NOW).resting_until == NOW + 17


def test_or_till_the_reset() -> None:
    budget = replace(HOURLY, allowance=Allowance(1000, 0, NOW + 1000))
    assert after_429(budget, None, NOW).resting_until == NOW + 1000
    assert after_429(budget, 0.0, NOW).resting_until == NOW + 1000


@pytest.mark.parametrize("reset_at", [None, NOW - 5, NOW, NOW + 10 * LONGEST_REST])
def test_or_a_pause_that_grows_where_it_says_nothing_of_use(reset_at: float | None) -> None:
    budget, now, pauses = replace(HOURLY, allowance=Allowance(1000, 0, reset_at)), NOW, list[float]()
    for _ in range(7):
        budget = after_429(replace(budget, allowance=replace(budget.allowance, reset_at=reset_at)), None, now)
        pauses.append(budget.resting_until - now)
        now = budget.resting_until
        if reset_at == NOW + 10 * LONGEST_REST:
            reset_at = now + 10 * LONGEST_REST
    assert pauses == [30, 60, 120, 240, 480, 600, 600]


def test_a_rest_that_makes_no_sense_is_a_short_one() -> None:
    assert after_429(HOURLY, LONGEST_REST, NOW).resting_until == NOW + LONGEST_REST
    assert after_429(HOURLY, 30 * 86400.0, NOW).resting_until == NOW + SHORTEST_REST


def test_refusals_of_what_was_under_way_count_once() -> None:
    budget = after_429(HOURLY, None, NOW)
    for place in range(15):
        budget = after_429(budget, None, NOW + place / 10)
    assert budget.rests == 1
    assert budget.resting_until == pytest.approx(NOW + 31.4)


def test_a_later_refusal_never_shortens_a_rest() -> None:
    assert after_429(after_429(HOURLY, 600.0, NOW), 5.0, NOW + 1).resting_until == NOW + 600


def test_after_a_rest_there_is_one_request_to_begin_with() -> None:
    assert after_429(replace(HOURLY, level=50.0), 30.0, NOW).level == 1.0
    assert after_429(replace(HOURLY, level=-5.0), 30.0, NOW).level == -5.0


def test_an_answer_ends_the_row_of_refusals() -> None:
    again = after_429(after_answer(after_429(HOURLY, None, NOW)), None, NOW + 60)
    assert again.resting_until == NOW + 90
    assert after_answer(HOURLY) is HOURLY
