"""The sources as they are read now: which polls are in flight, and how what they bring is committed and shown."""

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from exporter.build import Target
from exporter.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
)
from exporter.exposition.families import Words
from exporter.exposition.self_metrics import SelfMetrics
from exporter.exposition.series_limit import SeriesLimit, TargetView
from exporter.history.window import History, Rules, aged, recut
from exporter.http.fetch import RequestStats
from exporter.polling import changes, rate_limit, results, schedule
from exporter.polling.candidates import covers
from exporter.polling.in_flight import InFlight, Waiter
from exporter.polling.polls import EVERYTHING, Asked, Discover, Poll, PollChanges, PollList, PollTarget, Scope
from exporter.polling.rate_limit import TokenBucket
from exporter.polling.results import Times
from exporter.polling.schedule import Candidate
from exporter.polling.state import Budget, Health, Source, TargetState, digest
from exporter.polling.tracking import Agenda
from exporter.polling.workers import FairLock
from exporter.providers import Rejected
from exporter.reading import budget_log, progress
from exporter.reading.failure_log import FailureLog
from exporter.store.contract import Change, Store

log = structlog.get_logger()

TOO_MANY = "429"
GRAPHQL_FAILED = "GraphQL failed, so each project is asked by itself"

Lock = AbstractContextManager[object]
"""A thread that holds it may take it again."""


