"""YAML text to plain values of which each knows its line. Nothing else is constructed."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.reader import Reader

from exporter.errors import ConfigError

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""
Loader = type[yaml.SafeLoader] | type[yaml.CSafeLoader]
LOADER: Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST = 32
"""Levels; the settings have seven. The C loader has no bound of its own and would overflow its stack."""
MOST_VALUES = 500_000
"""Every alias counts as what it stands for, so that a small file cannot fill the memory."""

_TAG = "tag:yaml.org,2002:"
_NUMBERS = {_TAG + "int", _TAG + "float"}
_TEXTS = {_TAG + kind for kind in ("str", "timestamp", "merge", "value")}
_PLAIN = {*_NUMBERS, *_TEXTS, _TAG + "bool", _TAG + "null", _TAG + "map", _TAG + "seq"}
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_BARE_STAR = re.compile(r"(?:^|[\[,:{\s-])\*(?=[\s,\]}]|$)")
"""A `*` that stands for everything and is not in quotes: to YAML it begins an alias."""
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Mapped(dict[str, object]):
    """A mapping of the file. `lines` holds the line of each key, from 1 on; `line` is that of the mapping itself."""

    def __init__(self, values: dict[str, object], lines: dict[str, int], line: int, name: str) -> None:
        super().__init__(values)
        self.lines = lines
        self.line = line
        self.name = name

    def place(self, key: str) -> str:
        """`FILE:LINE` of the key, or of the mapping where the key is absent."""
        return f"{self.name}:{self.lines.get(key, self.line)}"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong at one place of the file; they sort in the file's order."""

    line: int
    column: int
    path: Path = field(compare=False)
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file's one mapping."""

    name: str
    """The file, as the user named it."""
    root: yaml.Node
    value: Mapped
    faults: tuple[Fault, ...]
    """Of the YAML alone: duplicate keys, empty values, keys that are no text, tags."""

    def node(self, path: Path) -> yaml.Node | None:
        """The value at the path; None where there is none."""
        found: yaml.Node | None = self.root
        for step in path:
            found = _child(found, step)
        return found

    def fault(self, path: Path, text: str) -> Fault:
        """A fault of the value at the path; where that is absent, of the nearest mapping around it."""
        place = _start(self.root)
        around: yaml.Node | None = self.root
        for step in path:
            key = next((key for key, _ in _pairs(around) if key.value == step), None)
            around = _child(around, step)
            if around is None:
                break
            place = _start(around if key is None else key)
        return Fault(*place, path, text)


def parse(text: str, name: str, loader: Loader = LOADER, *, first: str = "sources", required: bool = True) -> Document:
    """The one mapping of the text. Raises ConfigError where that is not YAML, or not one mapping.

    `first` is a key for it to begin with; an empty text will do where none is required.
    """
    strange = Reader.NON_PRINTABLE.search(text)
    if strange is not None:
        line = len(_LINE_BREAK.split(text[: strange.start()]))
        raise ConfigError([f"{name}:{line}: holds a control character"])
    try:
        _check_shape(text, name, loader)
        root = yaml.compose(text, loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: an impossible escape, without C
        raise ConfigError([_syntax(error, text, name)]) from None
    if root is None or root.tag == _TAG + "null":
        if required:
            raise ConfigError([f"{name}: is empty; it needs at least {first}"])
        root = yaml.MappingNode(_TAG + "map", [])
    reading = _Reading(name)
    value = reading.value(root, ())
    if not isinstance(value, Mapped):
        raise ConfigError([f"{name}:{_start(root)[0]}: must have keys with values, beginning with {first}"])
    return Document(name, root, value, tuple(reading.faults))


def _check_shape(text: str, name: str, loader: Loader) -> None:
    """Refuses more than one document and what is nested too deeply, before anything recurses into it."""
    documents = depth = 0
    for event in yaml.parse(text, loader):
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise ConfigError([f"{name}:{_start(event)[0]}: a second document begins here; one is wanted"])
        if depth > DEEPEST:
            raise ConfigError([f"{name}:{_start(event)[0]}: is nested too deeply"])


def _syntax(error: Exception, text: str, name: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"{name}: is not YAML"
    lines = _LINE_BREAK.split(text)
    content = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in content[: len(content) - len(content.lstrip())]:
        return f"{name}:{mark.line + 1}: begins with a tab; YAML needs spaces"
    if _BARE_STAR.search(content):
        return f'{name}:{mark.line + 1}: is not YAML: a text that begins with * needs quotes, e.g. "*"'
    # What the loader quotes may be part of a token.
    problem = re.sub(r" ?(['\"]).*\1", "", getattr(error, "problem", None) or "it cannot be read")
    return f"{name}:{mark.line + 1}: is not YAML: {problem}"


class _Reading:
    """One walk over the nodes: the values, and the faults met on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.count = 0

    def value(self, node: yaml.Node, path: Path) -> object:
        self.count += 1
        if self.count > MOST_VALUES or len(path) > DEEPEST:
            why = "an alias holds itself" if len(path) > DEEPEST else f"it holds more than {MOST_VALUES} values"
            raise ConfigError([f"{self.name}:{_start(node)[0]}: {why}"])
        if node.tag not in _PLAIN:
            self._add(node, path, "a tag (!…) has no meaning here")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if node.tag == _TAG + "null":
            self._add(node, path, "is empty; give it a value or leave it out")
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Mapped:
        values: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key, child in node.value:
            line = _start(key)[0]
            if not isinstance(key, yaml.ScalarNode):
                self._add(key, path, "a key must be text")
            elif key.value in lines:
                self._add(key, (*path, key.value), f"is here a second time; the first is on line {lines[key.value]}")
            else:
                lines[key.value] = line
                values[key.value] = self.value(child, (*path, key.value))
        return Mapped(values, lines, _start(node)[0], self.name)

    def _add(self, node: yaml.Node, path: Path, text: str) -> None:
        self.faults.append(Fault(*_start(node), path, text))


def reads_as(node: yaml.Node) -> str:
    """What a value without quotes turned into: `a number`, `true or false`; empty for text and others."""
    return "a number" if node.tag in _NUMBERS else "true or false" if node.tag == _TAG + "bool" else ""


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    if node.tag == _TAG + "null":
        return None
    if node.tag == _TAG + "bool":
        return text.lower() in {"yes", "true", "on"}
    if node.tag == _TAG + "float":
        return math.nan  # no setting takes one, so that it only has to be told from text
    if node.tag == _TAG + "int" and _DECIMAL.fullmatch(text):
        return int(text)
    # YAML's other numbers are surprises (010 is 8, 1:30 is 90): they stay what was written.
    return text


def _start(node: yaml.Node | yaml.Event) -> tuple[int, int]:
    """Line and column of the first character; the line counts from 1."""
    mark = node.start_mark
    return (mark.line + 1, mark.column) if mark else (1, 0)


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    return iter(node.value if isinstance(node, yaml.MappingNode) else ())


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item
    return next((child for key, child in _pairs(node) if key.value == step), None)
