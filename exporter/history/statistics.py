"""What the builds and runs of a window come to, by group of labels: what the metrics show. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from exporter.build import FAILED, Build, Outcome
from exporter.history.folded import folded_view
from exporter.history.histograms import (
    RUN,
    Histogram,
    Histograms,
    counted_latencies,
    in_buckets,
    of_runs,
    windows,
)
from exporter.history.past import first_failure
from exporter.history.records import Group, History, Past, Row, Rules
from exporter.history.runs import RUN_OUTCOMES, Turn, age_key, failure_of, group_of, pipelines, turns


@dataclass(frozen=True, slots=True)
class Sequel:
    """How a group's runs followed on each other."""

    success: bool | None = None
    """Whether the newest decided run succeeded; None: none is decided."""
    failures: int = 0
    """Failed runs since the last that succeeded."""
    broken_since: float | None = None
    """When the first of those failed."""
    failure: Build | None = None
    """The build that broke the newest of them, where it is known."""
    failed_run: str = ""
    """The id of that run; empty while `success` is not False."""
    restores: int = 0
    """How often in the window a success followed failed runs."""
    restore_seconds: float = 0.0
    """The sum of the times from the first failure to the success."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one group of a target shows. None is absent; times are seconds since the epoch."""

    group: Group
    counts: Mapping[tuple[str, Outcome], int]
    """Builds in the window by status and outcome; only those that occur."""
    oldest_created: float | None
    histograms: Histograms
    totals: Mapping[Outcome, int]
    """Builds seen to conclude."""
    last_created: float | None
    last_concluded: Mapping[Outcome, float]
    last: Build | None
    """The newest build."""
    sequel: Sequel
    oldest_unfinished: float | None
    flaky_commits: int
    runs: Mapping[Outcome, int] = field(default_factory=dict)
    """Runs in the window by outcome; only those that occur."""
    run_totals: Mapping[Outcome, int] = field(default_factory=dict)
    """Runs seen to conclude."""
    seconds: Mapping[Outcome, float] = field(default_factory=dict)
    """The sum of the conclude latencies of the builds in `totals`, for success and failure (all that fail)."""
    latencies: Mapping[Outcome, Histogram] = field(default_factory=dict)
    """The same builds as histograms; empty where the rules do not ask for them."""
    exemplars: Mapping[Outcome, Build] = field(default_factory=dict)
    """The build of each outcome in `totals` that concluded last."""
    coverage: float | None = None
    """Mean coverage of the builds of the newest decided run, 0 to 1."""

    @property
    def success_ratio(self) -> float | None:
        """Successes among the builds that succeeded or failed; None where there are none."""
        by_outcome: Counter[Outcome] = Counter()
        for (_status, outcome), number in self.counts.items():
            by_outcome[outcome] += number
        return ratio(by_outcome)

    @property
    def run_success_ratio(self) -> float | None:
        """The same of the window's runs."""
        return ratio(self.runs)


def ratio(by_outcome: Mapping[Outcome, int]) -> float | None:
    """Successes among what succeeded or failed; None where there is nothing."""
    succeeded = by_outcome.get(Outcome.SUCCESS, 0)
    decided = succeeded + sum(by_outcome.get(outcome, 0) for outcome in FAILED)
    return succeeded / decided if decided else None


def statistics(history: History, rules: Rules, *, folded: bool = False) -> list[Statistics]:
    """What each group of a target's history shows; values never depend on the moment at which this is asked.

    `folded`: all branches are shown under `OTHER`, and no opt-in label keeps its value.
    """
    view = folded_view(history, rules) if folded else history
    known: dict[Group, list[Row]] = {group: [] for group in view.totals}
    for row in view.rows.values():
        known[group_of(history, row.build, rules, folded=folded)].append(row)
    by_group = turns(view, rules, known, folded=folded)
    return [_of_group(group, rows, by_group.get(group, []), view, rules) for group, rows in sorted(known.items())]


