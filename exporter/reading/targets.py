"""The read of one target: what to ask for, and what the builds that it brings change."""

from dataclasses import replace
from functools import partial

import structlog

from exporter.build import Target
from exporter.errors import (
    RateLimited,
    SourceError,
    Unauthorized,
    Unreachable,
)
from exporter.history.window import with_default_branch
from exporter.polling import rate_limit, results
from exporter.polling.deliveries import untold
from exporter.polling.state import Source, TargetState, digest
from exporter.polling.walk import Walked, applied
from exporter.polling.workers import drive
from exporter.providers import settled
from exporter.reading.core import Reading, ReadJob

log = structlog.get_logger()


def read(reading: Reading, job: ReadJob, target: Target) -> None:
    """Read the builds of a target."""
    source, now = job.source, reading.clock()
    with reading.fair:
        state = source.targets.get(target)
        if state is None or (job.free and not rate_limit.affords_first(source.budget.bucket, now)):
            return  # it is gone, or the allowance became known or was used up while this was queued
        plan = results.read_plan(source, state, reading.times())
    if plan.about_due and not _settled(reading, job, source, state):
        return  # it is another target's second name
    target = state.target
    before = reading.store.read(target)
    walking = plan.reading(source.provider, target, before, reading.rules)
    walked = drive(walking, source.reader.connection, reading.turn, job)
    if not reading.wanted(job) or source.targets.get(target) is not state:
        return
    skew, change = plan.skew, partial(applied, walked, rules=reading.rules, now=now)
    after = reading.committed(source, target, change)
    with reading.fair:
        if not reading.wanted(job) or source.targets.get(target) is not state:
            return
        late = before.baseline is not None and untold(before, after, now - skew)
        if late:
            source.state.webhook.projects[target.project] = False
        _book_walk(reading, source, state, walked)
        state.digest = digest(after, now - skew, state.digest)
        times = replace(reading.times(), now=now)
        state.polling, health = results.after_read(source, state, plan, times, walked=walked, untold=late)
        source.state.note(job.round, answered=True)
        reading.show(source, state, health, after, anew=walked.missed or after.version != before.version)


def _settled(reading: Reading, job: ReadJob, source: Source, state: TargetState) -> bool:
    """Ask for the target's own record, and take over its default branch and the provider's spelling of its name.

    Returns False where that is the name of another target. If the record cannot be read, nothing changes.
    """
    now, written = reading.clock(), state.target
    try:
        about = drive(source.provider.about(written), source.reader.connection, reading.turn, job)
    except (Unauthorized, Unreachable, RateLimited):
        raise
    except SourceError:
        about = None  # the read that follows says what is wrong, if anything is
    target = settled(written, about)
    with reading.fair:
        if source.targets.get(written) is not state:
            return False
        state.polling = replace(state.polling, about_at=now)
        if target != written:
            source.state.aliases[written] = target
            del source.targets[written]
            reading.shown.forget(written)
            if target in source.targets:
                return False
            source.targets[target] = state
        state.target = target
    if target != written:
        reading.keep_progress(source)  # else a restart would take the new name for a target that is gone
        history = reading.store.read(written)
        reading.store.forget(written)
        reading.committed(source, target, lambda _none: history)
    if about is not None:
        change = partial(with_default_branch, branch=about.default_branch, rules=reading.rules, now=now)
        reading.committed(source, target, change)
    return True


def _book_walk(reading: Reading, source: Source, state: TargetState, walked: Walked) -> None:
    """Count what the walk rejected or missed, and log what it could not have."""
    if walked.lists_refused and state.polling.lists_refused_at is None:
        log.warning(
            "the pipelines cannot be listed, so each is judged by its jobs; the token needs the scope read_api",
            target=state.target.address,
        )
    if not walked.ordered and source.state.short and not source.provider.ordered:
        source.state.short = False
        log.warning("builds do not come newest first: every page is read", source=source.name)
    if walked.missed:
        state.health = replace(state.health, errors=state.health.failed("missed"))
        log.warning("more builds came than one read may follow: the oldest are missed", target=state.target.address)
    reading.note_rejected(source, state.target, walked.rejected)
