"""A history as it is shown where there are too many series: all of it under one group. Only a view. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import TypeVar

from exporter.build import Outcome
from exporter.history.judge import age_key
from exporter.history.records import OTHER, BucketKey, Group, History, Past, Rules

_Number = TypeVar("_Number", int, float)


def folded_view(history: History, rules: Rules) -> History:
    """The history with one group, whose counters are the sums of all, and with one window of builds."""
    if not history.totals:
        return history
    group = (OTHER,) * (1 + len(rules.labels))
    shown = sorted((row.build for row in history.rows.values() if row.shown), key=age_key, reverse=True)
    kept = {build.id for place, build in enumerate(shown) if place < rules.builds or build.unfinished}
    return replace(
        history,
        rows={id_: row._replace(shown=id_ in kept) for id_, row in history.rows.items()},
        totals={group: _sum(history.totals)},
        run_totals={group: _sum(history.run_totals)} if history.run_totals else {},
        seconds={group: _sum(history.seconds)},
        latencies={group: _sum_of_buckets(history.latencies)} if history.latencies else {},
        past={group: _together(history.past)} if history.past else {},
    )


def _sum(by_group: Mapping[Group, Mapping[Outcome, _Number]]) -> dict[Outcome, _Number]:
    found: dict[Outcome, _Number] = {}
    for _group, outcomes in sorted(by_group.items()):
        for outcome, number in outcomes.items():
            found[outcome] = found[outcome] + number if outcome in found else number
    return found


def _sum_of_buckets(by_group: Mapping[Group, Mapping[Outcome, tuple[int, ...]]]) -> dict[Outcome, tuple[int, ...]]:
    found: dict[Outcome, tuple[int, ...]] = {}
    for outcomes in by_group.values():
        for outcome, numbers in outcomes.items():
            before = found.get(outcome, (0,) * len(numbers))
            found[outcome] = tuple(one + other for one, other in zip(before, numbers, strict=True))
    return found


def _together(by_group: Mapping[Group, Past]) -> Past:
    """What is left of all groups; the sequence is that of the newest run among those that are summed up."""
    pasts = [past for _group, past in sorted(by_group.items())]
    last_concluded: defaultdict[Outcome, float] = defaultdict(lambda: -inf)
    exemplars: defaultdict[BucketKey, float] = defaultdict(lambda: -inf)
    for past in pasts:
        for outcome, at in past.last_concluded.items():
            last_concluded[outcome] = max(at, last_concluded[outcome])
        for key, at in past.exemplars.items():
            exemplars[key] = max(at, exemplars[key])
    return replace(
        max(pasts, key=lambda past: past.until),
        last_created=max(past.last_created for past in pasts),
        last_concluded=dict(last_concluded),
        exemplars=dict(exemplars),
        ended=max(past.ended for past in pasts),
    )
