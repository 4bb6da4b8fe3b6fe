"""Two simulated hours of Northflank, the exporter's own code under a simulated clock; `make bench-allowance` runs days.

The bounds are looser than those of docs/allowance.md: two hours have some eighty builds.
"""

import pytest

from bench.course import Seen
from bench.northflank import CASES, simulate
from bench.table import quantile

HOURS = 2.0


@pytest.fixture(scope="module")
def seen() -> Seen:
    return simulate(CASES["northflank-3m"], HOURS)


def test_every_build_is_counted_exactly_once(seen: Seen) -> None:
    assert (seen.counted, seen.twice, seen.missed) == (seen.concluded, 0, 0)
    assert seen.concluded > 60


def test_conclusions_are_shown_soon(seen: Seen) -> None:
    assert quantile(seen.delays, 0.5) <= 30
    assert quantile(seen.delays, 0.99) <= 240


def test_no_request_is_refused(seen: Seen) -> None:
    assert seen.ledger.codes[429] == 0


def test_requests_stay_within_the_share(seen: Seen) -> None:
    assert seen.ledger.total / HOURS <= 420
