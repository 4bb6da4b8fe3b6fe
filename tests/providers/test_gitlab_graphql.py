"""Which pipelines changed in many projects: what GraphQL is asked, and what comes of its answers, whatever they are."""

from typing import Any

import orjson
import pytest
from driving import NAMELESS, answer, gitlab
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Outcome, Target
from exporter.errors import BadPayload, NotFound, SourceError, Unreachable
from exporter.http.wire import Answer, Request
from exporter.providers import Changes, Rejected, RunChange
from exporter.providers.gitlab.api import GitLab
from exporter.providers.gitlab.graphql import PROJECTS

V4 = GitLab(gitlab("shop/web"))
V3 = GitLab(gitlab("shop/web", v3=True))
WEB = Target("gl", "project", "shop/web", "shop/web", "42")
API = Target("gl", "project", "shop/api", "shop/api", "43")
EIGHT = 1_772_438_400.0  # 2026-03-02T08:00:00Z


def pipeline(number: object, status: object = "SUCCESS", at: object = "2026-03-02T08:00:00Z") -> dict[str, object]:
    return {"id": f"gid://gitlab/Ci::Pipeline/{number}", "status": status, "updatedAt": at}


def page(*nodes: object, more: object = False) -> dict[str, object]:
    return {"nodes": [*nodes], "pageInfo": {"hasNextPage": more, "endCursor": "abc"}}


def project(number: int, *pipelines: object, children: tuple[object, ...] = (), more: bool = False) -> dict[str, Any]:
    return {
        "id": f"gid://gitlab/Project/{number}",
        "pipelines": page(*pipelines, more=more),
        "children": page(*children),
    }


def told(*nodes: object, **more: Any) -> dict[str, Any]:
    return {"data": {"projects": page(*nodes, **more)}}


def read(*bodies: object, asked: list[Request] | None = None) -> Any:
    """What a look at the two projects gives for these answers, one after the other."""
    reading = V4.changes([WEB, API], EIGHT + 0.9)
    waiting, requests = list(bodies), [] if asked is None else asked
    try:
        requests.append(next(reading))
        while waiting:
            body = waiting.pop(0)
            requests.append(reading.send(body if isinstance(body, Answer) else answer(body)))
    except StopIteration as end:
        return end.value
    raise AssertionError("asked for more")


def test_one_request_asks_for_all_projects_by_their_global_ids() -> None:
    asked: list[Request] = []
    read(told(), asked=asked)
    (request,) = asked
    assert (request.operation, request.path, request.params) == ("graphql", "/api/graphql", ())
    body = orjson.loads(request.query or b"")
    assert body["variables"] == {
        "ids": ["gid://gitlab/Project/42", "gid://gitlab/Project/43"],
        "since": "2026-03-02T08:00:00Z",
        "after": None,
    }
    assert body["query"].lstrip().startswith("query ")
    assert "mutation" not in body["query"]


def test_the_changed_pipelines_of_each_project_are_shown_and_children_are_marked() -> None:
    changed = [pipeline(9, "RUNNING"), pipeline(7, "FAILED", "2026-03-02T09:00:00+01:00")]
    shown = read(told(project(43), project(42, *changed, children=(pipeline(8, "NEW_WORD"),))))
    assert shown == {
        API: Changes(),
        WEB: Changes(
            frozenset(
                {
                    RunChange("9", "running", Outcome.EXECUTING, EIGHT),
                    RunChange("7", "failed", Outcome.FAILURE, EIGHT),
                    RunChange("8", "new_word", Outcome.UNKNOWN, EIGHT, child=True),
                }
            )
        ),
    }


def test_projects_that_are_missing_null_or_without_pipelines_are_not_shown() -> None:
    hidden = project(42) | {"pipelines": None}
    others = [None, {"id": 5}, {"id": "gid://gitlab/Group/42"}, {"id": "gid://gitlab/Project/99"}]
    assert read(told(hidden, *others)) == {}
    assert read(told(project(43) | {"children": {"nodes": None}})) == {}
    field_error = {"errors": [{"message": "not allowed", "path": ["projects", "nodes", 0, "pipelines"]}]}
    assert read(told(hidden, project(43)) | field_error) == {API: Changes()}


@pytest.mark.parametrize("more", [True, None, "no"])
def test_where_more_changed_than_an_answer_shows_it_is_not_complete(more: Any) -> None:
    shown = read(told(project(42, pipeline(9), more=more), project(43)))
    assert (shown[WEB].complete, shown[API].complete) == (False, True)


