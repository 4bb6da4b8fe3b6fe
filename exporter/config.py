"""The configuration file to `Settings`, or every fault of it at once, each with its line and key."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter import document
from exporter.document import Document, Fault, Mapped
from exporter.errors import ConfigError, Unauthorized
from exporter.settings import (
    GitLabSource,
    Metrics,
    NorthflankProject,
    NorthflankSource,
    Refresh,
    Settings,
    Tls,
    Webhook,
    Window,
)
from exporter.values import FromFile

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes."""
LONGEST_SHOWN = 60
"""Characters of what the user wrote that a fault repeats."""
NEAR = 0.7
"""How like a known word an unknown one must be to be taken for it, of 1."""

_SOURCES: dict[str, type[BaseModel]] = {"northflank": NorthflankSource, "gitlab": GitLabSource}
_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Settings,
    ("sources", "projects"): NorthflankProject,
    ("sources", "tls"): Tls,
    ("sources", "webhook"): Webhook,
    ("window",): Window,
    ("refresh",): Refresh,
    ("metrics",): Metrics,
}
"""Whose keys are known at a place, indexes left out. At `sources` it is the provider that decides."""


_HIDING = {"token", "webhook"}
"""Keys whose value is a token or holds one."""


def load(path: Path, *, families: frozenset[str] | None = None) -> Settings:
    """The settings of the file. `families` are the names that `metrics.drop` may hold. Raises ConfigError."""
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except IsADirectoryError:
        raise ConfigError([f"{path}: is a directory; a file is wanted"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(content) > LARGEST_FILE:
        raise ConfigError([f"{path}: is larger than {LARGEST_FILE // 1024**2} MiB"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8"]) from None
    return read(text, str(path), path.parent, families=families)


def read(text: str, name: str, folder: Path, *, families: frozenset[str] | None = None) -> Settings:
    """The settings of the text of the file `name`; relative paths in it begin at `folder`. Raises ConfigError."""
    source = document.parse(text, name)
    settings, errors = _validated(source.value, FromFile(folder, families))
    faults = sorted({*_of_yaml(source, errors), *_of_settings(source, errors), *_same_names(source)})
    if faults or settings is None:
        raise ConfigError([_line(name, fault) for fault in faults])
    return settings


def secrets(settings: Settings) -> list[str]:
    """The faults of tokens that cannot be read now, as lines. Apart from `load`: a file is checked where none is."""
    faults = []
    for index, source in enumerate(settings.sources):
        tokens = {"token": source.token}
        if source.webhook is not None:
            tokens["webhook.secret"] = source.webhook.secret
        for key, token in tokens.items():
            try:
                token.read()
            except Unauthorized as error:
                faults.append(": ".join(filter(None, (token.place, f"sources.{index}.{key}", str(error)))))
    return faults


def _validated(value: Mapped, context: FromFile) -> tuple[Settings | None, list[ErrorDetails]]:
    try:
        return Settings.model_validate(value, context=context), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _of_yaml(source: Document, errors: list[ErrorDetails]) -> Iterator[Fault]:
    unknown = {_path(error) for error in errors if error["type"] == "extra_forbidden"}
    refused = {_path(error) for error in errors}
    for fault in source.faults:
        # What is wrong within a refused value is not worth a line, and may be in a token.
        within = any(fault.path[:length] in refused for length in range(len(fault.path)))
        if not within and fault.path not in unknown:
            yield fault


def _of_settings(source: Document, errors: list[ErrorDetails]) -> Iterator[Fault]:
    faulty = {fault.path for fault in source.faults}
    for error in errors:
        path = _path(error)
        # An empty or doubled value is told once, and two equal names by `_same_names`, which knows both lines.
        told = (path in faulty and error["type"] != "extra_forbidden") or error["type"] == "same_name"
        if not told:
            yield source.fault(path, _plain(error, source.node(path)))


def _same_names(source: Document) -> Iterator[Fault]:
    entries = source.value.get("sources")
    lines: dict[str, int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        name = entry.get("name") if isinstance(entry, Mapped) else None
        if not isinstance(name, str):
            continue
        fault = source.fault(("sources", index, "name"), f"is also the name of the source on line {lines.get(name)}")
        if name in lines:
            yield fault
        lines.setdefault(name, fault.line)


def _path(error: ErrorDetails) -> document.Path:
    """Where the error is in the file: pydantic puts the provider after a source's index, and not the missing key."""
    path = error["loc"]
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return (*path, "provider")
    return (*path[:2], *path[3:]) if path[:1] == ("sources",) else path


def _plain(error: ErrorDetails, node: yaml.Node | None) -> str:
    """What is wrong, in plain words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown("key", str(error["loc"][-1]), _known(error["loc"]))
    if kind == "union_tag_invalid":
        return _unknown("provider", str(context["tag"]), list(_SOURCES))
    if kind in {"string_type", "name_type"} and node is not None and document.reads_as(node):
        return f"reads as {document.reads_as(node)} here; write it in quotes: {_shown(node)}"
    if kind == "tuple_type" and isinstance(node, yaml.ScalarNode):
        return f"wants a list, e.g. [{_shown(node, quote='')}]"
    plain = {
        "missing": "is missing",
        "union_tag_not_found": f"is missing; known are {', '.join(_SOURCES)}",
        "string_type": "wants text",
        "name_type": "wants a path or a number, e.g. shop/web or 42",
        "int_type": "wants a whole number, without a unit or quotes",
        "bool_type": "wants true or false",
        "tuple_type": "wants a list",
        "model_type": "wants keys with values beneath it",
        "model_attributes_type": "wants keys with values beneath it",
        "greater_than_equal": f"must be {context.get('ge')} at least",
        "less_than_equal": f"must be {context.get('le')} at most",
        "literal_error": f"wants {str(context.get('expected')).replace(chr(39), '')}",
    }
    return plain.get(kind, error["msg"])


def _known(location: document.Path) -> list[str]:
    """The keys that are known beside the last of the location."""
    names = tuple(step for step in location[:-1] if isinstance(step, str) and step not in _SOURCES)
    section = _SOURCES[str(location[2])] if names == ("sources",) else _SECTIONS[names]
    return [name for name, field in section.model_fields.items() if not field.exclude]


def _unknown(what: str, given: str, known: list[str]) -> str:
    near = get_close_matches(given, known, n=1, cutoff=NEAR)
    return f'unknown {what}; did you mean "{near[0]}"?' if near else f"unknown {what}; known are {', '.join(known)}"


def _shown(node: yaml.Node, quote: str = '"') -> str:
    text = str(node.value)
    return f"{quote}{text if len(text) <= LONGEST_SHOWN and text.isprintable() else '…'}{quote}"


def _line(name: str, fault: Fault) -> str:
    path = fault.path
    hidden = next((place for place, step in enumerate(path) if step in _HIDING), len(path))
    # Beneath these anything may be a token that was put literally, keys included.
    path = path[: hidden + 1 + (path[hidden : hidden + 2] == ("webhook", "secret"))]
    steps = [step if step.isprintable() and len(step) <= LONGEST_SHOWN else "…" for step in map(str, path)]
    return ": ".join(filter(None, (f"{name}:{fault.line}", ".".join(steps), fault.text)))
