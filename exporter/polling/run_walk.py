"""How a target is read whose provider lists runs: the runs that changed, and the builds of those alone. Pure.

    list of runs, by change    r9 running   r7 success, played again   r8 success
    known                      r9 running   r7 success                 r8 success
    builds are read of         r9           r7

An idle target costs one request, however many builds it has. `listed_at` is the newest change that a list showed; the
next list begins there, less an overlap. The record of a run that changed is taken over only together with its builds,
so that what could not be read this time is met by the next list again.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from math import ceil, inf

from exporter.build import UNFINISHED, Build, Run, Target
from exporter.errors import NotFound
from exporter.history.runs import age_key
from exporter.history.window import History, Rules, RunRow, incomplete
from exporter.http.wire import Reading
from exporter.polling.run_checks import ask_branches, ask_bridges
from exporter.polling.run_found import REFUSED, SAME, Found, changed_at, same_state
from exporter.polling.walk import (
    LARGEST,
    MARGIN,
    PAGES,
    SIZES,
    Walked,
    add_page,
    changeable,
    covers,
    descend,
    read_run,
    walk,
)
from exporter.providers.contract import Page, Provider

LIST_SIZES = (20, 100)
"""Of a page of runs."""
LIST_OVERLAP = 60.0
"""Seconds: a change can become visible after a later one."""
READS = 10
"""Runs whose builds are read because they changed or run, at most, in one read."""
COMPLETIONS = 10
"""Runs whose builds are read because they must be known whole, at most, in one read."""
ROUNDS = 3
"""What must be known whole can follow from what was just read; it is looked up so often in one read."""
USUAL_BUILDS = 10
"""Builds of a run of which none is known, at least."""


def walk_runs(  # noqa: PLR0913  # as in `walk`
    provider: Provider,
    target: Target,
    history: History,
    rules: Rules,
    now: float,
    *,
    list_due: bool = True,
    children: float | None = None,
) -> Reading[Walked]:
    """Read what is new of a target, all or nothing. `now` is the server's time, in seconds since the epoch.

    `list_due`: the list of runs must be read; else it is read only where no run is known to be under way. Where the
    provider refuses the list, the builds are read by `walk`, and `Walked.lists_refused` says so. `children`: when the
    earliest child pipeline changed that is not known so, infinite where none has; None: it is not known.
    """
    found = Found(history, rules, now)
    if history.baseline is None:
        refused = yield from _first(provider, target, found)
        if refused:
            found.met.whole.update(run.id for run in found.met.runs.values() if covers(found.met, run, history))
            return replace(found.result(), lists_refused=True)
    else:
        wanted = under_way(history)
        listing = list_due or not wanted
        if listing:
            try:
                wanted |= yield from _list_changed(provider, target, found, children)
            except REFUSED:
                return replace((yield from walk(provider, target, history, rules, now)), lists_refused=True)
        yield from _read(provider, target, found, wanted)
        if found.lost and not listing:  # was it the target that is gone?
            yield from _list_changed(provider, target, found)
    yield from _complete(provider, target, found)
    yield from ask_bridges(provider, target, found)
    yield from ask_branches(provider, target, found)
    return found.result()


# The first read


def _first(provider: Provider, target: Target, found: Found) -> Reading[bool]:
    """Read the target's builds as far as the windows go, and its newest runs. Whether the list of runs was refused."""
    history, met = found.history, found.met
    yield from descend(provider, target, met, history, found.rules, found.now)
    try:
        page: Page = yield from provider.runs(target, updated_after=None, size=LIST_SIZES[-1])
    except REFUSED:
        return True
    found.list_read = True
    _take(found, page)
    default, oldest = history.default_branch, min((run.created_at for run in page.runs), default=inf)
    of_default = [run for run in page.runs if run.branch == default and run.ref_kind == "branch"]
    more = page.cursor is not None and oldest > found.now - found.rules.age
    if default is not None and more and len(of_default) < found.rules.runs:
        _take(found, (yield from provider.runs(target, updated_after=None, size=LIST_SIZES[-1], ref=default)))
    if any(run.child for run in (*met.runs.values(), *found.listed.values())):
        yield from _list_children(provider, target, found, None)
    met.whole.update(run.id for run in met.runs.values() if covers(met, run, history))
    return False


