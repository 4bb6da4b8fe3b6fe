import pytest
from driving import Server, case, cases, expected, line, northflank, once, shown

from exporter.build import Outcome, Target
from exporter.errors import BadPayload, Forbidden, NotFound, RateLimited, SourceError, Unauthorized, Unreachable
from exporter.providers import BuildStatus, Discovery, Provider, provider_of
from exporter.providers.northflank import NorthflankProject as Project
from exporter.providers.northflank.api import Northflank
from exporter.providers.northflank.builds import OUTCOMES

WEB = Target("nf", "service", "shop", "web")
NIGHTLY = Target("nf", "job", "shop", "nightly")


def services(*entries: object) -> object:
    return {"data": {"services": entries}, "pagination": {"hasNextPage": False, "count": len(entries)}}


def jobs(*names: str) -> object:
    return {"data": {"jobs": [{"id": name, "name": name.title()} for name in names]}}


def service(name: str, kind: str = "combined", **more: object) -> dict[str, object]:
    return {"id": name, "name": f"The {name}", "serviceType": kind, **more}


def builds(*names: str, **pagination: object) -> object:
    listed = [{"id": name, "status": "FAILURE", "createdAt": "2024-03-05T09:00:00Z"} for name in names]
    return {"data": {"builds": listed}, "pagination": pagination}


def discovered(answers: dict[str, object], *projects: Project, exclude: tuple[str, ...] = ()) -> Discovery:
    return Server(answers).read(Northflank(northflank(*projects, exclude=exclude)).discover())


def addresses(discovery: Discovery) -> list[str]:
    return [target.address.removeprefix("nf/") for target in discovery.targets]


SHOP: dict[str, object] = {
    "/v1/projects/shop/services": services(
        service("web", status={"build": {"status": "BUILDING", "lastTransitionTime": "2024-03-05T09:00:00Z"}}),
        service("api", "build"),
        service("cache", "deployment"),
    ),
    "/v1/projects/shop/jobs": jobs("nightly", "report-weekly"),
}


@pytest.mark.parametrize("name", cases("northflank", lambda name: not name.startswith("documented_")))
def test_an_answer_gives_the_builds_beside_it(name: str) -> None:
    provider = Northflank(northflank())
    reading = provider.build(WEB, "b") if name.startswith("single") else provider.builds(WEB, 20)
    assert shown(once(case("northflank", name), reading)) == expected("northflank", name)


def test_every_status_of_both_ages_is_shown() -> None:
    words = (
        "QUEUED PENDING UNSCHEDULABLE STARTING CLONING BUILDING UPLOADING IN_PROGRESS "
        "ABORTED FAILURE SUBMISSION_FAILURE SUCCESS CRASHED"
    )
    provider = Northflank(northflank())
    assert {status for status, _ in provider.vocabulary} == set(words.lower().split())
    assert Outcome.UNKNOWN not in OUTCOMES.values()
    assert provider.kinds == ("service", "job")


def test_the_map_makes_it_and_it_is_a_provider() -> None:
    provider: Provider = provider_of(northflank())
    assert provider.headers("t0k") == {"Authorization": "Bearer t0k", "Accept": "application/json"}


def test_builds_are_asked_with_size_and_cursor_and_names_are_quoted() -> None:
    provider = Northflank(northflank())
    assert line(next(provider.builds(WEB, 5))) == "/v1/projects/shop/services/web/build?per_page=5"
    assert line(next(provider.builds(NIGHTLY, 100, "n=/2"))) == (
        "/v1/projects/shop/jobs/nightly/build?per_page=100&cursor=n=/2"
    )
    odd = Target("nf", "service", "a/b", "c d")
    assert line(next(provider.build(odd, "?x"))) == "/v1/projects/a%2Fb/services/c%20d/build/%3Fx?"
    assert next(provider.builds(WEB, 5)).operation == "builds"
    assert next(provider.build(WEB, "b")).operation == "build"


def test_with_a_team_every_path_begins_with_it() -> None:
    provider = Northflank(northflank(team="my team"))
    assert next(provider.builds(WEB, 5)).path == "/v1/teams/my%20team/projects/shop/services/web/build"
    assert next(provider.discover()).path == "/v1/teams/my%20team/projects"


