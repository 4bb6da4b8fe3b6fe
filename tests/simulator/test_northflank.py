import dataclasses

import orjson
from asking import BEARER, NOW, Clock, ask, builds, read, simulator

from exporter.simulator import Request, demo_world, world

WEB = "/v1/projects/project-0/services/service-0/build"
JOB = "/v1/projects/project-0/jobs/job-0/build"

RUNNING = {"id", "branch", "status", "sha", "concluded", "createdAt"}
ENDED = RUNNING | {"success", "message", "buildConcludedAt"}


def test_a_concluded_build_has_the_shape_of_the_documentation() -> None:
    ended = [build for build in builds(simulator(), WEB) if build["concluded"]]

    assert ended
    for build in ended:
        assert build.keys() - {"pullRequestId", "registry"} == ENDED
        assert ("registry" in build) == (build["status"] == "SUCCESS")
        assert isinstance(build["buildConcludedAt"], int)
        assert build["success"] == (build["status"] == "SUCCESS")
        assert build["createdAt"].endswith("Z")
        assert len(build["createdAt"]) == len("2021-07-28T15:55:38.296Z")


def test_a_running_build_has_no_end_no_success_and_no_message() -> None:
    of = demo_world()
    stuck = [b for b in builds(simulator(of), "/v1/projects/shop/services/search/build") if not b["concluded"]]

    assert "BUILDING" in {build["status"] for build in stuck}
    assert all(build.keys() - {"pullRequestId"} == RUNNING for build in stuck)


def test_builds_of_jobs_have_no_registry() -> None:
    assert not any("registry" in build for build in builds(simulator(), JOB))


def test_pages_by_cursor_are_complete_and_repeat_nothing() -> None:
    server = simulator()
    whole = [build["id"] for build in builds(server, WEB)]

    assert len(whole) > 100
    assert len(set(whole)) == len(whole)
    assert [build["id"] for build in builds(server, WEB, per_page=7)] == whole


def test_pages_by_number_are_those_by_cursor() -> None:
    server = simulator()
    whole = [build["id"] for build in builds(server, WEB)]
    pages = [read(server, f"{WEB}?per_page=20&page={n}")["data"]["builds"] for n in (1, 2, 3)]

    assert [build["id"] for page in pages for build in page] == whole[:60]


def test_a_cursor_that_nobody_gave_is_refused() -> None:
    assert ask(simulator(), f"{WEB}?cursor=zzz").status == 400


def test_more_than_a_hundred_a_page_are_never_given() -> None:
    assert read(simulator(), f"{WEB}?per_page=1000")["pagination"]["count"] == 100


def test_one_build_is_the_one_of_the_list() -> None:
    server = simulator()
    for build in builds(server, WEB):
        assert read(server, f"{WEB}/{build['id']}")["data"] == build


def test_the_list_of_services_tells_how_the_newest_build_stands() -> None:
    server = simulator()
    services = read(server, "/v1/projects/project-0/services")["data"]["services"]

    assert {service["serviceType"] for service in services} == {"combined", "build", "deployment"}
    for service in services:
        if service["serviceType"] != "deployment":
            newest = read(server, f"/v1/projects/project-0/services/{service['id']}/build?per_page=1")["data"][
                "builds"
            ][0]
            assert service["status"]["build"]["status"] == newest["status"]


def test_the_list_of_services_can_be_silent_about_builds() -> None:
    server = simulator()
    server.northflank.build_status = False

    services = read(server, "/v1/projects/project-0/services")["data"]["services"]
    assert not any("build" in service["status"] for service in services)


def test_some_jobs_have_no_builds() -> None:
    assert read(simulator(), "/v1/projects/project-0/jobs/job-4/build") == {
        "data": {"builds": []},
        "pagination": {"hasNextPage": False, "count": 0},
    }


def test_lists_of_projects_services_and_jobs_come_in_pages() -> None:
    server = simulator(world(3, 12, 7, 0))
    for path, name, count in (
        ("/v1/projects", "projects", 3),
        ("/v1/projects/project-1/services", "services", 14),
        ("/v1/projects/project-2/jobs", "jobs", 7),
    ):
        page = read(server, f"{path}?per_page=2")
        seen = [row["id"] for row in page["data"][name]]
        while page["pagination"]["hasNextPage"]:
            page = read(server, f"{path}?per_page=2&cursor={page['pagination']['cursor']}")
            seen += [row["id"] for row in page["data"][name]]
        assert len(seen) == len(set(seen)) == count


def test_a_team_sees_the_same() -> None:
    server = simulator()
    assert read(server, WEB.replace("/v1/", "/v1/teams/harbour/")) == read(server, WEB)
    assert ask(server, WEB.replace("/v1/", "/v1/teams/strangers/")).status == 404


def test_what_is_not_there_is_a_documented_error() -> None:
    server = simulator()
    for path in (
        "/v1/projects/none/services",
        f"{WEB}/joyous-view-6290",
        f"{WEB}/nonsense",
        WEB.replace("-0/b", "-9/b"),
        "/",
    ):
        answer = ask(server, path)
        assert answer.status == 404
        assert orjson.loads(answer.body)["error"]["status"] == 404


def test_without_the_token_there_is_no_answer() -> None:
    server = simulator()
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "simulator-token"}):
        assert server.answer(Request.of("GET", "/v1/projects", headers)).status == 401
    assert server.answer(Request.of("GET", "/v1/login", BEARER)).status == 200


def test_a_started_build_is_the_newest_and_goes_on_to_its_end() -> None:
    clock = Clock()
    server = simulator(clock=clock)
    started = read(server, WEB, "POST", b'{"sha": "5bd8", "branch": "hotfix"}')["data"]

    assert started == {**started, "branch": "hotfix", "sha": "5bd8", "status": "PENDING", "concluded": False}
    newest = read(server, f"{WEB}?per_page=1")["data"]["builds"][0]
    assert (newest["id"], newest["concluded"]) == (started["id"], False)
    clock.now += 86_400
    assert read(server, f"{WEB}/{started['id']}")["data"]["status"] == "SUCCESS"


def test_an_aborted_build_has_ended_and_stays_so() -> None:
    clock = Clock()
    server = simulator(clock=clock)
    build = f"{WEB}/{read(server, WEB, 'POST')['data']['id']}"
    clock.now += 5

    assert read(server, build, "DELETE") == {"data": {}}
    clock.now += 86_400
    aborted = read(server, build)["data"]
    assert (aborted["status"], aborted["success"]) == ("ABORTED", False)
    assert aborted["buildConcludedAt"] == int(NOW + 5)
    assert ask(server, build, "DELETE").status == 409


def test_a_deployment_service_starts_no_build() -> None:
    assert ask(simulator(), "/v1/projects/project-0/services/image-0/build", "POST").status == 400


def test_every_service_of_the_demo_that_is_no_deployment_was_built() -> None:
    server = simulator(demo_world())
    for project in server.world.northflank:
        for service in project.services:
            page = read(server, f"/v1/projects/{project.id}/services/{service.id}/build?per_page=1")
            assert page["pagination"]["count"] == (service.type != "deployment"), dataclasses.asdict(service)
