"""`builds list --failed-last`: the builds that made the last failed run fail."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from operating import GITLAB, NORTHFLANK, OLD_GITLAB, Hand

from exporter.build import FAILED, Target
from exporter.errors import Forbidden, NotFound, Refused
from exporter.operate import target_of
from exporter.settings.settings import Settings

SETTINGS = Settings(sources=(NORTHFLANK, GITLAB, OLD_GITLAB))
WEB = "northflank/service/shop/web"
STOREFRONT = "gitlab/project/harbour/storefront"
BILLING = "old-gitlab/project/2105"


def at(address: str) -> tuple[Hand, Target]:
    source, target = target_of(SETTINGS, address)
    return Hand(source), target


@pytest.mark.parametrize("address", [WEB, STOREFRONT, BILLING])
def test_it_is_the_newest_run_with_a_failed_build(address: str) -> None:
    hand, target = at(address)
    found = hand.operator.last_failed_run(target)
    assert found
    run, listed = found
    assert listed.builds
    assert {one.build.run for one in listed.builds} == {run.run}
    assert all(one.build.outcome in FAILED and one.build.concluded for one in listed.builds)
    assert any(one.message or one.ref for one in listed.builds)
    newest = next(
        one.build
        for one in hand.operator.builds(target, scope=("failure", "error", "timeout"), limit=50).builds
        if one.build.outcome in FAILED
    )
    assert address == BILLING or newest.run == run.run


@pytest.mark.parametrize("address", [WEB, STOREFRONT, BILLING])
def test_a_branch_leaves_only_its_own_runs(address: str) -> None:
    hand, target = at(address)
    branches = {one.build.branch for one in hand.operator.builds(target, limit=200).builds if one.build.branch}
    for branch in branches:
        found = hand.operator.last_failed_run(target, branch)
        assert found is None or {one.build.branch for one in found[1].builds} == {branch}
    assert hand.operator.last_failed_run(target, "no-such-branch") is None


# GitLab, from answers written by hand


def job(number: int, run: int, status: str = "failed", name: str = "unit", **more: Any) -> dict[str, Any]:
    pipeline = {"id": run, "sha": "a" * 40, "ref": "main", "status": status, "source": "push"}
    created = f"2026-11-22T00:{number % 60:02}:00.000Z"
    return {
        "id": number,
        "status": status,
        "name": name,
        "stage": "test",
        "ref": "main",
        "tag": False,
        "created_at": created,
        "started_at": created,
        "finished_at": created,
        "pipeline": pipeline,
        **more,
    }


Answers = Callable[[str], bytes]


def answering(failed: list[dict[str, Any]], pipelines: dict[int, list[dict[str, Any]]], red: list[int]) -> Answers:
    """Failed jobs, the jobs of each pipeline, and the pipelines that GitLab itself calls failed."""

    def answer(path: str) -> bytes:
        of_pipeline = re.search(r"/pipelines/(\d+)/jobs$", path)
        if of_pipeline:
            body: object = pipelines[int(of_pipeline[1])]
        elif path.endswith("/pipelines"):
            body = [{"id": run, "status": "failed", "ref": "main"} for run in red[:1]]
        else:
            body = failed
        return json.dumps(body).encode()

    return answer


def last_failed(hand: Hand) -> tuple[str, list[str]] | None:
    found = hand.operator.last_failed_run(target_of(SETTINGS, STOREFRONT)[1], "main")
    return None if found is None else (found[0].run, [one.build.id for one in found[1].builds])


def test_a_job_that_was_retried_with_success_made_nothing_fail() -> None:
    hand, _ = at(STOREFRONT)
    retried = [job(13, 2, "success"), job(12, 2)]
    hand.instead = answering([job(12, 2), job(11, 1)], {2: retried, 1: [job(11, 1)]}, red=[1])
    assert last_failed(hand) == ("1", ["11"])


def test_a_pipeline_that_runs_on_with_a_failed_job_is_the_last_failed_one() -> None:
    hand, _ = at(STOREFRONT)
    running = [job(22, 2, "running", name="deploy"), job(21, 2, "failed")]
    hand.instead = answering([job(21, 2)], {2: running, 1: [job(11, 1)]}, red=[1])
    assert last_failed(hand) == ("2", ["21"])


def test_the_newest_pipeline_counts_and_not_the_newest_job() -> None:
    hand, _ = at(STOREFRONT)
    hand.instead = answering([job(31, 1), job(21, 2)], {2: [job(21, 2)], 1: [job(31, 1)]}, red=[2])
    assert last_failed(hand) == ("2", ["21"])


def test_a_pipeline_that_failed_without_a_job_has_none_but_its_page() -> None:
    hand, target = at(STOREFRONT)
    hand.instead = answering([job(11, 1)], {2: [], 1: [job(11, 1)]}, red=[2])
    assert last_failed(hand) == ("2", [])
    found = hand.operator.last_failed_run(target)
    assert found
    assert found[0].url == "https://gitlab.example.com/harbour/storefront/-/pipelines/2"


def test_a_failure_that_is_allowed_makes_nothing_fail() -> None:
    hand, _ = at(STOREFRONT)
    allowed = job(11, 1, allow_failure=True)
    hand.instead = answering([allowed], {1: [allowed]}, red=[])
    assert last_failed(hand) is None


def test_what_is_not_there_or_not_allowed_is_said() -> None:
    hand, target = at(STOREFRONT)
    hand.fault = lambda _method, _path: NotFound("404", status=404)
    with pytest.raises(Refused, match="there is no such target"):
        hand.operator.last_failed_run(target)
    hand.fault = lambda _method, _path: Forbidden("x: the token of s", status=403)
    with pytest.raises(Forbidden, match="the token needs the scope read_api"):
        hand.operator.last_failed_run(target)
