"""What several commands take: options as Prometheus spells them, and the settings of the file that one names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.config.values import duration
from exporter.errors import ConfigError
from exporter.exposition.families import WINDOW
from exporter.exposition.self_metrics import FAMILIES
from exporter.settings import load
from exporter.settings.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
First = TypeVar("First")
Second = TypeVar("Second")

PROGRAM = "ci-build-exporter"
ENVIRONMENT = "CI_BUILD_EXPORTER_"
KNOWN_FAMILIES = frozenset({*(family.name for family in WINDOW), *FAMILIES})


def option(name: str, *short: str, **attributes: Any) -> Callable[[F], F]:
    """An option spelled as Prometheus spells its own, which can come from the environment too."""
    spelling = str.maketrans(".-", "__")
    plain = name.translate(spelling)
    variable = ENVIRONMENT + plain.upper()
    return click.option(f"--{name}", *short, plain, envvar=variable, show_envvar=True, **attributes)


config_file = option("config.file", type=click.Path(path_type=Path), required=True, help="The configuration, YAML.")


def seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    """The seconds of an option that is a Prometheus duration."""
    try:
        return duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def loaded(path: Path) -> Settings:
    """The settings of a file. Raises ConfigError."""
    return load.load(path, families=KNOWN_FAMILIES)


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """What two files come to, or the faults of both. Raises ConfigError."""
    try:
        of_first = first()
    except ConfigError as error:
        try:
            second()
        except ConfigError as other:
            raise ConfigError([*error.faults, *other.faults]) from None
        raise
    return of_first, second()


def usable(path: Path) -> Settings:
    """The settings of a file whose secrets can be read. Raises ConfigError."""
    settings = loaded(path)
    faults = load.secrets(settings)
    if faults:
        raise ConfigError(faults)
    return settings
