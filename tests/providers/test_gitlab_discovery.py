"""Which projects are found: those that are named, those of groups, and all of the token."""

import pytest
from driving import Server, answer, gitlab

from exporter.build import Target
from exporter.errors import BadPayload, Forbidden, NotFound, RateLimited, SourceError, Unauthorized, Unreachable
from exporter.providers import Discovery
from exporter.providers.gitlab.api import GitLab

SHOP = Target("gl", "project", "shop/web", "shop/web")
GROUP = "include_subgroups=true&with_shared=false&archived=false&order_by=id&per_page=100"
MINE = "/api/v4/projects?membership=true&archived=false&order_by=id&sort=asc&pagination=keyset&per_page=100"


def project(number: int, path: str, **more: object) -> dict[str, object]:
    return {"id": number, "path_with_namespace": path, "archived": False, "jobs_enabled": True, **more}


def found(discovery: Discovery) -> list[tuple[str, str]]:
    return [(target.project, target.handle) for target in discovery.targets]


def test_paths_are_targets_as_they_are_and_numbers_are_asked_for_their_path() -> None:
    server = Server({"/api/v4/projects/42": project(42, "shop/api"), "/api/v4/projects/43": project(43, "shop/db")})
    discovery = server.read(GitLab(gitlab("shop/web", 42, "43")).discover())
    assert found(discovery) == [("shop/web", ""), ("shop/api", "42"), ("shop/db", "43")]
    assert discovery.targets[0] == SHOP
    assert [request.operation for request in server.asked] == ["project", "project"]
    assert (discovery.faults, discovery.notes, discovery.statuses) == ((), (), {})


def test_v3_projects_are_as_configured_and_nothing_is_asked() -> None:
    server = Server({})
    discovery = server.read(GitLab(gitlab("shop/web", 42, v3=True)).discover())
    assert [target.address for target in discovery.targets] == ["gl/project/shop/web", "gl/project/42"]
    assert server.asked == []


def test_a_group_gives_the_projects_of_all_its_pages_that_build() -> None:
    path = "/api/v4/groups/platform%2Fcore/projects"
    server = Server(
        {
            f"{path}?{GROUP}": answer(
                [
                    project(1, "platform/core/a"),
                    project(2, "platform/core/old", archived=True),
                    project(3, "platform/core/docs", jobs_enabled=False),
                    project(4, "platform/core/wiki", builds_access_level="disabled"),
                    project(5, "platform/core/inner", builds_access_level="private"),
                ],
                {"x-next-page": "2"},
            ),
            f"{path}?{GROUP}&page=2": answer(
                [project(6, "platform/core/sub/b"), None, {"id": 7}, {"path_with_namespace": "platform/core/c"}],
                {"link": f'<http://h{path}?{GROUP}&page=3>; rel="next"'},
            ),
            f"{path}?{GROUP}&page=3": [{"id": 8, "path_with_namespace": "platform/core/bare"}],
        }
    )
    discovery = server.read(GitLab(gitlab(groups=("platform/core",))).discover())
    assert found(discovery) == [
        ("platform/core/a", "1"),
        ("platform/core/inner", "5"),
        ("platform/core/sub/b", "6"),
        ("platform/core/bare", "8"),
    ]
    assert {request.operation for request in server.asked} == {"groups"}


def test_a_project_that_comes_twice_is_one_target_and_excludes_take_away() -> None:
    path = "/api/v4/groups/9/projects"
    server = Server({path: [project(1, "shop/web"), project(2, "shop/archive/x"), project(3, "shop/new")]})
    source = gitlab("shop/web", "shop/archive/y", groups=(9,), exclude=("Shop/archive/*",))
    assert found(server.read(GitLab(source).discover())) == [("shop/web", "1"), ("shop/new", "3")]


def test_a_path_in_another_case_of_letters_is_the_same_project_as_the_list_spells_it() -> None:
    told: list[Target] = []
    groups = {
        "/api/v4/groups/Shop/projects": [project(1, "shop/web"), project(1, "shop/renamed"), project(2, "SHOP/WEB")],
        "/api/v4/groups/9/projects": [project(1, "shop/web")],
    }
    source = gitlab("Shop/Web", "shop/WEB", "other/x", groups=("Shop", 9, "9"))
    server = Server(groups)
    assert found(server.read(GitLab(source).discover(tell=told.extend))) == [("shop/web", "1"), ("other/x", "")]
    assert len(server.asked) == 2
    assert [target.project for target in told] == ["shop/web", "other/x"]


def test_a_path_and_the_number_of_its_project_are_one_target() -> None:
    server = Server({"/api/v4/projects/42": project(42, "shop/web")})
    assert found(server.read(GitLab(gitlab("Shop/Web", 42, "42")).discover())) == [("Shop/Web", "")]
    assert len(server.asked) == 1


