"""The faults of a YAML file in plain words, all of them at once: a line each, with its place and its key."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from exporter.config import document
from exporter.config.document import Document, Fault
from exporter.config.files import content_of
from exporter.config.values import LONGEST_SHOWN, shown
from exporter.errors import ConfigError

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes."""
PIPE_SECONDS = 2.0
"""How long a configuration file that is a pipe may take to end."""
NEAR = 0.7
"""How like a known word an unknown one must be to be taken for it, of 1."""


@dataclass(frozen=True, slots=True)
class Form:
    """What has to be known of a kind of file to tell its faults."""

    known_at: Callable[[document.Path], type[BaseModel]]
    """The section that has the keys beside the one at a place, as pydantic tells places."""
    path_of: Callable[[ErrorDetails], document.Path]
    """Where in the file an error is."""
    shown: Callable[[document.Path], int]
    """How many steps of a path may be shown: what follows may be part of a secret."""
    providers: tuple[str, ...] = ()
    """What may be written for a key that decides which section it is in."""

    def of_settings(self, source: Document, errors: Sequence[ErrorDetails]) -> Iterator[Fault]:
        """What the settings find wrong, but what `of_yaml` tells already."""
        faulty = {fault.path for fault in source.faults}
        for error in errors:
            path = self.path_of(error)
            if path in faulty and error["type"] != "extra_forbidden":
                continue  # an empty or doubled value is told once
            meant = _misspelt(source, path) if error["type"] == "union_tag_not_found" else None
            if meant is None:
                yield source.fault(path, self._plain(error, source.node(path)))
            else:  # without its provider a source's other keys cannot be judged: it is told where it was meant
                yield source.fault((*path[:-1], meant), unknown("key", meant, [str(path[-1])]))

    def of_yaml(self, source: Document, errors: Sequence[ErrorDetails]) -> Iterator[Fault]:
        """What is wrong with the YAML itself, but within what the settings refuse as a whole."""
        unknown = {self.path_of(error) for error in errors if error["type"] == "extra_forbidden"}
        refused = {self.path_of(error) for error in errors}
        for fault in source.faults:
            # What is wrong within a refused value is not worth a line, and may be in a token.
            within = any(fault.path[:length] in refused for length in range(len(fault.path)))
            if not within and fault.path not in unknown:
                yield fault

    def line(self, name: str, fault: Fault) -> str:
        """`FILE:LINE: key.path: what is wrong`."""
        path = fault.path[: self.shown(fault.path)]
        steps = [step if step.isprintable() and len(step) <= LONGEST_SHOWN else "…" for step in map(str, path)]
        return ": ".join(filter(None, (f"{name}:{fault.line}", ".".join(steps), fault.text)))

    def _plain(self, error: ErrorDetails, node: yaml.Node | None) -> str:
        kind, context = error["type"], error.get("ctx", {})
        if kind == "extra_forbidden":
            return unknown("key", str(error["loc"][-1]), keys(self.known_at(error["loc"])))
        if kind == "union_tag_invalid":
            return unknown("provider", str(context["tag"]), self.providers)
        if kind in {"string_type", "name_type"} and node is not None and document.reads_as(node):
            return f"reads as {document.reads_as(node)} here; write it in quotes: {shown(str(node.value))}"
        if kind in {"model_type", "dict_type", "model_attributes_type"} and isinstance(node, yaml.ScalarNode):
            *_, section, place = (None, *error["loc"])
            if section == "projects" and isinstance(place, int) and node.value:
                first = keys(self.known_at((*error["loc"], "")))[0]
                return f"must have keys with values beneath it, e.g. {{{first}: {shown(str(node.value), quote='')}}}"
        if kind == "tuple_type" and isinstance(node, yaml.ScalarNode):
            return f"must be a list, e.g. [{shown(str(node.value), quote='')}]"
        plain = {
            "missing": "is missing",
            "union_tag_not_found": f"is missing; known are {', '.join(self.providers)}",
            "string_type": "must be text",
            "name_type": "must be a path or a number, e.g. shop/web or 42",
            "int_type": "must be a whole number, without a unit or quotes",
            "bool_type": "must be true or false",
            "tuple_type": "must be a list",
            "dict_type": "must have keys with values beneath it",
            "model_type": "must have keys with values beneath it",
            "model_attributes_type": "must have keys with values beneath it",
            "greater_than_equal": f"must be {context.get('ge')} at least",
            "less_than_equal": f"must be {context.get('le')} at most",
            "literal_error": f"must be {str(context.get('expected')).replace(chr(39), '')}",
        }
        return plain.get(kind, error["msg"])


def text_of(path: Path, wait_seconds: float = PIPE_SECONDS) -> str:
    """The text of a file. Raises ConfigError."""
    try:
        content = content_of(path, LARGEST_FILE, wait_seconds)
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except IsADirectoryError:
        raise ConfigError([f"{path}: is a directory; a file is wanted"]) from None
    except TimeoutError:
        raise ConfigError([f"{path}: is a pipe that did not end within {wait_seconds:g} s"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    if content is None:
        raise ConfigError([f"{path}: is larger than {LARGEST_FILE // 1024**2} MiB"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8"]) from None


def keys(section: type[BaseModel]) -> list[str]:
    """The keys of a section, as a file writes them."""
    return [field.alias or name for name, field in section.model_fields.items() if not field.exclude]


def unknown(what: str, given: str, known: Sequence[str]) -> str:
    """That there is no such key or word, and which is near it."""
    near = get_close_matches(given, known, n=1, cutoff=NEAR)
    return f'unknown {what}; did you mean "{near[0]}"?' if near else f"unknown {what}; known are {', '.join(known)}"


def _misspelt(source: Document, path: document.Path) -> str | None:
    """The key beside the one at the path that was meant to be it; None where there is none."""
    around = source.node(path[:-1])
    written = [str(key.value) for key, _ in around.value] if isinstance(around, yaml.MappingNode) else []
    return next(iter(get_close_matches(str(path[-1]), written, n=1, cutoff=NEAR)), None)
