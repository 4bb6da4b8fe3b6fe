"""`init`: asks for a first source, tries it, shows what there is to read, and writes a configuration."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from exporter import operate
from exporter.build import Target
from exporter.cli import progress
from exporter.cli.options import PROGRAM, option
from exporter.cli.settings_file import KNOWN_FAMILIES
from exporter.errors import ConfigError, ExporterError, Refused, SourceError
from exporter.providers import PROVIDERS
from exporter.providers.gitlab import GitLabSource
from exporter.settings import load
from exporter.settings.settings import Settings
from exporter.settings.template import Wish, first_configuration

NORTHFLANK = "https://api.northflank.com"
SHOWN = 10
"""Targets that are shown of those that were found."""
TRIED = 20
"""Targets that are read once, where a list does not show that they are there."""


@click.command()
@option("config.file", type=click.Path(path_type=Path), default="config.yaml", show_default=True, help="What to write.")
@option("provider", type=click.Choice(list(PROVIDERS)), help="Whose builds.")
@option("url", help="Of the GitLab server, e.g. https://gitlab.example.com.")
@option(
    "api", type=click.Choice(["v4", "v3"]), default="v4", show_default=True, help="Of GitLab; v3 for very old ones."
)
@option("token.env", help="The environment variable that holds the token.")
@option("token.file", type=click.Path(), help="The file that holds the token.")
@option("team", help="Of Northflank, for a token of an organisation.")
@option("project", multiple=True, help="To read; may be given several times. GitLab: path or number; Northflank: id.")
@option("group", multiple=True, help="Of GitLab, whose projects are read; may be given several times.")
@option("name", help="Of the source, in the metrics; the provider's unless given.")
@option("untried", is_flag=True, help="Write it without trying it.")
@option("force", is_flag=True, help="Overwrite the file where there is one.")
def init(config_file: Path, *, untried: bool, force: bool, **given: Any) -> None:
    """Write a first configuration: asks for what the options leave open, and tries it."""
    may_write(config_file, force=force)
    wish = wished(given)
    text = first_configuration(wish, str(config_file))
    settings = load.read(text, str(config_file), config_file.parent, families=KNOWN_FAMILIES)
    if not untried:
        try:
            tell(tried(settings))
        except (SourceError, Refused) as error:
            give_up_or_go_on(error)
    write(config_file, text)
    click.echo(f"wrote {config_file}")
    click.echo(f"next: {PROGRAM} check --config.file={config_file} --live")


def wished(given: dict[str, Any]) -> Wish:
    """What the options say, and what is asked for beside them."""
    asking = sys.stdin.isatty()
    missing: list[str] = []

    def need(value: Any, name: str, ask: Callable[[], str]) -> str:
        if not value and not asking:
            missing.append(name)
        return str(value) if value else ask() if asking else ""

    provider = need(
        given["provider"],
        "--provider",
        lambda: prompt("Provider", type=click.Choice(list(PROVIDERS)), default="northflank"),
    )
    gitlab = provider == "gitlab"
    url = given["url"] or ""
    if gitlab:
        url = need(url, "--url", lambda: prompt("Address of the GitLab server", default="https://gitlab.com"))
    token = ("file", str(Path(given["token_file"]).absolute())) if given["token_file"] else None
    if token is None:
        variable = need(
            given["token_env"],
            "--token.env or --token.file",
            lambda: prompt(
                "Where is the token? The name of an environment variable, or the path of a file",
                default=f"{provider.upper()}_TOKEN",
            ),
        )
        # Not by a dot: a token that was put here by mistake may have one, and a path is shown.
        is_path = "/" in variable or Path(variable).is_file()
        token = ("file", str(Path(variable).absolute())) if is_path and not given["token_env"] else ("env", variable)
    projects, groups = given["project"], given["group"]
    if gitlab and not projects and not groups:
        needs_one = need(
            "", "--project or --group", lambda: prompt("Projects to read (paths, separated by spaces)", default="")
        )
        projects = tuple(needs_one.split())
        if asking and given["api"] == "v4":
            groups = tuple(prompt("Groups to read, subgroups included (likewise)", default="").split())
    if missing:
        raise click.UsageError(f"there is no terminal to ask on: give {', '.join(missing)}")
    return Wish(provider, given["name"] or provider, url, token, given["api"], given["team"] or "", projects, groups)


def prompt(text: str, **how: Any) -> str:
    """The answer to a question, which is put on standard error."""
    return str(click.prompt(text, err=True, **how)).strip()


def may_write(path: Path, *, force: bool) -> None:
    """Raise `Refused` where the file is not to be written, before anything is asked."""
    if path.is_dir() or not path.parent.is_dir():
        raise Refused(
            f"{path}: cannot be written: {'is a directory' if path.is_dir() else 'there is no such directory'}"
        )
    if not path.exists() or force:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{path} exists: give --force to overwrite it, or --config.file to write another")
    if not click.confirm(f"{path} exists. Overwrite it in the end?", err=True):
        raise Refused(f"{path} is left as it is")


def tried(settings: Settings) -> list[Target]:
    """What discovery finds; what it need not ask for is read once. Raises a `SourceError` or `Refused`."""
    (source,) = settings.sources
    source.token.read()
    operator = operate.operator_for(source, settings.refresh.timeout)
    try:
        with progress.drawn(lambda: progress.Step(f"asking {source.url}")):
            found = operator.targets()
            for fault in found.faults:
                click.echo(f"note: {fault}", err=True)
            for note in found.notes:
                click.echo(f"note: {note}", err=True)
            listed = not isinstance(source, GitLabSource)
            for target in found.targets[: 1 if listed else TRIED]:
                operator.builds(target, limit=1)
    finally:
        operator.close()
    if not found.targets:
        raise found.faults[0] if found.faults else Refused("the token sees nothing that builds")
    return list(found.targets)


def tell(targets: list[Target]) -> None:
    """Show what was found."""
    kinds = sorted({target.kind for target in targets})
    counts = ((sum(target.kind == kind for target in targets), kind) for kind in kinds)
    click.echo(f"found {', '.join(f'{count} {kind}' if count == 1 else f'{count} {kind}s' for count, kind in counts)}:")
    for target in sorted(targets)[:SHOWN]:
        click.echo(f"  {target.address}")
    if len(targets) > SHOWN:
        click.echo(f"  and {len(targets) - SHOWN} more")


def give_up_or_go_on(error: ExporterError) -> None:
    """Ask whether to write what does not work yet; raises `Refused` where nobody says so."""
    if not sys.stdin.isatty():
        raise Refused(f"{error}; nothing was written (--untried writes it all the same)") from error
    click.echo(f"It does not work yet: {error}", err=True)
    if not click.confirm("Write the configuration all the same?", err=True):
        raise Refused("nothing was written") from error


def write(path: Path, text: str) -> None:
    """Write the file whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from error
