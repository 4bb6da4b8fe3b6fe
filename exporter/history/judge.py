"""What a run has come to, of what the provider says and of its builds. Pure.

A run is a pipeline with its child pipelines. Everything that is known of them has a time, so what the run has come to
is found by going through it in that order, and is the same in whatever order it was learned:

    job A       fails                 retried: succeeds
    job B               succeeds                            played by hand: runs
    provider            failed               success        running
    the run     failed ......................succeeded .....................
                ^ since then                 ^ since then

- A build that ended in failure, error or timeout fails the run, at once. A name is taken by its newest attempt that
  succeeded or failed: one that was cancelled or skipped, or has not ended, replaces nothing.
- The provider's word that the run failed fails it too, also where no build of it did.
- What has failed stays so, since the same moment, until the provider says that it succeeded and none of its builds,
  by its newest attempt, is a failed one.
- What has succeeded stays so, since the same moment, until it fails. It can move again: a manual job is played.
- An attempt created within 30 s of the end of the failed one before it, in a pipeline of which the provider had not
  said that it failed, is GitLab's own retry: the earlier attempt does not count.
- `manual` (a gate that waits for a person) is a success if something succeeded and nothing failed or was cancelled.
- A red child pipeline makes the run red. An unfinished or cancelled one keeps it from succeeding, unless it was created
  after the run had succeeded. A dismissed one counts for nothing; but what it made red stays so while the child that
  replaced it has not succeeded.
- Where the provider has no word for runs (GitLab v3), GitLab's own rule for the status is applied to the builds.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from exporter.build import FAILED, Build, Outcome
from exporter.history.composite import MANUAL, composite
from exporter.history.records import Age, RunRow

RETRY = 30.0
"""Seconds between a failed attempt and the next, within which the next is the provider's own retry."""
ROUNDING = 1.0
"""Seconds by which times of one moment differ: some answers have whole seconds only."""

_PASSED = frozenset({Outcome.SUCCESS, Outcome.ALLOWED_FAILURE})
_DECIDED = FAILED | _PASSED
_BUILD_FAILED, _BUILD_PASSED, _SAID, _SAYS = range(4)
"""The order of what has the same time: what is said of a pipeline comes behind what happened to its builds."""


class Pipeline(NamedTuple):
    """A run's own pipeline or one of its children, as far as it is known."""

    row: RunRow
    builds: Sequence[Build]
    """All attempts, in any order."""


class Verdict(NamedTuple):
    """What a run has come to."""

    succeeded: bool | None
    """None: it is undecided."""
    decided_at: float | None
    """When it was first decided so, as far as that is known."""
    outcome: Outcome
    failure: Build | None = None
    """The build that broke it: the newest that failed."""


class _Event(NamedTuple):
    """Something of which the order in time matters."""

    time: float
    rank: int
    pipeline: int
    name: str
    """The build's; empty for what the provider says."""
    passed: bool
    at: float | None
    """Its time, where that is known and not only guessed for the order."""


class _Facts(NamedTuple):
    """What is known of one pipeline."""

    events: list[_Event]
    failing: list[Build]
    """Of each name the newest attempt that succeeded or failed, if it failed."""
    failed: list[Build]
    """All attempts that failed and count."""


def age_key(build: Build) -> Age:
    """Orders builds from the oldest to the newest; numeric ids of one instant by their number."""
    return build.created_at, len(build.id), build.id


def verdict(pipelines: Sequence[Pipeline]) -> Verdict:
    """What a run has come to, of its own pipeline, the first, and those of its children."""
    children = pipelines[1:]
    counting = [pipelines[0], *[child for child in children if not child.row.dismissed]]
    replaced = [child for child in children if child.row.replaced]
    found = _verdict(counting, ())
    if not replaced:
        return found
    kept = _verdict(counting, replaced)
    settled = found.succeeded and all(word(child) for child in counting[1:])
    return found if kept.succeeded is False and settled else kept


def _verdict(counting: Sequence[Pipeline], replaced: Sequence[Pipeline]) -> Verdict:
    facts = [_facts(pipeline, place) for place, pipeline in enumerate((*counting, *replaced))]
    last = max((pipeline.row.run.created_at for pipeline in (*counting, *replaced)), default=0.0)
    events = [
        event
        for found in facts
        for event in found.events
        if event.pipeline < len(counting) or event.passed or event.time <= last  # else it was replaced before it failed
    ]
    succeeded, decided_at = _replayed(counting, events)
    if succeeded is None:
        return Verdict(None, None, _undecided(counting))
    if succeeded:
        return Verdict(succeeded, decided_at, Outcome.SUCCESS)
    failed = [build for found in facts[: len(counting)] for build in found.failing]
    failed = failed or [build for found in facts for build in found.failed]
    return Verdict(succeeded, decided_at, _failed_as(failed, counting[0].row), _newer(failed))


