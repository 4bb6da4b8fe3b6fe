"""`init`: asks for a first source, tries it, shows the targets that it finds, and writes a configuration."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from exporter.build import Target
from exporter.cli.interview import Interview
from exporter.cli.options import PROGRAM, F, option
from exporter.errors import ConfigError, Refused
from exporter.providers import PROVIDERS
from exporter.providers.template import Field
from exporter.settings.template import first_configuration, template_of

SHOWN: Final = 10
"""How many of the targets that were found are shown."""


def field_options(command: F) -> F:
    """Add an option for each field of each provider; the same option of several providers is one."""
    fields: dict[str, list[tuple[str, Field]]] = {}
    for name, row in PROVIDERS.items():
        for one in template_of(name).fields:
            fields.setdefault(one.option, []).append((row.title, one))
    for name, uses in reversed(fields.items()):
        words = "; ".join(f"{title}: {one.help}" for title, one in uses)
        first, many = uses[0][1], any(one.many for _, one in uses)
        alone = len(uses) == 1 and bool(first.choices)
        command = option(
            name,
            help=f"{words}{'; can be repeated' if many else ''}.",
            multiple=many,
            type=click.Choice(first.choices) if alone else str,
            default=first.default if alone else None,
            show_default=alone,
        )(command)
    return command


@click.command()
@option("config.file", type=click.Path(path_type=Path), default="config.yaml", show_default=True, help="File to write.")
@option("provider", type=click.Choice(list(PROVIDERS)), help="The provider of the builds.")
@field_options
@option("token.env", help="The environment variable that holds the token.")
@option("token.file", type=click.Path(), help="The file that holds the token.")
@option("name", help="The name of the source in the metrics; the provider's name if not given.")
@option("untried", is_flag=True, help="Write the configuration without trying it.")
@option("force", is_flag=True, help="Overwrite the file if it exists.")
def init(config_file: Path, *, untried: bool, force: bool, **given: Any) -> None:
    """Write a first configuration: ask for what the options leave open, and try it."""
    check_writable(config_file, force=force)
    interview = Interview(given, terminal=sys.stdin.isatty())
    if untried:
        source = interview.untried()
    else:
        source, targets = interview.tried()
        show(targets)
    write(config_file, first_configuration(source, str(config_file)))
    click.echo(f"wrote {config_file}")
    click.echo(f"next: {PROGRAM} check --config.file={config_file} --live")


def check_writable(path: Path, *, force: bool) -> None:
    """Raise `Refused` if the file cannot or must not be written."""
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a directory" if path.is_dir() else "there is no such directory"
        raise Refused(f"{path} cannot be written: {reason}")
    if not path.exists() or force:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{path} exists: pass --force to overwrite it, or --config.file to write another file")
    if not click.confirm(f"{path} exists. Overwrite it at the end?", err=True):
        raise Refused(f"{path} was not changed")


def show(targets: list[Target]) -> None:
    """Print how many targets there are of each kind, and the first of them."""
    kinds = sorted({target.kind for target in targets})
    counts = ((sum(target.kind == kind for target in targets), kind) for kind in kinds)
    click.echo(f"found {', '.join(f'{count} {kind}' if count == 1 else f'{count} {kind}s' for count, kind in counts)}:")
    for target in sorted(targets)[:SHOWN]:
        click.echo(f"  {target.address}")
    if len(targets) > SHOWN:
        click.echo(f"  and {len(targets) - SHOWN} more")


def write(path: Path, text: str) -> None:
    """Write the file as a whole, or not at all."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from error
