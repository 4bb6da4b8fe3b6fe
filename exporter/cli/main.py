"""The commands by name, and the end of each: what one needs is imported when it is asked for.

So completion in a shell is quick, and what serves does not even hold what an operator may change.
"""

import sys

import click

from exporter import __version__
from exporter.cli.completion import script
from exporter.cli.options import PROGRAM
from exporter.errors import ConfigError, ExporterError

COLLECTING = ("serve", "demo", "once", "check", "targets", "simulate")


class Commands(click.Group):
    """The commands, some of which are still to be imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all of them."""
        return sorted({*super().list_commands(ctx), *COLLECTING, "builds", "init"})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name == "builds":
            from exporter.cli.builds import builds  # noqa: PLC0415

            return builds
        if cmd_name == "init":
            from exporter.cli.init import init  # noqa: PLC0415

            return init
        if cmd_name in COLLECTING:
            from exporter.cli import serve  # noqa: PLC0415

            command: click.Command = getattr(serve, cmd_name)
            return command
        found = super().get_command(ctx, cmd_name)
        if found is None:  # click tells the nearest of those that it has in its hands
            self.commands.update(
                {name: cmd for name in self.list_commands(ctx) if (cmd := self.get_command(ctx, name))}
            )
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def commands() -> None:
    """Prometheus exporter for the builds of Northflank and GitLab."""


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options, targets and builds in a shell."""
    click.echo(script(shell, commands))


def main() -> None:
    """Run the command that the arguments name; its errors are lines on standard error, and 2 for the configuration."""
    try:
        commands()
    except ConfigError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        sys.exit(error.exit_status)
    except ExporterError as error:
        click.echo(f"{PROGRAM}: {error}", err=True)
        sys.exit(error.exit_status)
