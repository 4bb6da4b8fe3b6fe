"""How a target's builds are read: down the pages, from the newest to where nothing can be new. Pure.

Each target keeps a *mark*: down to it the pages were once read without a gap. A later walk goes down to the mark, less
an overlap, and no deeper; what is known to run beyond is asked one by one. Targets whose provider lists runs are read
by `run_walk`, and by this where that list is refused.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf

from exporter.build import DORMANT, Build, Run, Target
from exporter.errors import BadPayload, Forbidden, NotFound
from exporter.history.runs import age_key
from exporter.history.window import (
    NAMED_BRANCHES,
    OTHER,
    OVERLAP,
    History,
    Observation,
    Rules,
    RunObservation,
    RunRow,
    matches,
    merge,
    patterns,
    without,
    without_branch,
)
from exporter.http.wire import Reading
from exporter.polling.deliveries import timely
from exporter.providers.contract import Page, Provider, Rejected

SIZES = (5, 20, 100)
"""Of a page: as few builds as will do, for one is 2 to 3 KB of JSON at GitLab."""
LARGEST = SIZES[-1]
PAGES = 10
"""A walk reads at most that many pages of the largest size."""
MARGIN = 2
"""New builds that a page has room for, where some are known to be newer than the floor."""
SINGLES = 3
"""Runs that are asked one by one; where builds of more were not met, the walk goes on."""
CUT_RUNS = 3
"""Runs without a status of their own that a first walk cut in two, and that are read whole."""
DISORDER = 60.0
"""Seconds by which a build may be older than the one behind it while the page still counts as newest first."""
LATE = 5.0
"""Seconds that an attempt takes, at most, to become visible."""
SETTLED = 1.0
"""Seconds before a run's creation from which on no build on a page can be one of that run."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk brought."""

    sights: Sequence[Observation]
    gone: frozenset[str]
    """Ids of builds that are no more."""
    rejected: tuple[Rejected, ...]
    mark: float
    """When the newest build was created: down to here there is no gap any more."""
    missed: bool
    """The walk ended before it met what was known."""
    ordered: bool
    """The pages were newest first."""
    walked_at: float = -inf
    """When the walk began, by the server's clock."""
    runs: Sequence[RunObservation] = ()
    whole: frozenset[str] = frozenset()
    """Ids of runs of which every attempt of every build is met here or known."""
    dismissed: frozenset[str] = frozenset()
    """Child runs whose trigger job may fail."""
    replaced: frozenset[str] = frozenset()
    """Child runs that no trigger job names any more: theirs was run again."""
    bridged: frozenset[str] = frozenset()
    """Runs whose trigger jobs were asked for."""
    listed_at: float = -inf
    """The newest `updated_at` up to which the list of runs is known, by the server's clock."""
    gone_branches: frozenset[str] = frozenset()
    """Branches that no longer exist."""
    list_read: bool = False
    """The list of runs was read."""
    lists_refused: bool = False
    """The provider refused the list of runs: the target was read by its builds alone."""


@dataclass(slots=True)
class Met:
    """What a walk has met so far."""

    builds: list[Build] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    """As the records of builds mention them."""
    rejected: list[Rejected] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    cursor: str | None = None
    """Where the next of the largest pages begins."""
    pages: int = 0
    """Of the largest size."""
    cursors: set[str] = field(default_factory=set)
    ordered: bool = True
    """Each page was newest first."""
    oldest: float = inf
    """When the oldest build on the pages of the target was created."""
    bottom: bool = False
    """The last page of the target was among them."""


def walk(  # noqa: PLR0913  # what is asked, what is known of it, and how
    provider: Provider,
    target: Target,
    history: History,
    rules: Rules,
    now: float,
    *,
    short: bool = True,
    sweep: bool = False,
) -> Reading[Walked]:
    """Read what is new of a target, all or nothing. `now` is the server's time, in seconds since the epoch.

    The first walk goes down until every branch label that it meets has a full window, or to the window's age. `short`:
    the pages are known to be newest first; else every page is read. `sweep`: read a largest page, whatever is new.
    """
    met = Met()
    missed = yield from descend(provider, target, met, history, rules, now, short=short, sweep=sweep)
    if not missed:
        yield from _strays(provider, target, met, history)
    if short:
        met.whole.update(run_id for run_id, run in met.runs.items() if covers(met, run, history))
    if history.baseline is None:
        yield from _cut_runs(provider, target, met, history)
    return walked(met, history, now, missed=missed)


