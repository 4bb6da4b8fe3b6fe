"""The questions that follow from how a source and its targets stand: what could be asked, and what for. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from exporter.build import Target
from exporter.exposition.self_metrics import SourceStatus
from exporter.polling.deliveries import HEARD, overdue
from exporter.polling.schedule import TOLERANCE, Key, Question, accrued, requests_a_second
from exporter.polling.state import Asked, Origin, Subject
from exporter.settings.settings import Refresh

LIST_SHORTEST = 15.0
"""Seconds between two askings of a list that tells of many targets at once."""
RUNNING = 0.65
"""The share of `idle_ttl` that is the longest pause while a build of the target is unfinished."""
SLOWEST = 7200.0
"""Seconds between two reads of a target of which deliveries tell."""
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Report:
    """How the reading of a source goes, for a person."""

    status: SourceStatus
    errors: tuple[str, ...]
    """What went wrong last, a line each."""
    notes: tuple[str, ...]
    """What the configuration names and the provider does not have, a line each."""
    requests_an_hour: float
    """As its targets stand now."""


def questions(origin: Origin, refresh: Refresh, now: float) -> Iterator[Question]:
    """Everything that can be asked of a source, each as it stands."""
    told = {target for target, subject in origin.subjects.items() if announced(origin, subject, now)}
    yield _discovery(origin, refresh, all_told=bool(told) and len(told) == len(origin.subjects))
    spoken = {
        origin.provider.list_of(target) for target, subject in origin.subjects.items() if subject.look is not None
    }
    server_now = now - origin.skew
    while_running = max(refresh.ttl, RUNNING * refresh.idle_ttl)
    lists: dict[str, float] = {}
    stirred: dict[str, float] = {}
    for target, subject in origin.subjects.items():
        heard_of = bool(told) and target in told
        stirred_at = now if subject.pulse.unfinished else subject.pulse.stirred_at
        name = origin.provider.list_of(target) if subject.look is not None else None
        # A list that tells of others would tell of this one too, had it ever built.
        silent = subject.look is None and subject.empty and origin.provider.list_of(target) in spoken
        covered = subject.covered or silent or heard_of
        early = now - subject.asked.at < refresh.ttl - TOLERANCE or subject.asked.first  # what accrued is not looked at
        if name is not None and not heard_of:
            asked_at = origin.lists.get(name, Asked()).at
            # A target that is asked itself makes its list no more pressing.
            delay = accrued(subject.pulse, asked_at - origin.skew, server_now) if subject.covered else 0.0
            lists[name] = lists.get(name, 0.0) + delay
            stirred[name] = max(stirred.get(name, -inf), stirred_at)
        yield Question(
            key=target,
            accrued=0.0 if covered or early else _accrued(subject, origin.skew, server_now),
            steady=not covered,
            shortest=refresh.ttl,
            longest=while_running if subject.pulse.unfinished else refresh.idle_ttl,
            asked_at=subject.asked.at,
            stirred_at=stirred_at,
            forced_at=_sweep(subject, refresh, now) if heard_of else subject.wanted_at,
            not_before=subject.asked.not_before,
        )
    for name, delay in lists.items():
        asked = origin.lists.get(name, Asked())
        yield Question(
            key=(origin.name, "list", name),
            accrued=delay,
            shortest=LIST_SHORTEST,
            longest=max(LIST_SHORTEST, refresh.idle_ttl),
            asked_at=asked.at,
            stirred_at=stirred[name],
            not_before=asked.not_before,
        )


def _accrued(subject: Subject, skew: float, server_now: float) -> float:
    """The delay that has accrued since the target was read; what is known of builds is by the server's clock."""
    return accrued(subject.pulse, subject.asked.at - skew, server_now)


def announced(origin: Origin, subject: Subject, now: float) -> bool:
    """Whether deliveries tell of the target's builds, so that it needs only a slow sweep.

    So it is while a source delivers, from one conclusion told in time to the first one that a read finds instead.
    """
    webhook, known = origin.webhook, subject.announced
    tells = webhook.projects.get(subject.target.project, False) if known is None else known
    return tells and now - webhook.heard_at <= HEARD and not subject.asked.first


def _sweep(subject: Subject, refresh: Refresh, now: float) -> float:
    """When a target that deliveries tell of is read all the same; sooner where a build may have ended unheard."""
    sweep = subject.asked.at + (refresh.idle_ttl if overdue(subject.pulse, now) else SLOWEST)
    return sweep if subject.wanted_at is None else min(sweep, subject.wanted_at)


def report(origin: Origin, refresh: Refresh, now: float) -> Report:
    """How a source stands, for a person."""
    failed = (f"{subject.target.address}: {subject.error}" for subject in origin.subjects.values() if subject.error)
    hourly = HOUR * requests_a_second(list(questions(origin, refresh, now)), origin.purse.budget, now)
    hourly += origin.discovery_cost * HOUR / refresh.discovery
    return Report(origin.status(now), (*origin.errors, *failed), origin.notes, hourly)


def _discovery(origin: Origin, refresh: Refresh, *, all_told: bool) -> Question:
    pause = max(HOUR, refresh.discovery) if all_told else refresh.discovery
    return Question(
        key=discovery_key(origin),
        steady=False,
        shortest=pause,
        longest=pause,
        asked_at=origin.discovery.at,
        forced_at=min(origin.discovery.at + pause, origin.webhook.discover_at),
        not_before=origin.discovery.not_before,
    )


def discovery_key(origin: Origin) -> Key:
    """What discovery is known by among the questions."""
    return (origin.name, "discovery")


def source_of(key: Key) -> str:
    """The source that a question asks."""
    return key.source if isinstance(key, Target) else key[0]


def concerns(origins: Mapping[str, Origin], key: Key, only: Target | None) -> bool:
    """Whether a question can tell something of the target, or of whether it exists; None: of any."""
    if only is None:
        return True
    if isinstance(key, Target):
        return key == only
    source, kind, *name = key
    if source != only.source:
        return False
    return kind == "discovery" or [origins[source].provider.list_of(only)] == name
