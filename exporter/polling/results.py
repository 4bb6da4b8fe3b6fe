"""What an answer changes: in how a target is polled, in its health, and in what is known of its source. Pure.

Each function takes the parts as they are and returns the new ones; whoever calls it commits and shows them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal, NamedTuple

from exporter.build import Target
from exporter.errors import RateLimited, SourceError
from exporter.history.window import History, Rules
from exporter.http.wire import Reading
from exporter.polling import schedule
from exporter.polling.candidates import announced
from exporter.polling.deliveries import Told
from exporter.polling.hazard import overrun
from exporter.polling.list_status import REPEATS, Action, action_for, covers, heard, running
from exporter.polling.polls import Asked, Discover, Poll, PollChanges, PollList, PollTarget
from exporter.polling.run_walk import walk_runs
from exporter.polling.state import DiscoveryState, Health, Polling, Source, TargetState
from exporter.polling.walk import Walked, walk
from exporter.providers import BuildStatus, Discovery, Provider
from exporter.settings.settings import Refresh

HOURLY = 3600.0
"""Seconds after which a list of runs that was refused is asked for again."""
SWEEP = 3600.0
"""Seconds after which the next read takes a largest page: it shows what came late and what came back to life."""
DAY = 86400.0
"""Seconds after which a target's own record is asked for again; a chance less, so that they are spread."""
LOOKED = 60.0
"""Seconds for which a look holds: while looks are made, the next one comes sooner."""
LISTED = 0.5
"""The share of `idle_ttl` after which the list of runs is read again though runs are under way."""
ABSENCES = 2
"""Complete lists without a target, after which it is dropped."""

NEWEST = 0.05
"""The weight of the newest poll in the average of requests."""

Chance = Callable[[], float]


class Line(NamedTuple):
    """A line for the log."""

    level: Literal["info", "warning", "error"]
    event: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Times:
    """The moment, and the pauses that the configuration sets."""

    now: float
    refresh: Refresh
    chance: Chance

    def later(self, asked: Asked, error: Exception) -> Asked:
        """When to try again after an error; a 429 makes the source rest instead."""
        if isinstance(error, RateLimited):
            return asked
        failures = asked.failures + 1
        return replace(asked, failures=failures, not_before=self.retry_at(failures))

    def retry_at(self, failures: int) -> float:
        """When to try again what has failed so often in a row."""
        return schedule.retry_at(failures, self.now, self.refresh.ttl, self.chance()) if failures else self.now


# Targets


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How a target is read this time."""

    skew: float
    """Seconds by which our clock is ahead of the server's."""
    now: float
    short: bool = True
    sweep: bool = False
    """A largest page is read, whatever is new."""
    by_runs: bool = False
    list_due: bool = True
    """The list of runs is read though runs are under way."""
    about_due: bool = False
    """The target's own record is asked for first."""
    children: float | None = None
    """As in `walk_runs`."""

    def reading(self, provider: Provider, target: Target, history: History, rules: Rules) -> Reading[Walked]:
        """The reading, by the server's time."""
        now = self.now - self.skew
        if self.by_runs:
            return walk_runs(provider, target, history, rules, now, list_due=self.list_due, children=self.children)
        return walk(provider, target, history, rules, now, short=self.short, sweep=self.sweep)


def read_plan(source: Source, state: TargetState, times: Times) -> ReadPlan:
    """How the target is read now: by its runs where the provider lists them and does not refuse to."""
    polling, now = state.polling, times.now
    refused = polling.lists_refused_at is not None and now - polling.lists_refused_at < HOURLY
    by_runs = source.provider.lists_runs and not refused
    # While looks show what moves, the list of runs need not be read again and again.
    looked = polling.look is not None and polling.look.changes.complete and now - polling.look.at < LOOKED
    pause = HOURLY / 2 if looked else LISTED * times.refresh.idle_ttl
    return ReadPlan(
        skew=source.state.skew,
        now=now,
        short=source.state.short,
        sweep=not by_runs and state.digest.known and now - polling.swept_at >= SWEEP,
        by_runs=by_runs,
        about_due=source.provider.lists_runs and now - polling.about_at >= DAY * (1 - times.chance() / 4),
        list_due=polling.unlisted or now - polling.listed_at >= pause,
        children=polling.child_since if looked and polling.unlisted else None,
    )


def after_read(  # noqa: PLR0913  # what was read, and how
    source: Source,
    state: TargetState,
    plan: ReadPlan,
    times: Times,
    *,
    walked: Walked,
    untold: bool,
) -> tuple[Polling, Health]:
    """How a target stands after its builds were read.

    `untold`: a delivery should have reported what the read found.
    """
    now, polling = times.now, state.polling
    if plan.sweep:
        polling = replace(polling, swept_at=now)
    elif polling.asked.first:
        polling = replace(polling, swept_at=now - SWEEP * times.chance())  # so that the next sweeps are spread
    if plan.by_runs:
        polling = replace(polling, lists_refused_at=now if walked.lists_refused else None)
    if walked.list_read:
        polling = replace(polling, listed_at=now)
    if (walked.list_read or walked.lists_refused or not plan.by_runs) and polling.due_at <= now:
        polling = replace(polling, unlisted=False, child_since=inf)
    polling = replace(polling, asked=Asked(now), announced=False if untold else polling.announced)
    state = replace(state, polling=polling)
    return _scheduled(source, state, times), current(state.health, now)


