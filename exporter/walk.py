"""How a target's builds are read: down the pages, from the newest to where nothing can be new. Pure."""

from collections import Counter
from dataclasses import dataclass, replace
from math import inf

from exporter.build import Build, Target
from exporter.errors import BadPayload
from exporter.providers.contract import Page, Provider, Rejected
from exporter.window import NAMED_BRANCHES, OTHER, OVERLAP, History, Rules, Sight, matches, merge
from exporter.wire import Reading

PAGES = 10
"""A walk reads at most that many."""
PAGE = 100


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk brought."""

    sights: tuple[Sight, ...]
    rejected: tuple[Rejected, ...]
    mark: float
    """When the newest build was created: down to here there is no gap any more."""
    missed: bool
    """The walk ended before it met what was known."""


def walk(provider: Provider, target: Target, history: History, rules: Rules, now: float) -> Reading[Walked]:
    """Read the pages of a target, all or nothing.

    The first walk goes down until every branch label that it meets has a full window, or to the window's age; the later
    ones go to the mark of the last, less the overlap.
    """
    met: list[Build] = []
    rejected: list[Rejected] = []
    cursor, cursors = None, set[str]()
    for _ in range(PAGES):
        page: Page = yield from provider.builds(target, PAGE, cursor)
        met += page.builds
        rejected += page.rejected
        if page.cursor is None or _reached(met, page, history, rules, now):
            break
        if page.cursor in cursors:
            raise BadPayload("the pages of builds lead in a circle")
        cursor = page.cursor
        cursors.add(cursor)
    else:
        return _walked(met, rejected, history, now, missed=history.baseline is not None)
    return _walked(met, rejected, history, now, missed=False)


def _reached(met: list[Build], page: Page, history: History, rules: Rules, now: float) -> bool:
    """Whether what lies deeper cannot be new."""
    oldest = min((build.created_at for build in page.builds), default=inf)
    if history.baseline is not None:
        return oldest < history.mark - OVERLAP
    if oldest < now - rules.age:
        return True
    labels = Counter(build.branch if build.branch and matches(build.branch, rules.branches) else OTHER for build in met)
    if len(labels.keys() - {OTHER}) > NAMED_BRANCHES:  # not all of them keep their name: which, takes longer to tell
        first = merge(History(), ((build, now) for build in met), replace(rules, builds=PAGE * PAGES), now)
        labels = Counter(first.group(build, ())[0] for build in met)
    return bool(labels) and min(labels.values()) >= rules.builds


def _walked(met: list[Build], rejected: list[Rejected], history: History, now: float, *, missed: bool) -> Walked:
    mark = max([history.mark, *(build.created_at for build in met)])
    return Walked(tuple((build, now) for build in met), tuple(rejected), mark, missed)
