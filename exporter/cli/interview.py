"""The questions of `init`: each answer is checked where it is asked for, and asked for again if it is wrong.

Without a terminal nothing is asked: what is missing or wrong ends the command.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from exporter import operate
from exporter.build import Target
from exporter.cli import progress
from exporter.cli.settings_file import KNOWN_FAMILIES
from exporter.errors import ConfigError, Forbidden, RateLimited, Refused, SourceError, Unauthorized
from exporter.operate import Operator
from exporter.providers import PROVIDERS
from exporter.providers.template import Field, FirstSource, Values
from exporter.settings import load
from exporter.settings.settings import Source
from exporter.settings.template import first_configuration, template_of

TIMEOUT: Final = 10.0
"""Seconds for each request."""
FAULT: Final = re.compile(r".*?:[0-9]+: (?:sources\.0\.(?P<key>\w+)(?:\.\w+)*: )?(?P<text>.*)")
"""A fault of the settings, with its place in the text that is not a file yet."""
NOT_WRITTEN: Final = "nothing was written (--untried writes the configuration without trying it)"
NOT_A_PLACE: Final = (
    "that is neither the name of an environment variable (capitals, digits and _) nor the path of a file. If it is the "
    "token itself, put it into a variable or a file: init does not write it into the configuration"
)


class Interview:
    """A first source, from the options that were given and from answers on a terminal."""

    def __init__(self, given: Mapping[str, Any], *, terminal: bool) -> None:
        self._terminal = terminal
        self._provider: str = given["provider"] or self._ask_provider()
        self._template = template_of(self._provider)
        self._name: str = given["name"] or self._provider
        self._given = _values_given(given, self._provider)
        self._values = {
            one.key: self._given.get(one.key) or ((one.default,) if one.default and not one.question else ())
            for one in self._template.fields
        }
        self._token = _token_given(given)
        while fault := self._fault("name"):
            self._refuse("name", fault)
            self._name = prompt("Name of the source in the metrics", default=self._provider)

    def untried(self) -> FirstSource:
        """The source; only the form of each value is checked."""
        self._complete_values()
        self._complete_token(read=False)
        self._complete_lists(frozenset(), check=False)
        return self._source(self._values)

    def tried(self) -> tuple[FirstSource, list[Target]]:
        """The source, and the targets that discovery finds. Raises `ConfigError`, `Refused` or a `SourceError`."""
        self._complete_values()
        self._complete_token(read=True)
        self._complete_lists(self._needed_keys(), check=True)
        return self._source(self._values), self._targets()

    # Questions

    def _ask_provider(self) -> str:
        if not self._terminal:
            raise click.UsageError("there is no terminal to ask on; pass --provider, --token.env or --token.file")
        return prompt("Provider", type=click.Choice(list(PROVIDERS)), default=next(iter(PROVIDERS)))

    def _complete_values(self) -> None:
        """Ask for the keys that are no lists, until each is in order."""
        single = [one for one in self._template.fields if not one.many]
        missing = [f"--{one.option}" for one in single if one.question and not self._values[one.key]]
        if not self._token:
            missing.append("--token.env or --token.file")
        if missing and not self._terminal:
            raise click.UsageError(f"there is no terminal to ask on; pass {', '.join(missing)}")
        for one in single:
            if one.question and not self._values[one.key]:
                self._ask(one)
            while fault := self._fault(one.key):
                self._again(one, fault)

    def _complete_token(self, *, read: bool) -> None:
        """Ask for the place of the token, until there can be one; if `read`, until there is one."""
        if self._token is None:
            self._token = self._ask_token()
        while fault := self._token_fault(*self._token, read=read):
            self._refuse(f"token.{self._token[0]}", fault)
            self._token = self._ask_token()

    def _complete_lists(self, needed: Collection[str], *, check: bool) -> None:
        """Ask for the lists, until each is in order; if `check`, in the provider's eyes, too."""
        for one in self._template.fields:
            if not one.many:
                continue
            asks = one.key in needed or self._template.asks(one, self._given)
            if asks and self._terminal and not self._values[one.key]:
                self._ask(one)
            while fault := self._fault(one.key) or (self._entry_fault(one.key) if check else ""):
                self._again(one, fault)

    def _again(self, one: Field, fault: str) -> None:
        self._refuse(one.option, fault)
        self._ask(one)

    def _ask(self, one: Field) -> None:
        default = one.default if one.many else next(iter(self._values[one.key]), one.default)
        answer = prompt(one.question or one.key, default=default)
        self._values[one.key] = tuple(answer.split()) if one.many else tuple(filter(None, [answer]))

    def _ask_token(self) -> tuple[str, str]:
        answer = prompt(
            "Where is the token? The name of an environment variable, or the path of a file",
            default=f"{self._provider.upper()}_TOKEN",
        )
        # Not by a dot: a token that was pasted by mistake may have one.
        is_file = "/" in answer or Path(answer).is_file()
        return ("file", str(Path(answer).absolute())) if is_file else ("env", answer)

    def _refuse(self, option: str, fault: str) -> None:
        """Say what is wrong with a value; without a terminal, end with it."""
        if not self._terminal:
            raise ConfigError([f"--{option}: {fault}"])
        click.echo(f"{option.partition('.')[0]}: {fault}", err=True)

    # Checks

    def _fault(self, key: str) -> str:
        """What the settings find wrong with a key; empty if nothing."""
        try:
            self._settings(self._values)
        except ConfigError as error:
            lead = f"{key}: "
            return next((fault.removeprefix(lead) for fault in error.faults if fault.startswith(lead)), "")
        return ""

    def _token_fault(self, kind: str, place: str, *, read: bool) -> str:
        if kind == "env" and self._fault("token"):
            return NOT_A_PLACE
        if kind == "file" and read and not Path(place).is_file():
            return "there is no such file"  # without its name, which may be a token
        try:
            if read:
                self._sample().token.read()
        except Unauthorized as error:
            return str(error)
        return ""

    def _needed_keys(self) -> frozenset[str]:
        """The keys that the token needs, once the server accepts it."""
        url = next(one for one in self._template.fields if one.key == "url")
        while True:
            with _operator_at(self._sample()) as operator:
                try:
                    return operator.driven(self._template.check_access(operator.provider))
                except SourceError as error:
                    refused = error
            if not self._terminal or isinstance(refused, RateLimited):
                raise Refused(f"{refused}; {NOT_WRITTEN}") from refused
            if isinstance(refused, (Unauthorized, Forbidden)):
                self._refuse("token", str(refused))
                self._token = self._ask_token()
                self._complete_token(read=True)
            else:
                self._again(url, str(refused))
                while fault := self._fault("url"):
                    self._again(url, fault)

    def _entry_fault(self, key: str) -> str:
        """What the provider finds wrong with an entry of a list; empty if nothing."""
        for entry in self._values[key]:
            with _operator_at(self._settings({**self._single_values(), key: (entry,)})) as operator:
                try:
                    fault = operator.driven(self._template.check_entry(operator.provider, key, entry))
                except SourceError as error:
                    fault = str(error)
            if fault:
                return fault if self._terminal else f"{fault}; {NOT_WRITTEN}"
        return ""

    def _targets(self) -> list[Target]:
        """The targets that discovery finds; what it could not list is a note on standard error."""
        with _operator_at(self._settings(self._values)) as operator:
            found = operator.targets()
        for note in (*found.faults, *found.notes):
            click.echo(f"note: {note}", err=True)
        if not found.targets:
            raise Refused(f"the token sees nothing that builds; {NOT_WRITTEN}")
        return list(found.targets)

    # Settings

    def _single_values(self) -> Values:
        return {one.key: self._values[one.key] for one in self._template.fields if not one.many}

    def _sample(self) -> Source:
        """The settings with some valid lists: what is tried before there are any."""
        return self._settings({**self._single_values(), **self._template.sample})

    def _source(self, values: Values) -> FirstSource:
        return FirstSource(self._provider, self._name, self._token or ("env", "TOKEN"), values)

    def _settings(self, values: Values) -> Source:
        """The settings of the source, as they will be read from the file. Raises `ConfigError` with lines `KEY: …`."""
        text = first_configuration(self._source(values), "init")
        try:
            return load.read(text, "init", Path.cwd(), families=KNOWN_FAMILIES).sources[0]
        except ConfigError as error:
            found = filter(None, map(FAULT.fullmatch, error.faults))
            raise ConfigError([": ".join(filter(None, match.group("key", "text"))) for match in found]) from error


def prompt(text: str, **how: Any) -> str:
    """The answer to a question on standard error."""
    return str(click.prompt(text, err=True, **how)).strip()


def _values_given(given: Mapping[str, Any], provider: str) -> dict[str, tuple[str, ...]]:
    """The values of the options that a provider has. Raises `UsageError` for those of other providers."""
    own = {one.option: one for one in template_of(provider).fields}
    for name, row in PROVIDERS.items():
        for one in template_of(name).fields:
            if one.option not in own and given[one.option] not in {None, (), one.default}:
                raise click.UsageError(f"--{one.option} is an option for {row.title} only")
    values = {one.key: given[option] for option, one in own.items()}
    return {key: tuple(value) if isinstance(value, tuple) else (value,) for key, value in values.items() if value}


def _token_given(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if given["token_file"]:
        return "file", str(Path(given["token_file"]).absolute())
    return ("env", given["token_env"]) if given["token_env"] else None


@contextmanager
def _operator_at(source: Source) -> Iterator[Operator]:
    operator = operate.operator_for(source, TIMEOUT)
    try:
        with progress.drawn(lambda: progress.Step(f"asking {source.url}")):
            yield operator
    finally:
        operator.close()
