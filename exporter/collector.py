"""The cached collector: a scrape asks what is due, waits for it until its deadline, and is answered with what there is.

The only state is here: what is remembered of each target, and what is under way. One lock guards it, and under the same
lock answers are parsed, merged and rendered: threads that compute side by side only make a scrape wait.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import wait
from functools import partial

import structlog
from prometheus_client.core import Metric

from exporter.build import Target
from exporter.errors import RateLimited, Unreachable
from exporter.exposition.render import Format
from exporter.exposition.self_metrics import Live, Meters, gauge, source_families
from exporter.exposition.series_limit import Display
from exporter.history.window import History, look, recut
from exporter.http.fetch import RequestStats
from exporter.polling import rate_limit, schedule
from exporter.polling.deliveries import Result
from exporter.polling.in_flight import Batch, Errand, Round, UnderWay
from exporter.polling.polls import Report, concerns, questions, report, source_of
from exporter.polling.results import SWEEP, Intake, observed, rest, rested
from exporter.polling.schedule import Key, Question
from exporter.polling.state import (
    Connect,
    Origin,
    Purse,
    Subject,
    connect,
    origin_of,
    purse_of,
    rules_of,
)
from exporter.polling.walk import walk
from exporter.polling.workers import Inline, Readers, Turnstile, drive
from exporter.providers import Look
from exporter.settings.settings import Settings
from exporter.snapshot import Known, known

log = structlog.get_logger()

READY_AFTER = 30.0
"""Seconds after which the exporter is ready though a target was not tried: a dead provider must hold up no rollout."""

NOTHING = Target("", "", "", "")
"""No target: of what discovery finds, nothing is read."""


class Collector:
    """Everything that is known, and the reading of more."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        readers: Callable[[int], Readers | Inline] = Readers,
        connect: Connect = connect,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._new_readers = readers
        self._connect = connect
        self._lock = threading.RLock()
        self._queue = Turnstile(self._lock)
        self._under_way = UnderWay()
        self._started_at = clock()
        self.meters = Meters()
        self.meters.registry.register(Live(self.live))
        self._origins: dict[str, Origin] = {}
        self._purses: dict[int, Purse] = {}
        self._closed = False
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Read by these settings from now on; what is known of targets that stay is kept."""
        with self._lock:
            self.meters.turn += 1
            before, purses = self._origins, self._purses
            now = self._clock()
            self._settings = settings
            self._rules = rules_of(settings)
            self._under_way.clear()  # it is read by the old settings
            self._origins, self._purses = {}, {}
            for source in settings.sources:
                observe = partial(self._observe, source.name)
                fetch = self._connect(source, observe, settings.refresh.timeout, self._clock)
                readers = self._new_readers(settings.refresh.concurrency)
                purse = purse_of(source, self._purses, purses, now)
                self._origins[source.name] = origin_of(source, fetch, readers, purse, before.get(source.name))
            for origin in before.values():
                origin.close()
            self._show_all(self._display.formats if before else ())

    def _show_all(self, formats: Iterable[Format]) -> None:
        metrics = self._settings.metrics
        self._display = Display(self._rules, frozenset(metrics.drop), metrics.max_series, self._lock, formats)
        self._intake = Intake(self._settings.refresh, self._rules, self._display, self.meters, self._chance)
        now = self._clock()
        for origin, subject in self._subjects():
            subject.history = recut(subject.history, self._rules, now)
            self._display.show(origin, subject, now)
            if subject.refreshed_at is not None:
                self._display.refreshed(subject.target, subject.refreshed_at)

    def close(self) -> None:
        """Let go of threads and connections."""
        with self._lock:
            self._closed = True
            for origin in self._origins.values():
                origin.close()

    # What is asked

    def begin(self, only: Target | None = None) -> Round:
        """Ask what is due, of one target or of all, and tell what there is to wait for."""
        with self._lock:
            now = self._clock()
            for origin in self._origins.values():
                origin.readers.reap()
                self._cut(origin, now)
            for purse in {id(origin.purse): origin.purse for origin in self._origins.values()}.values():
                self._begin(purse, now, only)
            asked = self._under_way.round(lambda key: concerns(self._origins, key, only))
        for origin in list(self._origins.values()):
            origin.readers.drain()
        return asked

    def give_up(self, asked: Round) -> None:
        """Wait no longer for what is left of that; no other scrape waits for it again."""
        with self._lock:
            self._under_way.give_up(asked)

    def _cut(self, origin: Origin, now: float) -> None:
        for subject in origin.subjects.values():
            if now >= subject.packed.cut_at:
                subject.history = look(subject.history, self._rules, now)
                self._display.show(origin, subject, now)

    def _begin(self, purse: Purse, now: float, only: Target | None) -> None:
        """Ask what is due of the sources that share a purse."""
        purse.budget = rate_limit.passed(purse.budget, now)
        for origin in self._of(purse):
            rested(origin, now)
        chosen = deque(schedule.plan(self._possible(purse, now, only), purse.budget, now))
        for source in {source_of(question.key) for question in chosen}:
            self._origins[source].begin_round()
        self._send(chosen, only)

    def _of(self, purse: Purse) -> list[Origin]:
        return [origin for origin in self._origins.values() if origin.purse is purse]

    def _possible(self, purse: Purse, now: float, only: Target | None) -> Iterator[Question]:
        """What could be asked now of the sources that share a purse."""
        for origin in self._of(purse):
            for question in questions(origin, self._settings.refresh, now):
                if question.key not in self._under_way and concerns(self._origins, question.key, only):
                    yield question

    def _begin_first(self, origin: Origin, found: Iterable[Target], only: Target | None) -> None:
        """Read what discovery has just found, while it goes on."""
        refresh, now = self._settings.refresh, self._clock()
        wanted = [target for target in found if only is None or only == target]
        firsts = [Question(target, refresh.ttl, refresh.idle_ttl) for target in wanted if target not in self._under_way]
        self._send(deque(schedule.plan(firsts, origin.purse.budget, now)), only)

    def _send(self, chosen: deque[Question], only: Target | None) -> None:
        batches: dict[tuple[str, bool], Batch] = {}
        while chosen:  # thousands of them at times: none is kept when its key will do
            question = chosen.popleft()
            origin = self._origins[source_of(question.key)]
            free = schedule.free(question, origin.purse.budget, self._clock())
            origin.purse.budget = schedule.pledged(origin.purse.budget, free=free)
            if (origin.name, free) not in batches:
                batches[origin.name, free] = Batch(self, origin, free=free, only=only)
            batch = batches[origin.name, free]
            self._under_way.begin(question.key, batch)
            origin.readers.submit(batch)

    def ask(self, errand: Errand) -> None:
        """Ask a question, and take the answer in; whatever goes wrong by that reaches no scrape."""
        origin, key = errand.batch.origin, errand.key
        with self._queue:
            if self._clock() < origin.purse.budget.resting_until:
                return  # the rest began while this was in the queue: its turn is put off
        try:
            if isinstance(key, Target):
                self._read(errand, key)
            elif key[1] == "discovery":
                self._discover(errand)
            else:
                self._look(errand, key[2])
        except Exception as error:  # noqa: BLE001  # the boundary of a question
            with self._queue:
                if self._wanted(errand):
                    self._failed(origin, key, error)
                    if isinstance(error, RateLimited):
                        rest(origin, error, self._clock())

    def landed(self, errand: Errand) -> None:
        """Settle what a question took of the budget; it may be asked again."""
        origin, error = errand.batch.origin, errand.error
        with self._queue:
            self.meters.turn += 1
            if self._under_way.landed(errand) and isinstance(error, Exception):
                self._failed(origin, errand.key, Unreachable(str(error)))
            origin.purse.budget = schedule.settled(origin.purse.budget, errand.requests, free=errand.batch.free)

    def _failed(self, origin: Origin, key: Key, error: Exception) -> None:
        """Take in what went wrong with a question; one about a target that is gone is of no interest."""
        now = self._clock()
        if isinstance(key, Target):
            if key in origin.subjects:
                self._intake.read_failed(origin, origin.subjects[key], error, now)
        elif key[1] == "discovery":
            self._intake.discovery_failed(origin, error, now)
        else:
            self._intake.look_failed(origin, key[2], error, now)

    def collect(self) -> None:
        """Read everything that is due, and what discovery finds by that, without a deadline."""
        for _ in range(3):
            wait([self.begin().done])
        while self._under_way:  # what a list that was asked last made necessary
            with self._lock:
                left = self._under_way.round(lambda _key: True)
            wait([left.done])

    def discover(self) -> None:
        """List the targets of every source, and read none of them."""
        with self._lock:
            now = self._clock()
            origins = self._origins.values()
            self._send(deque(next(questions(origin, self._settings.refresh, now)) for origin in origins), NOTHING)
            asked = self._under_way.round(lambda _key: True)
        wait([asked.done])

    # How it is read

    def _discover(self, errand: Errand) -> None:
        origin, asked_at = errand.batch.origin, self._clock()
        since = asked_at - self._settings.refresh.discovery
        with self._queue:  # till all that was chosen with it is in the queue
            listed = [
                name
                for name, asked in origin.lists.items()
                if (origin.name, "list", name) in self._under_way or (asked.at > since and not asked.failures)
            ]

        def tell(targets: Mapping[Target, Look | None]) -> None:
            if self._wanted(errand):
                self._begin_first(origin, self._intake.found(origin, targets, asked_at), errand.batch.only)

        found = drive(origin.provider.discover(listed, tell), origin.fetch, self._queue, errand)
        with self._queue:
            if self._wanted(errand):
                self._intake.discovered(origin, found, listed, requests=errand.requests, now=asked_at)
                # What it finds is read at once: a scrape that waits for another source has it all the same.
                self._begin(origin.purse, self._clock(), errand.batch.only)

    def _look(self, errand: Errand, name: str) -> None:
        origin, now = errand.batch.origin, self._clock()
        looks = drive(origin.provider.looks(name), origin.fetch, self._queue, errand)
        with self._queue:
            if self._wanted(errand):
                self._intake.looked(origin, name, looks, now)
                self._begin(origin.purse, self._clock(), None)

    def _read(self, errand: Errand, target: Target) -> None:
        origin, now = errand.batch.origin, self._clock()
        with self._queue:
            subject = origin.subjects.get(target)
            if subject is None or (errand.batch.free and not rate_limit.affords_first(origin.purse.budget, now)):
                return  # it is gone, or the allowance became known or was used up, after this was put in the queue
        sweep = subject.known and now - subject.swept_at >= SWEEP
        history = subject.history  # whoever takes the answer in has it too, unpacked once
        reading = walk(
            origin.provider,
            target,
            history,
            self._rules,
            now - origin.skew,
            short=origin.short,
            swept_at=subject.swept_at - origin.skew if sweep else None,
        )
        walked = drive(reading, origin.fetch, self._queue, errand)
        with self._queue:
            if self._wanted(errand) and origin.subjects.get(target) is subject:
                self._intake.read(origin, subject, walked, sweep=sweep, now=now)

    def _wanted(self, errand: Errand) -> bool:
        """Whether what was read is of use: it was not given up, and its source is still read by the same settings."""
        origin = errand.batch.origin
        return not errand.ended and not self._closed and self._origins.get(origin.name) is origin

    def _observe(self, source: str, seen: RequestStats) -> None:
        """Count a request, and keep what the answer says of the allowance and of the server's clock."""
        self.meters.request(source, seen.operation, seen.code, seen.seconds)
        with self._queue:
            if source in self._origins:
                observed(self._origins[source], seen)

    # What is delivered

    def admits(self, source: str, headers: Mapping[str, str]) -> bool | None:
        """Whether a delivery bears the secret of the source's webhook; None: there is no such webhook.

        Raises `Unauthorized` where the secret cannot be read.
        """
        origin = self._origins.get(source)
        return origin.admits(headers) if origin else None

    def delivered(self, source: str, headers: Mapping[str, str], body: bytes) -> Result:
        """Take in a delivery that was admitted, without any request: what it only hints at, the next scrape asks."""
        with self._lock:
            return self._intake.delivered(self._origins[source], headers, body, self._clock())

    # What is shown

    def expose(self, form: Format) -> bytes:
        """Everything that is known now, as exposition text compressed by gzip."""
        return self._display.expose(form, self._subjects, self.meters.registry.collect, self._clock())

    def _subjects(self) -> list[tuple[Origin, Subject]]:
        with self._lock:
            return [(origin, subject) for origin in self._origins.values() for subject in origin.subjects.values()]

    def expose_target(self, target: Target, form: Format) -> bytes:
        """What is known now of one target, as exposition text."""
        with self._lock:
            origin = self._origins[target.source]
            return self._display.of_target(origin, origin.subjects[target], form)

    @property
    def now(self) -> float:
        """What its clock shows, in seconds since the epoch."""
        return self._clock()

    @property
    def timeout(self) -> float:
        """Seconds that a scrape waits at most."""
        return self._settings.refresh.timeout

    def sources(self) -> list[str]:
        """The names of the sources."""
        return list(self._origins)

    def targets(self) -> list[Target]:
        """Every target that is read."""
        with self._lock:
            return [subject.target for _origin, subject in self._subjects()]

    def history(self, target: Target) -> History:
        """What is remembered of a target that is read."""
        with self._lock:
            return self._origins[target.source].subjects[target].history

    def known(self) -> Known:
        """What is known now, as the status page takes it."""
        with self._lock:
            return known(self._origins.values(), self._display.standings, self._display.hidden, self._clock())

    def ready(self) -> bool:
        """Whether everything was tried once, or enough time has passed."""
        with self._lock:
            if self._clock() - self._started_at >= READY_AFTER:
                return True
            return all(origin.tried_all for origin in self._origins.values())

    def reports(self) -> list[Report]:
        """How the reading of each source goes."""
        with self._lock:
            now = self._clock()
            return [report(origin, self._settings.refresh, now) for origin in self._origins.values()]

    @property
    def series(self) -> int:
        """How many the targets show."""
        return self._display.total

    def live(self) -> Iterator[Metric]:
        """The families that change from scrape to scrape."""
        now = self._clock()
        yield from source_families(origin.status(now) for origin in self._origins.values())
        yield gauge("ci_build_exporter_window_builds_limit", self._settings.window.builds)
        yield from self._display.families()
