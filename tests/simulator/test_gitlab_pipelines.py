"""What GitLab's API answers about pipelines: the lists, what they select, and what a POST does."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from asking import NOW, Clock, ask, linked, read, simulator

from exporter.simulator import Job, Script, Simulator, demo_world, scripted, world
from exporter.simulator.words import iso

PROJECT = "/api/v4/projects/1"
PIPELINES = f"{PROJECT}/pipelines"
TERRAFORM = "/api/v4/projects/2103/pipelines"


def of(script: Script, at: float = NOW) -> tuple[Simulator, Clock]:
    clock = Clock(at)
    return simulator(scripted(script), clock), clock


def ids(server: Simulator, query: str = "") -> list[int]:
    return [pipeline["id"] for pipeline in linked(server, f"{PIPELINES}?{query}")]


def test_a_pipeline_has_what_the_documentation_says() -> None:
    script = Script("shop/web")
    run = script.pipeline(
        [Job("unit", coverage=80), Job("lint", coverage=70)], at=NOW - 1000, ref="feature", source="web"
    )
    server, _ = of(script)
    (listed,) = read(server, PIPELINES)

    assert listed == {
        "id": run.id, "iid": listed["iid"], "project_id": 1, "sha": run.record.head.sha, "ref": "feature",
        "status": "success", "source": "web", "created_at": iso(NOW - 1000), "updated_at": iso(run.updated_at(NOW)),
        "web_url": f"http://gitlab.example.com/shop/web/-/pipelines/{run.id}",
    }  # fmt: skip
    one = read(server, f"{PIPELINES}/{run.id}")
    assert one.items() >= listed.items()
    assert (one["coverage"], one["tag"], one["yaml_errors"]) == ("75.00", False, None)
    assert one["started_at"] < one["finished_at"] == one["updated_at"]
    assert {job["pipeline"]["updated_at"] for job in read(server, f"{PROJECT}/jobs")} == {listed["updated_at"]}


def test_each_job_says_what_its_pipeline_has_come_to() -> None:
    script = Script(lag=0.0)
    script.pipeline([Job("lint"), Job("unit", lasts=600.0)], at=NOW)
    server, clock = of(script, NOW + 300)

    said = {job["name"]: (job["status"], job["pipeline"]["status"]) for job in read(server, f"{PROJECT}/jobs")}
    assert said == {"lint": ("success", "running"), "unit": ("running", "running")}
    clock.now += 600
    assert {job["pipeline"]["status"] for job in read(server, f"{PROJECT}/jobs")} == {"success"}


def test_pipelines_are_listed_by_id_or_by_their_last_move() -> None:
    script = Script(lag=0.0)
    runs = [script.pipeline([Job("unit"), Job("ship", "ship", when="manual")], at=NOW + 1000.0 * n) for n in range(3)]
    runs[0].play("ship", at=NOW + 9000.0)
    server, _ = of(script, NOW + 9999)
    first, second, third = (run.id for run in runs)

    assert ids(server) == ids(server, "order_by=id&sort=desc&per_page=1") == [third, second, first]
    assert ids(server, "sort=asc") == [first, second, third]
    assert ids(server, "order_by=updated_at") == ids(server, "order_by=updated_at&per_page=2") == [first, third, second]
    assert ids(server, "order_by=updated_at&sort=asc") == [second, third, first]


def test_pipelines_are_selected_by_when_they_moved() -> None:
    script = Script(lag=0.0)
    runs = [script.pipeline([Job("unit"), Job("ship", "ship", when="manual")], at=NOW + 1000.0 * n) for n in range(3)]
    runs[0].play("ship", at=NOW + 9000.0)
    server, _ = of(script, NOW + 9999)
    moved = [run.updated_at(NOW + 9999) for run in runs]

    assert ids(server, f"updated_after={iso(moved[2])}") == [runs[2].id, runs[0].id]
    assert ids(server, f"order_by=updated_at&updated_after={iso(moved[2] + 0.001)}") == [runs[0].id]
    assert ids(server, f"updated_before={iso(moved[1])}") == [runs[1].id]
    offset = iso(moved[2]).replace("Z", "%2B00:00")
    assert ids(server, f"updated_after={offset}") == ids(server, f"updated_after={offset.replace('%2B', '+')}")
    assert len(ids(server, f"updated_after={offset}")) == 2


def test_pipelines_are_selected_by_status_ref_sha_source_and_scope() -> None:
    script = Script()
    fine = script.pipeline([Job("unit")], at=NOW - 900, sha="a" * 40)
    red = script.pipeline([Job("unit", ends="failed")], at=NOW - 800, ref="feature", source="schedule")
    tag = script.pipeline([Job("unit")], at=NOW - 700, ref="v1", tag=True, sha="a" * 40)
    merge = script.pipeline([Job("unit", lasts=10**4)], at=NOW - 600, merge_request=7)
    queued = script.pipeline([Job("unit", queues=10**4)], at=NOW - 500)
    script.delete_branch("feature", at=NOW - 100)
    server, _ = of(script)

    assert ids(server, "status=failed") == ids(server, "ref=feature") == ids(server, "source=schedule") == [red.id]
    assert ids(server, f"sha={'a' * 40}") == [tag.id, fine.id]
    assert ids(server, "scope=running") == ids(server, "source=merge_request_event") == [merge.id]
    assert ids(server, "ref=refs/merge-requests/7/head") == [merge.id]
    assert ids(server, "scope=pending") == ids(server, "status=pending") == [queued.id]
    assert ids(server, "scope=finished") == [tag.id, red.id, fine.id]
    assert ids(server, "scope=tags") == [tag.id]
    assert ids(server, "scope=branches") == [queued.id]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("status=done", "status does not have a valid value"),
        ("source=nobody", "source does not have a valid value"),
        ("scope=failed", "scope does not have a valid value"),
        ("order_by=name", "order_by does not have a valid value"),
        ("sort=up", "sort does not have a valid value"),
        ("updated_after=yesterday", "updated_after is invalid"),
    ],
)
def test_a_parameter_that_gitlab_does_not_know_is_refused(query: str, error: str) -> None:
    server, _ = of(Script())
    answer = ask(server, f"{PIPELINES}?{query}")

    assert (answer.status, orjson.loads(answer.body)) == (400, {"error": error})


def family() -> tuple[Script, Any]:
    script = Script()
    tests = Job("tests", lasts=1.0).triggering([Job("a", ends="failed"), Job("b")], [Job("a")], depend=True)
    return script, script.pipeline([Job("compile", "build"), tests, Job("ship", "ship")], at=NOW)


def test_children_are_listed_only_where_they_are_asked_for() -> None:
    script, run = family()
    server, _ = of(script, NOW + 500)
    child = run.child("tests")

    assert ids(server) == ids(server, f"sha={run.record.head.sha}") == ids(server, "order_by=updated_at") == [run.id]
    (listed,) = read(server, f"{PIPELINES}?source=parent_pipeline")
    assert (listed["id"], listed["source"], listed["status"]) == (child.id, "parent_pipeline", "failed")
    parent = read(server, f"{PIPELINES}/{run.id}")
    assert [listed[name] for name in ("sha", "ref")] == [parent[name] for name in ("sha", "ref")]


def test_the_jobs_of_a_pipeline_are_its_own_and_a_childs_are_the_childs() -> None:
    script, run = family()
    server, _ = of(script, NOW + 500)

    def names(path: str) -> list[str]:
        return [job["name"] for job in read(server, f"{PROJECT}/{path}")]

    assert names(f"pipelines/{run.id}/jobs") == ["ship", "compile"]
    assert names(f"pipelines/{run.child('tests').id}/jobs") == ["b", "a"]
    assert names("jobs") == ["b", "a", "ship", "compile"]
    assert names(f"pipelines/{run.id}/jobs?scope[]=skipped") == ["ship"]
    assert ask(server, f"{PROJECT}/jobs/{run.job('tests').number}").status == 404


def test_a_bridge_names_the_child_that_its_newest_attempt_made() -> None:
    script, run = family()
    run.retry("tests", at=NOW + 600)
    server, clock = of(script, NOW + 500)
    path = f"{PIPELINES}/{run.id}/bridges"

    (bridge,) = read(server, path)
    assert (bridge["name"], bridge["status"], bridge["allow_failure"]) == ("tests", "failed", False)
    assert bridge["pipeline"]["id"] == run.id
    assert bridge["downstream_pipeline"]["id"] == run.child("tests").id
    clock.now = NOW + 601
    (again,) = read(server, path)
    assert again["id"] > bridge["id"]
    assert again["downstream_pipeline"] is None
    clock.now = NOW + 900
    (again,) = read(server, path)
    assert again["downstream_pipeline"]["id"] == run.child("tests", 1).id
    assert [one["id"] for one in read(server, f"{path}?include_retried=true")] == [again["id"], bridge["id"]]
    assert len(read(server, f"{PIPELINES}?source=parent_pipeline")) == 2


def test_the_retried_attempts_are_given_where_they_are_asked_for() -> None:
    script = Script()
    run = script.pipeline([Job("unit", ends=("failed", "success")), Job("lint")], at=NOW).retry("unit", at=NOW + 300)
    server, _ = of(script, NOW + 900)
    path = f"{PIPELINES}/{run.id}/jobs"

    assert [job["id"] for job in read(server, path)] == [run.job("unit", 1).number, run.job("lint").number]
    every = [job["id"] for job in read(server, f"{path}?include_retried=true")]
    assert every == [job["id"] for job in read(server, f"{PROJECT}/jobs")]
    assert len(every) == 3


def test_the_jobs_of_a_large_pipeline_come_in_pages() -> None:
    script = Script(spacing=0.0)
    run = script.pipeline([Job(f"job-{n}", f"stage-{n // 100}") for n in range(250)], at=NOW)
    server, _ = of(script, NOW + 100)
    path = f"{PIPELINES}/{run.id}/jobs?per_page=100"

    pages = [read(server, f"{path}&page={n}") for n in (1, 2, 3)]
    assert [len(page) for page in pages] == [100, 100, 50]
    assert ask(server, f"{path}&page=3").headers["x-next-page"] == ""
    assert [job["id"] for page in pages for job in page] == [job["id"] for job in linked(server, f"{PROJECT}/jobs")]


def test_a_pipeline_with_invalid_yaml_is_listed_as_failed_and_has_no_jobs() -> None:
    script = Script()
    run = script.pipeline([], at=NOW)
    server, _ = of(script)

    assert [(one["id"], one["status"]) for one in read(server, PIPELINES)] == [(run.id, "failed")]
    assert read(server, f"{PIPELINES}/{run.id}/jobs") == []
    assert read(server, f"{PIPELINES}/{run.id}")["yaml_errors"]


def test_a_branch_that_was_deleted_is_not_found() -> None:
    script = Script()
    script.pipeline([Job("unit")], at=NOW, ref="feature/one")
    script.delete_branch("feature/one", at=NOW + 100)
    server, clock = of(script)

    branch = read(server, f"{PROJECT}/repository/branches/feature%2Fone")
    assert (branch["name"], branch["default"]) == ("feature/one", False)
    assert read(server, f"{PROJECT}/repository/branches/main")["default"] is True
    clock.now += 200
    gone = ask(server, f"{PROJECT}/repository/branches/feature%2Fone")
    assert (gone.status, orjson.loads(gone.body)) == (404, {"message": "404 Branch Not Found"})
    missing = ask(server, "/api/v4/projects/9/repository/branches/main")
    assert orjson.loads(missing.body) == {"message": "404 Project Not Found"}


def test_a_manual_job_is_played_and_nothing_else_is() -> None:
    script = Script()
    run = script.pipeline([Job("unit"), Job("ship", "ship", when="manual")], at=NOW)
    server, clock = of(script, NOW + 3600)
    path = f"{PROJECT}/jobs/{run.job('ship').number}/play"

    assert ask(server, path).status == 405
    refused = ask(server, f"{PROJECT}/jobs/{run.job('unit').number}/play", "POST")
    assert (refused.status, orjson.loads(refused.body)) == (400, {"message": "400 Bad request - Unplayable Job"})
    answer = ask(server, path, "POST")
    assert (answer.status, orjson.loads(answer.body)["status"]) == (200, "pending")
    assert ask(server, path, "POST").status == 400
    clock.now += 30
    assert read(server, PIPELINES)[0]["status"] == "running"
    clock.now += 60
    assert read(server, f"{PROJECT}/jobs/{run.job('ship').number}")["status"] == "success"


def test_a_retry_in_the_middle_brings_later_stages_back_to_life() -> None:
    script = Script()
    run = script.pipeline([Job("unit", ends=("failed", "success")), Job("ship", "ship")], at=NOW)
    server, clock = of(script, NOW + 3600)
    failed = run.job("unit").number

    again = read(server, f"{PROJECT}/jobs/{failed}/retry", "POST")
    assert (again["status"], again["pipeline"]["status"]) == ("pending", "running")
    assert again["id"] > failed
    clock.now += 300
    assert read(server, PIPELINES)[0]["status"] == "success"
    assert {job["status"] for job in read(server, f"{PIPELINES}/{run.id}/jobs")} == {"success"}
    assert ask(server, f"{PROJECT}/jobs/{failed}/retry", "POST").status == 403


def test_a_trigger_job_is_run_again_over_the_api() -> None:
    script, run = family()
    server, clock = of(script, NOW + 500)

    again = read(server, f"{PROJECT}/jobs/{run.job('tests').number}/retry", "POST")
    assert (again["status"], again["downstream_pipeline"]) == ("pending", None)
    clock.now += 300
    assert [one["status"] for one in read(server, f"{PIPELINES}?source=parent_pipeline")] == ["success", "failed"]
    assert read(server, f"{PIPELINES}/{run.id}")["status"] == "success"


def test_a_whole_pipeline_is_cancelled_and_tried_again() -> None:
    script, run = family()
    server, clock = of(script, NOW + 90)

    assert read(server, f"{PIPELINES}/{run.id}/cancel", "POST")["id"] == run.id
    clock.now += 5
    assert [one["status"] for one in linked(server, PIPELINES)] == ["canceled"]
    assert [one["status"] for one in read(server, f"{PIPELINES}?source=parent_pipeline")] == ["canceled"]
    assert ask(server, f"{PIPELINES}/{run.id}/retry", "POST").status == 201
    clock.now += 300
    assert read(server, f"{PIPELINES}/{run.id}")["status"] == "success"


def test_the_log_of_a_job_grows_while_it_runs() -> None:
    script = Script()
    run = script.pipeline([Job("unit", lasts=100, ends="failed"), Job("ship", "ship")], at=NOW)
    server, clock = of(script, NOW + 50)

    def log(name: str) -> str:
        answer = ask(server, f"{PROJECT}/jobs/{run.job(name).number}/trace")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
        return answer.body.decode()

    before = log("unit")
    clock.now += 500
    assert log("unit").startswith(before)
    assert log("unit").endswith("ERROR: Job failed: exit code 1\n")
    assert log("ship") == ""


def test_v3_shows_the_jobs_of_a_script_too() -> None:
    script, _ = family()
    server, _ = of(script, NOW + 500)

    assert [build["name"] for build in read(server, "/api/v3/projects/1/builds")] == ["b", "a", "ship", "compile"]


def test_all_projects_of_the_token_come_by_keyset_or_by_number_and_by_topic() -> None:
    scripts = [
        Script(f"group/app-{n}", id=n + 1, index=n, topics=("a", "b")[: n % 3], archived=n == 5) for n in range(6)
    ]
    server = simulator(scripted(*scripts))

    def found(query: str) -> list[int]:
        return [project["id"] for project in linked(server, f"/api/v4/projects?membership=true&{query}")]

    assert found("archived=false") == [5, 4, 3, 2, 1]
    for size in (1, 2, 100):
        keyset = f"archived=false&pagination=keyset&order_by=id&per_page={size}"
        assert found(f"{keyset}&sort=asc") == found(keyset)[::-1] == [1, 2, 3, 4, 5]
    assert found("topic=a&sort=asc") == [2, 3, 5, 6]
    assert found("topic=a,%20b") == [6, 3]
    assert ask(server, "/api/v4/projects?pagination=keyset&order_by=name").status == 405
    group = read(server, "/api/v4/groups/GROUP/projects?topic=a,b&archived=false")
    assert [(one["default_branch"], one["topics"]) for one in group] == [("main", ["a", "b"])]


def test_a_project_is_found_in_any_case_of_letters_and_a_renamed_one_is_moved() -> None:
    script = Script("Shop/Web", former=("shop/website",), default_branch="develop", topics=("live",))
    server, _ = of(script)

    record = read(server, "/api/v4/projects/shop%2FWEB")
    assert [record[name] for name in ("path_with_namespace", "default_branch")] == ["Shop/Web", "develop"]
    moved = ask(server, "/api/v4/projects/shop%2Fwebsite/pipelines?per_page=5")
    assert moved.status == 301
    assert moved.headers["location"].endswith("/api/v4/projects/1/pipelines?per_page=5")
    assert ask(server, "/api/v4/projects/shop%2Fwebsite/jobs/5/play", "POST").status == 405


# The worlds that follow from a seed.


def test_the_pipelines_of_a_seeded_project_are_those_of_its_jobs() -> None:
    server = simulator(world(0, 0, 0, 4))
    for project in (1001, 1002):
        path = f"/api/v4/projects/{project}"
        pipelines = {one["id"]: one for one in linked(server, f"{path}/pipelines?per_page=100")}
        seen = {job["pipeline"]["id"]: job["pipeline"] for job in linked(server, f"{path}/jobs?per_page=100")}

        assert all(before > after for before, after in pairwise(pipelines))
        assert seen == pipelines


def test_a_seeded_project_lists_by_last_move_what_it_lists_by_id() -> None:
    server = simulator(world(0, 0, 0, 2))
    path = "/api/v4/projects/1001/pipelines?per_page=100"
    by_id, by_move = list(linked(server, path)), list(linked(server, f"{path}&order_by=updated_at"))
    moves = [one["updated_at"] for one in by_move]

    assert sorted(by_id, key=lambda one: one["id"]) == sorted(by_move, key=lambda one: one["id"])
    assert moves == sorted(moves, reverse=True)
    since = moves[len(moves) // 3]
    assert list(linked(server, f"{path}&order_by=updated_at&updated_after={since}")) == [
        one for one in by_move if one["updated_at"] >= since
    ]


def test_a_seeded_pipeline_that_is_played_late_moves_to_the_top() -> None:
    clock = Clock()
    server = simulator(world(0, 0, 0, 3), clock)
    path = "/api/v4/projects/1001"
    jobs = list(linked(server, f"{path}/jobs?scope=manual&per_page=100"))
    old = jobs[len(jobs) // 2]
    before = [one["id"] for one in linked(server, f"{path}/pipelines?per_page=100")]

    assert old["pipeline"]["status"] == "success"
    read(server, f"{path}/jobs/{old['id']}/play", "POST")
    clock.now += 10
    top = read(server, f"{path}/pipelines?order_by=updated_at&per_page=1")[0]
    assert (top["id"], top["status"]) == (old["pipeline"]["id"], "running")
    clock.now += 3600
    assert read(server, f"{path}/jobs/{old['id']}")["pipeline"]["status"] == "success"
    assert [one["id"] for one in linked(server, f"{path}/pipelines?per_page=100")][-len(before) :] == before


def test_the_demo_has_children_a_gate_a_delayed_job_and_a_nightly() -> None:
    server = simulator(demo_world())

    def seen(project: int, query: str) -> list[dict[str, Any]]:
        return list(linked(server, f"/api/v4/projects/{project}/pipelines?per_page=100&{query}"))

    child = seen(2102, "source=parent_pipeline")[0]
    parents = [one for one in seen(2102, f"sha={child['sha']}") if one["ref"] == child["ref"]]
    (bridge,) = read(server, f"/api/v4/projects/2102/pipelines/{parents[0]['id']}/bridges")
    assert bridge["downstream_pipeline"] == child
    assert {one["status"] for one in seen(2103, "")} >= {"success", "manual"}
    nightly = [one["created_at"][11:13] for one in seen(2104, "source=schedule&ref=master")]
    assert nightly.count("02") >= 13
    jobs = linked(server, "/api/v4/projects/2101/jobs?per_page=100")
    assert "smoke" in {job["name"] for job in jobs}


def test_a_seeded_pipeline_can_be_cancelled_and_tried_again_without_a_change_of_ids() -> None:
    clock = Clock()
    server = simulator(demo_world(), clock)
    while not (running := read(server, f"{TERRAFORM}?status=running")):
        clock.now += 30
    path = f"{TERRAFORM}/{running[0]['id']}"
    before = {job["id"]: job["name"] for job in read(server, f"{path}/jobs")}
    read(server, f"{path}/cancel", "POST")
    clock.now += 5

    assert read(server, path)["status"] in {"canceled", "failed"}
    assert {job["id"]: job["name"] for job in read(server, f"{path}/jobs")} == before
    again = read(server, f"{path}/retry", "POST")
    assert again["status"] == "running"
    every = {job["id"] for job in read(server, f"{path}/jobs?include_retried=true")}
    assert every > before.keys()
    assert len({job["id"] for job in linked(server, "/api/v4/projects/2103/jobs?per_page=100")} & every) == len(every)