def descend(  # noqa: PLR0913, PLR0917  # as in `walk`
    provider: Provider,
    target: Target,
    met: Met,
    history: History,
    rules: Rules,
    now: float,
    *,
    short: bool = True,
    sweep: bool = False,
) -> Reading[bool]:
    """Read the target's pages down to known ground. Whether builds were missed because there were too many new ones."""
    floor = min(history.mark, history.walked_at - OVERLAP) if short else -inf
    sizes = SIZES[_size(history, floor) : -1] if history.baseline is not None and short and not sweep else ()
    for size in sizes:
        page: Page = yield from provider.builds(target, size)
        add_page(met, page, history)
        if page.cursor is None or _reached(met, history, floor):
            return False
    deep_enough = False
    while not deep_enough and met.pages < PAGES and (met.cursor or not met.pages):
        page = yield from _largest_page(provider, target, met, history)
        deep_enough = short and (_deep_enough(met, history, rules, floor, now) or _on_known_ground(page, met, history))
    if not met.cursor or deep_enough or history.baseline is None or not short:
        return False
    return met.oldest > history.mark


def _largest_page(provider: Provider, target: Target, met: Met, history: History) -> Reading[Page]:
    page: Page = yield from provider.builds(target, LARGEST, met.cursor)
    add_page(met, page, history)
    met.pages += 1
    met.cursor = page.cursor
    if page.cursor in met.cursors:
        raise BadPayload("the pages of builds lead in a circle")
    met.cursors.update({page.cursor} if page.cursor else ())
    return page


def _strays(provider: Provider, target: Target, met: Met, history: History) -> Reading[None]:
    """Ask for the unfinished builds that no page has shown: a few runs one by one, many by further pages."""
    single = provider.single(target)
    strays = _not_met(met, history.unfinished)
    while strays and (len(strays) > SINGLES or not single) and met.pages < PAGES and (met.cursor or not met.pages):
        yield from _largest_page(provider, target, met, history)
        strays = _not_met(met, history.unfinished)
    for stray in list(strays.values())[:SINGLES] if single else ():
        yield from _stray(provider, target, met, history, stray)


def _stray(provider: Provider, target: Target, met: Met, history: History, stray: Build) -> Reading[None]:
    """Ask for a build with the others of its run: those that waited for it may have moved with it."""
    if stray.run != stray.id:
        with suppress(NotFound, Forbidden):
            add(met, (yield from provider.builds_of(target, stray.run)), history)
        if stray.id in {build.id for build in met.builds}:  # else there are more than a page shows
            return
    try:
        add(met, (yield from provider.build(target, stray.id)), history)
    except NotFound:
        met.gone.add(stray.id)


def _cut_runs(provider: Provider, target: Target, met: Met, history: History) -> Reading[None]:
    """Read those runs whole that the last page cut in two and of which the provider tells no status."""
    cut = [run for run in met.runs.values() if not run.status and run.id not in met.whole]
    for run in sorted(cut, key=lambda run: run.created_at, reverse=True)[:CUT_RUNS]:
        try:
            yield from read_run(provider, target, met, history, run.id)
        except NotFound:
            continue  # it is judged by what is known of it


def read_run(provider: Provider, target: Target, met: Met, history: History, run_id: str) -> Reading[None]:
    """Read all builds of a run; of one with more than `PAGES` pages the first ones, which must do."""
    found: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES):
        page: Page = yield from provider.builds_of(target, run_id, cursor)
        add(met, page, history)
        found.update(build.id for build in page.builds)
        cursor = page.cursor
        if cursor is None:
            lost = (build.id for build in history.unfinished if build.run == run_id and build.id not in found)
            met.gone.update(lost)
            break
    met.whole.add(run_id)


def _not_met(met: Met, builds: Iterable[Build]) -> dict[str, Build]:
    """One of each run that is not among those met, by the run."""
    seen = {build.id for build in met.builds}
    return {build.run: build for build in builds if build.id not in seen}


def add_page(met: Met, page: Page, history: History) -> None:
    """Take in a page of the target's builds, newest first."""
    add(met, page, history)
    created = [build.created_at for build in page.builds]
    met.ordered = met.ordered and all(newer > older - DISORDER for newer, older in pairwise(created))
    met.oldest = min([met.oldest, *created])
    met.bottom = met.bottom or page.cursor is None


def add(met: Met, page: Page, history: History) -> None:
    """Take in the builds and runs of a page."""
    met.builds += page.builds
    met.rejected += page.rejected
    for run in page.runs:
        known = met.runs.get(run.id)
        met.runs[run.id] = _earliest(run if known is None else _later(known, run), history.runs.get(run.id), known)