class ReadJob:
    """One poll in flight."""

    __slots__ = ("_reading", "ended", "error", "forced", "free", "poll", "requests", "round", "scope", "source")

    def __init__(  # noqa: PLR0913  # what is read, for whom, and from which purse
        self, reading: "Reading", source: Source, poll: Poll, scope: Scope, *, free: bool, forced: bool = False
    ) -> None:
        self._reading = reading
        self.source = source
        self.poll = poll
        self.scope = scope
        """What the scrape that began it is interested in: what it finds is read only as far as that goes."""
        self.free = free
        """A first read, paid from what the server says is left, not from the bucket."""
        self.forced = forced
        """Something was known to have moved, so that it was not weighed against others."""
        self.round = reading.rounds
        """The number of the scrape that began it."""
        self.requests = 0
        self.ended = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Ask, and book the answer."""
        self._reading.run(self)

    def end(self, error: BaseException | None = None) -> None:
        """Settle what it cost; the poll may be made again."""
        self.ended, self.error = True, error
        self._reading.done(self)


@dataclass(slots=True)
class Reading:
    """The sources as they are read now. `lock` guards all of it but the store."""

    store: Store
    self_metrics: SelfMetrics
    clock: Callable[[], float]
    lock: Lock
    times: Callable[[], Times]
    """The moment, and the configured pauses."""
    perform: Callable[["Reading", ReadJob], None]
    """Makes the poll of a job, and commits and shows what it brings."""
    rules: Rules = field(default_factory=Rules)
    shown: SeriesLimit = field(init=False)
    """What is shown; after a reload it fills target by target."""
    exposed_meanwhile: SeriesLimit | None = None
    """What scrapes get until then: all as it was at the reload."""
    sources: dict[str, Source] = field(default_factory=dict)
    in_flight: InFlight = field(default_factory=InFlight)
    agendas: dict[Budget, Agenda] = field(default_factory=dict)
    """What can be asked within each budget, and when."""
    closed: bool = False
    failures: FailureLog = field(default_factory=FailureLog)
    by_old_rules: set[Target] = field(default_factory=set)
    """Targets whose history was cut by other rules; the next change of it cuts it anew first."""
    rounds: int = 0
    """How many scrapes began jobs."""
    turn: threading.RLock = field(default_factory=threading.RLock)
    """Held by the worker that parses: never while `lock` is held, so that nothing else waits for it."""
    fair: FairLock = field(init=False)
    """The lock, for workers."""

    def __post_init__(self) -> None:
        self.fair = FairLock(self.lock)

    @property
    def exposed(self) -> SeriesLimit:
        """What scrapes get."""
        return self.exposed_meanwhile or self.shown

    # What is due

    def begin(self, scope: Scope = EVERYTHING) -> Waiter:
        """Poll what is due of the scope, and return what there is to wait for."""
        with self.lock:
            now = self.clock()
            self.rounds += 1
            for source in self.sources.values():
                source.reader.workers.reap()
            changing = [
                (source, target)
                for source in self.sources.values()
                for target, state in source.targets.items()
                if now >= state.digest.cut_at
            ]
            changing += [(self.sources[target.source], target) for target in self.shown.outdated()]
            budgets = dict.fromkeys(source.budget for source in self.sources.values())
            self.agendas = {budget: agenda for budget, agenda in self.agendas.items() if budget in budgets}
            jobs = [job for budget in budgets for job in self.due(budget, scope)]
            # Before the jobs run: what ends at once was waited for all the same.
            waiter = self.in_flight.wait(lambda poll: covers(self.sources[poll.source], scope, poll))
        for source, target in changing:
            self.commit(source, target, partial(aged, rules=self.rules, now=now), show=True)
        submit(jobs)
        return waiter

    def due(self, budget: Budget, scope: Scope) -> list[ReadJob]:
        """Jobs for what is due of the sources that share a budget. The caller holds the lock, and submits them."""
        times = self.times()
        budget.update(lambda bucket: rate_limit.refilled(bucket, times.now))
        sources = [source for source in self.sources.values() if source.budget is budget]
        budget_log.log_rest(budget, sources, times.now)
        agenda = self.agendas.setdefault(budget, Agenda(times.now, times.chance))
        agenda.follow(sources, times.refresh, budget.bucket, times.now)
        budget.price = agenda.queue.price
        budget_log.log_stretch(budget, sources, times.refresh)
        ready = (
            one
            for one in agenda.queue.ready(times.now)
            if (poll := one.candidate.poll) not in self.in_flight and covers(self.sources[poll.source], scope, poll)
        )
        return self.jobs(schedule.plan(ready, budget.bucket, times.now), scope)

    def jobs(self, chosen: Iterable[Candidate], scope: Scope) -> list[ReadJob]:
        """Jobs for these polls, in flight from now on. The caller holds the lock, and submits them."""
        jobs = []
        for candidate in chosen:
            source = self.sources[candidate.poll.source]
            now = self.clock()
            free = schedule.free(candidate, source.budget.bucket, now)
            source.budget.update(partial(schedule.pledged, free=free))
            forced = schedule.is_forced(candidate, now)
            job = ReadJob(self, source, candidate.poll, scope, free=free, forced=forced)
            self.in_flight.begin(candidate.poll, job)
            jobs.append(job)
        return jobs

    # Jobs

    def run(self, job: ReadJob) -> None:
        """Ask, commit and show; whatever goes wrong reaches no scrape."""
        with self.fair:
            if not self.wanted(job) or self.clock() < job.source.budget.bucket.resting_until:
                return  # a reload or a rest began while this was queued
        try:
            self.perform(self, job)
        except Exception as error:  # noqa: BLE001  # the boundary of a poll
            self._failed(job, error)

    def done(self, job: ReadJob) -> None:
        """Settle what the job cost; its poll may be made again."""
        with self.fair:
            self.self_metrics.version += 1
            was_current = self.in_flight.end(job.poll, job) and self.sources.get(job.source.name) is job.source
            settled = partial(schedule.settled, requests=job.requests, free=job.free, forced=job.forced)
            job.source.budget.update(settled)
            if job.requests and not job.free and not job.forced:
                results.average(job.source, job.poll, job.requests)
        if was_current and isinstance(job.error, Exception):
            self._book_failure(job, Unreachable(str(job.error)))
        self.keep_progress(job.source, every=progress.EVERY)

    def keep_progress(self, source: Source, every: float = 0.0) -> None:
        """Store how the reading of a source stands, unless that was done less than `every` seconds ago."""
        if self.store.up is None:
            return
        with self.fair:
            now, state = self.clock(), source.state
            if now - state.kept_at < every or self.sources.get(source.name) is not source:
                return
            state.kept_at = now
            targets, folded, hidden = list(source.targets.values()), set(self.shown.folded), set(self.shown.hidden)
        self.store.keep_progress(source.name, progress.encode(source, targets, folded, hidden))

    def wanted(self, job: ReadJob) -> bool:
        """Whether the answer is of use: the job was not abandoned, and its source is read by the same settings."""
        return not job.ended and not self.closed and self.sources.get(job.source.name) is job.source

    def _failed(self, job: ReadJob, error: Exception) -> None:
        """Book that a poll failed, unless its answer is of no use any more."""
        with self.fair:
            if not self.wanted(job):
                return
            if isinstance(error, RateLimited):
                self._rest(job.source, error)
        self._book_failure(job, error)

    def _book_failure(self, job: ReadJob, error: Exception) -> None:
        """Note the failure, and show each target that it concerns; others have their turn between two of them."""
        source = job.source
        with self.fair:
            concerned = self._note_failure(job, error)
        for state in concerned:
            with self.fair:
                if source.targets.get(state.target) is state and self.sources.get(source.name) is source:
                    self.show_health(source, state, results.down(state.health, error))

    def _note_failure(self, job: ReadJob, error: Exception) -> list[TargetState]:
        """How polling goes on after a failure; returns the targets that it concerns."""
        source, times = job.source, self.times()
        if not isinstance(error, Forbidden) or source.state.answered is None:  # a right to this target may be missing
            source.state.note(job.round, answered=isinstance(error, RateLimited | NotFound))
        match job.poll:
            case PollTarget(target):
                state = source.targets.get(target)
                if state is None:
                    return []
                self.failures.failed("read failed", target.address, error, times.now)
                state.polling = results.after_failed_read(state.polling, error, times)
                return [state]
            case PollList(_, name):
                self.failures.failed("list failed", f"{source.name}/{name}", error, times.now)
                source.state.lists[name] = times.later(source.state.lists.get(name, Asked()), error)
                return list(source.listed(name))
            case PollChanges():
                self.failures.failed(GRAPHQL_FAILED, source.name, error, times.now)
                changes.apart(source, times, refused=False)
                looks = source.state.looks
                source.state.looks = replace(looks, asked=times.later(looks.asked, error))
                return []
            case Discover():
                self.failures.failed("discovery failed", source.name, error, times.now)
                source.state.discovery = results.after_failed_discovery(source.state.discovery, error, times)
                return []

    def note_rejected(self, source: Source, target: Target, rejected: Iterable[Rejected]) -> None:
        """Count records that cannot be used, each once. The caller holds the lock."""
        for record in rejected:
            if (target, record) not in source.state.met:
                source.state.met[target, record] = True
                self.self_metrics.rejected(source.name, record.reason)

    # Committing and showing

    def committed(self, source: Source, target: Target, change: Change) -> History:
        """Commit a change, unless the source is read by other settings by now, or the target is gone."""
        now = self.clock()

        def unless_late(history: History) -> History:
            if self.sources.get(source.name) is not source or target not in source.targets:
                return history
            return change(recut(history, self.rules, now) if target in self.by_old_rules else history)

        after = self.store.update(target, unless_late)
        if self.sources.get(source.name) is source:
            self.by_old_rules.discard(target)
        return after

    def forget(self, source: Source, gone: Iterable[Target]) -> None:
        """Keep nothing of targets that are gone, unless they are there again."""
        for target in gone:
            if target not in source.targets:
                self.store.forget(target)

    def current(self, source: Source, state: TargetState, now: float) -> None:
        """Note that the target is as it is shown: only the time of its refresh changes, unless it was down."""
        history = None if state.health.up else self.store.read(state.target)
        with self.fair:
            if source.targets.get(state.target) is state:
                self.show(source, state, results.current(state.health, now), history, anew=False)

    def commit(
        self, source: Source, target: Target, change: Change, *, current: bool = False, show: bool = False
    ) -> None:
        """Commit a change and show it; `current`: the target is known to be as it is shown."""
        now = self.clock()
        history = self.committed(source, target, change)
        with self.fair:
            state = source.targets.get(target)
            if state is None or history.version < state.digest.version:
                return  # it is gone, or something newer was committed meanwhile
            anew = show or history.version != state.digest.version
            state.digest = digest(history, now - source.state.skew, state.digest)
            health = results.current(state.health, now) if current else state.health
            self.show(source, state, health, history, anew=anew)

    def show(self, source: Source, state: TargetState, health: Health, history: History | None, *, anew: bool) -> None:
        """Show the target as it is now: all of it where it changed, else when it was refreshed."""
        before, state.health = state.health, health
        if health.up and before.up is not True:
            self.failures.succeeded("read failed", state.target.address)
        if before.up is False and health.up:
            log.info("read again", target=state.target.address)
        if anew or before.up is not health.up:
            self.shown.show(self.view(source, state, history or self.store.read(state.target)))
        if health.refreshed_at is not None:
            self.shown.refreshed(state.target, health.refreshed_at)

    def show_again(self, source: Source, state: TargetState, history: History) -> None:
        """Show the target as it stands."""
        self.shown.show(self.view(source, state, history))
        if state.health.refreshed_at is not None:
            self.shown.refreshed(state.target, state.health.refreshed_at)

    def show_health(self, source: Source, state: TargetState, health: Health) -> None:
        """Show the target with another health."""
        state.health = health
        self.shown.show(self.view(source, state, self.store.read(state.target)))

    def view(self, source: Source, state: TargetState, history: History) -> TargetView:
        """All that is shown of a target."""
        health, settings = state.health, source.reader.settings
        provider, target = source.provider, state.target
        words = Words(provider.vocabulary, partial(provider.page_of, target), partial(provider.page_of_run, target))
        return TargetView(target, history, health.up, health.errors, settings.provider, settings.url, words)

    # The allowance

    def observed(self, source: Source, seen: RequestStats) -> None:
        """Keep what an answer says of the allowance and of the server's clock."""
        told = source.provider.limit_headers
        reported = rate_limit.allowance_of(seen.headers, told, seen.at)
        sensible = reported is None or rate_limit.makes_sense(reported, told.documented)

        def change(bucket: TokenBucket) -> TokenBucket:
            bucket = rate_limit.with_allowance(bucket, reported if sensible else None, seen.at)
            # What was in flight when a rest began ends no row of refusals.
            refused = seen.code == TOO_MANY or seen.at < bucket.resting_until
            return bucket if refused else rate_limit.after_answer(bucket)

        with self.fair:
            source.budget.update(change)
            if reported is not None and not sensible:
                budget_log.log_ignored(source, reported)
            source.state.skew = rate_limit.skew_of(seen.headers, seen.at)

    def _rest(self, source: Source, error: RateLimited) -> None:
        """Let the budget rest after a 429, and say so once."""
        now = self.clock()
        source.budget.update(lambda bucket: rate_limit.after_429(bucket, error.retry_after, now))
        budget_log.log_rest(source.budget, [source], now)


def submit(jobs: list[ReadJob]) -> None:
    """Let the jobs run, and empty the list. The caller does not hold the lock."""
    begun, jobs[:] = list(jobs), []
    for job in begun:
        job.source.reader.workers.submit(job)
