"""Which candidates of a source have changed since it was looked at last, and when all of a budget's are due.

Every part of a target's state is frozen and replaced as a whole, so that a look at ten thousand targets compares
references and computes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import inf

from exporter.build import Target
from exporter.polling.candidates import (
    announced,
    candidates,
    changes,
    discovery,
    listed_targets,
    of_list,
    of_target,
)
from exporter.polling.deliveries import HEARD
from exporter.polling.due import DueQueue
from exporter.polling.looks import Looks
from exporter.polling.polls import Asked, Poll, PollChanges, PollList, PollTarget
from exporter.polling.rate_limit import TokenBucket
from exporter.polling.schedule import Candidate
from exporter.polling.state import Digest, DiscoveryState, Polling, Source
from exporter.settings.settings import Refresh

RESUMMED = 30.0
"""Seconds after which the hazards of all targets are summed up again whose changes are asked for together."""
SKEWED = 2.0
"""Seconds by which the difference of the clocks must change to be looked at."""


@dataclass(slots=True)
class _Seen:
    """A source as it was looked at last."""

    fingerprint: object = None
    skew: float = 0.0
    targets: dict[Target, tuple[Polling, Digest]] = field(default_factory=dict)
    list_of: dict[Target, str] = field(default_factory=dict)
    """The list that shows the target's newest build, of those that have one."""
    members: dict[str, set[Target]] = field(default_factory=dict)
    """The reverse."""
    told: set[Target] = field(default_factory=set)
    """Targets whose deliveries arrive."""
    lists: dict[str, Asked] = field(default_factory=dict)
    discovery: DiscoveryState | None = None
    looks: Looks | None = None
    changes: Candidate | None = None
    """The poll for the changes of many targets, and below when it was last made of all of them."""
    changes_at: float = -inf
    polls: set[Poll] = field(default_factory=set)


class Agenda:
    """What can be asked of the sources that share a budget, and when. The caller holds the collector's lock."""

    def __init__(self, now: float, chance: Callable[[], float]) -> None:
        self.queue = DueQueue(now, chance)
        self._seen: dict[str, _Seen] = {}

    def follow(self, sources: Iterable[Source], refresh: Refresh, bucket: TokenBucket, now: float) -> None:
        """Take in what has changed, and make the price anew where it is time to."""
        for source in sources:
            seen = self._seen.setdefault(source.name, _Seen())
            changed = _changed_targets(source, seen)
            if _concerns_all(source, seen, changed, refresh, now):
                self._take_all(source, seen, refresh, now)
            else:
                begun = any(not (target in seen.targets and seen.targets[target][1].known) for target in changed)
                for candidate in _changed(source, seen, changed, refresh, now):
                    self.queue.put(candidate, now)
                self._drop_told_lists(source, seen)
                self._take_changes(source, seen, refresh, now, anew=begun)
        if self.queue.needs_price(now):
            self.queue.reprice(bucket, now)

    def _take_all(self, source: Source, seen: _Seen, refresh: Refresh, now: float) -> None:
        polls = set()
        together: Candidate | None = None
        for candidate in candidates(source, refresh, now):
            polls.add(candidate.poll)
            if isinstance(candidate.poll, PollChanges):
                together = candidate
            self.queue.put(candidate, now)
        for poll in seen.polls - polls:
            self.queue.drop(poll)
        state, members = source.state, listed_targets(source)
        self._seen[source.name] = _Seen(
            fingerprint=_fingerprint(source, refresh, now),
            skew=state.skew,
            targets={target: (known.polling, known.digest) for target, known in source.targets.items()},
            list_of={target: name for name, targets in members.items() for target in targets},
            members=members,
            told={target for target, known in source.targets.items() if announced(source, known, now)},
            lists=dict(state.lists),
            discovery=state.discovery,
            looks=state.looks,
            changes=together,
            changes_at=now,
            polls=polls,
        )

    def _take_changes(self, source: Source, seen: _Seen, refresh: Refresh, now: float, *, anew: bool) -> None:
        """Take in how looks went; which targets they are for, and how these build, is summed up now and then.

        `anew`: some of the targets were read for the first time.
        """
        looks = source.state.looks
        if anew or now - seen.changes_at >= RESUMMED or now < seen.changes_at:
            seen.changes = next(changes(source, refresh, now), None)
            seen.changes_at = now
        elif looks is seen.looks or seen.changes is None:
            return
        else:
            asked = looks.asked
            seen.changes = replace(seen.changes, asked_at=asked.at, not_before=asked.not_before)
        seen.looks = looks
        poll = PollChanges(source.name)
        if seen.changes is not None:
            seen.polls.add(poll)
            self.queue.put(seen.changes, now)
        elif poll in seen.polls:
            seen.polls.discard(poll)
            self.queue.drop(poll)

    def _drop_told_lists(self, source: Source, seen: _Seen) -> None:
        for name, targets in seen.members.items():
            poll = PollList(source.name, name)
            if poll in seen.polls and targets <= seen.told:
                seen.polls.discard(poll)
                self.queue.drop(poll)


def _changed_targets(source: Source, seen: _Seen) -> list[Target]:
    before = seen.targets
    changed = []
    for target, known in source.targets.items():
        was = before.get(target)
        if was is None or was[0] is not known.polling or was[1] is not known.digest:
            changed.append(target)
    return changed


def _fingerprint(source: Source, refresh: Refresh, now: float) -> tuple[object, ...]:
    webhook = source.state.webhook
    looked = now >= source.state.looks.retry_at
    return id(source), refresh, now - webhook.heard_at <= HEARD, webhook.discover_at, dict(webhook.projects), looked


def _concerns_all(source: Source, seen: _Seen, changed: list[Target], refresh: Refresh, now: float) -> bool:
    """Whether something has changed that can concern every candidate of the source."""
    if seen.fingerprint != _fingerprint(source, refresh, now) or abs(source.state.skew - seen.skew) > SKEWED:
        return True
    new = sum(target not in seen.targets for target in changed)
    if len(source.targets) != len(seen.targets) + new:
        return True  # some are gone
    return any(_list_of(source, target) != seen.list_of.get(target) for target in changed)


def _list_of(source: Source, target: Target) -> str | None:
    return source.provider.list_of(target) if source.targets[target].polling.status is not None else None


def _changed(source: Source, seen: _Seen, changed: list[Target], refresh: Refresh, now: float) -> Iterator[Candidate]:
    """The candidates of targets that changed, of the lists that show them, and of what was asked since."""
    state = source.state
    names = {name for name, asked in state.lists.items() if seen.lists.get(name) is not asked and name in seen.members}
    all_told = _all_told(source, seen)
    for target in changed:
        known = source.targets[target]
        seen.targets[target] = known.polling, known.digest
        heard = announced(source, known, now)
        (seen.told.add if heard else seen.told.discard)(target)
        if target in seen.list_of:
            names.add(seen.list_of[target])
        seen.polls.add(PollTarget(target))
        yield of_target(source, known, refresh, listed=seen.members.keys(), heard=heard)
    for name in names:
        members = seen.members[name] - seen.told
        if members:
            seen.polls.add(PollList(source.name, name))
            yield of_list(source, name, (source.targets[target] for target in members), refresh, now)
    seen.lists = dict(state.lists)
    if state.discovery is not seen.discovery or _all_told(source, seen) is not all_told:
        seen.discovery = state.discovery
        yield discovery(source, refresh, all_told=_all_told(source, seen))


def _all_told(source: Source, seen: _Seen) -> bool:
    return bool(seen.told) and len(seen.told) == len(source.targets)
