"""The cached collector: a scrape polls what is due, waits for it until its deadline, and shows what is known.

It is the only coordinator. One lock guards what is held of sources and targets, and what is shown; histories are in the
store, and are committed outside that lock. Answers are parsed outside of it too, by one worker at a time: threads that
compute side by side only make a scrape wait.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import wait
from functools import partial

from prometheus_client.core import Metric

from exporter.build import Target
from exporter.exposition.render import Format
from exporter.exposition.self_metrics import Live, SelfMetrics, gauge, source_families
from exporter.exposition.series_limit import SeriesLimit
from exporter.history.window import History
from exporter.http.fetch import RequestStats
from exporter.polling.candidates import discovery
from exporter.polling.deliveries import Result
from exporter.polling.in_flight import Waiter
from exporter.polling.polls import EVERYTHING, ONLY_DISCOVERY, Discover, Scope
from exporter.polling.report import Report, reports
from exporter.polling.results import Times
from exporter.polling.state import (
    Budget,
    Connect,
    Source,
    SourceReader,
    SourceState,
    budget_of,
    connect,
    digest,
    rules_of,
    state_after_reload,
)
from exporter.polling.workers import InlinePool, WorkerPool
from exporter.reading import Lock, Reading, Restored, delivered, perform, restore, submit
from exporter.settings.settings import Settings
from exporter.settings.settings import Source as SourceSettings
from exporter.snapshot import Snapshot, snapshot, status_of
from exporter.store.contract import Store
from exporter.store.fingerprint import fingerprint
from exporter.store.memory import MemoryStore

READY_AFTER = 30.0
"""Seconds after which the exporter is ready though a target was not tried: a dead provider must delay no rollout."""


class Collector:
    """Everything that is known, and the reading of more."""

    def __init__(  # noqa: PLR0913  # the parts that tests and benchmarks replace
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        workers: Callable[[int], WorkerPool | InlinePool] = WorkerPool,
        connect: Connect = connect,
        store: Store | None = None,
        lock: Lock | None = None,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._new_workers = workers
        self._connect = connect
        self._store = store or MemoryStore()
        self._lock = lock or threading.RLock()
        self._configuring = threading.Lock()
        self._first_render = threading.Lock()
        self._started_at = clock()
        self.self_metrics = SelfMetrics()
        self.self_metrics.registry.register(Live(self._live))
        self._budgets: dict[int, Budget] = {}
        self._unshown: set[Target] = set()
        """Restored targets that were not rendered yet."""
        self._reading = Reading(self._store, self.self_metrics, clock, self._lock, self._times, perform)
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Read by these settings from now on; what is known of targets that remain configured is kept.

        All targets are shown anew. Until that is done, scrapes get what was shown before. What is new is loaded from
        the store before the lock is taken.
        """
        with self._configuring:
            before, now = self._reading.sources, self._clock()
            self._store.use(
                {
                    source.name: fingerprint(source.provider, source.url, rules_of(settings))
                    for source in settings.sources
                }
            )
            restored = {
                source.name: restore.load(self._store, source.name, now)
                for source in settings.sources
                if source.name not in before
            }
            self._drop(settings)
            with self._lock:
                self._replace_sources(settings, restored, shown=self._reading.shown if before else None)
                for name, kept in restored.items():  # shown when somebody looks: it takes longer than all the rest
                    restore.take_over(self._reading, kept)
                    self._unshown.update(self._reading.sources[name].targets)
            for source, target in self._all():
                if source.name not in restored:
                    self._show_anew(source, target)
            with self._lock:
                self._reading.exposed_meanwhile = None

    def _replace_sources(self, settings: Settings, restored: Mapping[str, Restored], shown: SeriesLimit | None) -> None:
        """The sources by other settings. `shown` is what scrapes got until now; None: this is the start."""
        before, rules = self._reading.sources, rules_of(settings)
        self.self_metrics.version += 1
        budgets, now = self._budgets, self._clock()
        self._settings = settings
        recuts = self._reading.rules != rules
        self._reading.rules = rules
        self._reading.in_flight.clear()  # it reads by the old settings
        sources: dict[str, Source] = {}
        self._budgets = {}
        for source in settings.sources:
            budget = budget_of(source, self._budgets, budgets, now)
            new = restored.get(source.name)
            old = before.get(source.name)
            state = new.state if new else state_after_reload(source, old) if old else SourceState()
            if new and shown is None:
                new.refill(budget)
            sources[source.name] = Source(self._reader(source), state, budget)
        self._reading.sources = sources  # nothing is committed of the old ones from now on
        for old in before.values():
            old.reader.close()
        if recuts:
            known = (target for name, source in sources.items() if name not in restored for target in source.targets)
            self._reading.by_old_rules.update(known)
        self._reading.exposed_meanwhile = shown
        metrics = settings.metrics
        self._reading.shown = SeriesLimit(
            rules, frozenset(metrics.drop), metrics.max_series, shown.formats if shown else (), shown
        )

    def _drop(self, settings: Settings) -> None:
        """Keep nothing of sources that are no longer configured, or are another server by now."""
        with self._lock:
            sources = self._reading.sources
            kept = {
                source.name: sources[source.name]
                for source in settings.sources
                if source.name in sources
                and state_after_reload(source, sources[source.name]).targets is sources[source.name].targets
            }
            dropped = [source for name, source in sources.items() if name not in kept]
            self._reading.in_flight.clear()
            self._reading.sources = kept  # nothing is committed of the others from now on
            for source in dropped:
                source.reader.close()
                for target in source.targets:
                    self._reading.shown.forget(target)
        for source in dropped:
            for target in source.targets:
                self._store.forget(target)

    def _reader(self, source: SourceSettings) -> SourceReader:
        refresh = self._settings.refresh
        reader = SourceReader(source, self._new_workers(refresh.concurrency))
        reader.connection = self._connect(source, partial(self._observe, reader), refresh.timeout, self._clock)
        return reader

    def _show_anew(self, source: Source, target: Target) -> None:
        """Show a target by other settings than before, with its history cut by them."""
        recuts = target in self._reading.by_old_rules
        history = self._reading.committed(source, target, lambda history: history) if recuts else None
        with self._lock:
            state = source.targets.get(target)
            if state is None:
                return
            if history is not None and history.version >= state.digest.version:
                state.digest = digest(history, self._clock() - source.state.skew)
            self._reading.show_again(source, state, self._store.read(target))

    def close(self) -> None:
        """End the threads and close the connections; the store holds what is known by then."""
        sources = list(self._reading.sources.values())
        for source in sources:
            self._reading.keep_progress(source)
        with self._lock:
            self._reading.closed = True
            for source in sources:
                source.reader.close()
        self._store.close()

    # What is polled

    def begin(self, scope: Scope = EVERYTHING) -> Waiter:
        """Poll what is due of the scope, and return what there is to wait for."""
        return self._reading.begin(scope)

    def abandon(self, waiter: Waiter) -> None:
        """Stop waiting for what is left; no other scrape waits for it again."""
        with self._lock:
            self._reading.in_flight.abandon(waiter)

    def collect(self) -> None:
        """Read everything that is due, and what discovery finds, without a deadline."""
        for _ in range(3):
            wait([self.begin().done])
        while self._reading.in_flight:  # what a list made necessary that was polled last
            with self._lock:
                left = self._reading.in_flight.wait(lambda _poll: True)
            wait([left.done])

    def discover(self) -> None:
        """List the targets of every source, and read none of them."""
        with self._lock:
            polls = [discovery(source, self._settings.refresh) for source in self._reading.sources.values()]
            jobs = self._reading.jobs(polls, ONLY_DISCOVERY)
            waiter = self._reading.in_flight.wait(lambda poll: isinstance(poll, Discover))
        submit(jobs)
        wait([waiter.done])

    def _times(self) -> Times:
        return Times(self._clock(), self._settings.refresh, self._chance)

    def _observe(self, reader: SourceReader, seen: RequestStats) -> None:
        """Count a request, and keep what its answer says of the allowance and of the server's clock."""
        self.self_metrics.request(reader.settings.name, seen.operation, seen.code, seen.seconds)
        source = self._reading.sources.get(reader.settings.name)
        if source is not None and source.reader is reader:
            self._reading.observed(source, seen)

    # What is delivered

    def admits(self, source: str, headers: Mapping[str, str]) -> bool | None:
        """Whether a delivery bears the secret of the source's webhook; None: there is no such webhook.

        Raises `Unauthorized` where the secret cannot be read.
        """
        known = self._reading.sources.get(source)
        return known.reader.admits(headers) if known else None

    def delivered(self, source: str, headers: Mapping[str, str], body: bytes) -> Result:
        """Take in a delivery that was admitted, without any request: what it only hints at, the next scrape polls."""
        known = self._reading.sources.get(source)
        return delivered(self._reading, known, headers, body) if known else Result.UNKNOWN_TARGET

    # What is shown

    def expose(self, form: Format) -> bytes:
        """Everything that is known now, as exposition text compressed by gzip."""
        if form not in self._reading.exposed.formats:
            self._render_first(form)
        if self._unshown:
            self._show_restored()
        with self._lock:
            return self._reading.exposed.expose(form, self.self_metrics.registry.collect())

    def _render_first(self, form: Format) -> None:
        """Render all targets in a format that no scrape asked for before; other scrapes of it wait for that."""
        with self._first_render, self._configuring:
            shown = self._reading.shown
            if form in shown.formats:
                return
            with self._lock:
                shown.want(form)
            self._show_each(self._all())

    def _show_each(self, targets: Iterable[tuple[Source, Target]]) -> None:
        for source, target in targets:
            history = self._store.read(target)
            with self._lock:  # between two, others have their turn
                state = source.targets.get(target)
                sound = True
                if state is not None and target in self._unshown:
                    sound = restore.show(self._reading, source, state, history)
                elif state is not None:
                    self._reading.show_again(source, state, history)
                self._unshown.discard(target)
            if not sound:
                self._store.refuse(target)

    def _show_restored(self) -> None:
        """Render the restored targets that were not rendered yet. A second caller waits until the first is done."""
        with self._first_render:
            self._show_each([one for one in self._all() if one[1] in self._unshown])

    def _all(self) -> list[tuple[Source, Target]]:
        with self._lock:
            return [(source, target) for source in self._reading.sources.values() for target in source.targets]

    def expose_target(self, target: Target, form: Format) -> bytes:
        """What is known now of one target, as exposition text."""
        history = self._store.read(target)
        with self._lock:
            source = self._reading.sources[target.source]
            return self._reading.shown.of_target(self._reading.view(source, source.targets[target], history), form)

    @property
    def now(self) -> float:
        """What its clock shows, in seconds since the epoch."""
        return self._clock()

    @property
    def settings(self) -> Settings:
        """By what it reads."""
        return self._settings

    @property
    def timeout(self) -> float:
        """Seconds that a scrape waits at most."""
        return self._settings.refresh.timeout

    def sources(self) -> list[str]:
        """The names of the sources."""
        return list(self._reading.sources)

    def targets(self) -> list[Target]:
        """Every target that is read."""
        return [target for _source, target in self._all()]

    def history(self, target: Target) -> History:
        """What is remembered of a target that is read."""
        return self._store.read(target)

    def snapshot(self) -> Snapshot:
        """What is known now, as the status page takes it."""
        if self._unshown:
            self._show_restored()
        with self._lock:
            shown, sources = self._reading.exposed, self._reading.sources.values()
            return snapshot(sources, self._store.read, shown.standings, shown.hidden, shown.folded, self._clock())

    def ready(self) -> bool:
        """Whether everything was tried once, or enough time has passed."""
        with self._lock:
            if self._clock() - self._started_at >= READY_AFTER:
                return True
            return all(source.tried_all for source in self._reading.sources.values())

    def reports(self) -> list[Report]:
        """How the reading of each source goes."""
        with self._lock:
            now, sources = self._clock(), self._reading.sources
            found = {
                report.source: report
                for budget in self._budgets.values()
                for report in reports(
                    [source for source in sources.values() if source.budget is budget],
                    budget.bucket,
                    self._settings.refresh,
                    now,
                )
            }
            return [found[name] for name in sources]

    @property
    def series(self) -> int:
        """How many the targets show."""
        return self._reading.exposed.total

    def _live(self) -> Iterator[Metric]:
        """The families that change from scrape to scrape."""
        now = self._clock()
        yield from source_families(
            status_of(source, self._settings.refresh.idle_ttl, now) for source in self._reading.sources.values()
        )
        yield gauge("ci_build_exporter_window_builds_limit", self._settings.window.builds)
        if (kept := self._store.up) is not None:
            yield gauge("ci_build_store_up", kept)
        yield from self._reading.exposed.families()
