"""The cached collector: a scrape asks what is due, waits for it until its deadline, and is answered with what there is.

The only state is here: what is remembered of each target, and what is under way. One lock guards it, and under the same
lock answers are parsed, merged and rendered: threads that compute side by side only make a scrape wait.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from functools import partial

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as Registered

from exporter import cadence
from exporter.allowance import allowance_of
from exporter.build import Target
from exporter.cadence import Asked
from exporter.display import Display
from exporter.errors import RateLimited, SourceError
from exporter.exposition import Format
from exporter.fetch import Observation
from exporter.meters import Meters, gauge, source_families
from exporter.providers import Discovery
from exporter.readers import Flight, Inline, Readers, Round
from exporter.settings import Settings
from exporter.source import Connect, Origin, Report, Subject, connect, origin_of, rules_of
from exporter.walk import Walked, walk
from exporter.window import History, look, merge, recut
from exporter.wire import Reading, T

log = structlog.get_logger()

READ_LIMIT = 90.0
"""Seconds after which a read is given up, whatever it waits for."""
READY_AFTER = 30.0
"""Seconds after which the exporter is ready though a target was not tried: a dead provider must hold up no rollout."""
LONGEST_REST = 3600.0
"""Seconds that a source rests at most, whatever the server says."""
ABSENCES = 2
"""Complete lists without a target, after which it is dropped."""

Key = Target | str
"""What is asked: a target's builds, or a source's targets."""


class Collector:
    """Everything that is known, and the reading of more."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        readers: Callable[[int], Readers | Inline] = partial(Readers, limit=READ_LIMIT),
        connect: Connect = connect,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._new_readers = readers
        self._connect = connect
        self._lock = threading.RLock()
        self._flights: dict[Key, Flight] = {}
        self._started_at = clock()
        self.meters = Meters()
        self.meters.registry.register(_Live(self))
        self._origins: dict[str, Origin] = {}
        self._closed = False
        self._formats: set[Format] = set()
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Read by these settings from now on; what is known of targets that stay is kept."""
        with self._lock:
            before = self._origins
            self._settings = settings
            self._rules = rules_of(settings)
            self._flights = {}  # what is under way is read by the old settings: nobody waits for it any more
            self._origins = {}
            for source in settings.sources:
                observe = partial(self._observe, source.name)
                fetch = self._connect(source, observe, settings.refresh.timeout, self._clock)
                origin = origin_of(source, fetch, self._new_readers(settings.refresh.concurrency))
                known = before.get(source.name)
                if known and (known.settings.provider, known.settings.url) == (source.provider, source.url):
                    origin.subjects = known.subjects
                    origin.allowance = known.allowance
                self._origins[source.name] = origin
            for origin in before.values():
                origin.close()
            self._show_all()

    def _show_all(self) -> None:
        self._display = Display(self._rules, frozenset(self._settings.metrics.drop), self._settings.metrics.max_series)
        for form in self._formats:
            self._display.wants(form)
        now = self._clock()
        for origin in self._origins.values():
            for subject in origin.subjects.values():
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
                if only is None or only.source == origin.name:
                    self._begin(origin, now, only)
            return Round(
                [flight for key, flight in self._flights.items() if only is None or key in {only, only.source}]
            )

    def _begin(self, origin: Origin, now: float, only: Target | None) -> None:
        for subject in origin.subjects.values():
            if now >= subject.history.cut_at:
                subject.history = look(subject.history, self._rules, now)
                self._display.show(origin, subject, now)
        if now < origin.resting_until:
            return
        if origin.discovery.due_at <= now and origin.name not in self._flights:
            # What it finds is read at once: a scrape that waits for another source's discovery has it all the same.
            follow = partial(self._begin, origin, now, only)
            self._launch(origin, origin.name, partial(self._discover, origin, follow))
        due = [
            subject
            for target, subject in origin.subjects.items()
            if subject.asked.due_at <= now and target not in self._flights and only in {None, target}
        ]
        if due:
            origin.begin_round()
        for subject in due:
            self._launch(origin, subject.target, partial(self._read, origin, subject))

    def _launch(self, origin: Origin, key: Key, job: Callable[[Flight], None]) -> None:
        flight = origin.readers.submit(job)
        self._flights[key] = flight
        flight.add_done_callback(lambda _ended: self._landed(key, flight))

    def _landed(self, key: Key, flight: Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]

    def collect(self) -> None:
        """Read everything that is due, and what discovery finds by that, without a deadline."""
        for _ in range(3):
            wait([self.begin().done])

    def discover(self) -> None:
        """List the targets of every source, and read none of them."""
        with self._lock:
            for origin in self._origins.values():
                self._launch(origin, origin.name, partial(self._discover, origin, lambda: None))
            asked = Round(self._flights.values())
        wait([asked.done])

    # How it is read

    def _discover(self, origin: Origin, follow: Callable[[], None], flight: Flight) -> None:
        before = origin.requests
        try:
            found = self._drive(origin, origin.provider.discover())
        except Exception as error:  # noqa: BLE001  # the boundary: nothing that goes wrong in a source may reach a scrape
            with self._lock:
                if self._wanted(origin, flight):
                    origin.discovery = self._failed(origin, origin.discovery, error, "discovery failed", origin.name)
                    origin.discovered, origin.tried, origin.errors = False, True, (str(error),)
            return
        with self._lock:
            if self._wanted(origin, flight):
                origin.discovery_cost = origin.requests - before
                self._discovered(origin, found)
                follow()

    def _discovered(self, origin: Origin, found: Discovery) -> None:
        now = self._clock()
        origin.tried = True
        origin.discovery = cadence.answered(now, self._settings.refresh.discovery)
        succeeded = bool(found.targets) or not found.faults
        origin.discovered = succeeded if origin.discovery_cost else None
        origin.errors = (*(str(fault) for fault in found.faults), *found.notes)
        origin.rests = 0
        for fault in found.faults:
            log.warning("discovery is partial", source=origin.name, reason=fault.reason, error=str(fault))
        if found.faults:
            origin.discovery = cadence.failed(origin.discovery, now, self._settings.refresh.ttl, self._chance())
        for note in found.notes:
            log.warning("nothing matches", source=origin.name, note=note)
        for target in found.targets:
            subject = origin.subjects.setdefault(target, Subject(target))
            subject.absences = 0
        if not found.faults:
            self._drop_absent(origin, set(found.targets))

    def _drop_absent(self, origin: Origin, present: set[Target]) -> None:
        for target in [target for target in origin.subjects if target not in present]:
            subject = origin.subjects[target]
            subject.absences += 1
            if subject.absences >= ABSENCES:
                del origin.subjects[target]
                self._display.forget(target)
                log.info("target is gone", target=target.address)

    def _read(self, origin: Origin, subject: Subject, flight: Flight) -> None:
        now = self._clock()
        reading = walk(origin.provider, subject.target, subject.history, self._rules, now)
        try:
            walked = self._drive(origin, reading)
        except Exception as error:  # noqa: BLE001  # the boundary: nothing that goes wrong in a target may reach a scrape
            with self._lock:
                if self._wanted(origin, flight):
                    self._read_failed(origin, subject, error)
            return
        with self._lock:
            if self._wanted(origin, flight):
                self._read_well(origin, subject, walked, now)

    def _read_failed(self, origin: Origin, subject: Subject, error: Exception) -> None:
        reason = error.reason if isinstance(error, SourceError) else "unexpected"
        subject.asked = self._failed(origin, subject.asked, error, "read failed", subject.target.address)
        subject.up, subject.error = False, str(error)
        subject.errors[reason] += 1
        origin.read[False] += 1
        self._display.show(origin, subject, self._clock())

    def _read_well(self, origin: Origin, subject: Subject, walked: Walked, now: float) -> None:
        refresh = self._settings.refresh
        before, was_up = subject.history, subject.up
        history = merge(before, walked.sights, self._rules, self._clock())
        subject.history = replace(history, mark=walked.mark)
        stirring = history.version != before.version or bool(history.unfinished)
        subject.asked = cadence.answered(now, refresh.ttl if stirring else refresh.idle_ttl)
        subject.up, subject.error = True, ""
        origin.read[True] += 1
        origin.rests = 0
        if walked.missed:
            subject.errors["missed"] += 1
            log.warning("more builds came than a read may follow; the oldest are missed", target=subject.target.address)
        for rejected in walked.rejected:
            if (subject.target, rejected) not in origin.met:
                origin.met[subject.target, rejected] = True
                self.meters.rejected(origin.name, rejected.reason)
        if was_up is False:
            log.info("read again", target=subject.target.address)
        if history.version != before.version or was_up is not True or walked.missed:
            self._display.show(origin, subject, self._clock())
        subject.refreshed_at = now
        self._display.refreshed(subject.target, now)

    def _wanted(self, origin: Origin, flight: Flight) -> bool:
        """Whether what was read is of use: it was not given up, and its source is still read by the same settings."""
        return not flight.done() and not self._closed and self._origins.get(origin.name) is origin

    def _drive(self, origin: Origin, reading: Reading[T]) -> T:
        """Fetch what the reading asks for, until it ends; all between two fetches is done under the lock."""
        answer, error = None, None
        while True:
            with self._lock:
                try:
                    request = reading.throw(error) if error else reading.send(answer)  # type: ignore[arg-type]  # starts
                except StopIteration as end:
                    result: T = end.value
                    return result
            try:
                answer, error = origin.fetch(request), None
            except SourceError as raised:
                answer, error = None, raised

    def _failed(self, origin: Origin, asked: Asked, error: Exception, what: str, which: str) -> Asked:
        """When to ask again what failed; one line in the log, and where the allowance is used up the source rests."""
        now, ttl = self._clock(), self._settings.refresh.ttl
        if isinstance(error, SourceError):
            log.warning(what, of=which, reason=error.reason, error=str(error))
        else:
            log.error(what, of=which, reason="unexpected", exc_info=error)
        if isinstance(error, RateLimited):
            origin.rests += 1
            pause = error.retry_after or cadence.failed(Asked(failures=origin.rests), now, ttl, 0).due_at - now
            origin.resting_until = max(origin.resting_until, now + min(pause, LONGEST_REST))
        return cadence.failed(asked, now, ttl, self._chance())

    def _observe(self, source: str, seen: Observation) -> None:
        """Count a request, and keep what the answer says of the allowance."""
        self.meters.request(source, seen.operation, seen.code, seen.seconds)
        with self._lock:
            origin = self._origins.get(source)
            if origin:
                origin.requests += 1
                origin.allowance = allowance_of(seen.headers, seen.at) or origin.allowance

    # What is shown

    def expose(self, form: Format) -> bytes:
        """Everything that is known now, as exposition text."""
        with self._lock:
            self._want(form)
            return self._display.join(form, self.meters.registry.collect())

    def expose_target(self, target: Target, form: Format) -> bytes:
        """What is known now of one target."""
        with self._lock:
            self._want(form)
            return self._display.of_target(target, form)

    def _want(self, form: Format) -> None:
        if form not in self._formats:
            self._formats.add(form)
            self._show_all()

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
            return [target for origin in self._origins.values() for target in origin.subjects]

    def history(self, target: Target) -> History:
        """What is remembered of a target that is read."""
        with self._lock:
            return self._origins[target.source].subjects[target].history

    def ready(self) -> bool:
        """Whether everything was tried once, or enough time has passed."""
        with self._lock:
            if self._clock() - self._started_at >= READY_AFTER:
                return True
            return all(
                origin.tried and all(subject.up is not None for subject in origin.subjects.values())
                for origin in self._origins.values()
            )

    def reports(self) -> list[Report]:
        """How the reading of each source goes."""
        with self._lock:
            now = self._clock()
            return [origin.report(now, self._settings.refresh) for origin in self._origins.values()]

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


class _Live(Registered):
    """The collector's own families, as a registry takes them."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def describe(self) -> list[Metric]:
        return []  # else the registry would collect them to learn their names

    def collect(self) -> Iterator[Metric]:
        return self._collector.live()