def test_paths_are_told_at_once_and_after_a_group_that_ends_the_discovery() -> None:
    told: list[Target] = []
    reading = GitLab(gitlab("shop/web", 42)).discover(tell=told.extend)
    next(reading)
    assert told == [SHOP]
    told.clear()
    with pytest.raises(RateLimited):
        Server({"/api/v4/groups/9/projects": RateLimited("wait", 3.0)}).read(
            GitLab(gitlab("shop/web", groups=(9,))).discover(tell=told.extend)
        )
    assert told == [SHOP]


def test_lists_tell_the_default_branches() -> None:
    answers = {
        "/api/v4/projects/42": project(42, "shop/api", default_branch="trunk"),
        "/api/v4/groups/9/projects": [
            project(1, "shop/web", default_branch="develop"),
            project(2, "shop/empty", default_branch=None),
        ],
    }
    discovery = Server(answers).read(GitLab(gitlab(42, groups=(9,))).discover())
    assert {target.project: branch for target, branch in discovery.default_branches.items()} == {
        "shop/api": "trunk",
        "shop/web": "develop",
    }


def test_without_projects_and_groups_all_of_the_token_are_found() -> None:
    link = {"link": f'<http://internal{MINE}&id_after=2>; rel="next"'}
    server = Server(
        {
            MINE: answer([project(1, "shop/web", default_branch="develop"), project(2, "a/old", archived=True)], link),
            f"{MINE}&id_after=2": [project(3, "b/docs", jobs_enabled=False), project(4, "kim/toy")],
        }
    )
    discovery = server.read(GitLab(gitlab(exclude=("kim/*",))).discover())
    assert (found(discovery), discovery.notes) == ([("shop/web", "1")], ())
    assert discovery.default_branches == {SHOP: "develop"}
    assert [request.operation for request in server.asked] == ["projects", "projects"]


def test_a_token_that_is_a_member_of_nothing_is_noted() -> None:
    (note,) = Server({"/api/v4/projects": []}).read(GitLab(gitlab(topics=("a", "b"))).discover()).notes
    assert note == (
        "sources.gl: the token is a member of no project that builds and has the topic a or b; "
        "name what to read under projects or groups"
    )


def test_without_the_list_of_the_tokens_projects_there_is_no_discovery() -> None:
    with pytest.raises(Unreachable):
        Server({MINE: Unreachable("no answer")}).read(GitLab(gitlab()).discover())


def test_each_topic_is_asked_by_itself_for_the_api_lists_what_has_all_of_them() -> None:
    path = "/api/v4/groups/9/projects"
    server = Server(
        {
            f"{path}?{GROUP}&topic=a": [project(1, "shop/web", topics=["a", "x"]), project(2, "shop/bare")],
            f"{path}?{GROUP}&topic=B": [
                project(1, "shop/web", topics=["a", "b"]),
                project(3, "shop/api", topics=["b"]),
            ],
        }
    )
    discovery = server.read(GitLab(gitlab("shop/db", groups=(9,), topics=("a", "B"))).discover())
    assert found(discovery) == [("shop/web", "1"), ("shop/bare", "2"), ("shop/api", "3"), ("shop/db", "")]


def test_a_server_that_ignores_topics_is_sifted_by_those_of_the_records() -> None:
    answers = {
        "/api/v4/projects": [
            project(1, "a/b", topics=["Production", 5, None]),
            project(2, "a/c", topics=[]),
            project(3, "a/d", topics=["productions"]),
        ]
    }
    discovery = Server(answers).read(GitLab(gitlab(topics=("production",))).discover())
    assert found(discovery) == [("a/b", "1")]


def test_what_cannot_be_listed_is_a_fault_and_the_rest_goes_on() -> None:
    server = Server(
        {
            "/api/v4/projects/42": Forbidden("no right (403)"),
            "/api/v4/projects/43": {"id": 43},
            "/api/v4/groups/platform/projects": [project(1, "platform/a")],
        }
    )
    discovery = server.read(GitLab(gitlab(42, 43, groups=("nowhere", "platform"))).discover())
    assert found(discovery) == [("platform/a", "1")]
    assert [(type(fault), str(fault)) for fault in discovery.faults] == [
        (Forbidden, "project 42: no right (403)"),
        (BadPayload, 'project 43: answered no "path_with_namespace"'),
        (NotFound, 'group "nowhere": not found (404)'),
    ]


def test_a_group_without_a_project_that_builds_is_noted() -> None:
    server = Server({"/api/v4/groups/9/projects": [project(2, "shop/old", archived=True)]})
    discovery = server.read(GitLab(gitlab(groups=(9,))).discover())
    assert discovery.notes == ("sources.gl.groups: 9 has no project that builds",)


@pytest.mark.parametrize("error", [Unauthorized("refused"), RateLimited("wait", 3.0)])
@pytest.mark.parametrize("path", ["/api/v4/projects/42", "/api/v4/groups/platform/projects"])
def test_an_error_that_every_request_would_meet_ends_the_discovery(error: SourceError, path: str) -> None:
    server = Server({"/api/v4/projects/42": project(42, "a/b"), path: error})
    with pytest.raises(type(error)) as raised:
        server.read(GitLab(gitlab(42, groups=("platform",))).discover())
    assert raised.value is error
