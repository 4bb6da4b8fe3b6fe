"""Looks: one request shows which runs changed of up to a hundred targets, and those that moved are read."""

from collections.abc import Iterable
from dataclasses import replace

import structlog

from exporter.errors import RateLimited, SourceError
from exporter.polling import changes, looks, schedule
from exporter.polling.candidates import looked_at, wanted
from exporter.polling.polls import PollTarget
from exporter.polling.results import Times
from exporter.polling.state import Source, TargetState
from exporter.polling.workers import drive
from exporter.providers import Changes
from exporter.reading.core import GRAPHQL_FAILED, Reading, ReadJob, submit

log = structlog.get_logger()


def read_changes(reading: Reading, job: ReadJob) -> None:
    """Ask for the changes of all targets that can be shown together, one request after the other."""
    source, begun = job.source, reading.clock()
    with reading.fair:
        waiting = looked_at(source, begun)
    others = False
    while waiting and reading.clock() - begun < looks.LONGEST_JOB:
        with reading.fair:
            if not reading.wanted(job):
                return
            size = source.state.looks.size_at(reading.clock())
        chunk = waiting[:size]
        if not _look(reading, job, chunk, others=others):
            if source.state.looks.retry_at > begun:
                return
            continue  # by half as many
        waiting, others = waiting[size:], True
    with reading.fair:
        if reading.wanted(job):
            reading.failures.succeeded(GRAPHQL_FAILED, source.name)
            if source.state.looks.refusals:
                log.info("GraphQL is answered again", source=source.name)
            source.state.looks = looks.after_answer(source.state.looks, begun, reading.clock())


def _look(reading: Reading, job: ReadJob, chunk: list[TargetState], *, others: bool) -> bool:
    """Look at these targets. Returns False where the server did not answer for so many.

    `others`: it has answered for others just before; then a few for which it does not are left to be polled themselves.
    """
    source, times = job.source, reading.times()
    with reading.fair:
        since = changes.since(source, chunk, times.now)
        targets = [state.target for state in chunk]
    try:
        shown = drive(source.provider.changes(targets, since), source.reader.connection, reading.turn, job)
    except SourceError as error:
        if isinstance(error, RateLimited) or error.unsent or error.reason == "unauthorized":
            raise
        with reading.fair:
            if reading.wanted(job):
                source.state.note(job.round, answered=error.status is not None)
                if others and looks.one_off(error, len(chunk)):
                    for state in chunk:
                        state.polling = changes.after_absence(state.polling)
                    return True
                _refused(source, error, len(chunk), replace(times, now=reading.clock()))
        return False
    with reading.fair:
        if not reading.wanted(job):
            return True
        source.state.note(job.round, answered=True)
        until = changes.newest(source, shown.values(), times.now)
    moved = [state for state in chunk if _book(reading, source, state, shown.get(state.target), until, times)]
    with reading.fair:
        jobs = _reads(reading, job, moved) if reading.wanted(job) else []
    submit(jobs)
    return True


def _book(  # noqa: PLR0913, PLR0917  # what was shown of whom, and when
    reading: Reading, source: Source, state: TargetState, shown: Changes | None, until: float, times: Times
) -> bool:
    """Book what a look showed of one target. Returns whether the target must be read."""
    with reading.fair:
        if source.targets.get(state.target) is not state:
            return False
        if shown is None:
            state.polling = changes.after_absence(state.polling)
            return False
        reading.note_rejected(source, state.target, shown.rejected)
        state.polling, current = changes.after_changes(source, state, shown, until, times)
        moved = state.polling.due_at == times.now and state.polling.unlisted
    if current:
        reading.current(source, state, times.now)
    return moved


def _reads(reading: Reading, job: ReadJob, moved: Iterable[TargetState]) -> list[ReadJob]:
    """Jobs that read what moved, as far as the scrape is interested and the allowance goes."""
    scope, times = job.scope, reading.times()
    due = [
        schedule.Ready(wanted(state, times.refresh), 1.0)
        for state in moved
        if scope.covers(PollTarget(state.target)) and PollTarget(state.target) not in reading.in_flight
    ]
    return reading.jobs(schedule.plan(due, job.source.budget.bucket, times.now), scope)


def _refused(source: Source, error: SourceError, asked_for: int, times: Times) -> None:
    """Go on with half as many targets a request, or without looks, and say so once."""
    before = source.state.looks
    after = source.state.looks = looks.after_refusal(before, error, asked_for, times.now)
    fields = {"source": source.name, "reason": error.reason, "error": str(error)}
    if after.retry_at > times.now:
        changes.apart(source, times, refused=True)
        if not before.refusals:
            log.warning("GraphQL is refused, so each project is asked by itself", **fields)
    elif before.size_at(times.now) == looks.LARGEST:
        log.warning("GraphQL does not answer for so many projects: fewer are asked for", **fields)
