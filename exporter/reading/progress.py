"""How the reading of a source stands, in its stored form: a new process goes on from there instead of beginning anew.

It is kept every some seconds, apart from the histories. What is lost of it costs requests, but changes nothing shown.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite

import msgspec

from exporter.build import Outcome, Target
from exporter.history.window import History
from exporter.polling.polls import Asked
from exporter.polling.rate_limit import LONGEST_REST, Allowance, TokenBucket
from exporter.polling.state import Health, Polling, Source, SourceState, TargetState, digest
from exporter.providers import BuildStatus
from exporter.store.codec import packed, unpacked

EVERY = 15.0
"""Seconds after which it is kept again."""
_Name = tuple[str, str, str, str]
"""Kind, project, name and handle of a target."""


class _Bucket(msgspec.Struct, array_like=True, frozen=True):
    level: float
    at: float
    resting_until: float
    rests: int
    limit: float | None
    remaining: float | None
    reset_at: float | None
    period: float


class _OfTarget(msgspec.Struct, array_like=True, frozen=True):
    name: _Name
    asked_at: float
    refreshed_at: float | None
    up: bool | None
    error: str
    wanted_at: float | None
    swept_at: float
    listed_at: float
    lists_refused_at: float | None
    about_at: float
    announced: bool | None
    status: tuple[str, Outcome, float | None, int] | None
    folded: bool
    hidden: bool
    current_at: float = -inf


class _Progress(msgspec.Struct, array_like=True, frozen=True):
    skew: float
    short: bool
    lists: dict[str, float]
    aliases: list[tuple[_Name, _Name]]
    bucket: _Bucket
    targets: list[_OfTarget]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Progress)


def encode(
    source: Source, targets: Collection[TargetState], folded: Collection[Target], hidden: Collection[Target]
) -> bytes:
    """The stored form of how a source is read and shown; its parts are frozen, so that no lock is needed."""
    state, bucket = source.state, source.budget.bucket
    allowance = bucket.allowance
    message = _Progress(
        skew=state.skew,
        short=state.short,
        lists={name: asked.at for name, asked in list(state.lists.items())},
        aliases=[(_name(written), _name(target)) for written, target in list(state.aliases.items())],
        bucket=_Bucket(
            *(bucket.level, bucket.at, bucket.resting_until, bucket.rests),
            *(allowance.limit, allowance.remaining, allowance.reset_at, allowance.period),
        ),
        targets=[_of_target(known, folded=known.target in folded, hidden=known.target in hidden) for known in targets],
    )
    return packed(_encoder.encode(message))


def _name(target: Target) -> _Name:
    return target.kind, target.project, target.name, target.handle


def _of_target(known: TargetState, *, folded: bool, hidden: bool) -> _OfTarget:
    polling, health, status = known.polling, known.health, known.polling.status
    return _OfTarget(
        name=_name(known.target),
        asked_at=polling.asked.at,
        refreshed_at=health.refreshed_at,
        up=health.up,
        error=health.error,
        wanted_at=polling.wanted_at,
        swept_at=polling.swept_at,
        listed_at=polling.listed_at,
        lists_refused_at=polling.lists_refused_at,
        about_at=polling.about_at,
        announced=polling.announced,
        status=None if status is None else (status.status, status.outcome, status.moved_at, status.step),
        folded=folded,
        hidden=hidden,
        current_at=polling.current_at,
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """How the reading of a source stood when that was last kept."""

    state: SourceState = field(default_factory=SourceState)
    """Without its targets."""
    bucket: TokenBucket | None = None
    """Only what was kept of it; None: nothing can be used."""
    targets: Mapping[Target, TargetState] = field(default_factory=dict)
    """Without their digests."""
    folded: frozenset[Target] = frozenset()
    hidden: frozenset[Target] = frozenset()


def decode(stored: bytes, source: str, now: float) -> Progress:
    """What was stored of a source, no time of it in the future. Raises StoredRecordError."""
    message = unpacked(stored, _decoder)
    state = SourceState(
        lists={name: Asked(_past(at, now)) for name, at in message.lists.items()},
        short=message.short,
        skew=message.skew if isfinite(message.skew) else 0.0,
        aliases={Target(source, *written): Target(source, *target) for written, target in message.aliases},
    )
    found = {Target(source, *of.name): of for of in message.targets}
    return Progress(
        state,
        _bucket(message.bucket, now),
        {target: _state(target, of, now) for target, of in found.items()},
        frozenset(target for target, of in found.items() if of.folded),
        frozenset(target for target, of in found.items() if of.hidden),
    )


def _past(at: float, now: float) -> float:
    """The time, unless it is none or in the future: then it is unknown."""
    return at if at <= now else -inf


def _maybe(at: float | None, now: float) -> float | None:
    return at if at is not None and at <= now else None


def _bucket(of: _Bucket, now: float) -> TokenBucket | None:
    reported = (of.limit, of.remaining, of.reset_at)
    numbers = (of.level, of.at, of.resting_until, of.period, *(number for number in reported if number is not None))
    if not all(map(isfinite, numbers)) or of.period <= 0 or of.at > now:
        return None
    return TokenBucket(
        allowance=Allowance(*reported, of.period),
        level=of.level,
        at=of.at,
        resting_until=min(of.resting_until, now + LONGEST_REST),
        rests=max(0, of.rests),
    )


def _state(target: Target, of: _OfTarget, now: float) -> TargetState:
    polling = Polling(
        asked=Asked(_past(of.asked_at, now)),
        status=None if of.status is None else BuildStatus(*of.status),
        wanted_at=of.wanted_at if of.wanted_at is None or isfinite(of.wanted_at) else None,
        swept_at=_past(of.swept_at, now),
        listed_at=_past(of.listed_at, now),
        lists_refused_at=_maybe(of.lists_refused_at, now),
        about_at=_past(of.about_at, now),
        announced=of.announced,
        current_at=_past(of.current_at, now),
    )
    health = Health(up=of.up, error=of.error, refreshed_at=_maybe(of.refreshed_at, now))
    return TargetState(target, polling=polling, health=health)


def restored(target: Target, history: History, known: TargetState | None, skew: float, now: float) -> TargetState:
    """How a target stands whose history was restored. `known`: as it was kept, which may be older than the history."""
    state = known or TargetState(target)
    made = digest(history, now - skew)
    if history.baseline is None:
        return TargetState(target, digest=made)
    walked_at = min(history.walked_at + skew, now)
    polling, health = state.polling, state.health
    if walked_at > polling.asked.at:
        polling = replace(polling, asked=Asked(walked_at))
        health = replace(health, up=True, error="")
    refreshed_at = max(walked_at, health.refreshed_at or -inf)
    return TargetState(target, made, polling, replace(health, refreshed_at=refreshed_at if refreshed_at > 0 else None))


def with_kept(bucket: TokenBucket, kept: TokenBucket) -> TokenBucket:
    """The bucket that the configuration gives, as full as it was when it was kept."""
    return replace(
        bucket,
        allowance=kept.allowance,
        level=kept.level,
        at=kept.at,
        resting_until=kept.resting_until,
        rests=kept.rests,
    )