def _scheduled(source: Source, state: TargetState, times: Times) -> Polling:
    """When a target that a list covers must be read again: soon if the list showed a build that the read lacks."""
    polling, digest, now, skew = state.polling, state.digest, times.now, source.state.skew
    status = polling.status
    if polling.due_at > now:
        return replace(polling, wanted_at=polling.due_at)
    if status is None or polling.look is not None or announced(source, state, now):
        return replace(polling, wanted_at=None)
    if running(status) and not digest.unfinished and polling.repeats < REPEATS:
        return replace(polling, repeats=polling.repeats + 1, wanted_at=now + times.refresh.ttl)
    wanted = overrun(digest.pulse, now - skew) + skew
    return replace(polling, repeats=0, wanted_at=None if wanted == inf else wanted)


def average(source: Source, poll: Poll, requests: int) -> None:
    """Take note of the requests that a poll took, which follow from its kind and from whether something runs."""
    match poll:
        case PollTarget(target):
            known = source.targets.get(target)
            key = "running" if known and known.digest.unfinished else "idle"
        case PollList(_, name):
            key = f"list {name}"
        case PollChanges() | Discover():  # it is known beforehand
            return
    before = source.state.costs.get(key, 1.0)
    source.state.costs[key] = before + (requests - before) * NEWEST


def current(health: Health, now: float) -> Health:
    """The health of a target that is known to be as it is shown."""
    return replace(health, up=True, error="", refreshed_at=max(now, health.refreshed_at or now))


def down(health: Health, error: Exception) -> Health:
    """The health of a target that could not be read; a 429 only puts off its turn."""
    errors = health.failed(error.reason if isinstance(error, SourceError) else "unexpected")
    if isinstance(error, RateLimited):
        return replace(health, errors=errors)
    return replace(health, up=False, error=str(error), errors=errors)


def after_failed_read(polling: Polling, error: Exception, times: Times) -> Polling:
    """How a target is polled after a read of it failed: it is tried again later."""
    return replace(polling, asked=times.later(polling.asked, error))


# Lists


def after_status(
    source: Source, state: TargetState, status: BuildStatus | None, history: Callable[[], History], now: float
) -> tuple[Polling, Action, bool]:
    """How a target is polled after a list showed its newest build; what to do; whether it is known to be current."""
    before, polling = state.polling.status, replace(state.polling, status=status)
    if status is None or not state.digest.known:
        return polling, Action.NOTHING, False
    action = action_for(before, status, state.digest.unfinished)
    if action is Action.READ and announced(source, replace(state, polling=polling), now) and heard(status, history()):
        action = Action.NOTHING
    if action is Action.READ:
        return replace(polling, wanted_at=now, due_at=now, repeats=0), action, False
    return polling, action, not polling.asked.failures and covers(status, state.digest.unfinished)


# Deliveries


def after_delivery(polling: Polling, told: Told, now: float) -> Polling:
    """How a target is polled after a delivery."""
    if told.prompt is not None:
        polling = replace(polling, announced=told.prompt)
    if told.due:
        polling = replace(polling, wanted_at=now, due_at=now)
    return polling


# Discovery


class Presence(NamedTuple):
    """What a list of targets says of which there are."""

    new: tuple[Target, ...]
    absences: Mapping[Target, int]
    """By target that remains, where it changed."""
    gone: tuple[Target, ...]


def presence(
    source: Source, present: Collection[Target], absent: Collection[Target], absences: int = ABSENCES
) -> Presence:
    """Which targets are new and which are gone: `absent` are those that a complete list should show and does not."""
    new = tuple(target for target in dict.fromkeys(present) if target not in source.targets)
    counted = {target: 0 for target in present if target in source.targets}
    gone: list[Target] = []
    for target in absent:
        missed = source.targets[target].absences + 1
        if missed >= absences:
            gone.append(target)
        else:
            counted[target] = missed
    return Presence(new, counted, tuple(gone))


def after_discovery(
    before: DiscoveryState, found: Discovery, requests: int, source: str, times: Times
) -> tuple[DiscoveryState, tuple[Line, ...]]:
    """How discovery stands after it found targets by so many requests, and what to log."""
    failures = before.asked.failures + 1 if found.faults else 0
    lines = [
        *(
            Line("warning", "discovery is partial", {"source": source, "reason": fault.reason, "error": str(fault)})
            for fault in found.faults
        ),
        *(Line("warning", "nothing matches", {"source": source, "note": note}) for note in found.notes),
    ]
    after = DiscoveryState(
        asked=Asked(times.now, failures, times.retry_at(failures)),
        succeeded=(bool(found.targets) or not found.faults) if requests else None,
        tried=True,
        errors=tuple(str(fault) for fault in found.faults),
        notes=found.notes,
        requests=requests,
    )
    return after, tuple(lines)


def after_failed_discovery(before: DiscoveryState, error: Exception, times: Times) -> DiscoveryState:
    """How discovery stands after it failed: the targets stay, and it is tried again later."""
    asked = times.later(before.asked, error)
    return replace(before, asked=asked, succeeded=False, tried=True, errors=(str(error),))


def discover_at(source: Source, now: float) -> float:
    """When discovery must look for a target that a delivery named, after one that began at `now`."""
    wanted = source.state.webhook.discover_at
    return inf if wanted <= now else wanted
