"""GitLab's GraphQL, as far as it tells which pipelines moved in many projects: `POST /api/graphql`.

query($ids: [ID!]) {
  projects(ids: $ids, first: 100) {
    nodes { id pipelines(first: 20, updatedAfter: "2026-01-01T00:00:00Z") { nodes { id status updatedAt } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import orjson

from exporter.simulator.gitlab_pipelines import Filter, Invalid, listed, moment
from exporter.simulator.graphql_query import Operation, Place, Selection, Unreadable, Variable, parse
from exporter.simulator.graphql_schema import PAGE_MOST, Fault, complexity, faults, is_of
from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.pipeline import Builds, Pipeline
from exporter.simulator.words import iso
from exporter.simulator.world import GitLabProject

QUERY_MOST = 10_000
"""Characters of a query; variables do not count."""
PROJECT, PIPELINE = "gid://gitlab/Project/", "gid://gitlab/Ci::Pipeline/"
TOO_SLOW = "Request timed out. Please try a less complex query or a smaller set of records."


class Refused(Exception):
    """A field cannot be resolved: it is null, and the answer says why."""

    def __init__(self, text: str, selection: Selection) -> None:
        super().__init__(text)
        self.selection = selection


class Rejected(Exception):
    """A query is not resolved at all; these are the errors, and the HTTP status, which is mostly 200."""

    def __init__(self, errors: list[dict[str, Any]], status: int = 200) -> None:
        super().__init__(errors)
        self.errors, self.status = errors, status


class Projects(NamedTuple):
    """What is asked about, and when (epoch seconds)."""

    projects: Sequence[GitLabProject]
    builds: Callable[[GitLabProject], Builds]
    now: float


@dataclass(frozen=True, slots=True)
class GraphQL:
    """How much of it a server has, and how it fails; to change that, put another in the place of this one."""

    without: frozenset[str] = frozenset()
    """Fields and arguments that it does not have: `Project.pipelines.updatedAfter`, `Pipeline.source`."""
    complexity: int = 250
    """How complex a query may be."""
    most_projects: int | None = None
    """A query that gives more projects takes too long, and is answered with 503."""
    unseen: frozenset[int] = frozenset()
    """Ids of projects that are left out."""
    empty: frozenset[int] = frozenset()
    """Ids of projects whose pipelines may not be seen: they seem to have none."""

    def answer(self, request: Request, projects: Projects) -> Answer:
        """The answer to a request that has shown its token."""
        try:
            return _Reading(self, projects).answer(self._operation(request))
        except Rejected as rejected:
            return json_answer({"errors": rejected.errors}, rejected.status)

    def _operation(self, request: Request) -> Operation:
        """The query with its variables filled in. Raises Rejected."""
        text, name, given = _body(request)
        try:
            operation = _chosen(parse(text), name)
        except Unreadable as unreadable:
            raise Rejected([{"message": str(unreadable), "locations": [_where(unreadable.place)]}]) from None
        wrong = [*faults(operation, self.without), *_wrong_values(operation, given)]
        if wrong:
            raise Rejected([fault.record() for fault in wrong])
        filled = replace(operation, fields=tuple(_filled(one, operation, given) for one in operation.fields))
        counted = complexity(filled)
        if counted > self.complexity:
            text = f"Query has complexity of {counted}, which exceeds max complexity of {self.complexity}"
            raise Rejected([{"message": text}])
        return filled


def _body(request: Request) -> tuple[str, str | None, Mapping[str, Any]]:
    """Query, name of the operation and variables. Raises Rejected."""
    if request.method != "POST":
        raise Rejected([{"message": "Not found!"}], 404)
    try:
        body = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError:
        body = None
    variables = body.get("variables") or {} if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(variables, dict):
        raise Rejected([{"message": "Unexpected end of document", "locations": []}])
    text = str(body.get("query") or "")
    if len(text) > QUERY_MOST:
        raise Rejected([{"message": "Query too large"}], 422)
    return text, body.get("operationName"), variables


def _where(place: Place) -> dict[str, int]:
    return {"line": place.line, "column": place.column}


def _chosen(operations: list[Operation], name: str | None) -> Operation:
    chosen = next((one for one in operations if name in (None, one.name)), None)
    if chosen is None or (name is None and len(operations) > 1):
        raise Unreadable("An operation name is required", operations[0].place)
    if chosen.kind != "query":
        raise Unreadable("Only queries are simulated", chosen.place)
    return chosen


def _wrong_values(operation: Operation, given: Mapping[str, Any]) -> Iterator[Fault]:
    for name, declared in operation.variables.items():
        value = given.get(name, declared.default)
        if not is_of(value, declared.type):
            text = f"Variable ${name} of type {declared.type} was provided invalid value"
            yield Fault(text, declared.place, (), {"value": str(value)})


def _filled(selection: Selection, operation: Operation, given: Mapping[str, Any]) -> Selection:
    """The selection with the values of its variables in their places."""

    def value(one: Any) -> Any:
        if isinstance(one, Variable):
            return given.get(one.name, operation.variables[one.name].default)
        return [value(inner) for inner in one] if isinstance(one, list) else one

    arguments = {name: filled for name, one in selection.arguments.items() if (filled := value(one)) is not None}
    fields = tuple(_filled(inner, operation, given) for inner in selection.fields)
    return replace(selection, arguments=arguments, fields=fields)


class _Reading:
    """One query at one time."""

    def __init__(self, server: GraphQL, projects: Projects) -> None:
        self._server, self._builds, self._now = server, projects.builds, projects.now
        self._projects = [project for project in projects.projects if project.id not in server.unseen]

    def answer(self, operation: Operation) -> Answer:
        """All that was asked for. Raises Rejected."""
        data: dict[str, Any] = {}
        errors: list[dict[str, Any]] = []
        for selection in operation.fields:
            try:
                data[selection.alias] = self._query(selection)
            except Refused as refused:
                where = _where(refused.selection.place)
                errors.append({"message": str(refused), "locations": [where], "path": [selection.alias]})
                data[selection.alias] = None
        return json_answer({"data": data, **({"errors": errors} if errors else {})})

    def _query(self, selection: Selection) -> Any:
        if selection.name == "__typename":
            return "Query"
        if selection.name == "project":
            path = str(selection.arguments["fullPath"]).lower()
            found = next((project for project in self._projects if project.path.lower() == path), None)
            return None if found is None else self._project(found, selection)
        wanted = None
        if (ids := selection.arguments.get("ids")) is not None:
            wanted = {_project_id(one, selection) for one in (ids if isinstance(ids, list) else [ids])}
        some = [project for project in self._projects if wanted is None or project.id in wanted]
        if self._server.most_projects is not None and len(some) > self._server.most_projects:
            raise Rejected([{"message": TOO_SLOW}], 503)
        ascending = selection.arguments.get("sort") == "id_asc"
        ordered = sorted(some, key=lambda project: project.id, reverse=not ascending)
        return _page(selection, ordered, lambda project: project.id, self._project, ascending=ascending)

    def _project(self, project: GitLabProject, selection: Selection) -> dict[str, Any]:
        known: dict[str, Any] = {
            "__typename": "Project",
            "id": f"{PROJECT}{project.id}",
            "name": project.path.rpartition("/")[2],
            "fullPath": project.path,
            "webUrl": f"https://gitlab.example.com/{project.path}",
            "archived": project.archived,
        }
        return {
            one.alias: self._pipelines(project, one) if one.name == "pipelines" else known[one.name]
            for one in selection.fields
        }

    def _pipelines(self, project: GitLabProject, selection: Selection) -> dict[str, Any]:
        builds = self._builds(project)
        hidden = project.id in self._server.empty or not project.jobs_enabled
        some = () if hidden else listed(builds, _filter(selection), self._now)
        children: dict[int, Pipeline] = {}

        def show(pipeline: Pipeline, asked: Selection) -> dict[str, Any]:
            if pipeline.parent is not None and pipeline.parent not in children:
                children.update((one.number, one) for one in builds.family(pipeline))
            return self._pipeline(project, pipeline, children, asked)

        return _page(selection, some, lambda pipeline: pipeline.number, show)

    def _pipeline(
        self, project: GitLabProject, pipeline: Pipeline, family: Mapping[int, Pipeline], selection: Selection
    ) -> dict[str, Any]:
        status, since = pipeline.at(self._now)
        upstream = None if pipeline.parent is None else family.get(pipeline.parent)
        known: dict[str, Any] = {
            "__typename": "Pipeline",
            "id": f"{PIPELINE}{pipeline.number}",
            "iid": str(pipeline.number // 2 % 100_000),
            "status": status.upper(),
            "ref": pipeline.head.ref,
            "sha": pipeline.head.sha,
            "source": pipeline.source,
            "createdAt": _seconds(pipeline.created),
            "updatedAt": _seconds(since),
            "startedAt": _seconds(pipeline.started(self._now)),
            "finishedAt": _seconds(pipeline.finished(self._now)),
            "path": f"/{project.path}/-/pipelines/{pipeline.number}",
        }
        return {
            one.alias: (upstream and self._pipeline(project, upstream, family, one))
            if one.name == "upstream"
            else known[one.name]
            for one in selection.fields
        }


def _seconds(at: float | None) -> str | None:
    """GraphQL's times are whole seconds."""
    return None if at is None else iso(int(at)).replace(".000Z", "Z")


