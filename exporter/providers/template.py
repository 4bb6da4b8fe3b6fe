"""A provider's part of `init`: the options and questions for a first source, its checks, and its lines in the file.

Each provider implements `Template` in the module `template` of its folder. Only `init` imports these modules.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from exporter.http.wire import Reading

Values = Mapping[str, tuple[str, ...]]
"""The values of a source's keys, as they are written in the file; a key that is no list has one value."""

PLAIN: Final = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*|https?://[A-Za-z0-9_.:/-]+")
"""Text that means the same in YAML without quotes."""
NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
YAML_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~", ".inf", ".nan"})
COMMENT_COLUMN: Final = 38


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a source for which `init` has an option."""

    key: str
    option: str
    """Its name without the dashes. Providers may have options of the same name."""
    help: str
    """What it is, for `--help`."""
    question: str = ""
    """The question for it on a terminal; empty: it is only asked for if its value is wrong."""
    default: str = ""
    """Its value without an answer."""
    choices: tuple[str, ...] = ()
    many: bool = False
    """Whether it is a list; its answers are separated by spaces."""


@dataclass(frozen=True, slots=True)
class FirstSource:
    """A source as a user wants to read it."""

    provider: str
    name: str
    token: tuple[str, str]
    """`env` and the name of a variable, or `file` and a path."""
    values: Values

    def value(self, key: str) -> str:
        """The value of a key that is no list; empty if it has none."""
        return next(iter(self.values.get(key, ())), "")


class Template(Protocol):
    """A provider's part of `init`."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The keys that have options, in the order in which they are asked for: lists come last."""

    @property
    def sample(self) -> Values:
        """Values with which a source is valid if it has no others."""

    def asks(self, field: Field, given: Values) -> bool:
        """Whether to ask for a key without a value, after these values were given as options."""

    def lines(self, source: FirstSource) -> Iterator[str]:
        """The lines of the source in the file, from `url` to `exclude`, with comments for keys without a value."""

    def check_access(self, provider: Any) -> Reading[frozenset[str]]:
        """Raise a `SourceError` if the server does not answer, or refuses the token.

        The result are the keys that this token needs: without them, it cannot find what to read.
        """

    def check_entry(self, provider: Any, key: str, entry: str) -> Reading[str]:
        """What is wrong with an entry of a list, or nothing; the provider's source has no other entries.

        A `SourceError` that says nothing about the entry is raised.
        """


def commented(text: str, comment: str) -> str:
    """A line with a comment, in line with the other comments."""
    return f"{text.ljust(COMMENT_COLUMN)}  # {comment}"


def token_line(source: FirstSource) -> str:
    """The line with the place of the token."""
    kind, value = source.token
    other = "{file: PATH}" if kind == "env" else "{env: NAME}"
    return commented(f"    token: {{{kind}: {scalar(value)}}}", f"or {other}")


def flow_list(values: tuple[str, ...]) -> str:
    """A list in one line; numbers have no quotes."""
    return f"[{', '.join(value if NUMBER.fullmatch(value) else scalar(value) for value in values)}]"


def scalar(text: str) -> str:
    """A text as YAML, in quotes if it needs them."""
    if PLAIN.fullmatch(text) and text.lower() not in YAML_WORDS:
        return text
    return orjson.dumps(text).decode()
