"""A GraphQL query as data: a small parser of what clients send to read lists.

Operations, variables with defaults, aliases, arguments and nested selections; no fragments, directives or mutations.
A library would know all of GraphQL, but its errors would not be GitLab's, and `demo` would have to install it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

TOKEN = re.compile(
    r'(?P<skip>[\s,\ufeff]+|\#[^\n]*)|(?P<text>"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>\.\.\.|[!$():=@\[\]{}|&])",
    re.DOTALL | re.ASCII,
)
MATCHING = {"[": "]", "(": ")", "{": "}"}


class Word(str):
    """The value of an enumeration: `FAILED`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable in the place of a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is in the query, counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Selection:
    """A field that is asked for."""

    name: str
    alias: str
    """Its own name where there is no other."""
    arguments: Mapping[str, Any]
    fields: tuple["Selection", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Declared:
    """A variable as the operation declares it."""

    type: str
    """`[ID!]!`."""
    default: Any
    has_default: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Operation:
    """One query."""

    name: str | None
    kind: str
    """`query` or `mutation`."""
    variables: Mapping[str, Declared]
    fields: tuple[Selection, ...]
    place: Place = field(default_factory=Place)


class Unreadable(ValueError):
    """The text is no query; says why and where."""

    def __init__(self, text: str, place: Place) -> None:
        super().__init__(text)
        self.place = place


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: Place


def parse(text: str) -> list[Operation]:
    """The operations of a document. Raises Unreadable."""
    parser = _Parser(text)
    operations = []
    while parser.next.kind != "end":
        operations.append(parser.operation())
    if not operations:
        raise Unreadable("Unexpected end of document", parser.next.place)
    return operations


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        place = Place(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        match = TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f'Parse error on "{text[at]}" (error) at [{place.line}, {place.column}]', place)
        at = match.end()
        kind = str(match.lastgroup)
        if kind != "skip":
            yield _Token(kind, match.group(), place)
    yield _Token("end", "", Place(text.count("\n") + 1, len(text) - text.rfind("\n")))


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    @property
    def next(self) -> _Token:
        """What has not been read yet."""
        return self._tokens[self._at]

    def _take(self, kind: str = "", text: str = "") -> _Token:
        token = self.next
        if (kind and token.kind != kind) or (text and token.text != text):
            where = f"[{token.place.line}, {token.place.column}]"
            raise Unreadable(f'Expected {text or kind.upper()}, actual: "{token.text}" at {where}', token.place)
        self._at += 1
        return token

    def _has(self, text: str) -> bool:
        """Reads a sign, if it is the next."""
        if self.next.kind == "sign" and self.next.text == text:
            self._at += 1
            return True
        return False

    def operation(self) -> Operation:
        """`query Name($ids: [ID!]) { … }`, or the selections alone."""
        place = self.next.place
        if self.next.text == "{":
            return Operation(None, "query", {}, self._selections(), place)
        kind = self._take("name").text
        if kind not in ("query", "mutation"):
            raise Unreadable(f"Only queries are simulated, no {kind}", place)
        name = self._take("name").text if self.next.kind == "name" else None
        variables: dict[str, Declared] = {}
        if self._has("("):
            while not self._has(")"):
                at = self._take("sign", "$").place
                variable = self._take("name").text
                self._take("sign", ":")
                spelled = self._type()
                default = self._has("=")
                variables[variable] = Declared(spelled, self._value() if default else None, default, at)
        return Operation(name, kind, variables, self._selections(), place)

    def _type(self) -> str:
        inner = self._take("name").text if not self._has("[") else f"[{self._type()}{self._take('sign', ']').text}"
        return f"{inner}!" if self._has("!") else inner

    def _selections(self) -> tuple[Selection, ...]:
        self._take("sign", "{")
        fields = []
        while not self._has("}"):
            fields.append(self._selection())
        return tuple(fields)

    def _selection(self) -> Selection:
        if self.next.text in ("...", "@"):
            raise Unreadable("Fragments and directives are not simulated", self.next.place)
        first = self._take("name")
        name = self._take("name").text if self._has(":") else first.text
        arguments = self._pairs(")") if self._has("(") else {}
        fields = self._selections() if self.next.text == "{" else ()
        return Selection(name, first.text, arguments, fields, first.place)

    def _pairs(self, end: str) -> dict[str, Any]:
        pairs = {}
        while not self._has(end):
            name = self._take("name").text
            self._take("sign", ":")
            pairs[name] = self._value()
        return pairs

    def _value(self) -> Any:
        token = self._take()
        if token.kind == "number":
            return orjson.loads(token.text)
        if token.kind == "text":
            return token.text[3:-3] if token.text.startswith('"""') else orjson.loads(token.text)
        if token.kind == "name":
            known = {"true": True, "false": False, "null": None}
            return known[token.text] if token.text in known else Word(token.text)
        if token.text == "$":
            return Variable(self._take("name").text)
        if token.text == "[":
            values = []
            while not self._has("]"):
                values.append(self._value())
            return values
        if token.text == "{":
            return self._pairs("}")
        raise Unreadable(f'Unexpected "{token.text}"', token.place)
