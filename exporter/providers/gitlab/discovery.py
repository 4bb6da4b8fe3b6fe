"""GitLab's projects: those that are named, those of groups, and all that the token is a member of. Pure.

Pages: https://docs.gitlab.com/api/projects/ and https://docs.gitlab.com/api/groups/#list-projects.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from exporter.build import Target
from exporter.errors import BadPayload, NotFound, RateLimited, SourceError, Unauthorized
from exporter.http.wire import Answer, Reading, Request, decode, flag, identifier, mapping, sequence, text
from exporter.providers.contract import About, Discovery, Tell
from exporter.providers.gitlab.calls import Params, ask, next_page, of_project, params_of
from exporter.providers.gitlab.pipelines import Record
from exporter.providers.gitlab.settings import GitLabSource
from exporter.providers.globs import matches
from exporter.providers.pages import path, prefixed, walk

OF_GROUP: Final = (
    ("include_subgroups", "true"),
    ("with_shared", "false"),
    ("archived", "false"),
    ("order_by", "id"),
    ("per_page", "100"),
)
OF_TOKEN: Final = (
    ("membership", "true"),
    ("archived", "false"),
    ("order_by", "id"),
    ("sort", "asc"),
    ("pagination", "keyset"),
    ("per_page", "100"),
)
_BY_NUMBER: Final = re.compile(r"/projects/([0-9]{1,20})$")

Project = tuple[Target, str | None]
"""A project, and its default branch where the record has it."""


@dataclass(slots=True)
class _Found:
    """The projects found so far, each once: by number, and by path whatever the case of its letters."""

    source: GitLabSource
    tell: Tell
    targets: dict[Target, None] = field(default_factory=dict)
    default_branches: dict[Target, str] = field(default_factory=dict)
    faults: list[SourceError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def add(self, projects: Iterable[Project]) -> None:
        """Take in what is new and not excluded, and tell of it."""
        new: dict[Target, None] = {}
        for target, default_branch in projects:
            names = {target.project.lower(), *([f"#{target.handle}"] if target.handle else [])}
            excluded = matches([target.project.lower()], (pattern.lower() for pattern in self.source.exclude))
            if excluded or names & self.names:
                continue
            self.names |= names
            new[target] = None
            if default_branch is not None:
                self.default_branches[target] = default_branch
        self.targets.update(new)
        self.tell(dict.fromkeys(new))

    def failed(self, error: SourceError, what: str) -> None:
        """Keep the fault; raise it where every further request would meet it too."""
        if isinstance(error, Unauthorized | RateLimited):
            raise error
        self.faults.append(prefixed(error, what))


def discovered(source: GitLabSource, tell: Tell) -> Reading[Discovery]:
    """The configured projects, and those of the configured groups that build; without either, all of the token.

    A v3 server, and a project written as a path, is not asked. Such a path is told after the groups, whose lists know
    its spelling and its number. A project or a group that fails is a fault of its own; `Unauthorized` and `RateLimited`
    end the discovery.
    """
    found = _Found(source, tell)
    written, numbers = _named(source)
    if not source.groups:
        found.add(written)
    try:
        for number in numbers:
            yield from _numbered(source, number, found)
        for group in dict.fromkeys(map(str, source.groups)):
            yield from _group(source, group, found)
        if not source.projects and not source.groups:
            yield from _of_token(source, found)
    except (Unauthorized, RateLimited):
        found.add(written)
        raise
    found.add(written)
    return Discovery(
        tuple(found.targets), tuple(found.faults), tuple(found.notes), default_branches=found.default_branches
    )


def about_project(source: GitLabSource, target: Target) -> Reading[About]:
    """The record of the target's project; one that was renamed answers with a redirect to its number.

    v3 servers are not asked for the spelling: their projects are shown as configured.
    """
    try:
        answer = yield from ask(source, Request("project", of_project(source, target)))
    except NotFound as error:
        moved = _BY_NUMBER.search(error.moved_to)
        if moved is None or moved[1] == target.handle:
            raise
        answer = yield from ask(source, Request("project", path("api", source.api, "projects", moved[1])))
    record = mapping(decode(answer), "the project")
    default_branch = text(record, "default_branch")
    if source.api == "v3":
        return About(default_branch, None, target.handle)
    return About(default_branch, _path_of(record), identifier(record.get("id")) or target.handle)


def _named(source: GitLabSource) -> tuple[list[Project], list[str]]:
    """The projects that are written as they are to be shown, and the numbers to ask for."""
    names = _each_once(source.projects)
    # A project's path has a `/`: digits alone are its number, also where they are quoted.
    numbers = [name for name in names if source.api == "v4" and name.isdecimal()]
    written = [(Target(source.name, "project", name, name), None) for name in names if name not in numbers]
    return list[Project](written), numbers


def _each_once(names: Iterable[str | int]) -> list[str]:
    """Names without those that differ in the case of letters only: GitLab ignores it."""
    kept: dict[str, str] = {}
    for name in map(str, names):
        kept.setdefault(name.lower(), name)
    return list(kept.values())


def _numbered(source: GitLabSource, number: str, found: _Found) -> Reading[None]:
    try:
        answer = yield from ask(source, Request("project", path("api", "v4", "projects", number)))
        record = mapping(decode(answer), "the project")
        name = _path_of(record)
        if name is None:
            raise BadPayload('answered no "path_with_namespace"')
    except SourceError as error:
        found.failed(error, f"project {number}")
        return
    found.add([(Target(source.name, "project", name, name, handle=number), text(record, "default_branch"))])


def _group(source: GitLabSource, group: str, found: _Found) -> Reading[None]:
    shown = group if group.isdecimal() else f'"{group}"'
    count = 0
    try:
        for topic in source.topics or (None,):
            where = path("api", "v4", "groups", group, "projects")
            count += yield from _list(source, Request("groups", where, OF_GROUP + _topic(topic)), found.add)
    except SourceError as error:
        found.failed(error, f"group {shown}")
        return
    if not count:
        found.notes.append(f"sources.{source.name}.groups: {shown} has no project that builds{_with_topic(source)}")


def _of_token(source: GitLabSource, found: _Found) -> Reading[None]:
    count = 0
    for topic in source.topics or (None,):
        request = Request("projects", path("api", "v4", "projects"), OF_TOKEN + _topic(topic))
        count += yield from _list(source, request, found.add)
    if not count:
        found.notes.append(
            f"sources.{source.name}: the token is a member of no project that builds{_with_topic(source)}; "
            "name what to read under projects or groups"
        )


def _topic(topic: str | None) -> Params:
    """The parameter for one topic; of several, the API would list only the projects that have them all."""
    return () if topic is None else (("topic", topic),)


def _with_topic(source: GitLabSource) -> str:
    return f" and has the topic {' or '.join(source.topics)}" if source.topics else ""


def _list(source: GitLabSource, first: Request, add: Callable[[Iterable[Project]], None]) -> Reading[int]:
    """How many projects that build a list has; `add` takes those of each page as it comes."""

    def request(cursor: str | None) -> Request:
        return first if cursor is None else Request(first.operation, first.path, params_of(cursor))

    def read(answer: Answer, cursor: str | None) -> tuple[list[Project], str | None]:
        projects = list(_building(source, sequence(decode(answer), "the projects")))
        add(projects)
        return projects, next_page(answer, request(cursor))

    return len((yield from walk(request, read)))


def _building(source: GitLabSource, records: list[object]) -> Iterator[Project]:
    """The projects of a page that build, and have one of the wanted topics as far as their record tells."""
    for record in records:
        if not isinstance(record, dict) or flag(record, "archived") or flag(record, "jobs_enabled") is False:
            continue
        name, handle = _path_of(record), identifier(record.get("id"))
        if text(record, "builds_access_level") == "disabled" or name is None or handle is None:
            continue
        if _wanted(source, record):
            yield Target(source.name, "project", name, name, handle), text(record, "default_branch")


def _wanted(source: GitLabSource, record: Record) -> bool:
    topics = record.get("topics")
    if not source.topics or not isinstance(topics, list):
        return True
    return not {str(topic).lower() for topic in topics}.isdisjoint(topic.lower() for topic in source.topics)


def _path_of(project: Record) -> str | None:
    name = project.get("path_with_namespace")
    return identifier(name) if isinstance(name, str) else None