def of_builds(builds: Sequence[Build]) -> Verdict:
    """What a run has come to by these of its builds alone, whatever the provider says of the run."""
    if len(builds) == 1:
        return of_build(builds[0])
    failing: list[Build] = []
    failed: list[Build] = []
    standing: list[Build] = []
    """Each job as it counts: by its newest attempt that succeeded or failed, else by its newest."""
    since: list[float | None] = []
    for attempts in _by_name(builds):
        _events, fails, of_name = _attempts(attempts, 0, ())
        failing += [] if fails is None else [fails]
        failed += of_name
        counting = [build for build in attempts if build.outcome in _PASSED or build in of_name]
        standing.append((counting or attempts)[-1])
        since.append(_first(counting))
    if failing:
        ends = [at for at, build in zip(since, standing, strict=True) if build in failing and at is not None]
        return Verdict(
            succeeded=False, decided_at=min(ends, default=None), outcome=_worst(failing), failure=_newer(failing)
        )
    outcome = composite(standing)
    if outcome is Outcome.SUCCESS:
        ends = [at for at in since if at is not None]
        return Verdict(succeeded=True, decided_at=max(ends, default=None), outcome=outcome)
    if failed:  # one was retried with success, and others are under way
        ends = [build.concluded_at for build in failed if build.concluded_at is not None]
        return Verdict(
            succeeded=False, decided_at=min(ends, default=None), outcome=_worst(failed), failure=_newer(failed)
        )
    return Verdict(None, None, outcome)


def of_build(build: Build) -> Verdict:
    """What a run of one build has come to."""
    if build.concluded and build.outcome in FAILED:
        return Verdict(succeeded=False, decided_at=build.concluded_at, outcome=build.outcome, failure=build)
    if build.outcome is Outcome.SUCCESS:
        return Verdict(succeeded=True, decided_at=build.concluded_at, outcome=build.outcome)
    return Verdict(None, None, build.outcome)


def word(pipeline: Pipeline) -> tuple[float | None, bool] | None:
    """When the provider says that the pipeline succeeded (True) or failed, and which; None: it says neither."""
    run = pipeline.row.run
    if not run.status:
        passed = pipeline.row.whole and composite(_newest(pipeline.builds)) is Outcome.SUCCESS
        return (_end(pipeline), True) if passed else None
    if run.outcome is Outcome.SUCCESS or (run.outcome is Outcome.SKIP and run.child):
        return _end(pipeline), True
    if run.outcome in FAILED:
        return _end(pipeline), False
    return (_end(pipeline), True) if run.status == MANUAL and _gate_is_open(pipeline) else None


def failures(pipeline: Pipeline) -> list[Build]:
    """The attempts of its builds that failed and count."""
    return _facts(pipeline, 0).failed


def _replayed(counting: Sequence[Pipeline], events: Iterable[_Event]) -> tuple[bool | None, float | None]:
    """Whether the run succeeded, and since when, by all events in their order.

    What a child made red that was replaced stays so until a child succeeds that was created later.
    """
    failing: dict[tuple[int, str, bool], float] = {}
    """What fails, and since when."""
    passed: set[int] = set()
    """Pipelines of which the last thing said is that they succeeded."""
    succeeded: bool | None = None
    since: float | None = None
    for event in sorted(events, key=itemgetter(0, 1, 2, 3, 4)):
        said = event.rank >= _SAID
        if not event.passed:
            failing.setdefault((event.pipeline, event.name, said), event.time)
        else:
            failing.pop((event.pipeline, event.name, said), None)
        if said:
            (passed.add if event.passed else passed.discard)(event.pipeline)
        if said and event.passed and 0 < event.pipeline < len(counting):
            created_at = counting[event.pipeline].row.run.created_at
            for key in [key for key, at in failing.items() if key[0] >= len(counting) and at < created_at]:
                del failing[key]
        if failing:
            if succeeded is not False:
                succeeded, since = False, event.at
            elif since is None:
                since = event.at
        elif 0 in passed and not succeeded and not _held_up(counting, passed, event.time):
            succeeded, since = True, event.at
    return succeeded, since


def _held_up(pipelines: Sequence[Pipeline], passed: set[int], at: float) -> bool:
    """Whether a child that had been created by then had not succeeded."""
    return any(
        place and place not in passed and pipeline.row.run.created_at <= at + ROUNDING
        for place, pipeline in enumerate(pipelines)
    )


