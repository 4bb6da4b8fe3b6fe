"""What is shown of the targets, at most so many series: above that branches fold into `other`, and new targets hide.

Folding is a view: what is remembered keeps its branches.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import structlog
from prometheus_client.core import Metric

from exporter.build import Target
from exporter.exposition.families import Words, series, window_families
from exporter.exposition.render import REFRESH, Exposition, Format
from exporter.exposition.self_metrics import gauge, target_families, up_family
from exporter.history.health import Standings, standings
from exporter.history.statistics import Statistics, statistics
from exporter.history.window import OTHER, Group, History, Rules

log = structlog.get_logger()

BEFORE = -1
"""Stands for a scrape before the first one of this process."""


@dataclass(frozen=True, slots=True)
class TargetView:
    """All that is shown of one target."""

    target: Target
    history: History
    up: bool | None
    """Whether the last read succeeded; None: it was not tried yet."""
    errors: Mapping[str, int]
    """Failed reads by reason."""
    provider: str
    url: str
    """Of the source."""
    words: Words


@dataclass(slots=True)
class Seen:
    """What scrapes have seen; a reload keeps it."""

    scrapes: int = 0
    """How many there were."""
    appeared: dict[Target, dict[Group, int]] = field(default_factory=dict)
    """The scrape after which a group's counters may be more than 0: they must be seen at 0 first."""


class _Rendered(NamedTuple):
    """What the metrics show of a target."""

    families: list[Metric]
    standings: Standings
    held: bool = False
    """Whether a counter is shown as 0 that is more."""


def shown_history(history: History, *, folded: bool) -> History:
    """The history with the branches that are shown: none keeps its name where the target is folded."""
    return replace(history, names=()) if folded else history


def _at_zero(found: Statistics) -> Statistics:
    """The statistics with each counter at 0."""
    return replace(
        found,
        totals=dict.fromkeys(found.totals, 0),
        run_totals=dict.fromkeys(found.run_totals, 0),
        seconds=dict.fromkeys(found.seconds, 0.0),
        latencies={
            outcome: replace(histogram, counts=[0] * len(histogram.counts), total=0.0)
            for outcome, histogram in found.latencies.items()
        },
    )


