"""The configuration file to `Settings`, or every fault of it at once, each with its line and key."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config import document
from exporter.config.certificates import authority_fault
from exporter.config.document import Document, Fault, Mapped
from exporter.config.errors import Form, text_of
from exporter.config.values import FromFile
from exporter.errors import ConfigError, Unauthorized
from exporter.providers import PROVIDERS
from exporter.settings.settings import Settings

_HIDING = {"token", "webhook"}
"""Keys whose value is a token or holds one."""


def load(path: Path, *, families: frozenset[str] | None = None) -> Settings:
    """The settings of the file, and of what it names as certificates. Raises ConfigError.

    `families` are the names that `metrics.drop` may hold.
    """
    text, name = text_of(path), str(path)
    source = document.parse(text, name)
    return _checked(source, path.parent, families, _certificate_faults(source, path.parent))


def read(text: str, name: str, folder: Path, *, families: frozenset[str] | None = None) -> Settings:
    """The settings of the text of the file `name`; relative paths in it begin at `folder`. Raises ConfigError."""
    return _checked(document.parse(text, name), folder, families, ())


def _checked(source: Document, folder: Path, families: frozenset[str] | None, more: Iterable[Fault]) -> Settings:
    settings, errors = _validated(source.value, FromFile(folder, families))
    told = [error for error in errors if error["type"] != "same_name"]  # `_same_names` knows both lines
    faults = sorted({*FORM.of_yaml(source, errors), *FORM.of_settings(source, told), *_same_names(source), *more})
    if faults or settings is None:
        raise ConfigError([FORM.line(source.name, fault) for fault in faults])
    return settings


def _certificate_faults(source: Document, folder: Path) -> Iterator[Fault]:
    """The faults of each `tls.ca_file`, whatever else is wrong."""
    entries = source.value.get("sources")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        tls = entry.get("tls") if isinstance(entry, Mapped) else None
        name = tls.get("ca_file") if isinstance(tls, Mapped) else None
        if isinstance(name, str) and name and "\0" not in name:
            why = authority_fault(folder / name)
            if why:
                yield source.fault(("sources", index, "tls", "ca_file"), why)


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


def _known_at(location: document.Path) -> type[BaseModel]:
    """The section that has the keys beside the one at a place; behind a source's index stands its provider."""
    section: type[BaseModel] = Settings
    for step in location[:-1]:
        if step in PROVIDERS:
            section = PROVIDERS[str(step)].settings
        elif isinstance(step, str) and step != "sources":
            section = next(_sections(section.model_fields[step].annotation))
    return section


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    """The sections in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _shown(path: document.Path) -> int:
    hidden = next((place for place, step in enumerate(path) if step in _HIDING), len(path))
    # Beneath these anything may be a token that was put literally, keys included.
    return hidden + 1 + (path[hidden : hidden + 2] == ("webhook", "secret"))


FORM = Form(_known_at, _path, _shown, tuple(PROVIDERS))
