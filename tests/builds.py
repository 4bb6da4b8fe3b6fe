"""Builds, runs, observations and histories as the tests of the pure modules need them."""

from collections.abc import Iterable, Mapping

from exporter.build import CONCLUDED, Build, Outcome, Run, Target
from exporter.history.window import History, Observation, Rules, RunObservation, merge

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


RUN_OUTCOMES = {
    "success": Outcome.SUCCESS,
    "failed": Outcome.FAILURE,
    "canceled": Outcome.CANCELLATION,
    "skipped": Outcome.SKIP,
    "pending": Outcome.PENDING,
    "running": Outcome.EXECUTING,
    "": Outcome.UNKNOWN,
}


def pipeline(  # noqa: PLR0913  # a run has that many fields, and a test names those that it is about
    run_id: str,
    status: str = "success",
    *,
    at: float = 0.0,
    moved: float | None = 60.0,
    branch: str | None = "main",
    trigger: str = "push",
    sha: str = "",
    parent: str = "",
) -> Run:
    """A pipeline created `at` seconds after NOW whose status last changed `moved` seconds after that."""
    return Run(
        id=run_id,
        status=status,
        outcome=RUN_OUTCOMES.get(status, Outcome.WAITING),
        created_at=NOW + at,
        updated_at=None if moved is None or not status else NOW + at + moved,
        branch=branch,
        trigger=trigger,
        sha=sha or f"sha-{run_id}",
        ref=branch or "",
        parent=parent,
    )


def asked(*runs: Run, at: float = NOW) -> list[RunObservation]:
    """Observations of the runs, all of one moment."""
    return [(run, at) for run in runs]


def seen(*builds: Build, at: float = NOW) -> list[Observation]:
    """Observations of the builds, all of one moment."""
    return [(build, at) for build in builds]


def read(*builds: Build, runs: Iterable[Run] = (), rules: Rules = RULES, now: float = NOW) -> History:
    """The history of a target that was read once; all builds of the runs are among those read."""
    return read_again(History(), *builds, runs=runs, rules=rules, now=now)


def read_again(
    history: History, *builds: Build, runs: Iterable[Run] = (), rules: Rules = RULES, now: float = NOW
) -> History:
    """The history after one more read; all builds of the runs are among those read or known."""
    runs = list(runs)
    whole = {run.id for run in runs}
    return merge(history, seen(*builds, at=now), rules, now, runs=asked(*runs, at=now), whole=whole)


def listed(history: History, *runs: Run, rules: Rules = RULES, now: float = NOW) -> History:
    """The history after a list told of these runs, and nothing of their builds."""
    return merge(history, (), rules, now, runs=asked(*runs, at=now))


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
    """All builds that were counted, by outcome."""
    return _sums(history.totals.values())


def runs_counted(history: History) -> dict[str, int]:
    """All runs that were counted, by outcome."""
    return _sums(history.run_totals.values())


def _sums(by_group: Iterable[Mapping[Outcome, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for outcomes in by_group:
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
