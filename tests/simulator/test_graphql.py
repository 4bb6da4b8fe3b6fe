"""GraphQL as GitLab speaks it: which pipelines moved in many projects."""

import contextlib
from dataclasses import replace
from typing import Any

import graphql as core
import orjson
import pytest
from asking import BEARER, NOW, Clock, ask, linked, simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.providers.gitlab.graphql import QUERY
from exporter.simulator import GraphQL, Job, Request, Script, Simulator, scripted, world
from exporter.simulator.graphql_query import Declared, Selection, Unreadable, Variable, Word, parse
from exporter.simulator.graphql_schema import complexity
from exporter.simulator.words import iso

MOVED = """
query moved($ids: [ID!], $after: Time) {
  projects(ids: $ids, first: 100) {
    nodes {
      id
      fullPath
      pipelines(first: 20, updatedAfter: $after) {
        nodes { id status updatedAt createdAt ref sha source }
        pageInfo { hasNextPage endCursor }
      }
      children: pipelines(first: 20, updatedAfter: $after, source: "parent_pipeline") {
        nodes { id status upstream { id } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def post(server: Simulator, query: str, **variables: Any) -> Any:
    answer = ask(server, "/api/graphql", "POST", orjson.dumps({"query": query, "variables": variables}))
    assert answer.status == 200, answer.body
    return orjson.loads(answer.body)


def data(server: Simulator, query: str, **variables: Any) -> Any:
    answer = post(server, query, **variables)
    assert "errors" not in answer, answer
    return answer["data"]


def errors(server: Simulator, query: str, **variables: Any) -> list[dict[str, Any]]:
    answer = post(server, query, **variables)
    assert "data" not in answer, answer
    found: list[dict[str, Any]] = answer["errors"]
    return found


def shop(**more: Any) -> Script:
    script = Script("shop/web", id=7, lag=0.0, **more)
    tests = Job("tests", lasts=1.0).triggering([Job("a", ends="failed")])
    script.pipeline([Job("unit"), tests], at=NOW)
    script.pipeline([Job("unit", lasts=9_000)], at=NOW + 1_000, ref="feature", source="schedule")
    return script


def gid(number: int) -> str:
    return f"gid://gitlab/Project/{number}"


def test_one_query_tells_what_moved_in_many_projects() -> None:
    script = shop()
    server = simulator(scripted(script, Script("shop/idle", id=8, index=1)), Clock(NOW + 2_000))
    newest, child, oldest = script.pipelines(NOW + 2_000)

    found = data(server, MOVED, ids=[gid(7), gid(8), gid(99)], after=iso(NOW - 5))["projects"]
    idle, web = found["nodes"]
    assert (web["id"], web["fullPath"], idle["id"]) == (gid(7), "shop/web", gid(8))
    assert [one["id"] for one in web["pipelines"]["nodes"]] == [
        f"gid://gitlab/Ci::Pipeline/{one.number}" for one in (newest, oldest)
    ]
    assert web["pipelines"]["nodes"][0] == {
        "id": f"gid://gitlab/Ci::Pipeline/{newest.number}", "status": "RUNNING", "ref": "feature", "source": "schedule",
        "createdAt": "2026-11-21T22:43:20Z", "updatedAt": "2026-11-21T22:43:22Z", "sha": newest.head.sha,
    }  # fmt: skip
    upstream = {"id": f"gid://gitlab/Ci::Pipeline/{oldest.number}"}
    assert web["children"]["nodes"] == [
        {"id": f"gid://gitlab/Ci::Pipeline/{child.number}", "status": "FAILED", "upstream": upstream}
    ]
    assert idle["pipelines"] == {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    assert found["pageInfo"]["hasNextPage"] is False


def test_pipelines_are_selected_by_status_ref_sha_and_by_when_they_moved() -> None:
    script = shop()
    server = simulator(scripted(script), Clock(NOW + 2_000))
    newest, _, oldest = script.pipelines(NOW + 2_000)

    def found(arguments: str) -> list[int]:
        query = f"{{ projects {{ nodes {{ pipelines({arguments}) {{ nodes {{ id }} }} }} }} }}"
        (project,) = data(server, query)["projects"]["nodes"]
        return [int(one["id"].rpartition("/")[2]) for one in project["pipelines"]["nodes"]]

    assert found("status: RUNNING") == found('ref: "feature"') == found('source: "schedule"') == [newest.number]
    assert found(f'sha: "{oldest.head.sha}"') == found('ref: "main"') == [oldest.number]
    assert found(f'updatedAfter: "{iso(NOW + 500)}"') == found("scope: RUNNING") == [newest.number]
    assert found(f'updatedBefore: "{iso(NOW + 500)}"') == found("status: SUCCESS") == [oldest.number]


def test_lists_are_followed_page_by_page() -> None:
    server = simulator(world(0, 0, 0, 7))
    page_of = "pageInfo { hasNextPage endCursor }"
    query = f"query($after: String) {{ projects(first: 3, after: $after) {{ nodes {{ id }} {page_of} }} }}"
    seen: list[str] = []
    after = None
    while True:
        page = data(server, query, after=after)["projects"]
        seen += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == [gid(number) for number in range(1007, 1000, -1)]

    pipelines = f"pipelines(first: 40, after: $p) {{ nodes {{ id }} {page_of} }}"
    inner = f'query($p: String) {{ project(fullPath: "group-0/app-0") {{ {pipelines} }} }}'
    first = data(server, inner)["project"]["pipelines"]
    second = data(server, inner, p=first["pageInfo"]["endCursor"])["project"]["pipelines"]
    rest = [one["id"] for one in linked(server, "/api/v4/projects/1001/pipelines?per_page=100")]
    assert [int(node["id"].rpartition("/")[2]) for page in (first, second) for node in page["nodes"]] == rest[:80]


def test_a_page_holds_a_hundred_at_most() -> None:
    server = simulator(world(0, 0, 0, 101))
    for arguments in ("(first: 500)", ""):
        page = data(server, f"{{ projects{arguments} {{ count nodes {{ id }} pageInfo {{ hasNextPage }} }} }}")[
            "projects"
        ]
        assert (len(page["nodes"]), page["pageInfo"]["hasNextPage"], page["count"]) == (100, True, 101)


INNER = "nodes { id }"
WRONG = {
    "{ projects { nodes { colour } } }": "Field 'colour' doesn't exist on type 'Project'",
    "{ builds { id } }": "Field 'builds' doesn't exist on type 'Query'",
    "{ projects(since: 5) { nodes { id } } }": "Field 'projects' doesn't accept argument 'since'",
    '{ projects(first: "5") { nodes { id } } }': (
        "Argument 'first' on Field 'projects' has an invalid value. Expected type 'Int'."
    ),
    "{ project { id } }": "Field 'project' is missing required arguments: fullPath",
    "{ projects }": "Field must have selections (field 'projects' returns ProjectConnection)",
    "{ projects { nodes { id { x } } } }": "Selections can't be made on scalars (field 'id' returns ID)",
    "{ projects(ids: $ids) { nodes { id } } }": "Variable $ids is used by anonymous query but not declared",
    "query q($x: Int) { projects { nodes { id } } }": "Variable $x is declared by query q but not used",
    "query($x: String) { projects(ids: $x) { nodes { id } } }": (
        "Type mismatch on variable $x and argument ids (String / [ID!])"
    ),
    "query($x: [ID]) { projects(ids: $x) { nodes { id } } }": (
        "Type mismatch on variable $x and argument ids ([ID] / [ID!])"
    ),
    "query($x: ID) { project(fullPath: $x) { id } }": "Type mismatch on variable $x and argument fullPath (ID / ID!)",
    "query($x: Int!) { projects(first: $x) { nodes { id } } }": "Variable $x of type Int! was provided invalid value",
    f"{{ projects {{ nodes {{ pipelines {{ {INNER} }} pipelines(first: 5) {{ {INNER} }} }} }} }}": (
        "Field 'pipelines' has an argument conflict"
    ),
    f'{{ projects {{ nodes {{ pipelines(status: "FAILED") {{ {INNER} }} }} }} }}': (
        "Argument 'status' on Field 'pipelines' has an invalid value. Expected type 'PipelineStatusEnum'."
    ),
    "mutation { projects { nodes { id } } }": "Only queries are simulated",
    "{ projects { nodes { id }": 'Expected NAME, actual: "" at [1, 26]',
    "": "Unexpected end of document",
}


@pytest.mark.parametrize(("query", "message"), WRONG.items())
def test_a_query_that_is_wrong_gives_errors_with_status_200(query: str, message: str) -> None:
    assert [error["message"] for error in errors(simulator(), query)] == [message]


def test_an_error_says_where_and_of_what_kind() -> None:
    (error,) = errors(simulator(), "{\n  projects(since: 5) { nodes { id } }\n}")

    assert error == {
        "message": "Field 'projects' doesn't accept argument 'since'",
        "locations": [{"line": 2, "column": 3}],
        "path": ["query", "projects", "since"],
        "extensions": {
            "code": "argumentNotAccepted", "name": "projects", "typeName": "Field", "argumentName": "since",
        },
    }  # fmt: skip


def test_an_id_that_is_none_leaves_its_field_empty() -> None:
    answer = post(simulator(), '{ projects(ids: ["7"]) { nodes { id } } project(fullPath: "no/such") { id } }')

    assert answer["data"] == {"projects": None, "project": None}
    assert [(error["message"], error["path"]) for error in answer["errors"]] == [
        ('"7" is not a valid GitLab ID.', ["projects"])
    ]


def counted(query: str) -> int:
    return complexity(parse(query)[0])


def test_complexity_is_a_point_a_field_and_doubles_with_a_hundred_items() -> None:
    assert counted("{ projects(first: 100) { nodes { id } } }") == 6
    assert counted("{ projects(first: 50) { nodes { id } } }") == 4
    assert counted("{ projects { nodes { id } } }") == 6
    moved = "id pipelines(first: 20, updatedAfter: $after) { nodes { id status updatedAt } }"
    assert counted(f"{{ projects(first: 100) {{ nodes {{ {moved} }} }} }}") == 18
    assert counted(QUERY) == 44
    with_children = moved + " children: " + moved.removeprefix("id ")
    assert counted(f"{{ projects(first: 100) {{ nodes {{ {with_children} }} }} }}") == 30


def test_a_query_that_is_too_complex_is_refused_by_the_value_of_its_variables() -> None:
    fields = " ".join(f"p{n}: pipelines(first: $n) {{ nodes {{ id status }} }}" for n in range(16))
    query = f"query($n: Int = 100) {{ projects(first: $n) {{ nodes {{ {fields} }} }} }}"
    server = simulator()

    assert errors(server, query) == [{"message": "Query has complexity of 260, which exceeds max complexity of 250"}]
    assert data(server, query, n=1)
    assert server.gitlab.graphql
    server.gitlab.graphql = replace(server.gitlab.graphql, complexity=10)
    assert "exceeds max complexity of 10" in errors(server, query, n=1)[0]["message"]


def test_a_server_can_be_without_graphql_or_without_a_part_of_it() -> None:
    server = simulator(scripted(shop()), Clock(NOW + 2_000))
    server.gitlab.graphql = GraphQL(without=frozenset({"Project.pipelines.updatedAfter", "Pipeline.source"}))
    no_argument = "Field 'pipelines' doesn't accept argument 'updatedAfter'"
    said = [error["message"] for error in errors(server, MOVED, ids=[gid(7)], after=iso(NOW))]
    assert said == [no_argument, "Field 'source' doesn't exist on type 'Pipeline'", no_argument]

    server.gitlab.graphql = None
    assert ask(server, "/api/graphql", "POST", b"{}").status == 404


def test_a_server_can_take_too_long_over_many_projects() -> None:
    server = simulator(world(0, 0, 0, 8))
    server.gitlab.graphql = GraphQL(most_projects=4)
    body = orjson.dumps({"query": "query($ids: [ID!]) { projects(ids: $ids) { nodes { id } } }"})
    answer = ask(server, "/api/graphql", "POST", body)

    assert answer.status == 503
    assert "timed out" in orjson.loads(answer.body)["errors"][0]["message"]
    half = data(
        server, "query($ids: [ID!]) { projects(ids: $ids) { nodes { id } } }", ids=[gid(1001 + n) for n in range(4)]
    )
    assert len(half["projects"]["nodes"]) == 4


def test_projects_can_be_unseen_or_seem_to_be_idle() -> None:
    server = simulator(
        scripted(shop(), Script("shop/b", id=8, index=1), Script("shop/c", id=9, index=2)), Clock(NOW + 2_000)
    )
    server.gitlab.graphql = GraphQL(unseen=frozenset({8}), empty=frozenset({7}))
    nodes = data(server, MOVED, ids=[gid(n) for n in (7, 8, 9)], after=iso(NOW))["projects"]["nodes"]

    assert [node["id"] for node in nodes] == [gid(9), gid(7)]
    assert nodes[1]["pipelines"]["nodes"] == []


def test_only_a_post_with_the_token_and_of_moderate_size_is_taken() -> None:
    server = simulator()
    assert ask(server, "/api/graphql").status == 404
    refused = server.answer(Request.of("POST", "/api/graphql", {"PRIVATE-TOKEN": "other"}, b"{}"))
    assert (refused.status, orjson.loads(refused.body)) == (401, {"errors": [{"message": "Invalid token"}]})
    large = orjson.dumps({"query": "{ projects { nodes { id " + "#" * 10_000 + "\n} } }"})
    assert server.answer(Request.of("POST", "/api/graphql", BEARER, large)).status == 422
    for body in (b"", b"[]", b"{", b'{"query": 5, "variables": "x"}'):
        answer = server.answer(Request.of("POST", "/api/graphql", BEARER, body))
        assert (answer.status, [*orjson.loads(answer.body)]) == (200, ["errors"])


NAMES = st.from_regex(r"[_A-Za-z][_0-9A-Za-z]{0,6}", fullmatch=True)
WORDS = NAMES.filter(lambda name: name not in ("true", "false", "null"))
SCALARS = st.one_of(
    st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.booleans(), st.none(),
    WORDS.map(Word), NAMES.map(Variable),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=5
)


@st.composite
def selections(draw: st.DrawFn, depth: int = 0) -> Selection:
    fields = draw(st.lists(selections(depth + 1), max_size=2)) if depth < 2 else []
    name = draw(NAMES)
    arguments = draw(st.dictionaries(NAMES, VALUES, max_size=2))
    return Selection(name, draw(st.sampled_from((name, draw(NAMES)))), arguments, tuple(fields), PLACE)


PLACE = parse("{ a }")[0].place


def spelled(value: Any) -> core.ConstValueNode | core.ValueNode:
    """As the library of the reference implementation keeps a value."""
    if isinstance(value, Variable):
        return core.VariableNode(name=core.NameNode(value=value.name))
    if isinstance(value, Word):
        return core.EnumValueNode(value=str(value))
    if isinstance(value, list):
        return core.ListValueNode(values=tuple(spelled(one) for one in value))
    if isinstance(value, dict):
        pairs = ((core.NameNode(value=name), spelled(one)) for name, one in value.items())
        return core.ObjectValueNode(fields=tuple(core.ObjectFieldNode(name=name, value=one) for name, one in pairs))
    node = core.utilities.ast_from_value
    types = {bool: core.GraphQLBoolean, int: core.GraphQLInt, float: core.GraphQLFloat, str: core.GraphQLString}
    return core.NullValueNode() if value is None else node(value, types[type(value)]) or core.NullValueNode()


def node_of(selection: Selection) -> core.FieldNode:
    pairs = ((core.NameNode(value=name), spelled(value)) for name, value in selection.arguments.items())
    return core.FieldNode(
        alias=core.NameNode(value=selection.alias) if selection.alias != selection.name else None,
        name=core.NameNode(value=selection.name),
        arguments=tuple(core.ArgumentNode(name=name, value=value) for name, value in pairs),
        directives=(),
        selection_set=core.SelectionSetNode(selections=tuple(node_of(one) for one in selection.fields))
        if selection.fields
        else None,
    )


def without_places(selection: Selection) -> Selection:
    return replace(selection, place=PLACE, fields=tuple(without_places(one) for one in selection.fields))


@settings(max_examples=40, deadline=None)
@given(st.lists(selections(), min_size=1, max_size=2))
def test_what_the_reference_implementation_writes_is_read_as_it_was_meant(fields: list[Selection]) -> None:
    nodes = tuple(node_of(field) for field in fields)
    text = core.print_ast(core.SelectionSetNode(selections=nodes))

    assert [without_places(field) for field in parse(text)[0].fields] == fields


@given(st.text(alphabet='{}()[]:$!,. \n"#aé1-=@|&query'))
def test_any_text_is_read_or_said_to_be_unreadable(text: str) -> None:
    with contextlib.suppress(Unreadable):
        assert parse(text)


def test_variables_have_types_and_defaults() -> None:
    (operation,) = parse('query moved($ids: [ID!]! = ["a"], $n: Int) { a }')

    assert operation.name == "moved"
    assert {name: (one.type, one.default) for name, one in operation.variables.items()} == {
        "ids": ("[ID!]!", ["a"]),
        "n": ("Int", None),
    }
    assert isinstance(operation.variables["n"], Declared)
