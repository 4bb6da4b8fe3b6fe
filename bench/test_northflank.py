"""Two simulated hours of Northflank. `make bench-allowance` simulates days of the same cases.

The bounds are wider than those of docs/allowance.md, because two hours have only some eighty builds.
"""

import pytest

from bench.course import Seen
from bench.northflank import CASES, simulate
from bench.table import quantile

HOURS = 2.0


@pytest.fixture(scope="module")
def polled() -> Seen:
    return simulate(CASES["northflank-3m"], HOURS)


def test_every_build_is_counted_exactly_once(polled: Seen) -> None:
    assert (polled.counted, polled.twice, polled.missed) == (polled.concluded, 0, 0)
    assert polled.concluded > 60


def test_conclusions_are_shown_soon(polled: Seen) -> None:
    assert quantile(polled.delays, 0.5) <= 30
    assert quantile(polled.delays, 0.99) <= 240


def test_no_request_is_refused(polled: Seen) -> None:
    assert polled.ledger.codes[429] == 0


def test_requests_stay_within_the_share(polled: Seen) -> None:
    assert polled.ledger.total / HOURS <= 420


def test_with_webhooks_an_eighth_of_the_requests_is_enough_and_each_conclusion_is_shown_at_the_next_scrape(
    polled: Seen,
) -> None:
    delivered = simulate(CASES["northflank-webhooks"], HOURS)
    assert delivered.ledger.total <= polled.ledger.total / 8
    assert max(delivered.delays) <= 15
    assert (delivered.counted, delivered.twice, delivered.missed) == (delivered.concluded, 0, 0)


def test_lost_webhooks_cost_time_and_no_count() -> None:
    seen = simulate(CASES["northflank-lost-webhooks"], HOURS)
    assert (seen.counted, seen.twice, seen.missed) == (seen.concluded, 0, 0)
    assert max(seen.delays) < 2.5 * 3600
