"""The commands about builds: `builds list`, `show`, `cancel` and `retry`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from exporter import operate
from exporter.build import FAILED, Build, Outcome, Target
from exporter.cli import progress, table
from exporter.cli.completion import complete_address, complete_id
from exporter.cli.options import F, config_file, loaded, option, seconds
from exporter.errors import ConfigError, Refused, Unauthorized
from exporter.operate import Found, Operator

BY_OUTCOME = {Outcome.SUCCESS: 0, **dict.fromkeys(FAILED, 1)}
"""With what `retry --wait` ends."""
ENDED_OTHERWISE = 3
NOT_ENDED = 4

target_address = click.argument("target", shell_complete=complete_address)
output = option(
    "output",
    "-o",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For a person, or for a script.",
)
yes = option("yes", is_flag=True, help="Do not ask before anything is changed.")


def build_id(holds: Callable[[Build], bool] | None = None) -> Callable[[F], F]:
    """The argument that names a build; of those that fit, the newest complete it."""
    return click.argument("build_id", metavar="ID", shell_complete=complete_id(holds))


@click.group()
def builds() -> None:
    """Look at builds, cancel them, retry them.

    TARGET is an address as `targets` prints it: northflank/service/shop/web, gitlab/project/shop/web.
    """


@builds.command("list")
@config_file
@target_address
@option("scope", multiple=True, help="Only these: a status of the provider, or an outcome; may be given several times.")
@option("commit", help="Only those of this commit; 7 characters of its sha will do.")
@option("limit", "-n", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
@output
def list_builds(  # noqa: PLR0913, PLR0917  # an option each
    config_file: Path, target: str, scope: tuple[str, ...], commit: str | None, limit: int, output: str
) -> None:
    """Show the newest builds of TARGET."""
    with hand(config_file, target) as (operator, found_target):
        seen = operator.builds(found_target, scope=scope, commit=commit or "", limit=limit)
    if output == "json":
        click.echo(table.json_text(table.as_json(found_target, found) for found in seen.found))
    elif seen.found:
        table.show_table(sys.stdout, seen.found, time.time())
    else:
        click.echo("no such build" if scope or commit else "no build yet", err=True)
    if seen.more:
        click.echo("note: only the newest 1000 builds were looked at", err=True)


@builds.command()
@config_file
@target_address
@build_id()
@output
def show(config_file: Path, target: str, build_id: str, output: str) -> None:
    """Show one build of TARGET."""
    with hand(config_file, target) as (operator, found_target):
        tell(output, found_target, operator.build(found_target, build_id))


@builds.command()
@config_file
@target_address
@build_id(lambda build: not build.concluded)
@yes
@output
def cancel(config_file: Path, target: str, build_id: str, *, yes: bool, output: str) -> None:
    """Cancel a build of TARGET that has not ended."""
    with hand(config_file, target) as (operator, found_target):
        can_ask(yes=yes)
        found = operator.build(found_target, build_id)
        operate.cancelable(found)
        ask("Cancel", found_target, found, yes=yes)
        canceled = operate.cancel(operator, found_target, found)
    if canceled is None:
        click.echo(
            f"{found_target.address}: the provider agreed, but build {build_id} could not be read again", err=True
        )
    elif output == "json":
        click.echo(table.json_text(table.as_json(found_target, canceled)))
    else:
        click.echo(f"{found_target.address}: build {build_id} is {table.printable(canceled.build.status)}")


@builds.command()
@config_file
@target_address
@build_id(lambda build: build.concluded)
@yes
@option("wait", is_flag=True, help="Wait for the new build to end, and end by its outcome: 0, 1 or 3.")
@option("timeout", callback=seconds, default="1h", show_default=True, help="How long to wait; then it ends with 4.")
@output
def retry(  # noqa: PLR0913  # an option each
    config_file: Path, target: str, build_id: str, *, yes: bool, wait: bool, timeout: float, output: str
) -> None:
    """Build the commit of a build of TARGET again."""
    with hand(config_file, target) as (operator, found_target):
        can_ask(yes=yes)
        found = operator.build(found_target, build_id)
        operate.retryable(found)
        ask("Retry", found_target, found, yes=yes)
        begun = operate.retry(operator, found_target, found)
        if output == "table":
            status = table.printable(begun.build.status)
            click.echo(f"{found_target.address}: build {build_id} is retried as {begun.build.id} ({status})")
        if not wait:
            if output == "json":
                click.echo(table.json_text(table.as_json(found_target, begun)))
            return
        ends_with = wait_for(operator, found_target, begun, timeout, output)
    sys.exit(ends_with)


def wait_for(operator: Operator, target: Target, begun: Found, timeout: float, output: str) -> int:
    """Wait for the end of a build, tell it, and give the status to end with."""
    with progress.awaiting(begun.build.id) as told:
        ended = operator.wait(target, begun.build.id, seconds=timeout, told=told)
    if ended is None:
        look = f"ci-build-exporter builds show {target.address} {begun.build.id}"
        click.echo(f"build {begun.build.id} has not ended within the timeout; to look: {look}", err=True)
        return NOT_ENDED
    if output == "json":
        click.echo(table.json_text(table.as_json(target, ended)))
    else:
        after = table.took(ended.build, time.time())
        click.echo(f"{target.address}: build {ended.build.id}: {table.printable(ended.build.status)} after {after}")
    return BY_OUTCOME.get(ended.build.outcome, ENDED_OTHERWISE)


@contextmanager
def hand(config_file: Path, address: str) -> Iterator[tuple[Operator, Target]]:
    """The operator's hand at the source of a target; of the configuration's tokens only that one is wanted."""
    settings = loaded(config_file)
    source, target = operate.where(settings, address)
    try:
        source.token.read()
    except Unauthorized as error:
        raise ConfigError([": ".join(filter(None, (source.token.place, str(error))))]) from error
    operator = operate.opened(source, settings.refresh.timeout)
    try:
        yield operator, target
    finally:
        operator.close()


def tell(output: str, target: Target, found: Found) -> None:
    """Write one build."""
    if output == "json":
        click.echo(table.json_text(table.as_json(target, found)))
    else:
        table.show_one(sys.stdout, target, found, time.time())


def can_ask(*, yes: bool) -> None:
    """Raise `Refused` where nobody can be asked, before anything is."""
    if not yes and not sys.stdin.isatty():
        raise Refused(
            "there is no terminal to confirm the change on: give --yes to make it without; nothing was changed"
        )


def ask(verb: str, target: Target, found: Found, *, yes: bool) -> None:
    """Ask before a change; raises `Refused` where the answer is no."""
    if not yes and not click.confirm(f"{verb} {table.one_line(target, found)}?", err=True):
        raise Refused("nothing was changed")
