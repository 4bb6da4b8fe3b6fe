"""The commands about builds: `builds list`, `show`, `logs`, `cancel` and `retry`.

Their code is imported when a command runs, so that completing its options stays quick.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exporter.cli.completion import ENDED, UNFINISHED, complete_address, complete_id, complete_scope
from exporter.cli.options import F, config_file, option, seconds
from exporter.errors import ConfigError, Refused, Unauthorized

if TYPE_CHECKING:
    from exporter.build import Target
    from exporter.operate import BuildDetails, Operator
    from exporter.providers.operations import Reference

SUCCEEDED, FAILED, OTHER_OUTCOME, NOT_ENDED = 0, 1, 3, 4
"""The exit status of `retry --wait`, by the outcome of the new build."""
INTERRUPTED: Final = 130
READ_BUILDS: Final = 1000
"""The most builds that are read to find those of a scope."""

target_argument = click.argument("target", shell_complete=complete_address)
output = option(
    "output",
    "-o",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or JSON for scripts.",
)
yes = option("yes", is_flag=True, help="Do not ask for confirmation.")


def id_argument(state: str = "") -> Callable[[F], F]:
    """The argument ID. The newest builds complete it, or those in a state."""
    return click.argument("build_id", metavar="[ID]", required=False, default="", shell_complete=complete_id(state))


@click.group()
def builds() -> None:
    """List builds of a target, show their logs, cancel or retry them.

    TARGET is an address as printed by "targets", for example northflank/service/shop/web or gitlab/project/shop/web.
    It can also be the URL of a GitLab page or of a page of this exporter. ID can be left out if the URL is that of a
    job.
    """


@builds.command("list")
@config_file
@target_argument
@option(
    "scope",
    multiple=True,
    shell_complete=complete_scope,
    help="Only builds with this status or outcome; can be repeated.",
)
@option("branch", help="Only builds of this branch.")
@option("commit", help="Only builds of this commit; 7 characters of the sha are enough.")
@option("failed-last", is_flag=True, help="Only the builds that made the last failed run fail.")
@option("limit", "-n", type=click.IntRange(1, 1000), default=20, show_default=True, help="The most builds to list.")
@output
def list_builds(  # noqa: PLR0913  # an option each
    *,
    config_file: Path,
    target: str,
    scope: tuple[str, ...],
    branch: str | None,
    commit: str | None,
    failed_last: bool,
    limit: int,
    output: str,
) -> None:
    """Show the newest builds of TARGET."""
    if failed_last and (scope or commit):
        raise click.UsageError("--failed-last cannot be combined with --scope or --commit.")
    with operator_at(config_file, target) as (operator, reference):
        if failed_last:
            list_last_failed(operator, reference.target, branch or "", limit, output)
            return
        listed = operator.builds(
            reference.target,
            scope=scope,
            commit=commit or reference.commit,
            run=reference.run,
            branch=branch or "",
            limit=limit,
        )
    write_builds(output, reference.target, listed.builds)
    if not listed.builds and output == "table":
        click.echo("no such builds" if scope or branch or commit else "no builds yet", err=True)
    if listed.incomplete:
        click.echo(f"note: only the newest {READ_BUILDS} builds were read", err=True)


@builds.command()
@config_file
@target_argument
@id_argument()
@output
def show(config_file: Path, target: str, build_id: str, output: str) -> None:
    """Show one build of TARGET."""
    from exporter.cli import table

    with operator_at(config_file, target) as (operator, reference):
        details = operator.build(reference.target, id_of(build_id, reference))
    if output == "json":
        click.echo(table.json_text(table.as_json(reference.target, details)))
    else:
        table.show_one(sys.stdout, reference.target, details, time.time())


@builds.command()
@config_file
@target_argument
@id_argument()
@option("lines", "-n", type=click.IntRange(1), default=50, show_default=True, help="How many of the last lines.")
@option("follow", "-f", is_flag=True, help="Print new lines until the build has ended.")
def logs(config_file: Path, target: str, build_id: str, lines: int, *, follow: bool) -> None:
    """Print the end of the log of a build of TARGET (GitLab only)."""
    from exporter import operate
    from exporter.cli import log_output, progress, table

    with operator_at(config_file, target) as (operator, reference):
        address, build_id = reference.target, id_of(build_id, reference)
        write = log_output.writer(sys.stdout)
        if follow:
            with stopped_by_interrupt():
                problems = progress.problems(build_id)
                ended = operate.follow(operator, address, build_id, last=lines, write=write, progress=problems).build
            after = table.took(ended, time.time())
            click.echo(f"build {build_id}: {table.printable(ended.status)} after {after}", err=True)
            return
        text = operator.log(address, build_id)
        write(text[-lines:])
        if not text:
            status = operator.build(address, build_id).build.status
            click.echo(f"build {build_id} ({table.printable(status)}) has no log", err=True)


@builds.command()
@config_file
@target_argument
@id_argument(UNFINISHED)
@yes
@output
def cancel(config_file: Path, target: str, build_id: str, *, yes: bool, output: str) -> None:
    """Cancel an unfinished build of TARGET."""
    from exporter import operate
    from exporter.cli import table

    with operator_at(config_file, target) as (operator, reference):
        address, build_id = reference.target, id_of(build_id, reference)
        check_can_ask(yes=yes)
        details = operator.build(address, build_id)
        operate.check_cancelable(details)
        confirm("Cancel", address, details, yes=yes)
        canceled = operate.cancel(operator, address, details)
    if canceled is None:
        click.echo(f"{address.address}: the provider agreed, but build {build_id} could not be read again", err=True)
    elif output == "json":
        click.echo(table.json_text(table.as_json(address, canceled)))
    else:
        click.echo(f"{address.address}: build {build_id} is {table.printable(canceled.build.status)}")


@builds.command()
@config_file
@target_argument
@id_argument(ENDED)
@yes
@option("wait", is_flag=True, help="Wait until the new build has ended; exit by its outcome.")
@option("timeout", callback=seconds, default="1h", show_default=True, help="How long to wait; exit 4 after that.")
@output
def retry(  # noqa: PLR0913  # an option each
    config_file: Path, target: str, build_id: str, *, yes: bool, wait: bool, timeout: float, output: str
) -> None:
    """Build the commit of a build of TARGET again."""
    from exporter import operate
    from exporter.cli import table

    with operator_at(config_file, target) as (operator, reference):
        address, build_id = reference.target, id_of(build_id, reference)
        check_can_ask(yes=yes)
        details = operator.build(address, build_id)
        operate.check_retryable(details)
        confirm("Retry", address, details, yes=yes)
        begun = operate.retry(operator, address, details)
        if output == "table":
            status = table.printable(begun.build.status)
            click.echo(f"{address.address}: build {build_id} is retried as {begun.build.id} ({status})")
        if not wait:
            if output == "json":
                click.echo(table.json_text(table.as_json(address, begun)))
            return
        exit_status = wait_for(operator, address, begun, timeout, output)
    sys.exit(exit_status)


def list_last_failed(operator: "Operator", target: "Target", branch: str, limit: int, output: str) -> None:
    """Write the builds of the last failed run."""
    found = operator.last_failed_run(target, branch)
    write_builds(output, target, found[1].builds[:limit] if found else ())
    if found is None:
        click.echo(f"no failed run{f' on {branch}' if branch else ''} among the newest builds", err=True)
    elif not found[1].builds:
        page = f"; see {found[0].url}" if found[0].url else ""
        click.echo(f"the last failed run, {found[0].run}, failed without a failed build{page}", err=True)


def write_builds(output: str, target: "Target", listed: "tuple[BuildDetails, ...]") -> None:
    """Write builds as a table or as JSON."""
    from exporter.cli import table

    if output == "json":
        click.echo(table.json_text(table.as_json(target, details) for details in listed))
    elif listed:
        table.show_table(sys.stdout, listed, time.time())


def wait_for(operator: "Operator", target: "Target", begun: "BuildDetails", timeout: float, output: str) -> int:
    """Wait until a build has ended and write it. The exit status."""
    from exporter import build, operate
    from exporter.build import Outcome
    from exporter.cli import progress, table

    with progress.build_progress(begun.build.id) as told:
        ended = operate.wait(operator, target, begun.build.id, seconds=timeout, progress=told)
    if ended is None:
        command = f"ci-build-exporter builds show {target.address} {begun.build.id}"
        click.echo(f"build {begun.build.id} has not ended within the timeout; to see it: {command}", err=True)
        return NOT_ENDED
    if output == "json":
        click.echo(table.json_text(table.as_json(target, ended)))
    else:
        after = table.took(ended.build, time.time())
        click.echo(f"{target.address}: build {ended.build.id}: {table.printable(ended.build.status)} after {after}")
    if ended.build.outcome is Outcome.SUCCESS:
        return SUCCEEDED
    return FAILED if ended.build.outcome in build.FAILED else OTHER_OUTCOME


@contextmanager
def operator_at(config_file: Path, address: str) -> "Iterator[tuple[Operator, Reference]]":
    """An operator at the source of a target; only the token of that source must be readable."""
    from exporter import operate
    from exporter.cli.settings_file import loaded

    settings = loaded(config_file)
    source, reference = operate.reference_of(settings, address)
    try:
        source.token.read()
    except Unauthorized as error:
        raise ConfigError([": ".join(filter(None, (source.token.place, str(error))))]) from error
    operator = operate.operator_for(source, settings.refresh.timeout)
    try:
        yield operator, reference
    finally:
        operator.close()


def id_of(given: str, reference: "Reference") -> str:
    """The id of the build: the argument, else that in the URL of the target."""
    build_id = given.strip().removeprefix("#") or reference.build_id
    if not build_id:
        raise click.UsageError("Missing argument 'ID'.", click.get_current_context())
    return build_id


@contextmanager
def stopped_by_interrupt() -> Iterator[None]:
    """End the command quietly at Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def check_can_ask(*, yes: bool) -> None:
    """Raise `Refused` if nobody can confirm a change; to be called before anything is requested."""
    if not yes and not sys.stdin.isatty():
        raise Refused("there is no terminal to confirm the change on; without one, pass --yes; nothing was changed")


def confirm(verb: str, target: "Target", details: "BuildDetails", *, yes: bool) -> None:
    """Ask before a change. Raises `Refused` if the answer is no."""
    from exporter.cli import table

    if not yes and not click.confirm(f"{verb} {table.summary(target, details)}?", err=True):
        raise Refused("nothing was changed")