# The list


def _list_changed(provider: Provider, target: Target, found: Found, children: float | None = None) -> Reading[set[str]]:
    """List the runs that changed since the last list: the ids of those that are not as they are known.

    `children` as in `walk_runs`.
    """
    history = found.history
    since = min(history.listed_at, found.now) - LIST_OVERLAP if history.listed_at > -inf else None
    close = sum(changed_at(row.run) >= since for row in history.runs.values()) if since is not None else LARGEST
    size = next((size for size in LIST_SIZES if size >= close + MARGIN), LIST_SIZES[-1])
    cursor: str | None = None
    for _ in range(PAGES if since is not None else 1):
        page: Page = yield from provider.runs(target, updated_after=since, size=size, cursor=cursor)
        _take(found, page, since)
        cursor = page.cursor
        if cursor is None or (since is not None and any(changed_at(run) < since - SAME for run in page.runs)):
            break
    else:
        found.list_complete = since is None
    found.list_read = True
    begun = _children_since(found, since) if children is None else children - LIST_OVERLAP
    if begun < inf:
        yield from _list_children(provider, target, found, None if since is None else min(begun, since))
    return {run_id for run_id, run in found.listed.items() if _is_news(run, history, since)}


def _list_children(provider: Provider, target: Target, found: Found, since: float | None) -> Reading[None]:
    """List the child pipelines; a provider that refuses that has none to show."""
    try:
        page: Page = yield from provider.runs(target, updated_after=since, size=LIST_SIZES[-1], children=True)
    except REFUSED:
        return
    _take(found, replace(page, runs=tuple(run for run in page.runs if run.child)), since)


def _children_since(found: Found, since: float | None) -> float:
    """From when on child pipelines are to be listed: infinite where there can be none that is new.

    A target that has shown none is asked for them once a run has ended, or waits for a person: by then it has triggered
    what it triggers. `since`: from then on runs were listed.
    """
    history = found.history
    if any(row.run.child for row in history.runs.values()):
        return -inf if since is None else since
    moved = (run for run in found.listed.values() if _is_news(run, history, since))
    ended = [run for run in moved if run.outcome not in UNFINISHED]
    return min((_begun(run, history, since) for run in ended), default=inf)


def _begun(run: Run, history: History, since: float | None) -> float:
    """When a run that has ended can have begun to trigger others of which no list was read."""
    row = history.runs.get(run.id)
    known = since is not None and row is not None and row.run.outcome not in UNFINISHED
    return since if known and since is not None else run.created_at - LIST_OVERLAP


def _take(found: Found, page: Page, since: float | None = None) -> None:
    """Take in a page of runs, without those that the server was not asked for."""
    found.met.rejected += page.rejected
    for run in page.runs:
        if since is None or changed_at(run) >= since - SAME:
            found.listed.setdefault(run.id, run)


def _is_news(run: Run, history: History, since: float | None) -> bool:
    """Whether a listed run is not as it is known, so that its builds must be read."""
    row = history.runs.get(run.id)
    if row is None:
        # Where no list was read before, those that ended long ago are known by the list alone.
        return since is not None or run.outcome in UNFINISHED or run.created_at > history.mark
    return not same_state(row.run, run)


def under_way(history: History) -> set[str]:
    """The ids of the runs that are under way, child pipelines too, as far as they have builds to read."""
    with_builds = {row.build.run for row in history.rows.values()}
    unfinished = {row.build.run for row in history.rows.values() if row.build.unfinished}
    return unfinished | {
        run_id
        for run_id, row in history.runs.items()
        if row.run.outcome in UNFINISHED and (run_id in with_builds or not row.whole)
    }