class SeriesLimit:
    """The exposition of all targets, at most `limit` series of them. The caller holds the collector's lock."""

    def __init__(  # what the configuration says, and what was shown until now
        self,
        rules: Rules,
        drop: frozenset[str],
        limit: int,
        formats: Iterable[Format] = (),
        before: "SeriesLimit | None" = None,
    ) -> None:
        self._rules = rules
        self._drop = drop
        self._limit = limit
        self._exposition = Exposition()
        for form in formats:
            self._exposition.want(form)
        self._series: dict[Target, int] = {}
        self.total = 0
        """Series that the targets show."""
        self.folded: dict[Target, int] = {}
        """The targets that are folded, and the series that each of them saves."""
        self.hidden: set[Target] = set()
        """Those that show only whether they are up."""
        self.standings: dict[Target, Standings] = {}
        """How each target stands."""
        self.seen: Seen = before.seen if before else Seen()
        self._held: dict[Target, int] = {}
        """Targets of which a counter is shown as 0 that is more, and the scrapes before that."""

    def show(self, view: TargetView) -> None:
        """Render the target anew; where that makes too many series, it is folded, and hidden where it is new."""
        target = view.target
        rendered = self._rendered(view, folded=False)
        count = series(rendered.families)
        if target in self.folded or self._excess(target, count):
            if target not in self.folded:
                log.warning("too many series: branches and labels are folded", target=target.address)
            rendered = self._rendered(view, folded=True)
            self.folded[target] = count - series(rendered.families)
            count -= self.folded[target]
        families = rendered.families
        self.standings[target] = rendered.standings
        self._held.pop(target, None)
        if rendered.held:
            self._held[target] = self.seen.scrapes
        new = target not in self._series or target in self.hidden
        self.hidden.discard(target)
        if new and self._excess(target, count):
            self.hidden.add(target)
            families = self._only_up(view)
            count = series(families)
        self.total += count - self._series.get(target, 0)
        self._series[target] = count
        self._exposition.put(target, families)

    def restored(self, target: Target, groups: Iterable[Group], *, folded: bool, hidden: bool) -> None:
        """Take over a target that an earlier process showed: it is not new, and its counters do not begin at 0."""
        folded_group = (OTHER,) * (1 + len(self._rules.labels))
        self.seen.appeared[target] = dict.fromkeys([*groups, *([folded_group] if folded else [])], BEFORE)
        if folded:
            self.folded[target] = 0
        if not hidden:
            self._series[target] = 0

    def _excess(self, target: Target, count: int) -> bool:
        return self.total - self._series.get(target, 0) + count > self._limit

    def _rendered(self, view: TargetView, *, folded: bool) -> _Rendered:
        about = target_families(
            view.target,
            up=view.up,
            info={"provider": view.provider, "url": view.url, "default_branch": view.history.default_branch or ""},
            errors=view.errors,
        )
        found, held = self._from_zero(view.target, statistics(view.history, self._rules, folded=folded))
        window = window_families(view.target, found, view.words, self._rules, self._drop)
        how = standings(shown_history(view.history, folded=folded), found)
        return _Rendered([*window, *self._kept(about)], how, held)

    def _from_zero(self, target: Target, found: list[Statistics]) -> tuple[list[Statistics], bool]:
        """The statistics with the counters of each new group at 0 until a scrape has seen them so; whether any is."""
        appeared = self.seen.appeared.setdefault(target, {})
        shown, held = [], False
        for group in found:
            if appeared.setdefault(group.group, self.seen.scrapes) < self.seen.scrapes:
                shown.append(group)
                continue
            counters = (group.totals, group.run_totals, group.seconds)
            held = held or any(value for values in counters for value in values.values())
            shown.append(_at_zero(group))
        return shown, held

    def _only_up(self, view: TargetView) -> list[Metric]:
        """All that is shown of a target that is hidden."""
        return self._kept([up_family(view.target, up=view.up)])

    def _kept(self, families: Iterable[Metric]) -> list[Metric]:
        return [metric for metric in families if not {metric.name, f"{metric.name}_total"} & self._drop]

    def outdated(self) -> list[Target]:
        """Targets to be shown anew: a scrape has seen their new counters at 0."""
        return [target for target, scrapes in self._held.items() if scrapes < self.seen.scrapes]

    def refreshed(self, target: Target, at: float) -> None:
        """Show when the target was last known to be current, unless it is hidden."""
        if REFRESH not in self._drop and target not in self.hidden:
            self._exposition.refreshed(target, at)

    def forget(self, target: Target) -> None:
        """Show nothing of the target any more."""
        self._exposition.forget(target)
        self.total -= self._series.pop(target, 0)
        self.folded.pop(target, None)
        self.standings.pop(target, None)
        self.seen.appeared.pop(target, None)
        self.hidden.discard(target)
        self._held.pop(target, None)

    @property
    def formats(self) -> Collection[Format]:
        """The formats that were asked for; only these are rendered."""
        return self._exposition.formats

    def want(self, form: Format) -> None:
        """Render this format too from now on: what is shown from now on."""
        self._exposition.want(form)

    def expose(self, form: Format, tail: Iterable[Metric]) -> bytes:
        """The whole exposition, compressed by gzip, with the tail after what is kept of the targets."""
        self.seen.scrapes += 1
        return self._exposition.join(form, self._kept(tail))

    def of_target(self, view: TargetView, form: Format) -> bytes:
        """The exposition of one target alone."""
        if view.target in self.hidden:
            families = self._only_up(view)
        else:
            families = self._rendered(view, folded=view.target in self.folded).families
        return self._exposition.of_target(view.target, families, form)

    def families(self) -> Iterator[Metric]:
        """What the limit has done."""
        yield gauge("ci_build_exporter_folded_series", sum(self.folded.values()))
        yield gauge("ci_build_exporter_hidden_targets", len(self.hidden))
