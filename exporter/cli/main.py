"""The commands by name, and the exit status of each.

The modules of a command are imported when it is asked for: completion in a shell stays quick, and what serves does not
load the calls that change something at a provider.
"""

import re
import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from exporter import __version__
from exporter.cli.completion import script
from exporter.cli.options import PROGRAM
from exporter.errors import ConfigError, ExporterError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "builds": ("builds", "List builds of a target, show their logs, cancel or retry them."),
        "check": ("commands", "Validate the configuration."),
        "completion": ("", "Print the script that completes commands, options, targets and builds in a shell."),
        "demo": ("commands", "Answer scrapes about a simulated Northflank and GitLab."),
        "init": ("init", "Write a first configuration."),
        "once": ("commands", "Collect once and print the metrics."),
        "serve": ("commands", "Answer scrapes."),
        "simulate": ("simulate", "Serve a simulated Northflank (/v1) and GitLab (/api/v4, /api/v3)."),
        "targets": ("commands", "Print the address of each target."),
    }
)
"""The module in `exporter.cli` of each command, and its description for a shell. `completion` is in this module."""
ONE_DASH = re.compile(r"-(?P<name>[a-z][a-z0-9.-]+)(?:=.*)?", re.DOTALL)
"""An option of several letters with one dash, as programs written in Go accept it."""


class Commands(click.Group):
    """The commands; a command is imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # they are always the same
        """The names of all commands."""
        return list(COMMANDS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names of the commands, without importing them, and the options."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [
            *(CompletionItem(name, help=words) for name, (_, words) in COMMANDS.items() if name.startswith(incomplete)),
            *options,
        ]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with that name."""
        module, _ = COMMANDS.get(cmd_name, ("", ""))
        if module:
            command: click.Command = getattr(import_module(f"exporter.cli.{module}"), cmd_name)
            return command
        found = super().get_command(ctx, cmd_name)
        if found is None:  # click suggests the most similar of the commands that were added to it
            self.commands.update(
                {name: cmd for name in self.list_commands(ctx) if (cmd := self.get_command(ctx, name))}
            )
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments as they were written, for `invoke`."""
        ctx.meta[PROGRAM] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; if it has no such option, but the same with two dashes, say so."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise _with_two_dashes(error, ctx.meta[PROGRAM]) from None


def _with_two_dashes(error: click.NoSuchOption, arguments: list[str]) -> click.NoSuchOption:
    """The error for `-config.file=FILE`, where click would only say that there is no option `-c`."""
    known = {option for parameter in error.ctx.command.params for option in parameter.opts} if error.ctx else set()
    for argument in arguments:
        match = ONE_DASH.fullmatch(argument)
        if match and argument.startswith(error.option_name) and f"--{match['name']}" in known:
            written, meant = f"-{match['name']}", f"--{match['name']}"
            message = f"No such option '{written}': write it with two dashes, '{meant}'."
            return click.NoSuchOption(written, message, ctx=error.ctx)
    return error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def commands() -> None:
    """Prometheus exporter for CI builds on Northflank and GitLab."""


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options, targets and builds in a shell."""
    click.echo(script(shell, commands))


def main() -> None:
    """Run the command in the arguments. Errors are lines on standard error."""
    try:
        commands()
    except ConfigError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        sys.exit(error.exit_status)
    except ExporterError as error:
        click.echo(f"{PROGRAM}: {error}", err=True)
        sys.exit(error.exit_status)
