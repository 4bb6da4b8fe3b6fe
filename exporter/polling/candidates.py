"""The polls that follow from how a source and its targets stand, each with what speaks for it. Pure."""

from collections.abc import Collection, Iterable, Iterator
from math import ceil, inf

from exporter.build import Target
from exporter.polling.deliveries import HEARD, overdue_at
from exporter.polling.hazard import together
from exporter.polling.looks import FEWEST
from exporter.polling.polls import Asked, Discover, Poll, PollChanges, PollList, PollTarget, Scope
from exporter.polling.rate_limit import usual_rate
from exporter.polling.schedule import Candidate
from exporter.polling.state import Source, TargetState
from exporter.settings.settings import Refresh

LIST_SHORTEST, LIST_LONGEST = 15.0, 60.0
"""Seconds between two requests for a list that covers many targets; if too little may be spent, up to `idle_ttl`."""
LOOKS_SHARE = 0.1
"""The share of what may be spent that looks at many targets take at least, so that the first build after hours of
silence is seen as soon as any."""
RUNNING = 0.65
"""The share of `idle_ttl` that is the longest pause while a build of the target is unfinished."""
CONFIRMED = 3600.0
"""Seconds after which a target is read though its list says that nothing changed."""
SLOWEST = 7200.0
"""Seconds between two reads of a target whose deliveries arrive."""
CONFIRMED_SLACK, DISCOVERY_SLACK = 24.0, 12.0
"""How many times longer that, and the pause of discovery, may become before the pauses of all targets do."""
HOUR = 3600.0


def candidates(source: Source, refresh: Refresh, now: float) -> Iterator[Candidate]:
    """Every poll that can be made of a source."""
    told = {target for target, known in source.targets.items() if announced(source, known, now)}
    yield discovery(source, refresh, all_told=bool(told) and len(told) == len(source.targets))
    members = listed_targets(source)
    for target, known in source.targets.items():
        yield of_target(source, known, refresh, listed=members.keys(), heard=target in told)
    yield from changes(source, refresh, now)
    for name, targets in members.items():
        if targets - told:
            yield of_list(source, name, (source.targets[target] for target in targets - told), refresh, now)


def listed_targets(source: Source) -> dict[str, set[Target]]:
    """The targets of each list that shows their newest builds, by the name of the list."""
    members: dict[str, set[Target]] = {}
    for target, known in source.targets.items():
        name = source.provider.list_of(target) if known.polling.status is not None else None
        if name is not None:
            members.setdefault(name, set()).add(target)
    return members


def of_target(
    source: Source, known: TargetState, refresh: Refresh, *, listed: Collection[str | None], heard: bool
) -> Candidate:
    """The read of a target. `listed`: the names of the lists that show builds; `heard`: its deliveries arrive."""
    asked, pulse = known.polling.asked, known.digest.pulse
    # A list that covers others would show this one too, had it ever built.
    silent = known.polling.status is None and known.empty and source.provider.list_of(known.target) in listed
    if heard or known.covered or silent:
        return Candidate(
            poll=PollTarget(known.target),
            shortest=refresh.ttl,
            longest=SLOWEST if heard else CONFIRMED,
            asked_at=asked.at,
            steady=False,
            slack=CONFIRMED_SLACK,
            forced_at=_forced_at(source, known, refresh, heard=heard),
            not_before=asked.not_before,
        )
    running = bool(pulse.unfinished)
    return Candidate(
        poll=PollTarget(known.target),
        shortest=refresh.ttl,
        longest=max(refresh.ttl, RUNNING * refresh.idle_ttl) if running else refresh.idle_ttl,
        asked_at=last_current(known),
        pulses=(pulse,),
        skew=source.state.skew,
        cost=source.state.costs.get("running" if running else "idle", 1.0),
        forced_at=known.polling.wanted_at,
        not_before=asked.not_before,
    )


def of_list(source: Source, name: str, members: Iterable[TargetState], refresh: Refresh, now: float) -> Candidate:
    """The request for a list. A target that is polled itself makes its list no more pressing."""
    asked, skew = source.state.lists.get(name, Asked()), source.state.skew
    longest = max(LIST_SHORTEST, min(LIST_LONGEST, refresh.idle_ttl))
    return Candidate(
        poll=PollList(source.name, name),
        shortest=LIST_SHORTEST,
        longest=longest,
        asked_at=asked.at,
        pulses=together((known.digest.pulse for known in members if known.covered), now - skew),
        skew=skew,
        cost=source.state.costs.get(f"list {name}", 1.0),
        slack=max(1.0, refresh.idle_ttl / longest),
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
    requests = ceil(len(some) / looks.size_at(now))
    share = requests / (LOOKS_SHARE * usual_rate(source.budget.bucket))
    longest = max(LIST_SHORTEST, min(LIST_LONGEST, refresh.idle_ttl, share))
    yield Candidate(
        poll=PollChanges(source.name),
        shortest=LIST_SHORTEST,
        longest=longest,
        asked_at=looks.asked.at,
        pulses=together((known.digest.pulse for known in some if known.covered), now - skew),
        skew=skew,
        cost=requests,
        slack=max(1.0, refresh.idle_ttl / longest),
        not_before=looks.asked.not_before,
    )


def last_current(known: TargetState) -> float:
    """When the target was last known to be current: by a read, or because nothing of it had changed."""
    polling = known.polling
    return polling.asked.at if polling.asked.first else max(polling.asked.at, polling.current_at)


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


def _forced_at(source: Source, known: TargetState, refresh: Refresh, *, heard: bool) -> float | None:
    """When a target must be read that needs no poll; where deliveries arrive also if one may have been lost."""
    wanted_at = known.polling.wanted_at
    if not heard or not known.digest.pulse.unfinished:
        return wanted_at
    lost_at = max(known.polling.asked.at + refresh.idle_ttl, overdue_at(known.digest.pulse) + source.state.skew)
    return lost_at if wanted_at is None else min(lost_at, wanted_at)


def discovery(source: Source, refresh: Refresh, *, all_told: bool = False) -> Candidate:
    """The discovery of a source's targets."""
    pause = max(HOUR, refresh.discovery) if all_told else refresh.discovery
    state = source.state
    wanted_at = state.webhook.discover_at
    return Candidate(
        poll=Discover(source.name),
        shortest=pause,
        longest=pause,
        asked_at=state.discovery.asked.at,
        cost=max(1.0, state.discovery.requests),
        steady=False,
        slack=DISCOVERY_SLACK,
        forced_at=None if wanted_at == inf else wanted_at,
        not_before=state.discovery.asked.not_before,
    )


def covers(source: Source, scope: Scope, poll: Poll) -> bool:
    """Whether a poll of the source is of interest to the scope."""
    target, provider = scope.target, source.provider
    if target is None:
        return scope.covers(poll)
    return scope.covers(poll, provider.list_of(target), changes=provider.shows_changes(target))
