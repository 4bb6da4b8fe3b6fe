"""How a target's branches stand, as a person asks: broken, running, stuck, flaky. Made once a change. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil, inf
from types import MappingProxyType
from typing import NamedTuple

from exporter.build import FAILED, Build, Outcome
from exporter.history.names import STAND_IN
from exporter.history.records import OTHER, History
from exporter.history.runs import age_key
from exporter.history.statistics import Statistics

STUCK_AFTER = 3600.0
"""Seconds after which an unfinished build is stuck, unless builds of its branch take a third of that: as the alert."""
STUCK_FACTOR = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """How one branch label of a target stands, or all of them. Times are seconds since the epoch; None is absent."""

    last_created: float | None = None
    """When the newest build was created."""
    last_outcome: Outcome | None = None
    """How that one stands."""
    broken: bool = False
    """Whether the newest decided run failed."""
    broken_branch: str = ""
    """Of which branch label."""
    failures: int = 0
    """Failed runs since the last that succeeded."""
    broken_since: float | None = None
    failure: Build | None = None
    """The build that broke it; None while it is not broken, and where no failed build is known."""
    failed_run: str = ""
    """The run of that build; empty while it is not broken."""
    oldest_unfinished: float | None = None
    stuck_at: float = inf
    """From when on the oldest unfinished build is stuck."""
    flaky_commits: int = 0
    succeeded: int = 0
    decided: int = 0
    """Runs of the window that succeeded, and that succeeded or failed."""
    p50: float | None = None
    p90: float | None = None
    """Seconds from creation to conclusion; half and nine of ten of the window's successful builds took no longer."""
    default: bool = False
    """Whether it is the target's default branch, or a stand-in for it."""

    @property
    def success_ratio(self) -> float | None:
        """Successes among the runs that succeeded or failed; None where there are none."""
        return self.succeeded / self.decided if self.decided else None

    def stuck(self, now: float) -> bool:
        """Whether a build should have ended long ago."""
        return now >= self.stuck_at


class Standings(NamedTuple):
    """How a target stands."""

    whole: Standing = Standing()
    """All its branches together."""
    branches: Mapping[str, Standing] = MappingProxyType({})
    """By branch label."""


def window_of(history: History) -> list[Build]:
    """The builds of a history's window, newest first."""
    return sorted((row.build for row in history.rows.values() if row.shown), key=age_key, reverse=True)


def branch_of(history: History, build: Build) -> str:
    """The branch label under which a build is shown."""
    return history.group(build, ())[0]


def standings(history: History, found: Iterable[Statistics]) -> Standings:
    """How each branch label stands, and all together, of what their groups come to."""
    by_branch: dict[str, Standing] = {}
    for group in found:
        branch, here = group.group[0], _of_group(group)
        by_branch[branch] = _with(by_branch[branch], here) if branch in by_branch else here
    defaults = STAND_IN if history.default_branch is None else (history.default_branch,)
    took = _latencies_by_branch(history)
    for branch, standing in by_branch.items():
        of_branch = took.get(branch, [])
        p90, stuck_at = quantile(of_branch, 0.9), inf
        if standing.oldest_unfinished is not None:
            stuck_at = standing.oldest_unfinished + max(STUCK_AFTER, STUCK_FACTOR * (p90 or 0.0))
        by_branch[branch] = replace(
            standing,
            p50=quantile(of_branch, 0.5),
            p90=p90,
            stuck_at=stuck_at,
            default=branch in defaults and branch != OTHER,
        )
    every = [seconds for of_branch in took.values() for seconds in of_branch]
    whole = replace(_together(by_branch), p50=quantile(every, 0.5), p90=quantile(every, 0.9))
    return Standings(whole, by_branch)


def _latencies_by_branch(history: History) -> dict[str, list[float]]:
    """The seconds of the window's successful builds by branch label."""
    took: dict[str, list[float]] = {}
    for row in history.rows.values():
        build = row.build
        if row.shown and build.outcome is Outcome.SUCCESS and build.latency is not None:
            took.setdefault(branch_of(history, build), []).append(build.latency)
    return took


def latencies(builds: Iterable[Build]) -> list[float]:
    """Seconds from creation to conclusion of the builds that succeeded, in their order."""
    return [build.latency for build in builds if build.outcome is Outcome.SUCCESS and build.latency is not None]


def quantile(values: Iterable[float], share: float) -> float | None:
    """The smallest of the values that no less than that share of them does not exceed; None where there are none."""
    ascending = sorted(values)
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else None


def _together(by_branch: Mapping[str, Standing]) -> Standing:
    """How all branches stand; only named ones are broken, for what failed on `other` may be any pull request."""
    whole = Standing()
    for branch, standing in by_branch.items():
        whole = _with(whole, unbroken(standing) if branch == OTHER else standing)
    return whole


def unbroken(standing: Standing) -> Standing:
    """The same, not broken."""
    return replace(standing, broken=False, broken_branch="", failures=0, broken_since=None, failure=None, failed_run="")


def urgency(standing: Standing) -> tuple[bool, bool, float]:
    """Orders broken branches by what is fixed first: the default branch, then what has been broken longest."""
    return not standing.broken, not standing.default, _or(standing.broken_since, inf)


def _of_group(found: Statistics) -> Standing:
    succeeded = found.runs.get(Outcome.SUCCESS, 0)
    return Standing(
        last_created=found.last_created,
        last_outcome=found.last.outcome if found.last else None,
        broken=found.sequel.success is False,
        broken_branch=found.group[0] if found.sequel.success is False else "",
        failures=found.sequel.failures,
        broken_since=found.sequel.broken_since,
        failure=found.sequel.failure if found.sequel.success is False else None,
        failed_run=found.sequel.failed_run,
        oldest_unfinished=found.oldest_unfinished,
        flaky_commits=found.flaky_commits,
        succeeded=succeeded,
        decided=succeeded + sum(found.runs.get(outcome, 0) for outcome in FAILED),
    )


def _with(one: Standing, two: Standing) -> Standing:
    """Both as one: broken where either is, by the one that is fixed first."""
    newest = two if _or(two.last_created, -inf) > _or(one.last_created, -inf) else one
    worst = two if urgency(two) < urgency(one) else one
    return Standing(
        last_created=newest.last_created,
        last_outcome=newest.last_outcome,
        broken=worst.broken,
        broken_branch=worst.broken_branch,
        default=worst.default,
        failures=worst.failures,
        broken_since=worst.broken_since,
        failure=worst.failure,
        failed_run=worst.failed_run,
        oldest_unfinished=_earlier(one.oldest_unfinished, two.oldest_unfinished),
        stuck_at=min(one.stuck_at, two.stuck_at),
        flaky_commits=one.flaky_commits + two.flaky_commits,
        succeeded=one.succeeded + two.succeeded,
        decided=one.decided + two.decided,
    )


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _earlier(one: float | None, two: float | None) -> float | None:
    return min((at for at in (one, two) if at is not None), default=None)