@pytest.mark.parametrize(
    ("pagination", "cursor"),
    [
        ({"hasNextPage": True, "cursor": "n2"}, "n2"),
        ({"hasNextPage": True, "cursor": 2}, "2"),
        ({"hasNextPage": True, "cursor": "n" * 3000}, "n" * 3000),
        ({"hasNextPage": False, "cursor": "n2"}, None),
        ({"hasNextPage": True, "cursor": None}, None),
        ({"hasNextPage": True}, None),
        ({}, None),
    ],
)
def test_the_cursor_is_followed_while_a_next_page_is_told(pagination: dict[str, object], cursor: str | None) -> None:
    path = "/v1/projects/shop/services/web/build"
    page = Server({path: builds("b", **pagination)}).read(Northflank(northflank()).builds(WEB, 5, "n1"))
    assert page.cursor == cursor


def test_a_page_that_names_itself_as_the_next_is_refused() -> None:
    server = Server({"/v1/projects/shop/services/web/build": builds("b", hasNextPage=True, cursor="n1")})
    with pytest.raises(BadPayload, match="next page is itself"):
        server.read(Northflank(northflank()).builds(WEB, 5, "n1"))


@pytest.mark.parametrize(("scope", "kept"), [(("FAILURE",), 1), (("failure", "success"), 1), (("success",), 0)])
def test_a_scope_is_sifted_here_for_the_api_has_none(scope: tuple[str, ...], kept: int) -> None:
    server = Server({"/v1/projects/shop/services/web/build": builds("b", hasNextPage=True, cursor="n2")})
    page = server.read(Northflank(northflank()).builds(WEB, 5, scope=scope))
    assert (len(page.builds), page.cursor, server.lines()) == (
        kept,
        "n2",
        ["/v1/projects/shop/services/web/build?per_page=5"],
    )


@pytest.mark.parametrize("body", [[], {}, {"data": None}, {"data": {"builds": {}}}, {"data": {"services": []}}])
def test_a_list_of_another_shape_is_a_bad_payload(body: object) -> None:
    with pytest.raises(BadPayload, match=r"^answered "):
        Server({"/v1/projects/shop/services/web/build": body}).read(Northflank(northflank()).builds(WEB, 5))


def test_every_project_is_found_with_its_building_services_and_its_jobs_and_where_they_stand() -> None:
    found = discovered({"/v1/projects": {"data": {"projects": [{"id": "shop"}, {"name": "no id"}, None]}}, **SHOP})
    assert addresses(found) == [
        "service/shop/web",
        "service/shop/api",
        "job/shop/nightly",
        "job/shop/report-weekly",
    ]
    api = Target("nf", "service", "shop", "api")
    assert found.statuses == {WEB: BuildStatus("building", Outcome.EXECUTING, 1709629200.0, step=3), api: None}
    assert (found.faults, found.notes) == ((), ())


def test_lists_are_walked_over_their_pages() -> None:
    projects = {"data": {"projects": [{"id": "shop"}]}, "pagination": {"hasNextPage": True, "cursor": "p2"}}
    answers = {
        "/v1/projects?per_page=100": projects,
        "/v1/projects?per_page=100&cursor=p2": {"data": {"projects": [{"id": "blog"}]}},
        "/v1/projects/blog/services": services(service("site")),
        "/v1/projects/blog/jobs": jobs(),
        **SHOP,
    }
    assert "service/blog/site" in addresses(discovered(answers))


def test_a_cursor_that_comes_twice_ends_the_walk() -> None:
    def page(cursor: str) -> object:
        return {"data": {"projects": []}, "pagination": {"hasNextPage": True, "cursor": cursor}}

    answers = {
        "/v1/projects?per_page=100": page("a"),
        "/v1/projects?per_page=100&cursor=a": page("b"),
        "/v1/projects?per_page=100&cursor=b": page("a"),
    }
    with pytest.raises(BadPayload, match="same page cursor twice"):
        discovered(answers)


def test_a_walk_without_an_end_is_ended() -> None:
    reading = Northflank(northflank()).discover()
    server = Server({})
    server.answers = {
        "/v1/projects?per_page=100" + (f"&cursor={page}" if page else ""): {
            "data": {"projects": []},
            "pagination": {"hasNextPage": True, "cursor": str(page + 1)},
        }
        for page in range(300)
    }
    with pytest.raises(BadPayload, match="answered more than 200 pages"):
        server.read(reading)
    assert len(server.asked) == 200


def test_globs_choose_by_id_and_by_name_and_excludes_take_away() -> None:
    wanted = Project(id="shop", services=("The w*", "api"), jobs=("report-*", "nightly"), exclude=("night*",))
    assert addresses(discovered(SHOP, wanted)) == ["service/shop/web", "service/shop/api", "job/shop/report-weekly"]


