"""Names and globs of the configuration against the names that a provider has."""

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase


def matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    """Whether one of the names of a thing matches one of the patterns; case counts, and `*` reaches over `/`."""
    wanted = tuple(patterns)
    return any(fnmatchcase(name, pattern) for name in names for pattern in wanted)


def unmatched(key: str, pattern: str, names: Iterable[str]) -> str:
    """The line about a pattern that matches nothing: `KEY: "webb" matches nothing; nearest: "web"`."""
    nearest = get_close_matches(pattern, names, n=1)
    return f'{key}: "{pattern}" matches nothing' + "".join(f'; nearest: "{name}"' for name in nearest)
