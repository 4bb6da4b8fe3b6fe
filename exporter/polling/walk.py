"""How a target's builds are read: down the pages, from the newest to where nothing can be new. Pure.

Each target keeps a *mark*: down to it the pages were once read without a gap. A later walk goes down to the mark, less
an overlap, and no deeper; what is known to run beyond is asked one by one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf

from exporter.build import DORMANT, Build, Target
from exporter.errors import BadPayload, NotFound
from exporter.history.runs import age_key
from exporter.history.window import NAMED_BRANCHES, OTHER, OVERLAP, History, Row, Rules, Sight, matches, merge
from exporter.http.wire import Reading
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
REVIVED = 20
"""Runs that a sweep asks for, of those in which something that lay dormant may have come to life."""
DISORDER = 60.0
"""Seconds by which a build may be older than the one behind it while the page still counts as newest first."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk brought."""

    sights: Sequence[Sight]
    gone: frozenset[str]
    """Ids of builds that are no more."""
    rejected: tuple[Rejected, ...]
    mark: float
    """When the newest build was created: down to here there is no gap any more."""
    missed: bool
    """The walk ended before it met what was known."""
    ordered: bool
    """The pages were newest first."""


@dataclass(slots=True)
class _Met:
    """What the walk has met so far."""

    builds: list[Build] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    cursor: str | None = None
    """Where the next of the largest pages begins."""
    pages: int = 0
    """Of the largest size."""
    cursors: set[str] = field(default_factory=set)
    ordered: bool = True
    """Each page was newest first."""


def walk(  # noqa: PLR0913  # what is asked, what is known of it, and how
    provider: Provider,
    target: Target,
    history: History,
    rules: Rules,
    now: float,
    *,
    short: bool = True,
    swept_at: float | None = None,
) -> Reading[Walked]:
    """Read what is new of a target, all or nothing. `now` is the server's time, in seconds since the epoch.

    The first walk goes down until every branch label that it meets has a full window, or to the window's age. `short`:
    the pages are known to be newest first; else every page is read. `swept_at`: this is a sweep, and when the last was,
    by the server's clock: it reads a largest page, whatever is new, and what came back to life below it.
    """
    met = _Met()
    floor = min(history.mark, history.walked_at - OVERLAP) if short else -inf
    sizes = SIZES[_size(history, floor) : -1] if history.baseline is not None and short and swept_at is None else ()
    for size in sizes:
        page: Page = yield from provider.builds(target, size)
        _add(met, page)
        if page.cursor is None or _reached(met, history, floor):
            break
    else:
        deep_enough = False
        while not deep_enough and met.pages < PAGES and (met.cursor or not met.pages):
            yield from _largest_page(provider, target, met)
            deep_enough = short and _deep_enough(met, history, rules, floor, now)
        if met.cursor and not deep_enough:
            return _walked(met, history, now, missed=history.baseline is not None and short)
    yield from _strays(provider, target, met, history)
    if swept_at is not None:
        yield from _revived(provider, target, met, history, swept_at)
    return _walked(met, history, now, missed=False)


def _largest_page(provider: Provider, target: Target, met: _Met) -> Reading[None]:
    page: Page = yield from provider.builds(target, LARGEST, met.cursor)
    _add(met, page)
    met.pages += 1
    met.cursor = page.cursor
    if page.cursor in met.cursors:
        raise BadPayload("the pages of builds lead in a circle")
    met.cursors.update({page.cursor} if page.cursor else ())


def _strays(provider: Provider, target: Target, met: _Met, history: History) -> Reading[None]:
    """Ask for the unfinished builds that no page has shown: a few runs one by one, many by further pages."""
    single = provider.single(target)
    strays = _not_met(met, history.unfinished)
    while strays and (len(strays) > SINGLES or not single) and met.pages < PAGES and (met.cursor or not met.pages):
        yield from _largest_page(provider, target, met)
        strays = _not_met(met, history.unfinished)
    for stray in list(strays.values())[:SINGLES] if single else ():
        yield from _run(provider, target, met, stray)


def _revived(provider: Provider, target: Target, met: _Met, history: History, since: float) -> Reading[None]:
    """Ask for the runs with something dormant below the pages in which something has moved since that was seen."""
    seen = {build.id for build in met.builds}
    asleep: dict[str, Row] = {}
    for row in history.rows.values():
        known = asleep.get(row.build.run, row)
        if row.build.outcome in DORMANT and row.build.id not in seen and row.seen_at <= known.seen_at:
            asleep[row.build.run] = row
    if asleep:
        moved = yield from provider.moved(target, since - OVERLAP)
        for row in [row for run, row in asleep.items() if moved.get(run, -inf) > row.seen_at][:REVIVED]:
            yield from _run(provider, target, met, row.build)


def _run(provider: Provider, target: Target, met: _Met, build: Build) -> Reading[None]:
    """Ask for a build with the others of its run: those that waited for it may have moved with it."""
    try:
        page: Page = yield from provider.run(target, build)
        if build.id not in {found.id for found in page.builds}:  # there are more than a page shows
            _add(met, (yield from provider.build(target, build.id)))
        _add(met, page)
    except NotFound:
        met.gone.add(build.id)


def _not_met(met: _Met, builds: Iterable[Build]) -> dict[str, Build]:
    """One of each run that is not among those met, by the run."""
    seen = {build.id for build in met.builds}
    return {build.run: build for build in builds if build.id not in seen}


def _add(met: _Met, page: Page) -> None:
    met.builds += page.builds
    met.rejected += page.rejected
    created = [build.created_at for build in page.builds]
    met.ordered = met.ordered and all(newer > older - DISORDER for newer, older in pairwise(created))


def _size(history: History, floor: float) -> int:
    """The place of the page size that reaches the floor and the oldest unfinished build, if nothing is new."""
    newest_first = sorted((row.build for row in history.rows.values()), key=age_key, reverse=True)
    places = [place for place, build in enumerate(newest_first) if build.created_at > floor or build.unfinished]
    depth = places[-1] + 1 + MARGIN if places else 1
    return next((place for place, size in enumerate(SIZES) if size >= depth), len(SIZES) - 1)


def _reached(met: _Met, history: History, floor: float) -> bool:
    """Whether what lies deeper was met before: the last build is known, and not younger than the floor."""
    return bool(met.builds) and met.builds[-1].id in history.rows and met.builds[-1].created_at <= floor


def _deep_enough(met: _Met, history: History, rules: Rules, floor: float, now: float) -> bool:
    oldest = min((build.created_at for build in met.builds), default=inf)
    if history.baseline is not None:
        return oldest <= floor
    if oldest < now - rules.age:
        return True
    named = (build.branch if build.branch and matches(build.branch, rules.branches) else OTHER for build in met.builds)
    labels = Counter(named)
    if len(labels.keys() - {OTHER}) > NAMED_BRANCHES:  # not all of them keep their name: which, takes longer to tell
        first = merge(History(), ((build, now) for build in met.builds), replace(rules, builds=LARGEST * PAGES), now)
        labels = Counter(first.group(build, ())[0] for build in met.builds)
    return bool(labels) and min(labels.values()) >= rules.builds


def _walked(met: _Met, history: History, now: float, *, missed: bool) -> Walked:
    return Walked(
        sights=[(build, now) for build in met.builds],
        gone=frozenset(met.gone),
        rejected=tuple(met.rejected),
        mark=max([history.mark, *(build.created_at for build in met.builds)]),
        missed=missed,
        ordered=met.ordered,
    )