def _later(known: Run, run: Run) -> Run:
    """The later of two records of a run; the second was asked for later."""
    behind = run.updated_at is not None and known.updated_at is not None and run.updated_at < known.updated_at
    return known if behind else run


def _earliest(run: Run, row: RunRow | None, known: Run | None) -> Run:
    """The run with its earliest creation: where the provider has none, a page's earliest build stands in."""
    first = min([run.created_at, *([row.run.created_at] if row else []), *([known.created_at] if known else [])])
    return run if first == run.created_at else run._replace(created_at=first)


def covers(met: Met, run: Run, history: History) -> bool:
    """Whether the pages of the target show all of a run's builds that are not known as they are.

    They do where they reach down below the run's creation. Of a run that was known whole they need only show what can
    still change, and what was created since it was read.
    """
    if met.bottom or met.oldest < run.created_at - SETTLED:
        return True
    row = history.runs.get(run.id)
    if row is None or not row.whole or met.oldest > row.seen_at - LATE:
        return False
    shown = {build.id for build in met.builds}
    return all(build.id in shown for build in changeable(history, run.id))


def changeable(history: History, run_id: str) -> list[Build]:
    """The known builds of a run that have not ended, or can come to life."""
    builds = (row.build for row in history.rows.values() if row.build.run == run_id)
    return [build for build in builds if not build.concluded or build.outcome in DORMANT]


def _size(history: History, floor: float) -> int:
    """The place of the page size that reaches the floor and the oldest unfinished build, if nothing is new."""
    newest_first = sorted((row.build for row in history.rows.values()), key=age_key, reverse=True)
    places = [place for place, build in enumerate(newest_first) if build.created_at > floor or build.unfinished]
    depth = places[-1] + 1 + MARGIN if places else 1
    return next((place for place, size in enumerate(SIZES) if size >= depth), len(SIZES) - 1)


def _reached(met: Met, history: History, floor: float) -> bool:
    """Whether what lies deeper was met before: the last build is known, and not younger than the floor."""
    return bool(met.builds) and met.builds[-1].id in history.rows and met.builds[-1].created_at <= floor


def _on_known_ground(page: Page, met: Met, history: History) -> bool:
    """Whether the walk has passed the mark and the whole page is known: nothing deeper is expected to be new."""
    return (
        history.baseline is not None
        and bool(page.builds)
        and met.oldest <= history.mark
        and all(build.id in history.rows for build in page.builds)
    )


def _deep_enough(met: Met, history: History, rules: Rules, floor: float, now: float) -> bool:
    if history.baseline is not None:
        return met.oldest <= floor
    if met.oldest < now - rules.age:
        return True
    wanted = patterns(rules, history.default_branch)
    named = (build.branch if build.branch and matches(build.branch, wanted) else OTHER for build in met.builds)
    labels = Counter(named)
    if len(labels.keys() - {OTHER}) > NAMED_BRANCHES:  # not all of them keep their name: which, takes longer to tell
        unread = History(default_branch=history.default_branch)
        first = merge(unread, ((build, now) for build in met.builds), replace(rules, builds=LARGEST * PAGES), now)
        labels = Counter(first.group(build, ())[0] for build in met.builds)
    return bool(labels) and min(labels.values()) >= rules.builds


def walked(met: Met, history: History, now: float, *, missed: bool) -> Walked:
    """The result of a walk that met this."""
    return Walked(
        sights=[(build, now) for build in met.builds],
        gone=frozenset(met.gone),
        rejected=tuple(met.rejected),
        mark=max([history.mark, *(build.created_at for build in met.builds)]),
        missed=missed,
        ordered=met.ordered,
        walked_at=now,
        runs=[(run, now) for run in met.runs.values()],
        whole=frozenset(met.whole),
    )


def applied(brought: Walked, history: History, rules: Rules, now: float) -> History:
    """The history with what a walk brought, all of it or nothing."""
    after = merge(
        history,
        timely(history, brought.sights),
        rules,
        now,
        runs=brought.runs,
        whole=brought.whole,
        dismissed=brought.dismissed,
        replaced=brought.replaced,
        bridged=brought.bridged,
    )
    after = without(after, brought.gone, rules, now)
    for branch in sorted(brought.gone_branches):
        after = without_branch(after, branch, rules, now)
    return replace(
        after,
        mark=max(after.mark, brought.mark),
        walked_at=max(after.walked_at, brought.walked_at),
        listed_at=max(after.listed_at, brought.listed_at),
    )
