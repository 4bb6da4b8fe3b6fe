"""Lists and discovery: which targets there are, and what a list shows of each of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from math import inf

import structlog

from exporter.build import Target
from exporter.history.window import merge, with_default_branch
from exporter.http.wire import Answer, Request
from exporter.polling import results, schedule
from exporter.polling.candidates import first_reads
from exporter.polling.list_status import Action, stepped
from exporter.polling.polls import Asked, PollList
from exporter.polling.state import Polling, Source, TargetState
from exporter.polling.workers import drive
from exporter.providers import BuildStatus
from exporter.reading.core import Reading, ReadJob, submit
from exporter.store.contract import Change

log = structlog.get_logger()


def read_list(reading: Reading, job: ReadJob, name: str) -> None:
    """Poll a list, and book what it shows of each of its targets."""
    source, now = job.source, reading.clock()
    statuses = drive(source.provider.statuses(name), source.reader.connection, reading.turn, job)
    with reading.fair:
        if not reading.wanted(job):
            return
        source.state.lists[name] = Asked(now)
        reading.failures.succeeded("list failed", f"{source.name}/{name}")
        source.state.note(job.round, answered=True)
        absent = [target for target in source.targets if source.provider.list_of(target) == name]
        absent = [target for target in absent if target not in statuses]
        gone = _present(reading, source, results.presence(source, statuses, absent))
    reading.forget(source, gone)
    _statuses(reading, source, statuses, now)
    with reading.fair:
        jobs = reading.due(source.budget, job.scope) if reading.wanted(job) else []
    submit(jobs)


def _statuses(reading: Reading, source: Source, statuses: Mapping[Target, BuildStatus | None], now: float) -> None:
    """Book what a list shows of each of its targets."""
    for target, status in statuses.items():
        with reading.fair:
            state = source.targets.get(target)
            if state is None:
                continue
            history = partial(reading.store.read, target)
            state.polling, action, current = results.after_status(source, state, status, history, now)
            unfinished, skew = state.digest.unfinished, source.state.skew
        change: Change | None = None
        if action is Action.STEP and status is not None:
            (build,) = unfinished
            seen = [(stepped(build, status), now - skew)]
            change = partial(merge, builds=seen, rules=reading.rules, now=now)
        if change is not None:
            reading.commit(source, target, change, current=current)
        elif current:
            reading.current(source, state, now)


def discover(reading: Reading, job: ReadJob) -> None:
    """Ask which targets there are; what is new is read while that goes on."""
    source, asked_at = job.source, reading.clock()
    found_jobs: list[ReadJob] = []
    with reading.fair:
        listed = _listed_lately(reading, source)

    def tell(statuses: Mapping[Target, BuildStatus | None]) -> None:
        """Take in targets as they are found, while discovery goes on."""
        with reading.fair:
            if reading.wanted(job):
                found_jobs.extend(_found(reading, job, statuses, asked_at))

    def fetch(request: Request) -> Answer:
        submit(found_jobs)
        return source.reader.connection(request)

    found = drive(source.provider.discover(listed, tell), fetch, reading.turn, job)
    submit(found_jobs)
    with reading.fair:
        if not reading.wanted(job):
            return
        times = replace(reading.times(), now=asked_at)
        aliases = source.state.aliases
        before, found_targets = source.state.discovery, [aliases.get(target, target) for target in found.targets]
        after, lines = results.after_discovery(before, found, job.requests, source.name, times)
        reading.failures.recurring(lines, reading.clock())
        reading.failures.succeeded("discovery failed", source.name)
        source.state.webhook.discover_at = results.discover_at(source, asked_at)
        source.state.discovery = after
        if after.succeeded is not None:
            source.state.note(job.round, answered=after.succeeded)
        absences = results.ABSENCES if before.tried else 1  # a new configuration takes targets away at once
        absent = [
            target
            for target in (() if found.faults else source.targets)
            if target not in found_targets and source.provider.list_of(target) not in listed
        ]
        gone = _present(reading, source, results.presence(source, found_targets, absent, absences))
        _lists_asked(source, found.statuses, asked_at)
    reading.forget(source, gone)
    _statuses(reading, source, found.statuses, asked_at)
    _default_branches(reading, source, found.default_branches)
    with reading.fair:
        # What it found is read at once: a scrape that waits for another source has it all the same.
        jobs = reading.due(source.budget, job.scope) if reading.wanted(job) else []
    submit(jobs)


def _default_branches(reading: Reading, source: Source, branches: Mapping[Target, str]) -> None:
    """Take over the default branches that lists of projects show."""
    now = reading.clock()
    for target, branch in branches.items():
        state = source.targets.get(target)
        if state is None:
            continue
        if reading.store.read(target).default_branch != branch:
            change = partial(with_default_branch, branch=branch, rules=reading.rules, now=now)
            reading.commit(source, target, change, show=state.digest.known)
        state.polling = replace(state.polling, about_at=now)


def _found(reading: Reading, job: ReadJob, statuses: Mapping[Target, BuildStatus | None], now: float) -> list[ReadJob]:
    source = job.source
    aliases = source.state.aliases
    new = [target for target in statuses if aliases.get(target, target) not in source.targets]
    for target in new:
        # A list that shows its number shows its default branch as well; one that is written as a path is asked.
        about_at = now if target.handle else -inf
        source.targets[target] = TargetState(target, polling=Polling(status=statuses[target], about_at=about_at))
    _lists_asked(source, statuses, now)
    wanted = [target for target in new if job.scope.reads and job.scope.target in {None, target}]
    firsts = [
        schedule.Ready(one, 1.0)
        for one in first_reads(wanted, reading.times().refresh)
        if one.poll not in reading.in_flight
    ]
    return reading.jobs(schedule.plan(firsts, source.budget.bucket, reading.clock()), job.scope)


def _listed_lately(reading: Reading, source: Source) -> list[str]:
    """The lists that discovery need not ask: they are polled now, or were within its own pause."""
    since = reading.clock() - reading.times().refresh.discovery
    return [
        name
        for name, asked in source.state.lists.items()
        if PollList(source.name, name) in reading.in_flight or (asked.at > since and not asked.failures)
    ]


def _lists_asked(source: Source, targets: Iterable[Target], now: float) -> None:
    for name in {source.provider.list_of(target) for target in targets} - {None}:
        source.state.lists[str(name)] = Asked(now)


def _present(reading: Reading, source: Source, seen: results.Presence) -> tuple[Target, ...]:
    """Take over which targets there are; those that are gone are to be forgotten, without the lock."""
    for target in seen.new:
        source.targets[target] = TargetState(target)
    for target, absences in seen.absences.items():
        source.targets[target].absences = absences
    for target in seen.gone:
        del source.targets[target]
        reading.shown.forget(target)
        log.info("target is gone", target=target.address)
    return seen.gone
