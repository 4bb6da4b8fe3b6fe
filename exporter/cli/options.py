"""What several commands share: options as Prometheus spells its own. Light to import, for completion in a shell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PROGRAM = "ci-build-exporter"
ENVIRONMENT = "CI_BUILD_EXPORTER_"
LOG_LEVELS = ("debug", "info", "warn", "error")
LOG_FORMATS = ("logfmt", "json")


def option(name: str, *short: str, **attributes: Any) -> Callable[[F], F]:
    """An option spelled as Prometheus spells its own; it can also be set by an environment variable."""
    spelling = str.maketrans(".-", "__")
    plain = name.translate(spelling)
    variable = ENVIRONMENT + plain.upper()
    return click.option(f"--{name}", *short, plain, envvar=variable, show_envvar=True, **attributes)


config_file = option("config.file", type=click.Path(path_type=Path), required=True, help="The configuration, YAML.")


def seconds(context: click.Context, _parameter: click.Parameter, text: str) -> float:
    """The seconds of an option that is a Prometheus duration."""
    if context.resilient_parsing:  # completion: the value is not used
        return 0.0
    from exporter.config.values import duration

    try:
        return duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def web_address(context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """The `ExternalUrl` of the option's value."""
    if context.resilient_parsing:
        return None
    from exporter.web.external_url import external_url

    try:
        return external_url(text or "")
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def not_a_url(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """The value of an option that is `HOST:PORT`; a URL is refused, with what to write instead."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme in {"http", "https"}:
        raise click.BadParameter(f'is a URL; write HOST:PORT without "{scheme}://", e.g. {rest.partition("/")[0]}')
    return text
