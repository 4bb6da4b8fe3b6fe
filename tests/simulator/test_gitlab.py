from itertools import islice, pairwise
from typing import Any

import orjson
import pytest
from asking import BEARER, Clock, ask, linked, read, simulator

from exporter.simulator import Request, Simulator, demo_world, world

JOBS = "/api/v4/projects/1001/jobs"
BUILDS = "/api/v3/projects/1001/builds"
SHOP = "/api/v4/projects/harbour%2Fstorefront/jobs"


def newest(server: Simulator, path: str, scope: str) -> dict[str, Any]:
    found: dict[str, Any] = read(server, f"{path}?scope={scope}&per_page=1")[0]
    return found


def test_ids_descend_and_are_unique_over_all_projects() -> None:
    server = simulator(world(0, 0, 0, 4))
    ids = [[job["id"] for job in linked(server, f"/api/v4/projects/{n}/jobs?per_page=100")] for n in range(1001, 1005)]

    assert all(before > after > 2**31 for of in ids for before, after in pairwise(of))
    assert len({number for of in ids for number in of}) == sum(len(of) for of in ids)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pages_by_offset_and_by_keyset_are_complete_and_the_same(size: int) -> None:
    server = simulator()
    whole = [job["id"] for job in linked(server, f"{JOBS}?per_page=100")]
    sample = len(whole) if size > 1 else 40

    keyset = linked(server, f"{JOBS}?pagination=keyset&order_by=id&sort=desc&per_page={size}")
    offset = linked(server, f"{JOBS}?per_page={size}")
    assert [job["id"] for job in islice(keyset, sample)] == whole[:sample]
    assert [job["id"] for job in islice(offset, sample)] == whole[:sample]


def test_the_jobs_list_names_the_next_page_and_no_total() -> None:
    headers = ask(simulator(), f"{JOBS}?per_page=2").headers

    assert headers["x-next-page"] == "2"
    assert "x-total" not in headers
    assert ask(simulator(), f"{JOBS}?page=99999").headers["x-next-page"] == ""


def test_a_last_keyset_page_has_no_link() -> None:
    server = simulator()
    oldest = list(linked(server, f"{JOBS}?per_page=100"))[-1]["id"]

    answer = ask(server, f"{JOBS}?pagination=keyset&order_by=id&sort=desc&cursor={oldest}")
    assert (orjson.loads(answer.body), "link" in answer.headers) == ([], False)


def test_ascending_keyset_pages_are_refused() -> None:
    assert ask(simulator(), f"{JOBS}?pagination=keyset&order_by=id&sort=asc").status == 405


def test_a_scope_selects_and_an_unknown_one_is_refused() -> None:
    server = simulator()
    both = read(server, f"{JOBS}?scope[]=failed&scope[]=canceled&per_page=100")

    assert {job["status"] for job in both} == {"failed", "canceled"}
    assert {job["status"] for job in read(server, f"{JOBS}?scope=success")} == {"success"}
    assert ask(server, f"{JOBS}?scope[]=done").status == 400
    assert ask(server, f"{BUILDS}?scope=manual").status == 400


def test_a_job_is_of_the_size_and_the_keys_of_a_real_one() -> None:
    job = newest(simulator(), JOBS, "success")

    assert 1_800 < len(orjson.dumps(job)) < 3_200
    for name in ("user", "commit", "pipeline", "runner", "artifacts", "web_url", "queued_duration", "allow_failure"):
        assert name in job
    assert "failure_reason" not in job
    assert newest(simulator(), JOBS, "failed")["failure_reason"]


def test_a_job_that_was_cancelled_before_it_ran_has_an_end_and_no_start() -> None:
    canceled = [job for job in linked(simulator(), f"{JOBS}?scope=canceled&per_page=100") if not job["started_at"]]

    assert canceled
    assert all(job["finished_at"] and job["duration"] is None for job in canceled)


def test_durations_grow_while_a_job_runs() -> None:
    clock = Clock()
    server = simulator(demo_world(), clock)
    while not (running := read(server, f"{SHOP}?scope=running")):
        clock.now += 30
    before = running[0]
    clock.now += 1
    after = read(server, f"{SHOP}/{before['id']}")

    if after["status"] == "running":
        assert after["duration"] == pytest.approx(before["duration"] + 1, abs=0.01)
    else:
        assert after["finished_at"]


def test_the_past_holds_every_way_in_which_a_job_can_stand() -> None:
    server = simulator(demo_world())
    jobs = list(linked(server, f"{SHOP}?per_page=100"))

    assert {job["status"] for job in jobs} >= {"success", "failed", "canceled", "skipped", "manual"}
    reasons = {job.get("failure_reason") for job in jobs}
    assert reasons >= {"script_failure", "runner_system_failure", "job_execution_timeout"}
    assert any(job["status"] == "failed" and job["allow_failure"] for job in jobs)
    assert any(job["tag"] for job in jobs)
    assert any(job["ref"].startswith("refs/merge-requests/") for job in jobs)
    assert any(job["ref"].startswith("release/") for job in jobs)


def test_a_retried_job_has_a_new_id_in_the_same_pipeline_under_the_same_name() -> None:
    tries: dict[tuple[int, str], set[int]] = {}
    for job in linked(simulator(demo_world()), f"{SHOP}?per_page=100"):
        tries.setdefault((job["pipeline"]["id"], job["name"]), set()).add(job["id"])

    assert any(len(ids) == 2 for ids in tries.values())