def test_a_record_that_cannot_be_used_is_rejected_alone_and_leaves_the_project_in_doubt() -> None:
    bad = ["text", {"id": 5}, pipeline("1 or 2"), pipeline(1, None), pipeline(2, at="yesterday"), pipeline("9" * 21)]
    shown = read(told(project(42, *bad, pipeline(3)), project(43)))
    assert [run.id for run in shown[WEB].runs] == ["3"]
    assert not shown[WEB].complete
    assert [(each.reason, NAMELESS.sub("", each.id)) for each in shown[WEB].rejected] == [
        ("not_an_object", ""),
        ("no_id", ""),
        ("no_id", ""),
        ("no_status", "1"),
        ("no_updated_at", "2"),
        ("no_id", ""),
    ]
    assert shown[API] == Changes()


def test_further_pages_of_projects_are_followed_but_not_in_a_circle() -> None:
    asked: list[Request] = []
    shown = read(told(project(42), more=True), told(project(43)), asked=asked)
    assert set(shown) == {WEB, API}
    assert orjson.loads(asked[1].query or b"")["variables"]["after"] == "abc"
    assert set(read(told(project(42), more=True), told(project(42), more=True))) == {WEB}


UNKNOWN_ARGUMENT = {
    "message": "Field 'pipelines' doesn't accept argument 'updatedAfter'",
    "extensions": {"code": "argumentNotAccepted"},
}
TOO_COMPLEX = {"message": "Query has complexity of 260, which exceeds max complexity of 250"}


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"errors": [UNKNOWN_ARGUMENT]}, NotFound, "doesn't accept argument"),
        ({"errors": [{"message": "x", "extensions": {"code": "undefinedField"}}]}, NotFound, "not all that is asked"),
        ({"errors": [TOO_COMPLEX]}, BadPayload, "complexity of 260"),
        ({"errors": [{"message": "Timeout on Project.pipelines"}]} | told(project(42)), Unreachable, "too long"),
        ({"errors": [{"message": "Internal server error"}]}, BadPayload, "Internal server error"),
        ({"errors": [{"message": "a\nb\x00\u202ec"}], "data": None}, BadPayload, "a b"),
        ({"errors": "x", "data": {"projects": None}}, BadPayload, "no"),
        ({"data": {"projects": {"nodes": {}}}}, BadPayload, "no"),
        ([], BadPayload, "an array"),
        (b"<html>", BadPayload, "HTML"),
        (b"", BadPayload, "empty"),
    ],
)
def test_what_is_said_instead_of_projects_is_an_error(body: Any, kind: type[SourceError], said: str) -> None:
    with pytest.raises(kind, match=said) as raised:
        read(body)
    assert str(raised.value).isprintable()


def test_only_projects_of_v4_whose_number_is_known_can_be_shown() -> None:
    assert V4.shows_changes(WEB)
    assert not V4.shows_changes(Target("gl", "project", "shop/web", "shop/web"))
    assert not V3.shows_changes(WEB)
    assert PROJECTS == 100


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
pipelines = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.integers(0, 9).map("gid://gitlab/Ci::Pipeline/{}".format), anything),
        "status": st.one_of(st.sampled_from(["SUCCESS", "RUNNING"]), anything),
        "updatedAt": st.one_of(st.just("2026-03-02T08:00:00Z"), anything),
    },
)


def connection(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    info = st.fixed_dictionaries({}, optional={"hasNextPage": st.one_of(st.booleans(), anything)})
    whole = {"nodes": st.one_of(st.lists(st.one_of(of, anything), max_size=3), anything), "pageInfo": info}
    return st.one_of(st.fixed_dictionaries({}, optional=whole), anything)


projects = st.fixed_dictionaries(
    {"id": st.one_of(st.sampled_from(["gid://gitlab/Project/42", "gid://gitlab/Project/43"]), anything)},
    optional={"pipelines": connection(pipelines), "children": connection(pipelines)},
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "data": st.one_of(st.fixed_dictionaries({"projects": connection(projects)}), anything),
        "errors": st.one_of(st.lists(anything, max_size=2), anything),
    },
)


@given(st.lists(st.one_of(bodies, anything), min_size=2, max_size=2))
def test_any_answer_gives_changes_or_an_error(answers: list[object]) -> None:
    try:
        shown = read(*answers)
    except SourceError:
        return
    except AssertionError as error:
        assert str(error) == "asked for more"  # noqa: PT017  # as `read` says it
        return
    for target, changes in shown.items():
        assert target in {WEB, API}
        assert all(isinstance(each, RunChange) for each in changes.runs)
        assert all(isinstance(each, Rejected) for each in changes.rejected)