def _facts(pipeline: Pipeline, place: int) -> _Facts:
    row = pipeline.row
    events = [_Event(at, _SAID, place, "", passed, at) for at, passed in row.said]
    says = word(pipeline)
    if says is not None:
        at, passed = says
        events.append(_Event(row.run.created_at if at is None else at, _SAYS, place, "", passed, at))
    red = [event.time for event in events if not event.passed]
    failing, failed = [], []
    for attempts in _by_name(pipeline.builds):
        of_name, newest, counted = _attempts(attempts, place, red)
        events += of_name
        failed += counted
        if newest is not None:
            failing.append(newest)
    return _Facts(events, failing, failed)


def _attempts(
    attempts: Sequence[Build], place: int, red: Iterable[float]
) -> tuple[list[_Event], Build | None, list[Build]]:
    """What happened to a name, oldest attempt first: events; the attempt by which it fails now; all that failed."""
    events, failed = [], []
    failing: Build | None = None
    for number, build in enumerate(attempts):
        if not decided(build):
            continue
        bad = build.outcome in FAILED
        if bad and number + 1 < len(attempts) and _is_retry(build, attempts[number + 1], red):
            continue
        if bad or failing is not None:
            end = build.concluded_at
            rank = _BUILD_FAILED if bad else _BUILD_PASSED
            events.append(_Event(build.created_at if end is None else end, rank, place, build.name, not bad, end))
        failing = build if bad else None
        failed += [build] if bad else []
    return events, failing, failed


def _is_retry(build: Build, following: Build, red: Iterable[float]) -> bool:
    """Whether the following attempt is the provider's own retry of the build. `red`: when the pipeline was failed."""
    if build.concluded_at is None or not -ROUNDING <= following.created_at - build.concluded_at <= RETRY:
        return False
    return not any(at <= following.created_at for at in red)


def decided(build: Build) -> bool:
    """Whether an attempt replaces earlier ones: it succeeded or failed."""
    return build.concluded and build.outcome in _DECIDED


def _by_name(builds: Iterable[Build]) -> Iterable[list[Build]]:
    """The attempts of each job, oldest first. A child pipeline's jobs are other ones than those of the same name."""
    by_name: dict[tuple[str, str], list[Build]] = {}
    for build in sorted(builds, key=age_key):
        by_name.setdefault((build.run, build.name), []).append(build)
    return by_name.values()


def _newest(builds: Iterable[Build]) -> list[Build]:
    return [attempts[-1] for attempts in _by_name(builds)]


def _first(attempts: Sequence[Build]) -> float | None:
    """Since when a job has succeeded, or failed, as its newest attempt did."""
    if not attempts:
        return None
    first = attempts[-1]
    for build in reversed(attempts):
        if (build.outcome in FAILED) != (first.outcome in FAILED):
            break
        first = build
    return first.concluded_at


def _end(pipeline: Pipeline) -> float | None:
    """When the pipeline came to what the provider says of it."""
    if pipeline.row.run.updated_at is not None:
        return pipeline.row.run.updated_at
    return max((build.concluded_at for build in pipeline.builds if build.concluded_at is not None), default=None)


def _gate_is_open(pipeline: Pipeline) -> bool:
    """Whether a pipeline that waits for a person has nothing against it. A child needs no success of its own."""
    if not pipeline.row.whole:
        return False
    newest = _newest(pipeline.builds)
    good = pipeline.row.run.child or any(build.outcome is Outcome.SUCCESS for build in newest)
    return good and not any(build.outcome is Outcome.CANCELLATION for build in newest)


def _undecided(pipelines: Sequence[Pipeline]) -> Outcome:
    """The word for a run that neither succeeded nor failed."""
    root = pipelines[0]
    if root.row.run.status:
        outcome = root.row.run.outcome
    else:
        outcome = composite(_newest(root.builds)) if root.row.whole else root.row.outcome
    if outcome is not Outcome.SUCCESS:
        return outcome
    held_up = [child.row.run.outcome for child in pipelines[1:] if word(child) is None]
    return min(held_up, default=Outcome.EXECUTING)


def _failed_as(failed: Sequence[Build], row: RunRow) -> Outcome:
    if failed:
        return _worst(failed)
    return row.outcome if row.succeeded is False and row.outcome in FAILED else Outcome.FAILURE


def _worst(failed: Iterable[Build]) -> Outcome:
    """`failure` if one is that, else `timeout`, else `error`."""
    outcomes = {build.outcome for build in failed}
    return next((outcome for outcome in (Outcome.FAILURE, Outcome.TIMEOUT) if outcome in outcomes), Outcome.ERROR)


def _newer(failed: Iterable[Build]) -> Build | None:
    return max(failed, key=age_key, default=None)
