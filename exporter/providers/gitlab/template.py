"""GitLab's part of `init`."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Final

from exporter.build import Target
from exporter.errors import Forbidden, NotFound, SourceError
from exporter.http.wire import Reading, Request, decode, mapping
from exporter.providers.gitlab.api import GitLab
from exporter.providers.pages import path
from exporter.providers.template import Field, FirstSource, Values, commented, flow_list, scalar, token_line


@dataclass(frozen=True, slots=True)
class GitLabTemplate:
    """The options, checks and lines of a first GitLab source."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            "url",
            "the address of the server, e.g. https://gitlab.example.com",
            "Address of the GitLab server",
            "https://gitlab.com",
        ),
        Field("api", "api", "the version of the API; v3 for GitLab 10 and older", "", "v4", ("v4", "v3")),
        Field(
            "projects",
            "project",
            "the path or number of a project to read",
            "Projects to read (paths, separated by spaces; none: press Enter)",
            many=True,
        ),
        Field(
            "groups",
            "group",
            "the path of a group whose projects are read",
            "Groups to read, with subgroups (paths; without projects and groups: every project of the token)",
            many=True,
        ),
    )
    sample: ClassVar[Values] = {"projects": ("group/project",)}

    def asks(self, field: Field, given: Values) -> bool:
        """Ask for projects and groups only if neither was given; API v3 has no groups."""
        if field.key == "groups" and given.get("api") == ("v3",):
            return False
        return not (field.many and (given.get("projects") or given.get("groups")))

    def lines(self, source: FirstSource) -> Iterator[str]:
        """`url`, `api`, `token`, `projects`, `groups` and `exclude`."""
        api, projects, groups = source.value("api"), source.values.get("projects", ()), source.values.get("groups", ())
        yield f"    url: {scalar(source.value('url'))}"
        yield commented(f"    api: {api}", "v3 for GitLab 10 and older")
        yield token_line(source)
        if projects:
            yield commented(f"    projects: {flow_list(projects)}", "paths or numbers")
        else:
            yield commented("    # projects: [shop/web, 42]", "paths or numbers")
        if groups:
            yield commented(f"    groups: {flow_list(groups)}", "with their subgroups")
        elif api != "v3":
            yield commented("    # groups: [platform]", "with their subgroups")
        if api != "v3":
            yield commented("    # topics: [production]", "of groups, only projects with one of these topics")
        yield commented('    # exclude: ["*/archive/*"]', "paths or globs")

    def check_access(self, provider: GitLab) -> Reading[frozenset[str]]:
        """Read the user of the token: every version of the API has this call, and no project is needed for it."""
        version = provider.source.api
        try:
            answer = yield Request("user", path("api", version, "user"))
            mapping(decode(answer), "the user")
        except NotFound as error:
            if error.status == HTTPStatus.GONE:
                raise NotFound(f"{provider.source.url} has no API v3 any more: use v4", status=error.status) from error
            hint = "" if version == "v3" else "; for GitLab 10 and older, use API v3"
            raise NotFound(f"{provider.source.url} has no GitLab API {version}{hint}", status=error.status) from error
        except Forbidden as error:
            raise Forbidden(f"{error}; it needs the scope read_api", status=error.status) from error
        return frozenset()

    def check_entry(self, provider: GitLab, key: str, entry: str) -> Reading[str]:
        """Read one job of a project, or one project of a group."""
        if key == "groups":
            missing = yield from self._missing(provider, "groups", entry)
            if missing and not (yield from self._missing(provider, "projects", entry)):
                return f"{entry} is a project, not a group: write it as a project"
            return f"there is no group {entry}, or the token cannot see it" if missing else ""
        try:
            yield from provider.builds(Target(provider.source.name, "project", entry, entry), 1)
        except Forbidden:
            return f"the token cannot read jobs of {entry}: it needs the role Reporter there, and CI/CD must be enabled"
        except NotFound:
            if provider.source.api == "v4" and not (yield from self._missing(provider, "groups", entry)):
                return f"{entry} is a group, not a project: write it as a group"
            return f"there is no project {entry}, or the token cannot see it"
        return ""

    def _missing(self, provider: GitLab, kind: str, entry: str) -> Reading[bool]:
        """Whether there is no such group or project that the token can see."""
        parts = (kind, entry, "projects") if kind == "groups" else (kind, entry)
        try:
            yield Request(kind, path("api", provider.source.api, *parts), (("per_page", "1"),))
        except NotFound:
            return True
        except SourceError as error:
            if error.status is None:
                raise
        return False


TEMPLATE: Final = GitLabTemplate()
"""The provider's template, by the name that every provider's module has."""
