"""The settings in the file that `--config.file` names."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from exporter.errors import ConfigError
from exporter.exposition.families import WINDOW
from exporter.exposition.self_metrics import FAMILIES
from exporter.settings import load
from exporter.settings.settings import Settings

First = TypeVar("First")
Second = TypeVar("Second")

KNOWN_FAMILIES = frozenset({*(family.name for family in WINDOW), *FAMILIES})


def loaded(path: Path) -> Settings:
    """The settings in a file. Raises `ConfigError`."""
    return load.load(path, families=KNOWN_FAMILIES)


def usable(path: Path) -> Settings:
    """The settings in a file whose secrets can be read. Raises `ConfigError`."""
    settings = loaded(path)
    faults = load.secrets(settings)
    if faults:
        raise ConfigError(faults)
    return settings


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """The results for two files. Raises `ConfigError` with the faults of both."""
    try:
        of_first = first()
    except ConfigError as error:
        try:
            second()
        except ConfigError as other:
            raise ConfigError([*error.faults, *other.faults]) from None
        raise
    return of_first, second()