def _read(provider: Provider, target: Target, found: Found, wanted: set[str]) -> Reading[None]:
    """Read the builds of these runs: by one page of the target's builds where that is cheaper, else one by one."""
    history = found.history
    builds = Counter(row.build.run for row in history.rows.values())
    cost = sum(max(1, ceil(builds[run_id] / LARGEST)) for run_id in wanted)
    size = _page_size(history, found.listed, wanted, builds) if cost > 1 else None
    left = set(wanted)
    if size is not None:
        page: Page = yield from provider.builds(target, size)
        add_page(found.met, page, history)
        for run in list(found.met.runs.values()):
            row = history.runs.get(run.id)
            if covers(found.met, run, history):
                found.met.whole.add(run.id)
                left.discard(run.id)
            elif row is None or not same_state(row.run, run):
                left.add(run.id)
    chosen = sorted(left, key=_least_recently_read(history))[:READS]
    found.unread |= left.difference(chosen)
    for run_id in chosen:
        yield from _read_run(provider, target, found, run_id)


def _read_run(provider: Provider, target: Target, found: Found, run_id: str) -> Reading[None]:
    found.tried.add(run_id)
    try:
        yield from read_run(provider, target, found.met, found.history, run_id)
    except NotFound:
        found.lost.add(run_id)


def _least_recently_read(history: History) -> Callable[[str], tuple[float, int, str]]:
    def key(run_id: str) -> tuple[float, int, str]:
        row: RunRow | None = history.runs.get(run_id)
        return (-inf if row is None else row.seen_at), -len(run_id), run_id

    return key


def _page_size(history: History, listed: dict[str, Run], wanted: Collection[str], builds: Counter[str]) -> int | None:
    """The size of a page of the target's builds that reaches two or more of these runs; None where none does."""
    newest_first = sorted((row.build for row in history.rows.values()), key=age_key, reverse=True)
    usual = max([USUAL_BUILDS, *builds.values()])
    new = [run_id for run_id in wanted if run_id not in history.runs]
    depths: list[tuple[int, int]] = []
    for run_id in wanted:
        depth = _depth(newest_first, history, listed.get(run_id), run_id)
        if depth is not None:
            depths.append((depth + usual * len(new) + MARGIN, max(1, ceil(builds[run_id] / LARGEST))))
    reached = [(depth, cost) for depth, cost in depths if depth <= LARGEST]
    if sum(cost for _depth, cost in reached) < 2:  # noqa: PLR2004  # one request against one
        return None
    deepest = max(depth for depth, _cost in reached)
    return next(size for size in SIZES if size >= deepest)


def _depth(newest_first: list[Build], history: History, listed: Run | None, run_id: str) -> int | None:
    """How many known builds a page shows that reaches all of a run that is not known as it is; None: it cannot tell."""
    row = history.runs.get(run_id)
    if row is None:
        return None if listed is None else sum(build.created_at > listed.created_at for build in newest_first)
    if not row.whole:
        return sum(build.created_at > row.run.created_at for build in newest_first)
    moving = {build.id for build in changeable(history, run_id)}
    places = [place for place, build in enumerate(newest_first, 1) if build.id in moving]
    return max(places, default=1)


# What must be known whole, and what only the provider can settle


def _complete(provider: Provider, target: Target, found: Found) -> Reading[None]:
    """Read the builds of the runs that must be known whole; what is too much for one read is left to the next."""
    left = COMPLETIONS
    for _ in range(ROUNDS):
        wanted = incomplete(found.merged(), found.rules)
        todo = [run_id for run_id in wanted if run_id not in found.tried and run_id not in found.unread][:left]
        if not todo:
            return
        left -= len(todo)
        for run_id in todo:
            yield from _read_run(provider, target, found, run_id)
