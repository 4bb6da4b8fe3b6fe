"""What a webhook's delivery adds to what is known of a target. Pure; times are seconds since the epoch.

Deliveries come late, twice and in any order, so a delivery only ever moves a build or a run forward: waiting, pending,
executing, concluded. Whatever else it hints at is left to a read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf, nextafter

from exporter.build import DORMANT, Build, Outcome, Run
from exporter.history.window import History, Observation, Rules, RunObservation, merge
from exporter.polling.hazard import USUAL, Pulse
from exporter.providers.contract import Delivery

PROMPT = 60.0
"""Seconds after its conclusion within which a build must be told of, for deliveries to stand in for reads."""
HEARD = 6 * 3600.0
"""Seconds of silence after which a source is no longer taken to deliver."""
SAME = 1.0
"""Seconds by which two times of one moment differ: deliveries have whole seconds."""
OVERDUE = 3.0
"""Times the usual duration after which an unfinished build may have ended in a delivery that was lost."""


class Result(StrEnum):
    """What became of a delivery."""

    APPLIED = "applied"
    DUE = "due"
    """Its target is read at the next scrape."""
    REPEATED = "repeated"
    STALE = "stale"
    """Nothing in it was new."""
    UNKNOWN_TARGET = "unknown_target"
    UNKNOWN_EVENT = "unknown_event"
    UNAUTHORIZED = "unauthorized"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"


_ENDED = 3
"""The stage of a run that has ended."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a delivery comes to, held against what is known."""

    sights: tuple[Observation, ...]
    """What moves builds forward, and builds that are new."""
    due: bool
    """Whether the target must be read to know all that it hints at."""
    prompt: bool | None
    """Whether it told of conclusions in time; None: it told of none."""
    runs: tuple[RunObservation, ...] = ()
    """What moves runs forward, and runs that are new."""
    whole: frozenset[str] = frozenset()
    """Ids of runs of which every attempt of every build is in it or known."""

    @property
    def news(self) -> bool:
        """Whether it changes the history."""
        return bool(self.sights or self.runs)

    def applied(self, history: History, rules: Rules, now: float) -> History:
        """The history with what it brought."""
        return merge(history, self.sights, rules, now, runs=self.runs, whole=self.whole) if self.news else history


def told(history: History, delivery: Delivery, now: float) -> Told:
    """What the delivery adds to the history of its target, which was read once at least. `now`: it came then."""
    sights: list[Observation] = []
    due = not delivery.builds
    in_time: list[bool] = []
    for build in delivery.builds:
        row = history.rows.get(build.id)
        if row is None and build.created_at <= max(history.floor, history.baseline or -inf):
            due |= build.unfinished  # it was cut, and may have come to life
            continue
        news = _new(history, delivery, build) if row is None else _moved(row.build, build)
        if news is not None:
            sights.append((news, now if row is None else max(now, nextafter(row.seen_at, inf))))
            due |= _has_ended(news) and news.concluded_at is None
        else:
            due |= row is None or (row.build.outcome in DORMANT and build.unfinished)
        if _has_ended(build) and (news is not None or _is_prompt(build, now)):
            in_time.append(_is_prompt(build, now))
    runs: list[RunObservation] = []
    for run in delivery.runs:
        moved, unclear = _run_moved(history, run)
        due |= unclear
        if moved is not None:
            known = history.runs.get(run.id)
            runs.append((moved, now if known is None else max(now, nextafter(known.seen_at, inf))))
    taken = {build.id for build, _seen_at in sights} | history.rows.keys()
    whole = delivery.whole and all(build.id in taken for build in delivery.builds)
    return Told(
        sights=tuple(sights),
        due=due,
        prompt=all(in_time) if in_time else None,
        runs=tuple(runs),
        whole=frozenset(run.id for run, _seen_at in runs if whole and _stays_whole(history, delivery, run)),
    )


def timely(history: History, sights: Iterable[Observation]) -> list[Observation]:
    """The sights of a read; one that began before a delivery came can still tell what happened after that."""
    return [(build, _as_of(history, build, seen_at)) for build, seen_at in sights]


