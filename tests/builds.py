"""Builds, sights and histories as the tests of the pure modules need them."""

from collections.abc import Iterable

from exporter.build import CONCLUDED, Build, Outcome, Target
from exporter.history.window import History, Rules, Sight, merge

DAY = 86400.0
NOW = 1_700_000_000.0

WEB = Target("nf", "service", "shop", "web")
RULES = Rules()

STATUS = {
    Outcome.PENDING: "queued",
    Outcome.EXECUTING: "building",
    Outcome.SUCCESS: "success",
    Outcome.FAILURE: "failed",
    Outcome.ERROR: "crashed",
    Outcome.CANCELLATION: "aborted",
}


def build(  # noqa: PLR0913  # a build has that many fields, and a test names those that it is about
    build_id: str,
    outcome: Outcome = Outcome.SUCCESS,
    *,
    at: float = 0.0,
    took: float = 60.0,
    started: float | None = None,
    branch: str | None = "main",
    run: str = "",
    sha: str = "",
    name: str = "",
    stage: str = "",
    concluded: bool | None = None,
) -> Build:
    """A build created `at` seconds after NOW that ended `took` seconds later, if it ended; `started` likewise."""
    ended = outcome in CONCLUDED if concluded is None else concluded
    return Build(
        id=build_id,
        run=run or build_id,
        status=STATUS.get(outcome, outcome.value),
        outcome=outcome,
        concluded=ended,
        created_at=NOW + at,
        started_at=None if started is None else NOW + at + started,
        concluded_at=NOW + at + took if ended else None,
        branch=branch,
        sha=sha or f"sha-{build_id}",
        name=name,
        stage=stage,
    )


def seen(*builds: Build, at: float = NOW) -> list[Sight]:
    """Sights of the builds, all of one moment."""
    return [(build, at) for build in builds]


def read(*builds: Build, rules: Rules = RULES, now: float = NOW) -> History:
    """The history of a target that was read once."""
    return merge(History(), seen(*builds, at=now), rules, now)


def read_again(history: History, *builds: Build, rules: Rules = RULES, now: float = NOW) -> History:
    """The history after one more read."""
    return merge(history, seen(*builds, at=now), rules, now)


def many(
    count: int, *, begin: float = 0.0, step: float = 1.0, prefix: str = "b", branch: str | None = None
) -> list[Build]:
    """Successful builds, oldest first."""
    return [build(f"{prefix}{place}", at=begin + place * step, branch=branch) for place in range(count)]


def moved(before: Build, outcome: Outcome, took: float = 60.0) -> Build:
    """The same build as it stands later."""
    return before._replace(
        status=STATUS.get(outcome, outcome.value),
        outcome=outcome,
        concluded=outcome in CONCLUDED,
        concluded_at=before.created_at + took if outcome in CONCLUDED else None,
    )


def counted(history: History) -> dict[tuple[str, ...], dict[str, int]]:
    """What the counters show, without the zeros."""
    return {
        group: {outcome.value: number for outcome, number in outcomes.items() if number}
        for group, outcomes in history.totals.items()
    }


def all_counted(history: History) -> dict[str, int]:
    """Everything that was counted, shown or about to be, by outcome."""
    sums: dict[str, int] = {}
    for outcomes in (*history.totals.values(), *history.carried.values()):
        for outcome, number in outcomes.items():
            if number:
                sums[outcome.value] = sums.get(outcome.value, 0) + number
    return sums


def window(history: History) -> list[str]:
    """The ids in the window, in order."""
    return sorted(row.build.id for row in history.rows.values() if row.shown)


def ids(builds: Iterable[Build]) -> list[str]:
    """The ids of the builds, in order."""
    return sorted(build.id for build in builds)
