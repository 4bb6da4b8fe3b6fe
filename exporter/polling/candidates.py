"""The polls that follow from how a source and its targets stand, each with what speaks for it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf

from exporter.build import Target
from exporter.polling.deliveries import HEARD, overdue
from exporter.polling.looks import FEWEST
from exporter.polling.polls import Asked, Discover, Poll, PollChanges, PollList, PollTarget, Scope
from exporter.polling.rate_limit import rate
from exporter.polling.schedule import TOLERANCE, Candidate, accrued, requests_a_second
from exporter.polling.state import Source, TargetState
from exporter.settings.settings import Refresh

LIST_SHORTEST = 15.0
"""Seconds between two requests for a list that covers many targets."""
LOOKS_SHARE = 0.1
"""The share of what may be spent that looks at many targets take at least, so that the first build after hours of
silence is seen as soon as any."""
RUNNING = 0.65
"""The share of `idle_ttl` that is the longest pause while a build of the target is unfinished."""
SLOWEST = 7200.0
"""Seconds between two reads of a target whose deliveries arrive."""
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Report:
    """How the reading of a source goes, for a person."""

    source: str
    up: bool | None
    targets: dict[str, int]
    """How many by kind."""
    limit: float | None
    """Requests an hour that the server allows; None: it reports no limit."""
    errors: tuple[str, ...]
    """What went wrong last, a line each."""
    notes: tuple[str, ...]
    """What the configuration names and the provider does not have, a line each."""
    requests_an_hour: float
    """As its targets stand now."""
    unread: int = 0
    """Targets that were not read yet."""


def candidates(source: Source, refresh: Refresh, now: float) -> Iterator[Candidate]:
    """Every poll that can be made of a source."""
    state, provider = source.state, source.provider
    told = {target for target, known in state.targets.items() if announced(source, known, now)}
    yield discovery(source, refresh, all_told=bool(told) and len(told) == len(state.targets))
    yield from changes(source, refresh, now)  # before first reads: what was read already is known to be current by it
    listed = {provider.list_of(target) for target, known in state.targets.items() if known.polling.status is not None}
    lists: dict[str, tuple[float, float]] = {}
    for target, known in state.targets.items():
        name = provider.list_of(target) if known.polling.status is not None else None
        # A list that covers others would show this one too, had it ever built.
        silent = known.polling.status is None and known.empty and provider.list_of(target) in listed
        heard = target in told
        if name is not None and not heard:
            delay, stirred = lists.get(name, (0.0, -inf))
            asked_at = state.lists.get(name, Asked()).at
            # A target that is polled itself makes its list no more pressing.
            delay += accrued(known.digest.pulse, asked_at - state.skew, now - state.skew) if known.covered else 0.0
            lists[name] = delay, max(stirred, _stirred_at(known, now))
        yield _of_target(source, known, refresh, now, heard=heard, covered=known.covered or silent or heard)
    for name, (delay, stirred) in lists.items():
        asked = state.lists.get(name, Asked())
        yield Candidate(
            poll=PollList(source.name, name),
            accrued=delay,
            shortest=LIST_SHORTEST,
            longest=max(LIST_SHORTEST, refresh.idle_ttl),
            asked_at=asked.at,
            stirred_at=stirred,
            not_before=asked.not_before,
        )


def looked_at(source: Source, now: float) -> list[TargetState]:
    """The targets whose changes are asked for together, those first that were left out the longest.

    Those that were never read, and those whose deliveries arrive, are not among them.
    """
    shown = source.provider.shows_changes
    some = [
        known
        for target, known in source.targets.items()
        if known.digest.known and not known.polling.asked.first and shown(target) and not announced(source, known, now)
    ]
    return sorted(some, key=lambda known: -inf if known.polling.look is None else known.polling.look.at)


def changes(source: Source, refresh: Refresh, now: float) -> Iterator[Candidate]:
    """The poll that asks for the changes of many targets, unless the server refuses it or there are too few."""
    looks, skew = source.state.looks, source.state.skew
    some = looked_at(source, now) if now >= looks.retry_at else []
    if len(some) < FEWEST:
        return
    requests, spend = ceil(len(some) / looks.size_at(now)), rate(source.budget.bucket, now)
    covered = ((known.digest.pulse, last_current(known)) for known in some if known.covered)
    yield Candidate(
        poll=PollChanges(source.name),
        accrued=sum(accrued(pulse, at - skew, now - skew) for pulse, at in covered) / requests,
        shortest=LIST_SHORTEST,
        longest=max(LIST_SHORTEST, min(refresh.idle_ttl, requests / (LOOKS_SHARE * spend))) if spend else LIST_SHORTEST,
        asked_at=looks.asked.at,
        not_before=looks.asked.not_before,
        requests=requests,
    )


def last_current(known: TargetState) -> float:
    """When the target was last known to be current: by a read, or because nothing of it had changed."""
    polling = known.polling
    return polling.asked.at if polling.asked.first else max(polling.asked.at, polling.current_at)


def _of_target(  # noqa: PLR0913  # what is known, and what was found out about it
    source: Source, known: TargetState, refresh: Refresh, now: float, *, heard: bool, covered: bool
) -> Candidate:
    asked, pulse, skew = known.polling.asked, known.digest.pulse, source.state.skew
    at = last_current(known)
    early = now - at < refresh.ttl - TOLERANCE or asked.first  # what accrued is not looked at
    while_running = max(refresh.ttl, RUNNING * refresh.idle_ttl)
    return Candidate(
        poll=PollTarget(known.target),
        accrued=0.0 if covered or early else accrued(pulse, at - skew, now - skew),
        steady=not covered,
        shortest=refresh.ttl,
        longest=while_running if pulse.unfinished else refresh.idle_ttl,
        asked_at=at,
        stirred_at=_stirred_at(known, now),
        forced_at=_sweep(known, refresh, now) if heard else known.polling.wanted_at,
        not_before=asked.not_before,
    )


def _stirred_at(known: TargetState, now: float) -> float:
    pulse = known.digest.pulse
    return now if pulse.unfinished else pulse.stirred_at


def wanted(known: TargetState, refresh: Refresh) -> Candidate:
    """The read of a target that must be made now."""
    at = known.polling.asked.at
    return Candidate(PollTarget(known.target), refresh.ttl, refresh.idle_ttl, asked_at=at, forced_at=at)


def first_reads(found: list[Target], refresh: Refresh) -> list[Candidate]:
    """The first reads of targets that were just found."""
    return [Candidate(PollTarget(target), refresh.ttl, refresh.idle_ttl) for target in found]


def announced(source: Source, known: TargetState, now: float) -> bool:
    """Whether deliveries report the target's builds, so that it needs only a slow sweep.

    So it is while a source delivers: from one conclusion that was reported in time to the first one that a read finds
    instead.
    """
    webhook, last = source.state.webhook, known.polling.announced
    tells = webhook.projects.get(known.target.project, False) if last is None else last
    return tells and now - webhook.heard_at <= HEARD and not known.polling.asked.first


def _sweep(known: TargetState, refresh: Refresh, now: float) -> float:
    """When a target whose deliveries arrive is read all the same; sooner where one may have been lost."""
    polling = known.polling
    sweep = polling.asked.at + (refresh.idle_ttl if overdue(known.digest.pulse, now) else SLOWEST)
    return sweep if polling.wanted_at is None else min(sweep, polling.wanted_at)


def report(source: Source, refresh: Refresh, now: float) -> Report:
    """How the reading of a source goes, for a person."""
    state, bucket = source.state, source.budget.bucket
    failed = (
        f"{target.address}: {known.health.error}" for target, known in state.targets.items() if known.health.error
    )
    hourly = HOUR * requests_a_second(list(candidates(source, refresh, now)), bucket, now)
    hourly += state.discovery.requests * HOUR / refresh.discovery
    kinds = dict.fromkeys(source.provider.kinds, 0)
    for target in state.targets:
        kinds[target.kind] = kinds.get(target.kind, 0) + 1
    allowance = bucket.allowance
    limit = None if allowance.limit is None else allowance.limit * HOUR / allowance.period
    unread = sum(known.health.up is None for known in state.targets.values())
    errors = (*state.discovery.errors, *failed)
    return Report(source.name, state.answered, kinds, limit, errors, state.discovery.notes, hourly, unread)


def discovery(source: Source, refresh: Refresh, *, all_told: bool = False) -> Candidate:
    """The discovery of a source's targets."""
    pause = max(HOUR, refresh.discovery) if all_told else refresh.discovery
    asked = source.state.discovery.asked
    return Candidate(
        poll=Discover(source.name),
        steady=False,
        shortest=pause,
        longest=pause,
        asked_at=asked.at,
        forced_at=min(asked.at + pause, source.state.webhook.discover_at),
        not_before=asked.not_before,
    )


def covers(source: Source, scope: Scope, poll: Poll) -> bool:
    """Whether a poll of the source is of interest to the scope."""
    target, provider = scope.target, source.provider
    if target is None:
        return scope.covers(poll)
    return scope.covers(poll, provider.list_of(target), changes=provider.shows_changes(target))
