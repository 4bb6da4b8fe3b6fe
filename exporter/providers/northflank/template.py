"""Northflank's part of `init`."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, Final

from exporter.errors import Forbidden, NotFound
from exporter.http.wire import Reading, Request, decode, identifier, inner, mapping
from exporter.providers.northflank.api import Northflank
from exporter.providers.northflank.settings import API
from exporter.providers.pages import path
from exporter.providers.template import Field, FirstSource, Values, commented, scalar, token_line


@dataclass(frozen=True, slots=True)
class NorthflankTemplate:
    """The options, checks and lines of a first Northflank source."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("url", "url", f"the address of the API, if it is not {API}"),
        Field("team", "team", "the team, for a token of an organisation"),
        Field(
            "projects",
            "project",
            "the id of a project to read",
            "Projects to read (ids, separated by spaces)",
            many=True,
        ),
    )
    sample: ClassVar[Values] = {}

    def asks(self, field: Field, given: Values) -> bool:  # noqa: ARG002  # for none
        """Ask for nothing: without projects, every project is read."""
        return False

    def lines(self, source: FirstSource) -> Iterator[str]:
        """`url` if it is not the default, `token`, `team`, and `projects` with their keys."""
        url, team, projects = source.value("url"), source.value("team"), source.values.get("projects", ())
        if url:
            yield f"    url: {scalar(url)}"
        yield token_line(source)
        yield (
            f"    team: {scalar(team)}" if team else commented("    # team: my-team", "for a token of an organisation")
        )
        if projects:
            yield "    projects:"
            for project in projects:
                yield f"      - id: {scalar(project)}"
            indent = "        # "
        else:
            yield commented("    # projects:", "without it: every project that the token can see")
            yield "    #   - id: shop"
            indent = "    #     "
        yield commented(f'{indent}services: ["*"]', "names or globs; without it: every service that builds")
        yield f'{indent}jobs: ["*"]'
        yield f'{indent}exclude: ["*-preview"]'

    def check_access(self, provider: Northflank) -> Reading[frozenset[str]]:
        """Read the list of projects. A token that may not read it needs the key `projects`."""
        try:
            yield from _projects(provider)
        except Forbidden:
            return frozenset({"projects"})
        return frozenset()

    def check_entry(self, provider: Northflank, key: str, entry: str) -> Reading[str]:  # noqa: ARG002  # one list
        """Read the services of a project."""
        try:
            yield from provider.services(entry)
        except Forbidden:
            return f"the token needs the permission Project > Services > General > Read in project {entry}"
        except NotFound:
            try:
                known = yield from _projects(provider)
            except Forbidden:
                known = []
            similar = get_close_matches(entry, known, n=1)
            suggestion = f'; did you mean "{similar[0]}"?' if similar else ""
            return f"there is no project {entry}, or the token cannot see it{suggestion}"
        return ""


def _projects(provider: Northflank) -> Reading[list[str]]:
    """The ids of the first 100 projects that the token can see."""
    team = provider.source.team
    where = path("v1", *(("teams", team) if team else ()), "projects")
    answer = yield Request("projects", where, (("per_page", "100"),))
    records = inner(mapping(decode(answer), "the answer"), "data").get("projects")
    found = (
        (identifier(record.get("id")) for record in records if isinstance(record, dict))
        if isinstance(records, list)
        else ()
    )
    return [project for project in found if project is not None]


TEMPLATE: Final = NorthflankTemplate()
"""The provider's template, by the name that every provider's module has."""
