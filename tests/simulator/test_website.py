"""The pages of the simulated GitLab to which links lead."""

import pytest

from exporter.simulator import Simulator
from exporter.simulator.definition import Job
from exporter.simulator.message import Request
from exporter.simulator.script import Script, scripted


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    shop = Script("shop/web")
    shop.pipeline([Job("unit", lasts=3)], at=1000.0)
    return Simulator(scripted(shop), clock=lambda: 2000.0)


def status(simulator: Simulator, path: str) -> int:
    return simulator.answer(Request.of("GET", path)).status


def test_a_project_a_job_and_a_pipeline_have_a_page_that_needs_no_token(simulator: Simulator) -> None:
    project = simulator.world.gitlab[0]
    course = simulator.history.of(project)
    pipeline = next(iter(course.pipelines(2000.0)))
    job = next(iter(course.newest(2000.0)))
    assert status(simulator, "/shop/web") == 200
    for path in (f"/-/pipelines/{pipeline.number}", f"/-/jobs/{job.number}", f"/builds/{job.number}"):
        answer = simulator.answer(Request.of("GET", f"/shop/web{path}"))
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"of shop/web" in answer.body


@pytest.mark.parametrize("path", ["/shop/other", "/shop/web/-/jobs/7", "/shop/web/-/pipelines/7", "/api/v4/projects"])
def test_what_there_is_not_has_none(simulator: Simulator, path: str) -> None:
    assert status(simulator, path) in {401, 404}
