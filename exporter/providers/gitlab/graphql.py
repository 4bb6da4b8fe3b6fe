"""Which pipelines changed in many projects, by one request of GitLab's GraphQL. Pure.

Page: https://docs.gitlab.com/api/graphql/reference/. The answer only shows that something changed; what it is, is read
by the REST API. The query is constant, and reads: a token with the scope `read_api` is enough.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import orjson

from exporter.build import Outcome, Target
from exporter.errors import BadPayload, NotFound, SourceError, Unreachable
from exporter.http.wire import (
    Answer,
    Reading,
    Request,
    decode,
    flag,
    inner,
    instant,
    mapping,
    sequence,
    text,
)
from exporter.providers.contract import Changes, Rejected, RunChange
from exporter.providers.gitlab.calls import iso
from exporter.providers.gitlab.outcomes import OUTCOMES
from exporter.providers.gitlab.pipelines import Record
from exporter.providers.pages import nameless, path

PROJECTS: Final = 100
"""Projects of one request at most: a page of GraphQL has no more."""
PIPELINES: Final = 20
"""Changed pipelines of a project that one answer shows at most; of a project with more, the oldest are cut off."""

QUERY: Final = f"""
query changedPipelines($ids: [ID!], $since: Time, $after: String) {{
  projects(ids: $ids, first: {PROJECTS}, after: $after) {{
    nodes {{
      id
      pipelines(first: {PIPELINES}, updatedAfter: $since) {{
        nodes {{ id status updatedAt }}
        pageInfo {{ hasNextPage }}
      }}
      children: pipelines(first: {PIPELINES}, updatedAfter: $since, source: "parent_pipeline") {{
        nodes {{ id status updatedAt }}
        pageInfo {{ hasNextPage }}
      }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""
"""The complexity of it is 44 of the 250 points that GitLab allows."""

_PROJECT: Final = "gid://gitlab/Project/"
_PIPELINE: Final = re.compile(r"gid://gitlab/Ci::Pipeline/([0-9]{1,20})")
_UNKNOWN: Final = re.compile(
    r"doesn't exist on type|doesn't accept argument|mismatch on variable|isn't a defined", re.IGNORECASE
)
_TIMED_OUT: Final = re.compile(r"time(?:d )?-?out", re.IGNORECASE)
_UNKNOWN_CODES: Final = frozenset({"undefinedField", "argumentNotAccepted", "variableMismatch", "undefinedType"})


def changed_pipelines(targets: Collection[Target], since: float) -> Reading[Mapping[Target, Changes]]:
    """The pipelines of the projects that changed since then (the server's time); child pipelines are marked as such.

    A project that the answer leaves out, or of which it lacks a part, is not in the result.
    """
    by_number = {target.handle: target for target in targets}
    found: dict[Target, Changes] = {}
    cursor: str | None = None
    for _ in range(len(by_number)):
        answer = yield _request(by_number, since, cursor)
        projects = _projects(answer)
        for node in sequence(projects.get("nodes"), '"data.projects.nodes"'):
            number = _number(node)
            changes = _changes(mapping(node, "a project")) if number in by_number else None
            if changes is not None:
                found.setdefault(by_number[number], changes)
        before, cursor = cursor, _next_page(projects)
        if cursor is None or cursor == before:
            break
    return found


def _request(numbers: Iterable[str], since: float, cursor: str | None) -> Request:
    ids = [f"{_PROJECT}{number}" for number in numbers]
    variables = {"ids": ids, "since": iso(since), "after": cursor}
    return Request("graphql", path("api", "graphql"), query=orjson.dumps({"query": QUERY, "variables": variables}))


def _projects(answer: Answer) -> Record:
    """The page of projects in an answer. Raises what the answer says instead: GraphQL's errors have the status 200."""
    body = mapping(decode(answer), "the answer")
    listed = body.get("errors")
    errors = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    for error in errors:
        raised = _error(error)
        if raised is not None:
            raise raised
    projects = inner(inner(body, "data"), "projects")
    if not isinstance(projects.get("nodes"), list):
        said = f": {_said(errors[0])}" if errors else ""
        raise BadPayload(f'GraphQL answered no "data.projects.nodes"{said}')
    return projects


def _error(record: Record) -> SourceError | None:
    """The error for one of GraphQL's that spoils the whole answer; None for one that concerns a single project."""
    said = _said(record)
    if inner(record, "extensions").get("code") in _UNKNOWN_CODES or _UNKNOWN.search(said):
        return NotFound(f"GraphQL has not all that is asked for: {said}")
    if "complexity" in said.lower():
        return BadPayload(f"GraphQL refused the query: {said}")
    return Unreachable(f"GraphQL took too long: {said}") if _TIMED_OUT.search(said) else None


def _said(error: Record) -> str:
    """The message of one of GraphQL's errors as one printable line."""
    message = text(error, "message") or ""
    return " ".join("".join(c if c.isprintable() else " " for c in message).split())


def _next_page(projects: Record) -> str | None:
    page = inner(projects, "pageInfo")
    cursor = page.get("endCursor")
    return cursor if flag(page, "hasNextPage") and isinstance(cursor, str) and cursor else None


def _number(node: object) -> str:
    """The number of a project's node; empty where it has none."""
    name = node.get("id") if isinstance(node, dict) else None
    return name.removeprefix(_PROJECT) if isinstance(name, str) and name.startswith(_PROJECT) else ""


def _changes(node: Record) -> Changes | None:
    """The changed pipelines of a project's node; None where a part of it is missing."""
    runs: set[RunChange] = set()
    rejected: list[Rejected] = []
    complete = True
    for key in ("pipelines", "children"):
        page = node.get(key)
        nodes = page.get("nodes") if isinstance(page, dict) else None
        if not isinstance(page, dict) or not isinstance(nodes, list):
            return None
        complete = complete and flag(inner(page, "pageInfo"), "hasNextPage") is False
        for record in nodes:
            change = _change(record, rejected, child=key == "children")
            if isinstance(change, RunChange):
                runs.add(change)
            else:
                rejected.append(change)
    return Changes(frozenset(runs), complete and not rejected, tuple(rejected))


def _change(record: object, before: Sequence[Rejected], *, child: bool) -> RunChange | Rejected:
    if not isinstance(record, dict):
        return nameless("not_an_object", record, before)
    name = record.get("id")
    match = _PIPELINE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return nameless("no_id", record, before)
    status, updated_at = (text(record, "status") or "").lower(), instant(record.get("updatedAt"))
    if not status or updated_at is None:
        return Rejected("no_status" if not status else "no_updated_at", match[1])
    return RunChange(match[1], status, OUTCOMES.get(status, Outcome.UNKNOWN), updated_at, child)