def _as_of(history: History, build: Build, seen_at: float) -> float:
    row = history.rows.get(build.id)
    overtaken = row is not None and row.seen_at > seen_at and _place(build) > _place(row.build)
    return nextafter(row.seen_at, inf) if row is not None and overtaken else seen_at


def untold(before: History, after: History, now: float) -> bool:
    """Whether a read has shown a conclusion of which a delivery should have told by now."""
    ended = (row.build for row in after.rows.values() if _has_ended(row.build))
    known = before.rows
    fresh = (build for build in ended if not (build.id in known and known[build.id].build.concluded))
    return any(build.created_at > before.floor and not _is_prompt(build, now) for build in fresh)


def overdue_at(pulse: Pulse) -> float:
    """When an unfinished build will have taken thrice as long as is usual, and longer than any that is known.

    By the server's clock; infinite where nothing is unfinished.
    """
    durations = pulse.durations or (USUAL,)
    longest = max(OVERDUE * durations[len(durations) // 2], durations[-1])
    return min(pulse.unfinished, default=inf) + longest


def _place(build: Build) -> int:
    """How far the build has come in its life."""
    if build.concluded:
        return 3
    return {Outcome.PENDING: 1, Outcome.EXECUTING: 2}.get(build.outcome, 0)


def _moved(known: Build, build: Build) -> Build | None:
    """The known build as it stands now; None where that is no further. What never changes is kept as it was read."""
    if _place(build) <= _place(known):
        return None
    started_at, concluded_at = (
        # Deliveries tell whole seconds where reads tell milliseconds.
        None if at is None or at <= known.created_at - 1 else max(at, known.created_at)
        for at in (build.started_at, build.concluded_at)
    )
    return known._replace(
        status=build.status,
        outcome=build.outcome,
        concluded=build.concluded,
        started_at=known.started_at if started_at is None else started_at,
        concluded_at=concluded_at,
    )


def _run_moved(history: History, run: Run) -> tuple[Run | None, bool]:
    """The run, if it moves what is known of it forward; whether a read must say more.

    A run that has ended and is told to be under way may have been retried, or the delivery is late.
    """
    row = history.runs.get(run.id)
    if row is None:
        old = run.created_at <= max(history.run_floor, history.baseline or -inf)
        return (None if old else run), old and bool(run.status)
    known = row.run
    if not run.status:  # its provider has no status for runs
        return (None if run == known else run._replace(created_at=min(run.created_at, known.created_at))), False
    before, after = _stage(known.outcome), _stage(run.outcome)
    later = run.updated_at - known.updated_at if known.updated_at is not None and run.updated_at is not None else 0.0
    if run.status == known.status or later < -SAME:
        return None, False
    if after > before or (after == before == _ENDED and later >= SAME):
        told = run if run.ref_kind == known.ref_kind else run._replace(ref_kind=known.ref_kind, branch=known.branch)
        return told, after == before
    return None, after < before or after == _ENDED


def _stage(outcome: Outcome) -> int:
    """How far a run with this outcome has come in its life."""
    return {Outcome.WAITING: 0, Outcome.PENDING: 1, Outcome.EXECUTING: 2, Outcome.UNKNOWN: 2}.get(outcome, _ENDED)


def _stays_whole(history: History, delivery: Delivery, run: Run) -> bool:
    """Whether all attempts are known of a run of which all builds are told: deliveries leave out those before the last.

    Of a run without a status of its own they must do.
    """
    row = history.runs.get(run.id)
    told = [build.id for build in delivery.builds if build.run == run.id]
    return not run.status or (row is not None and row.whole and all(build_id in history.rows for build_id in told))


def _new(history: History, delivery: Delivery, build: Build) -> Build | None:
    """A build that is not known yet; None where too little is told of it, or of its run."""
    if not delivery.complete:
        return None
    if delivery.whole:
        return build
    sibling = next((row.build for row in history.rows.values() if row.build.run == build.run), None)
    return None if sibling is None else build._replace(branch=sibling.branch)


def _has_ended(build: Build) -> bool:
    return build.concluded and build.outcome not in DORMANT


def _is_prompt(build: Build, now: float) -> bool:
    return build.concluded_at is None or now - build.concluded_at <= PROMPT
