"""The vendors' own clients read the simulator without complaint."""

import json
import subprocess
from pathlib import Path
from typing import Any

import gitlab
import pytest
import real
from asking import BEARER, NOW, Clock, builds, linked, simulator
from gql.transport.exceptions import TransportQueryError

from exporter.providers.gitlab.graphql import QUERY
from exporter.simulator import SIMULATOR_TOKEN, GraphQL, Job, Script, demo_world, scripted, world
from exporter.simulator.script import ScriptedPipeline

SCRIPT, GITBEAKER = (Path(__file__).parent / f"{name}_client.mjs" for name in ("northflank", "gitlab"))


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


def shop() -> tuple[Script, ScriptedPipeline, ScriptedPipeline]:
    """A project with a pipeline that has a child and a job that was retried, and a nightly after it."""
    script = Script("shop/web", lag=0.0)
    jobs = (
        Job("unit", ends=("failed", "success"), coverage=80.0),
        Job("tests").triggering([Job("a"), Job("b")], depend=True),
        Job("ship", "ship", when="manual"),
    )
    run = script.pipeline(jobs, at=NOW - 9_000).retry("unit", at=NOW - 8_000)
    nightly = script.pipeline([Job("unit")], at=NOW - 5_000, source="schedule")
    script.pipeline([Job("unit", ends="failed")], at=NOW - 4_000, ref="gone")
    script.delete_branch("gone", at=NOW - 10)
    return script, run, nightly


def test_python_gitlab_reads_pipelines_their_jobs_bridges_and_branches() -> None:
    script, run, nightly = shop()
    with simulator(scripted(script), Clock()) as server:
        client = gitlab.Gitlab(server.url, private_token=SIMULATOR_TOKEN)
        project = client.projects.get("shop/web")
        moved = project.pipelines.list(iterator=True, order_by="updated_at", sort="desc", per_page=1)
        assert [(one.status, one.source) for one in moved] == [
            ("failed", "push"), ("success", "schedule"), ("success", "push"),
        ]  # fmt: skip
        assert [one.id for one in project.pipelines.list(source="schedule", get_all=True)] == [nightly.id]
        (child,) = project.pipelines.list(source="parent_pipeline", get_all=True)

        pipeline = project.pipelines.get(run.id)
        assert (pipeline.status, pipeline.coverage) == ("success", "80.00")
        (bridge,) = pipeline.bridges.list(get_all=True)
        assert bridge.downstream_pipeline["id"] == child.id
        assert {job.name for job in pipeline.jobs.list(iterator=True)} == {"unit", "ship"}
        every = pipeline.jobs.list(iterator=True, include_retried=True, per_page=1)
        assert [job.name for job in every] == ["unit", "ship", "unit"]

        job = project.jobs.get(run.job("ship").number)
        job.play()
        assert (project.jobs.get(job.id).status, project.jobs.get(job.id).trace()) == ("pending", b"")
        assert project.branches.get("main").default
        with pytest.raises(gitlab.exceptions.GitlabGetError, match="404 Branch Not Found"):
            project.branches.get("gone")
        assert [one.id for one in client.projects.list(iterator=True, membership=True, archived=False)] == [1]


def test_python_gitlab_lists_projects_by_keyset() -> None:
    with simulator(world(0, 0, 0, 7)) as server:
        client = gitlab.Gitlab(server.url, private_token=SIMULATOR_TOKEN)
        asked = {"pagination": "keyset", "order_by": "id", "sort": "asc", "per_page": 2}
        assert [one.id for one in client.projects.list(iterator=True, membership=True, **asked)] == [*range(1001, 1008)]


@pytest.mark.filterwarnings("ignore:Using:DeprecationWarning:gql")  # python-gitlab calls gql in its old way
def test_python_gitlab_and_gql_ask_in_graphql() -> None:
    script, _, nightly = shop()
    with (
        simulator(scripted(script), Clock()) as server,
        gitlab.GraphQL(server.url, token=SIMULATOR_TOKEN) as client,
    ):
        pipelines = "pipelines(first: 2, updatedAfter: $after) { nodes { id status } }"
        query = f"query($ids: [ID!], $after: Time) {{ projects(ids: $ids) {{ nodes {{ id {pipelines} }} }} }}"
        variables = {"ids": ["gid://gitlab/Project/1"], "after": "2026-11-21T18:00:00Z"}
        (node,) = client.execute(query, variable_values=variables)["projects"]["nodes"]
        assert [one["status"] for one in node["pipelines"]["nodes"]] == ["FAILED", "SUCCESS"]
        assert node["pipelines"]["nodes"][1]["id"] == f"gid://gitlab/Ci::Pipeline/{nightly.id}"
        with pytest.raises(TransportQueryError, match="doesn't accept argument 'since'"):
            client.execute("{ projects(since: 5) { nodes { id } } }")
        server.gitlab.graphql = GraphQL(complexity=10)
        with pytest.raises(TransportQueryError, match="complexity of 14, which exceeds max complexity of 10"):
            client.execute(query, variable_values=variables)


@pytest.mark.filterwarnings("ignore:Using:DeprecationWarning:gql")  # python-gitlab calls gql in its old way
def test_python_gitlab_and_gql_read_what_the_exporter_asks() -> None:
    script, run, nightly = shop()
    asked = {"since": "2026-11-21T18:00:00Z", "after": None}
    with (
        simulator(scripted(script), Clock()) as server,
        gitlab.GraphQL(server.url, token=SIMULATOR_TOKEN) as client,
    ):
        ids = [f"gid://gitlab/Project/{n}" for n in (1, 2)]
        found = client.execute(QUERY, variable_values=asked | {"ids": ids})["projects"]
    children = [one.number for one in script.pipelines(NOW) if one.parent == run.id]
    assert [node["id"] for node in found["nodes"]] == ids[:1]
    assert nightly.id in numbers(found["nodes"][0]["pipelines"])
    assert numbers(found["nodes"][0]["children"]) == children
    assert not found["pageInfo"]["hasNextPage"]


def numbers(pipelines: Any) -> list[int]:
    return [int(node["id"].rpartition("/")[2]) for node in pipelines["nodes"]]


def test_gitbeaker_reads_pipelines_their_jobs_bridges_and_branches() -> None:
    real.node_package("@gitbeaker/rest")
    node = real.tool("node")
    script, run, nightly = shop()
    with simulator(scripted(script), Clock()) as server:
        command = [str(node), str(GITBEAKER), server.url, SIMULATOR_TOKEN, "shop/web"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        saw = json.loads(done.stdout)

    every = [plan.number for plan in script.newest(NOW)]
    children = [one.number for one in script.pipelines(NOW) if one.parent == run.id]
    assert [(one["status"], one["source"]) for one in saw["pipelines"]] == [
        ("failed", "push"), ("success", "schedule"), ("success", "push"),
    ]  # fmt: skip
    assert saw["pipelines"][1]["id"] == nightly.id
    assert saw["parent"] == {"id": run.id, "status": "success", "coverage": "80.00"}
    assert saw["children"] == saw["downstream"] == children
    assert saw["jobs"] == [job.number for job in run.jobs(NOW, retried=True)]
    assert (saw["every"], saw["projects"], saw["branch"]) == (every, [1], "main")
    assert saw["played"] == {"id": run.job("ship").number, "status": "pending"}
    assert saw["log"] == 0
    assert (saw["gone"]["status"], saw["gone"]["message"]) == (404, "404 Branch Not Found")


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