def test_the_sources_excludes_speak_of_projects_and_of_what_is_in_them() -> None:
    listed = {"data": {"projects": [{"id": "shop"}, {"id": "p-17", "name": "Shop preview"}]}}
    found = discovered({"/v1/projects": listed, **SHOP}, exclude=("* preview", "shop/api", "report-*"))
    assert addresses(found) == ["service/shop/web", "job/shop/nightly"]
    assert found.faults == ()
    assert discovered(SHOP, Project(id="shop"), exclude=("shop",)).targets == ()


def test_a_list_that_nothing_is_wanted_of_is_not_asked() -> None:
    server = Server(SHOP)
    server.read(Northflank(northflank(Project(id="shop", services=()))).discover())
    assert server.lines() == ["/v1/projects/shop/jobs?per_page=100"]


def test_what_is_listed_twice_is_one_target() -> None:
    answers = {**SHOP, "/v1/projects/shop/services": services(service("web"), service("web"))}
    assert addresses(discovered(answers, Project(id="shop", jobs=()))) == ["service/shop/web"]


def test_a_pattern_that_matches_nothing_is_noted_with_the_nearest_name() -> None:
    wanted = Project(id="shop", services=("webb", "cache", "api"), jobs=("zzz-*", "*"))
    assert discovered(SHOP, wanted).notes == (
        'sources.nf.projects.shop.services: "webb" matches nothing; nearest: "web"',
        'sources.nf.projects.shop.services: "cache" matches only what does not build (serviceType deployment)',
        'sources.nf.projects.shop.jobs: "zzz-*" matches nothing',
    )


def test_a_project_that_fails_is_a_fault_and_the_rest_goes_on() -> None:
    answers = {
        **SHOP,
        "/v1/projects/blog/services": Forbidden("no right (403)"),
        "/v1/projects/blog/jobs": jobs("tidy"),
    }
    found = discovered(answers, Project(id="shopp"), Project(id="blog"), Project(id="shop", jobs=()))
    assert addresses(found) == ["job/blog/tidy", "service/shop/web", "service/shop/api"]
    assert [(type(fault), str(fault)) for fault in found.faults] == [
        (NotFound, 'project "shopp": not found (404)'),
        (Forbidden, 'project "blog": services: no right (403)'),
    ]
    assert isinstance(found.faults[1].__cause__, Forbidden)


@pytest.mark.parametrize("error", [Unauthorized("refused"), RateLimited("wait", 3.0)])
def test_an_error_that_every_request_would_meet_ends_the_discovery(error: SourceError) -> None:
    with pytest.raises(type(error)) as raised:
        discovered({"/v1/projects/shop/services": error}, Project(id="shop"), Project(id="blog"))
    assert raised.value is error


def test_without_the_list_of_projects_there_is_no_discovery() -> None:
    with pytest.raises(Unreachable):
        discovered({"/v1/projects": Unreachable("no answer")})


@pytest.mark.parametrize(
    ("status", "look"),
    [
        (
            {"build": {"status": "SUCCESS", "lastTransitionTime": 1709629200}},
            BuildStatus("success", Outcome.SUCCESS, 1709629200.0, step=5),
        ),
        ({"build": {"status": "NAPPING"}}, BuildStatus("napping", Outcome.UNKNOWN, None)),
        ({"build": {"status": None}}, None),
        ({"build": None, "deployment": {"status": "COMPLETED"}}, None),
        (None, None),
    ],
)
def test_the_list_of_services_tells_where_a_build_stands(status: object, look: BuildStatus | None) -> None:
    server = Server({"/v1/projects/shop/services": services(service("web", status=status))})
    (web,) = server.read(Northflank(northflank()).services("shop")).services
    assert (web.target, web.look, web.name, web.builds) == (WEB, look, "The web", True)


def test_a_service_that_is_not_wanted_is_listed_without_a_target() -> None:
    listed = Server(SHOP).read(Northflank(northflank(Project(id="shop", services=("web",)))).services("shop"))
    assert [(each.id, each.builds, each.target) for each in listed.services] == [
        ("web", True, WEB),
        ("api", True, None),
        ("cache", False, None),
    ]


def test_nothing_is_wanted_of_a_project_that_is_not_configured() -> None:
    listed = Server(SHOP).read(Northflank(northflank(Project(id="blog"))).services("shop"))
    assert [each.target for each in listed.services] == [None, None, None]