def _of_group(group: Group, rows: list[Row], of_group: list[Turn], history: History, rules: Rules) -> Statistics:
    past = history.past.get(group, Past())
    known = [row.build for row in rows]
    window = [row.build for row in rows if row.shown]
    shown = {build.id for build in window}
    shown_runs = [turn for turn in of_group if turn.shown][-rules.runs :]
    last = max(known, key=age_key, default=None)
    last_created = max(past.last_created, last.created_at) if last else past.last_created
    buckets = in_buckets(known, shown, rules)
    concluded = _newest_concluded(known)
    last_concluded = _last_concluded(concluded, past)
    active_at = max([last_created, *last_concluded.values(), *[turn.decided_at or -inf for turn in of_group[-1:]]])
    active = active_at >= history.horizon
    histograms = windows(buckets, shown, past, rules)
    if RUN in rules.histograms:
        histograms[RUN] = of_runs(shown_runs, rules)
    return Statistics(
        group=group,
        counts=Counter((build.status, build.outcome) for build in window),
        oldest_created=min((build.created_at for build in window), default=None),
        histograms=histograms,
        totals=history.totals[group],
        last_created=None if last_created == -inf or not active else last_created,
        last_concluded=last_concluded if active else {},
        last=last if active else None,
        sequel=_sequel(of_group, {turn.id for turn in shown_runs}, past, history) if active else Sequel(),
        oldest_unfinished=min((build.created_at for build in window if build.unfinished), default=None),
        flaky_commits=_flaky_commits(window, history),
        runs=Counter(turn.outcome for turn in shown_runs),
        run_totals=history.run_totals[group] if history.run_totals else _run_totals(history.totals[group]),
        seconds=history.seconds[group],
        latencies=counted_latencies(
            history.latencies.get(group, {}), history.seconds[group], buckets, past, history.begun_at or -inf
        ),
        exemplars=_exemplars(concluded, past, history.begun_at or -inf),
        coverage=_coverage(of_group, history) if history.runs and active else None,
    )


def _run_totals(totals: Mapping[Outcome, int]) -> dict[Outcome, int]:
    """Runs that concluded where each build is its own run."""
    return {outcome: totals[outcome] for outcome in RUN_OUTCOMES}


def _newest_concluded(known: Iterable[Build]) -> dict[Outcome, Build]:
    """The build of each outcome that concluded last."""
    newest: dict[Outcome, Build] = {}
    for build in known:
        if build.concluded and build.concluded_at is not None:
            other = newest.get(build.outcome)
            if other is None or (build.concluded_at, build.id) > (other.concluded_at, other.id):
                newest[build.outcome] = build
    return newest


def _last_concluded(concluded: Mapping[Outcome, Build], past: Past) -> dict[Outcome, float]:
    last = dict(past.last_concluded)
    for outcome, build in concluded.items():
        last[outcome] = max(build.concluded_at or -inf, last.get(outcome, -inf))
    return last


def _exemplars(concluded: Mapping[Outcome, Build], past: Past, begun_at: float) -> dict[Outcome, Build]:
    """Of each outcome the build that was counted last; none where one that is forgotten concluded later."""
    return {
        outcome: build
        for outcome, build in concluded.items()
        if (build.concluded_at or -inf) > begun_at
        and (build.concluded_at or -inf) >= past.last_concluded.get(outcome, -inf)
    }


def _flaky_commits(window: list[Build], history: History) -> int:
    """On how many commits the same build both failed and succeeded.

    A job of a child pipeline is the same only within that child: other children can have others of its name.
    """
    children = {id_ for id_, row in history.runs.items() if row.run.child}
    green, red = set(), set()
    for build in window:
        if build.outcome is Outcome.SUCCESS:
            green.add((build.sha, build.name, build.run if build.run in children else ""))
        elif build.concluded and build.outcome in FAILED:
            red.add((build.sha, build.name, build.run if build.run in children else ""))
    return len({sha for sha, _name, _child in green & red if sha})


def _sequel(of_group: Iterable[Turn], in_window: Collection[str], past: Past, history: History) -> Sequel:
    """The runs in their order, behind those that the past sums up."""
    failures, broken_since, success = past.failures, past.broken_since, past.success
    newest_failed: Turn | None = None
    restores, seconds = 0, 0.0
    for turn in of_group:
        if turn.succeeded is None or turn.age <= past.until:
            continue
        success = turn.succeeded
        if not success:
            broken_since = first_failure(failures, broken_since, turn.decided_at)
            failures += 1
            newest_failed = turn
        elif failures:
            if turn.id in in_window and broken_since is not None and turn.decided_at is not None:
                restores += 1
                seconds += max(0.0, turn.decided_at - broken_since)
            failures, broken_since, newest_failed = 0, None, None
    failure, failed_run = past.failure, past.failed_run
    if newest_failed is not None:
        failure, failed_run = failure_of(history, newest_failed), newest_failed.id
    if success is not False:
        failure, failed_run = None, ""
    return Sequel(success, failures, broken_since, failure, failed_run, restores, seconds)


def _coverage(of_group: Sequence[Turn], history: History) -> float | None:
    """The mean over the builds of the newest decided run, each job by its newest attempt that says it."""
    newest = next((turn for turn in reversed(of_group) if turn.succeeded is not None), None)
    if newest is None:
        return None
    found: dict[tuple[str, str], float] = {}
    for pipeline in pipelines(history, (newest.id,)).get(newest.id, ()):
        for build in () if pipeline.row.dismissed else sorted(pipeline.builds, key=age_key):
            if build.coverage is not None:
                found[build.run, build.name] = build.coverage
    return sum(found.values()) / len(found) if found else None
