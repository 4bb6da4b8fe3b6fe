"""The vendors' own clients read the simulator without complaint."""

import json
import subprocess
from pathlib import Path

import gitlab
import pytest
import real
from asking import BEARER, Clock, builds, linked, simulator

from exporter.simulator import SIMULATOR_TOKEN, demo_world, world

SCRIPT = Path(__file__).parent / "northflank_client.mjs"


def test_python_gitlab_reads_all_jobs_by_offset_and_by_keyset() -> None:
    with simulator(world(0, 0, 0, 3)) as server:
        ids = [job["id"] for job in linked(server, "/api/v4/projects/1001/jobs?per_page=100")]
        client = gitlab.Gitlab(server.url, private_token=SIMULATOR_TOKEN)
        jobs = client.projects.get("group-0/app-0").jobs

        assert [job.id for job in jobs.list(iterator=True, per_page=100)] == ids
        keyset = jobs.list(iterator=True, per_page=100, pagination="keyset", order_by="id", sort="desc")
        assert [job.id for job in keyset] == ids
        failed = [job.id for job in jobs.list(iterator=True, per_page=50, scope=["failed", "canceled"])]
        assert failed == [
            job["id"] for job in linked(server, "/api/v4/projects/1001/jobs?scope[]=failed&scope[]=canceled")
        ]
        assert {request.status for request in server.requests} == {200}


def test_python_gitlab_retries_and_cancels_a_job() -> None:
    clock = Clock()
    with simulator(world(0, 0, 0, 3), clock) as server:
        jobs = gitlab.Gitlab(server.url, oauth_token=SIMULATOR_TOKEN).projects.get(1001, lazy=True).jobs
        ended = jobs.list(scope="success", per_page=1, get_all=False)[0]
        again = jobs.get(ended.retry()["id"])
        assert (again.name, again.status, again.pipeline["id"]) == (ended.name, "pending", ended.pipeline["id"])
        with pytest.raises(gitlab.exceptions.GitlabJobRetryError, match="not retryable"):
            again.retry()
        again.cancel()
        again.refresh()
        assert again.status == "canceled"
        with pytest.raises(gitlab.exceptions.GitlabJobCancelError, match="not cancelable"):
            again.cancel()


def test_python_gitlab_finds_the_projects_of_a_group_and_the_jobs_of_a_commit() -> None:
    with simulator(demo_world()) as server:
        client = gitlab.Gitlab(server.url, private_token=SIMULATOR_TOKEN)
        group = client.groups.get("harbour", lazy=True)
        projects = group.projects.list(include_subgroups=True, archived=False, iterator=True, per_page=2)
        paths = {project.path_with_namespace for project in projects}
        assert paths == {
            f"harbour/{name}" for name in ("storefront", "mobile-app", "infra/terraform", "infra/runner-images")
        }

        project = client.projects.get("harbour/storefront")
        job = project.jobs.list(per_page=1, get_all=False)[0]
        [pipeline] = project.pipelines.list(sha=job.commit["id"], get_all=True)
        assert job.id in {one.id for one in pipeline.jobs.list(iterator=True, include_retried=True)}
        assert project.commits.get(job.commit["id"]).title == job.commit["title"]


def test_python_gitlab_understands_a_refused_token() -> None:
    with simulator(world(0, 0, 0, 1)) as server:
        stranger = gitlab.Gitlab(server.url, private_token="other")
        with pytest.raises(gitlab.exceptions.GitlabAuthenticationError, match="401 Unauthorized"):
            stranger.projects.get(1001)


def test_the_client_of_northflank_reads_all_pages_starts_and_aborts() -> None:
    real.node_package("@northflank/js-client")
    node = real.tool("node")
    with simulator(world(2, 4, 5, 1)) as server:
        known = [build["id"] for build in builds(server, "/v1/projects/project-0/services/service-0/build")]
        jobs = [build["id"] for build in builds(server, "/v1/projects/project-0/jobs/job-0/build")]
        done = subprocess.run([node, SCRIPT, server.url, SIMULATOR_TOKEN], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        saw = json.loads(done.stdout)

    assert saw["projects"] == ["project-0", "project-1"]
    assert [service["id"] for service in saw["services"]] == [*(f"service-{n}" for n in range(4)), "image-0"]
    assert saw["jobs"] == [f"job-{n}" for n in range(5)]
    assert [build for page in saw["pages"] for build in page] == known
    assert {len(page) for page in saw["pages"][:-1]} == {60}
    assert saw["jobBuilds"] == jobs
    assert (saw["aborted"]["status"], saw["aborted"]["branch"]) == ("ABORTED", "hotfix")
    assert saw["refused"]["status"] == 404
    assert all(request.headers["authorization"] == BEARER["authorization"] for request in server.requests)
