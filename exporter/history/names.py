"""Which branches keep their name. Pure."""

import re
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from math import inf

from exporter.history.records import OTHER, History, Rules

NAMED_BRANCHES = 5
DEFAULT = "default"
"""In `Rules.branches`: the target's own default branch."""
STAND_IN = ("main", "master")
"""What `default` stands for where the provider does not say which that is."""

_NOTHING = r"(?!)"
"""Matches no text."""


def patterns(rules: Rules, default_branch: str | None) -> tuple[str, ...]:
    """The names and globs of branches that keep their name, for a target with that default branch."""
    found: list[str] = []
    for pattern in rules.branches:
        if pattern != DEFAULT:
            found.append(pattern)
        elif default_branch is None:
            found += STAND_IN
        else:
            found.append(re.sub(r"([*?[])", r"[\1]", default_branch))
    return tuple(dict.fromkeys(found))


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns (shell globs; case matters) matches the name."""
    return _compiled(patterns).match(name) is not None


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all of them: names are too many and too different to remember the answers."""
    return re.compile("|".join(translate(pattern) for pattern in patterns) or _NOTHING)


def named_branches(history: History, rules: Rules, horizon: float) -> tuple[str, ...]:
    """The branches that keep their name: the default branch, then those spelled out, then the newest.

    One of which nothing was created or ended since the horizon keeps none.
    """
    newest = _newest(history, horizon)
    wanted = patterns(rules, history.default_branch)
    found = [branch for branch, at in newest.items() if at >= horizon and matches(branch, wanted)]
    spelled_out = set(rules.branches) | (set(STAND_IN) if history.default_branch is None else set())
    default = history.default_branch if DEFAULT in rules.branches else None
    found.sort(key=lambda branch: (branch == default, branch in spelled_out, newest[branch], branch), reverse=True)
    return tuple(found[:NAMED_BRANCHES])


def _newest(history: History, horizon: float) -> dict[str, float]:
    """When the newest of each branch was created; the horizon, where only something has ended since then."""
    created: dict[str, float] = {}
    ended: dict[str, float] = {}
    for branch, created_at, ended_at in _moments(history):
        if branch and created_at > created.get(branch, -inf):
            created[branch] = created_at
        if branch and ended_at is not None and ended_at > ended.get(branch, -inf):
            ended[branch] = ended_at
    gone = history.gone_branches
    return {
        branch: max(at, horizon) if ended.get(branch, -inf) >= horizon else at
        for branch, at in created.items()
        if branch != OTHER and at > gone.get(branch, -inf)
    }


def _moments(history: History) -> Iterator[tuple[str | None, float, float | None]]:
    """Of all that is known: the branch, when it was created and when it ended."""
    for group, past in history.past.items():
        yield group[0], past.last_created, max(past.last_concluded.values(), default=None)
    for row in history.rows.values():
        build = row.build
        root = history.root(build.run) if history.runs else None
        yield (build if root is None else root.run).branch, build.created_at, build.concluded_at
    for run_row in history.runs.values():
        if not run_row.run.child:
            yield run_row.run.branch, run_row.run.created_at, run_row.run.updated_at
