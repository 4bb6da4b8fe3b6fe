"""What is shown of the targets, bounded: where there would be too many series, branches fold, and new targets hide."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Lock, RLock

import structlog
from prometheus_client.core import Metric

from exporter.build import Target
from exporter.exposition.families import series, window_families
from exporter.exposition.render import REFRESH, Exposition, Format
from exporter.exposition.self_metrics import gauge, target_families, up_family
from exporter.history.health import Standings, standings
from exporter.history.statistics import statistics
from exporter.history.window import History, Rules, fold, recut
from exporter.polling.state import Origin, Subject

log = structlog.get_logger()


class Display:
    """The exposition of all targets, at most `limit` series of them.

    Its caller holds the collector's lock, but for `expose`, which takes it.
    """

    def __init__(
        self,
        rules: Rules,
        drop: frozenset[str],
        limit: int,
        lock: AbstractContextManager[object] | None = None,
        formats: Iterable[Format] = (),
    ) -> None:
        self._rules = rules
        self._lock = lock or RLock()
        self._first = Lock()
        self._drop = drop
        self._limit = limit
        self._exposition = Exposition()
        for form in formats:
            self._exposition.want(form)
        self._series: dict[Target, int] = {}
        self.total = 0
        """Series that the targets show."""
        self._saved: dict[Target, int] = {}
        self.hidden: set[Target] = set()
        """Those that show nothing but that they are up."""
        self.standings: dict[Target, Standings] = {}
        """How each target stands."""

    def show(self, origin: Origin, subject: Subject, now: float) -> None:
        """Render the target anew; where that makes too many series, its history is folded first."""
        history = subject.history
        families = self._families(origin, subject, history)
        count = series(families)
        if self._excess(subject.target, count) and not history.folded:
            subject.history = history = fold(history, self._rules, now)
            families = self._families(origin, subject, history)
            self._saved[subject.target] = count - series(families)
            count = series(families)
            log.warning("too many series: branches and labels are folded", target=subject.target.address)
        elif history.folded and subject.target not in self._saved:
            unfolded = recut(replace(history, folded=False), self._rules, now)
            self._saved[subject.target] = series(self._families(origin, subject, unfolded)) - count
        new = subject.target not in self._series or subject.target in self.hidden
        self.hidden.discard(subject.target)
        if new and self._excess(subject.target, count):
            self.hidden.add(subject.target)
            families = self._hint(subject)
            count = series(families)
        self.total += count - self._series.get(subject.target, 0)
        self._series[subject.target] = count
        self._exposition.put(subject.target, families)

    def _excess(self, target: Target, count: int) -> bool:
        return self.total - self._series.get(target, 0) + count > self._limit

    def _families(self, origin: Origin, subject: Subject, history: History) -> list[Metric]:
        about = target_families(
            subject.target,
            up=subject.up,
            provider=origin.settings.provider,
            url=origin.settings.url,
            errors=subject.errors,
        )
        found = statistics(history, self._rules)
        self.standings[subject.target] = standings(history, found)
        window = window_families(subject.target, found, origin.provider.vocabulary, self._rules, self._drop)
        return [*window, *self._kept(about)]

    def _hint(self, subject: Subject) -> list[Metric]:
        """All that is shown of a target that is hidden."""
        return self._kept([up_family(subject.target, up=subject.up)])

    def _kept(self, families: Iterable[Metric]) -> list[Metric]:
        return [metric for metric in families if not {metric.name, f"{metric.name}_total"} & self._drop]

    def refreshed(self, target: Target, at: float) -> None:
        """Show when the target was last known to be current, unless it is hidden."""
        if REFRESH not in self._drop and target not in self.hidden:
            self._exposition.refreshed(target, at)

    def forget(self, target: Target) -> None:
        """Show nothing of the target any more."""
        self._exposition.forget(target)
        self.total -= self._series.pop(target, 0)
        self._saved.pop(target, None)
        self.standings.pop(target, None)
        self.hidden.discard(target)

    @property
    def formats(self) -> Collection[Format]:
        """Those that were asked for."""
        return self._exposition.formats

    def expose(
        self,
        form: Format,
        shown: Callable[[], Iterable[tuple[Origin, Subject]]],
        tail: Callable[[], Iterable[Metric]],
        now: float,
    ) -> bytes:
        """The whole exposition, compressed by gzip, the tail behind what is kept of the targets.

        The first time that a format is asked for takes as long as it takes to render all that is shown.
        """
        with self._first:  # another scrape of the format waits until all of it is there
            if form not in self._exposition.formats:
                with self._lock:
                    self._exposition.want(form)
                for origin, subject in shown():
                    with self._lock:  # between two, others have their turn
                        if origin.subjects.get(subject.target) is subject:
                            self.show(origin, subject, now)
        with self._lock:
            return self._exposition.join(form, self._kept(tail()))

    def of_target(self, origin: Origin, subject: Subject, form: Format) -> bytes:
        """The exposition of one target alone."""
        hidden = subject.target in self.hidden
        families = self._hint(subject) if hidden else self._families(origin, subject, subject.history)
        return self._exposition.of_target(subject.target, families, form)

    def families(self) -> Iterator[Metric]:
        """What the bound has done."""
        yield gauge("ci_build_exporter_folded_series", sum(self._saved.values()))
        yield gauge("ci_build_exporter_hidden_targets", len(self.hidden))