def test_a_project_is_found_by_number_and_by_path_and_in_v3_by_number_only() -> None:
    server = simulator(demo_world())

    assert read(server, "/api/v4/projects/2101") == read(server, "/api/v4/projects/harbour%2Fstorefront")
    assert read(server, "/api/v3/projects/2101")["path_with_namespace"] == "harbour/storefront"
    assert ask(server, "/api/v3/projects/harbour%2Fstorefront").status == 404
    assert orjson.loads(ask(server, "/api/v4/projects/9").body) == {"message": "404 Project Not Found"}


def test_a_group_lists_its_projects_and_those_of_its_subgroups() -> None:
    server = simulator(demo_world())

    def paths(query: str, group: str = "harbour") -> list[str]:
        rows = linked(server, f"/api/v4/groups/{group}/projects?order_by=id&sort=asc&per_page=2&{query}")
        return [row["path_with_namespace"] for row in rows]

    assert paths("") == ["harbour/storefront", "harbour/mobile-app"]
    below = ["harbour/infra/terraform", "harbour/infra/runner-images"]
    assert paths("include_subgroups=true&archived=false") == [*paths(""), *below]
    assert paths("include_subgroups=true")[-1] == "harbour/archive/prototype"
    assert paths("", "harbour%2Finfra") == below
    assert ask(server, "/api/v4/groups/strangers/projects").status == 404


def test_the_builds_of_a_commit_are_those_of_its_pipelines() -> None:
    server = simulator()
    job = newest(server, JOBS, "success")
    sha = job["commit"]["id"]

    commit = read(server, f"/api/v3/projects/1001/repository/commits/{sha}/builds?per_page=100")
    pipelines = read(server, f"/api/v4/projects/1001/pipelines?sha={sha}")
    jobs = read(server, f"/api/v4/projects/1001/pipelines/{pipelines[0]['id']}/jobs?include_retried=true&per_page=100")
    assert [pipeline["id"] for pipeline in pipelines] == [job["pipeline"]["id"]]
    assert [build["id"] for build in commit] == [job["id"] for job in jobs]
    assert read(server, f"/api/v4/projects/1001/repository/commits/{sha}")["id"] == sha
    assert ask(server, f"/api/v4/projects/1001/repository/commits/{'0' * 40}").status == 404


def test_a_build_of_v3_has_the_keys_of_the_documentation() -> None:
    names = "commit coverage created_at download_url finished_at id name ref runner stage started_at status tag user"
    assert read(simulator(), BUILDS)[0].keys() == set(names.split())


def test_v3_can_be_a_thing_of_the_past() -> None:
    server = simulator()
    server.gitlab.v3 = False
    answer = ask(server, BUILDS)

    assert answer.status == 410
    assert orjson.loads(answer.body) == {"error": "API V3 is no longer supported. Use API V4 instead."}


@pytest.mark.parametrize("path", [JOBS, BUILDS])
def test_retrying_adds_a_job_and_cancelling_ends_it(path: str) -> None:
    clock = Clock()
    server = simulator(clock=clock)
    failed = next(job for job in linked(server, f"{path}?scope=failed") if job["name"])
    one = f"{path}/{failed['id']}"
    attempts = [job for job in read(server, f"{path}?per_page=100") if job["commit"]["id"] == failed["commit"]["id"]]
    if any(job["name"] == failed["name"] and job["id"] > failed["id"] for job in attempts):
        pytest.fail("the seed gives a failed job that was retried: take another")

    again = read(server, f"{one}/retry", "POST")
    assert (again["name"], again["status"]) == (failed["name"], "pending")
    assert again["id"] > failed["id"]
    assert ask(server, f"{one}/retry", "POST").status == 403
    assert ask(server, f"{one}/cancel", "POST").status == 403

    assert ask(server, f"{path}/{again['id']}/retry", "POST").status == 403
    clock.now += 0.5
    assert read(server, f"{path}/{again['id']}/cancel", "POST")["status"] == "canceled"
    clock.now += 3600
    canceled = read(server, f"{path}/{again['id']}")
    assert (canceled["status"], canceled["started_at"]) == ("canceled", None)


def test_nothing_but_a_post_changes_a_job() -> None:
    server = simulator()
    failed = newest(server, JOBS, "failed")

    assert ask(server, f"{JOBS}/{failed['id']}/retry").status == 405
    assert ask(server, JOBS, "POST").status == 405


def test_either_header_shows_the_token_and_any_other_token_is_refused() -> None:
    server = simulator()

    assert server.answer(Request.of("GET", JOBS, {"PRIVATE-TOKEN": "simulator-token"})).status == 200
    assert server.answer(Request.of("GET", JOBS, BEARER)).status == 200
    refused = server.answer(Request.of("GET", JOBS, {"PRIVATE-TOKEN": "other"}))
    assert (refused.status, orjson.loads(refused.body)) == (401, {"message": "401 Unauthorized"})


def test_links_can_name_another_host_than_the_one_that_was_asked() -> None:
    server = simulator()
    server.gitlab.url = "https://elsewhere.example.com"

    assert "<https://elsewhere.example.com/api/v4/" in ask(server, JOBS).headers["link"]