def _project_id(text: Any, selection: Selection) -> int:
    number = str(text).removeprefix(PROJECT)
    if number == str(text) or not number.isdecimal():
        raise Refused(f'"{text}" is not a valid GitLab ID.', selection)
    return int(number)


def _filter(selection: Selection) -> Filter:
    given = selection.arguments
    words = {name: str(given[name]) for name in ("ref", "sha", "source") if given.get(name)}
    lowered = {name: str(given[name]).lower() for name in ("status", "scope") if given.get(name)}
    spelled = {"updatedAfter": "updated_after", "updatedBefore": "updated_before"}
    try:
        moments = {ours: moment(str(given[name]), name) for name, ours in spelled.items() if name in given}
    except Invalid as invalid:
        raise Refused(str(invalid), selection) from None
    return Filter(**words, **lowered, **moments)  # type: ignore[arg-type]  # each of its own type


def _page(
    selection: Selection,
    rows: Iterable[Any],
    number: Callable[[Any], int],
    show: Callable[[Any, Selection], Any],
    *,
    ascending: bool = False,
) -> dict[str, Any]:
    """A page of rows in the order of their numbers: the one after the cursor."""
    size = min(int(selection.arguments.get("first", PAGE_MOST)), PAGE_MOST)
    rows = list(rows) if any(one.name == "count" for one in selection.fields) else rows
    seen = _opened(selection.arguments.get("after"), selection)
    later = (row for row in rows if seen is None or (number(row) > seen if ascending else number(row) < seen))
    page = list(islice(later, size + 1))
    more, page = len(page) > size, page[:size]
    cursors = [_sealed(number(row)) for row in page]
    info = {
        "__typename": "PageInfo",
        "hasNextPage": more,
        "hasPreviousPage": seen is not None,
        "startCursor": cursors[0] if cursors else None,
        "endCursor": cursors[-1] if cursors else None,
    }
    answer: dict[str, Any] = {}
    for one in selection.fields:
        if one.name == "nodes":
            answer[one.alias] = [show(row, one) for row in page]
        elif one.name == "pageInfo":
            answer[one.alias] = {inner.alias: info[inner.name] for inner in one.fields}
        elif one.name == "count":
            answer[one.alias] = len(rows) if isinstance(rows, list) else None
        else:
            answer[one.alias] = "Connection"
    return answer


def _sealed(number: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"id": str(number)})).decode()


def _opened(cursor: Any, selection: Selection) -> int | None:
    if cursor is None:
        return None
    try:
        return int(orjson.loads(base64.urlsafe_b64decode(str(cursor)))["id"])
    except (ValueError, KeyError, TypeError):
        raise Refused(f'Invalid cursor provided: "{cursor}"', selection) from None
