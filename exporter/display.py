"""What is shown of the targets, bounded: where there would be too many series, branches fold, and new targets hide."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import structlog
from prometheus_client.core import Metric

from exporter.build import Target
from exporter.exposition import REFRESH, Exposition, Format
from exporter.meters import gauge, target_families, up_family
from exporter.metrics import series, window_families
from exporter.source import Origin, Subject
from exporter.statistics import statistics
from exporter.window import Rules, fold, recut

log = structlog.get_logger()


class Display:
    """The exposition of all targets, at most `limit` series of them. Its caller holds the collector's lock."""

    def __init__(self, rules: Rules, drop: frozenset[str], limit: int) -> None:
        self._rules = rules
        self._drop = drop
        self._limit = limit
        self._exposition = Exposition()
        self._series: dict[Target, int] = {}
        self.total = 0
        """Series that the targets show."""
        self._saved: dict[Target, int] = {}
        self._hidden: set[Target] = set()

    def show(self, origin: Origin, subject: Subject, now: float) -> None:
        """Render the target anew; where that makes too many series, its history is folded first."""
        families = self._families(origin, subject)
        count = series(families)
        if self._excess(subject.target, count) and not subject.history.folded:
            subject.history = fold(subject.history, self._rules, now)
            families = self._families(origin, subject)
            self._saved[subject.target] = count - series(families)
            count = series(families)
            log.warning("too many series: branches and labels are folded", target=subject.target.address)
        elif subject.history.folded and subject.target not in self._saved:
            unfolded = recut(replace(subject.history, folded=False), self._rules, now)
            self._saved[subject.target] = series(self._families(origin, replace(subject, history=unfolded))) - count
        new = subject.target not in self._series or subject.target in self._hidden
        self._hidden.discard(subject.target)
        if new and self._excess(subject.target, count):
            self._hidden.add(subject.target)
            families = self._kept([up_family(subject.target, up=subject.up)])
            count = series(families)
        self.total += count - self._series.get(subject.target, 0)
        self._series[subject.target] = count
        self._exposition.put(subject.target, families)

    def _excess(self, target: Target, count: int) -> bool:
        return self.total - self._series.get(target, 0) + count > self._limit

    def _families(self, origin: Origin, subject: Subject) -> list[Metric]:
        about = target_families(
            subject.target,
            up=subject.up,
            provider=origin.settings.provider,
            url=origin.settings.url,
            errors=subject.errors,
        )
        found = statistics(subject.history, self._rules)
        window = window_families(subject.target, found, origin.provider.vocabulary, self._rules, self._drop)
        return [*window, *self._kept(about)]

    def _kept(self, families: Iterable[Metric]) -> list[Metric]:
        return [metric for metric in families if not {metric.name, f"{metric.name}_total"} & self._drop]

    def refreshed(self, target: Target, at: float) -> None:
        """Show when the target was last known to be current, unless it is hidden."""
        if REFRESH not in self._drop and target not in self._hidden:
            self._exposition.refreshed(target, at)

    def forget(self, target: Target) -> None:
        """Show nothing of the target any more."""
        self._exposition.forget(target)
        self.total -= self._series.pop(target, 0)
        self._saved.pop(target, None)
        self._hidden.discard(target)

    def wants(self, form: Format) -> bool:
        """Whether the format was asked for before; from now on it was."""
        known = form in self._exposition.formats
        self._exposition.formats.add(form)
        return known

    def join(self, form: Format, tail: Iterable[Metric]) -> bytes:
        """The whole exposition, the tail behind what is kept of the targets."""
        return self._exposition.join(form, self._kept(tail))

    def of_target(self, target: Target, form: Format) -> bytes:
        """The exposition of one target alone."""
        return self._exposition.of_target(target, form)

    def families(self) -> Iterator[Metric]:
        """What the bound has done."""
        yield gauge("ci_build_exporter_folded_series", sum(self._saved.values()))
        yield gauge("ci_build_exporter_hidden_targets", len(self._hidden))
