from collections import Counter
from itertools import islice, pairwise

from asking import NOW, Clock, ask, builds, linked, read, simulator

from exporter.simulator import demo_world, world
from exporter.simulator.runs import Subject

DAY = 86_400.0
ENDED = {"SUCCESS", "FAILURE", "CRASHED", "ABORTED", "SUBMISSION_FAILURE"}
AUTH, CHECKOUT = "/v1/projects/platform/services/auth/build", "/v1/projects/shop/services/checkout/build"
ASKED = (
    AUTH,
    "/v1/projects/shop/services",
    "/api/v4/projects/2101/jobs?per_page=50",
    "/api/v3/projects/2105/builds",
    "/api/v4/groups/harbour/projects?include_subgroups=true",
)


def test_the_same_seed_and_clock_give_the_same_bytes() -> None:
    first, second, other = simulator(demo_world()), simulator(demo_world()), simulator(demo_world(), seed=2)

    assert [ask(first, path) for path in ASKED] == [ask(second, path) for path in reversed(ASKED)][::-1]
    assert ask(first, AUTH) != ask(other, AUTH)
    assert world(2, 5, 3, 4, seed=7) == world(2, 5, 3, 4, seed=7) != world(2, 5, 3, 4, seed=8)


def test_what_was_asked_before_changes_nothing() -> None:
    clock = Clock()
    asked, fresh = simulator(demo_world(), clock), simulator(demo_world())
    for _ in range(200):
        clock.now += 30
        ask(asked, AUTH)
        ask(asked, ASKED[2])
    clock.now = NOW

    assert [ask(asked, path) for path in ASKED] == [ask(fresh, path) for path in ASKED]


def test_a_status_only_moves_forward_and_an_ended_build_stays_as_it_ended() -> None:
    clock = Clock()
    server = simulator(clock=clock)
    path = "/v1/projects/project-0/services/service-0/build"
    order = ("QUEUED", "PENDING", "STARTING", "CLONING", "BUILDING", "UPLOADING")
    seen: dict[str, list[str]] = {}
    for _ in range(2_000):
        clock.now += 5
        for build in read(server, f"{path}?per_page=5")["data"]["builds"]:
            past = seen.setdefault(build["id"], [])
            if not past or past[-1] != build["status"]:
                past.append(build["status"])

    assert len(seen) > 5
    for past in seen.values():
        steps = [word for word in past if word not in ENDED]
        assert steps == sorted(steps, key=order.index)
        assert len(past) - len(steps) <= 1
    assert any(past[-1] in ENDED and len(past) >= 4 for past in seen.values())


def test_a_pipeline_goes_stage_by_stage() -> None:
    clock = Clock()
    server = simulator(demo_world(), clock)
    for job in islice(linked(server, "/api/v4/projects/harbour%2Fstorefront/jobs?scope=success&per_page=100"), 500):
        if job["stage"] == "deploy":
            path = f"/api/v4/projects/2101/pipelines/{job['pipeline']['id']}/jobs?per_page=100"
            tests = [other for other in read(server, path) if other["stage"] == "test" and not other["allow_failure"]]
            assert {other["status"] for other in tests} == {"success"}
            assert all(other["finished_at"] <= job["started_at"] for other in tests)


def test_the_past_reaches_back_ten_days_at_least() -> None:
    oldest = list(builds(simulator(demo_world()), CHECKOUT))[-1]
    assert read(simulator(demo_world(), Clock(NOW)), f"{CHECKOUT}/{oldest['id']}")
    ended = oldest["buildConcludedAt"]
    assert NOW - 14.5 * DAY < ended < NOW - 10 * DAY


def test_the_flaky_service_fails_and_succeeds_on_the_same_commits() -> None:
    outcomes: dict[str, set[str]] = {}
    for build in islice(builds(simulator(demo_world()), AUTH), 100):
        outcomes.setdefault(build["sha"], set()).add(build["status"])

    assert sum(words >= {"FAILURE", "SUCCESS"} for words in outcomes.values()) >= 5


def test_the_broken_service_has_failed_on_its_default_branch_for_hours() -> None:
    main = [b for b in builds(simulator(demo_world()), CHECKOUT) if b["branch"] == "main" and "pullRequestId" not in b]
    first = next(n for n, build in enumerate(main) if build["status"] == "SUCCESS")

    assert {build["status"] for build in main[:first] if build["concluded"]} == {"FAILURE"}
    assert NOW - main[first]["buildConcludedAt"] > 5 * 3600


def test_whenever_the_demo_begins_it_has_its_troubles() -> None:
    for hour in range(0, 200, 4):
        server = simulator(demo_world(), Clock(NOW + hour * 3600))
        main = (b for b in builds(server, CHECKOUT) if b["branch"] == "main" and "pullRequestId" not in b)
        concluded = (build["status"] for build in main if build["concluded"])
        assert list(islice(concluded, 5)) == ["FAILURE"] * 5


def test_the_stuck_build_has_been_building_for_four_hours_and_never_ends() -> None:
    clock = Clock()
    server = simulator(demo_world(), clock)
    path = "/v1/projects/shop/services/search/build"
    stuck = next(b for b in list(builds(server, path))[::-1] if not b["concluded"])
    clock.now += 5 * DAY

    assert read(server, f"{path}/{stuck['id']}")["data"] == stuck
    assert stuck["status"] == "BUILDING"


def test_the_quiet_service_was_built_last_nine_days_ago() -> None:
    newest = next(builds(simulator(demo_world()), "/v1/projects/platform/services/docs/build"))
    assert abs(NOW - 9 * DAY - newest["buildConcludedAt"]) < 300


def test_the_empty_job_has_no_builds() -> None:
    assert not list(builds(simulator(demo_world()), "/v1/projects/platform/jobs/seed-data/build"))


def test_in_the_demo_something_moves_about_twice_a_minute() -> None:
    clock = Clock()
    server = simulator(demo_world(), clock)
    paths = [f"/v1/projects/{project}/services" for project in ("shop", "platform")]
    lists = [f"/api/v4/projects/{n}/jobs?per_page=20" for n in range(2101, 2107)]

    def look() -> list[bytes]:
        statuses = [str([job["status"] for job in read(server, path)]).encode() for path in lists]
        return [ask(server, path).body for path in paths] + statuses

    moves, before = 0, look()
    for _ in range(60):
        clock.now += 30
        after = look()
        moves, before = moves + (after != before), after
    assert moves > 45


def test_pull_requests_of_forks_can_have_a_branch_of_our_name() -> None:
    branches = Counter(b["branch"] for b in builds(simulator(demo_world()), AUTH) if "pullRequestId" in b)
    assert branches["main"] > 0


def test_the_steps_of_every_build_follow_each_other_in_time() -> None:
    for of in (demo_world(), world(1, 10, 5, 8, seed=3)):
        server = simulator(of)
        subjects: list[Subject] = [*of.gitlab]
        for project in of.northflank:
            subjects += [*project.services, *project.jobs]
        for subject in subjects:
            plans = list(server.history.newest(subject, NOW))
            for plan in plans:
                moments = [moment for moment, _ in plan.steps]
                assert moments == sorted(moments), plan
            assert all(newer.created > older.created - 5 for newer, older in pairwise(plans))
