"""Pipelines, their jobs, their children and their branches: what GitLab is asked, and what comes of the answers."""

from typing import Any

import pytest
from driving import Server, answer, case, cases, expected, gitlab, line, once, shown

from exporter.build import Build, Outcome, Run, Target
from exporter.errors import BadPayload, Forbidden, NotFound, RateLimited, SourceError, Unauthorized
from exporter.http.http_errors import RequestContext, error_for_status
from exporter.providers import About, settled
from exporter.providers.gitlab.api import GitLab

V4 = GitLab(gitlab("shop/web"))
V3 = GitLab(gitlab("shop/web", v3=True))
SHOP = Target("gl", "project", "shop/web", "shop/web")
NUMBERED = Target("gl", "project", "shop/web", "shop/web", "42")
PROJECT = "/api/v4/projects/42"
PIPELINES = f"{PROJECT}/pipelines"
SHA = "5d1c8f0a" * 5
EIGHT = 1_772_438_400.0  # 2026-03-02T08:00:00Z


def pipeline(number: int, status: str = "success", **more: Any) -> dict[str, Any]:
    times = {"created_at": "2026-03-02T08:00:00.000Z", "updated_at": "2026-03-02T08:07:00.000Z"}
    return {"id": number, "status": status, "source": "push", "ref": "main", "sha": SHA, **times, **more}


def job(number: int, run: int, **more: Any) -> dict[str, Any]:
    created = {"created_at": "2026-03-02T08:00:00.000Z", "ref": "main", "commit": {"id": SHA}}
    return {"id": number, "status": "success", "name": "unit", "pipeline": pipeline(run), **created, **more}


def answered(status: int, body: bytes = b"", **headers: str) -> SourceError:
    asked = RequestContext("gl", "https://gitlab.example.com/git", "/api/v4/projects/42", 10.0, 5.0)
    return error_for_status(status, headers, body, asked, now=EIGHT)


# The list of pipelines


@pytest.mark.parametrize("name", cases("gitlab", lambda name: name.startswith("pipelines")))
def test_a_list_of_pipelines_gives_the_runs_beside_it(name: str) -> None:
    page = once(case("gitlab", name), V4.runs(SHOP, updated_after=None, size=20))
    assert shown(page) == expected("gitlab", name)


@pytest.mark.parametrize(
    ("how", "query"),
    [
        ({"updated_after": None}, "order_by=id&sort=desc"),
        ({"updated_after": EIGHT + 0.9}, "order_by=updated_at&sort=desc&updated_after=2026-03-02T08:00:00Z"),
        ({"updated_after": float("-inf")}, "order_by=updated_at&sort=desc"),
        ({"updated_after": 1e300}, "order_by=updated_at&sort=desc&updated_after=9999-01-01T00:00:00Z"),
        (
            {"updated_after": EIGHT, "children": True},
            "order_by=updated_at&sort=desc&updated_after=2026-03-02T08:00:00Z&source=parent_pipeline",
        ),
        ({"updated_after": None, "ref": "release/1+2"}, "order_by=id&sort=desc&ref=release/1+2"),
        ({"updated_after": EIGHT, "ref": "main"}, "order_by=id&sort=desc&updated_after=2026-03-02T08:00:00Z&ref=main"),
    ],
)
def test_pipelines_are_asked_by_their_last_change_or_newest_first(how: dict[str, Any], query: str) -> None:
    request = next(V4.runs(NUMBERED, size=20, **how))
    assert (line(request), request.operation) == (f"{PIPELINES}?per_page=20&{query}", "pipelines")


def test_the_next_page_of_pipelines_is_the_one_that_the_server_names() -> None:
    first = f"{PIPELINES}?per_page=2&order_by=id&sort=desc"
    server = Server({first: answer([pipeline(9), pipeline(8)], {"x-next-page": "2"}), f"{first}&page=2": [pipeline(7)]})
    page = server.read(V4.runs(NUMBERED, updated_after=None, size=2))
    last = server.read(V4.runs(NUMBERED, updated_after=None, size=2, cursor=page.cursor))
    assert ([run.id for run in (*page.runs, *last.runs)], last.cursor) == (["9", "8", "7"], None)


def test_a_page_of_pipelines_that_names_itself_as_the_next_is_refused() -> None:
    server = Server({PIPELINES: answer([], {"x-next-page": "2"})})
    with pytest.raises(BadPayload, match="next page is itself"):
        server.read(V4.runs(NUMBERED, updated_after=None, size=2, cursor="page=2"))


def test_v3_has_no_pipelines_and_is_not_asked() -> None:
    server = Server({})
    assert (V4.lists_runs, V3.lists_runs) == (True, False)
    assert server.read(V3.runs(SHOP, updated_after=None, size=20)).runs == ()
    assert server.read(V3.bridges(SHOP, "9")) == {}
    assert server.asked == []


# The jobs of a pipeline


def test_the_jobs_of_a_pipeline_are_read_whole_with_retried_ones() -> None:
    first = f"{PIPELINES}/9/jobs?per_page=100&include_retried=true"
    server = Server({first: answer([job(3, 9), job(2, 9)], {"x-next-page": "2"}), f"{first}&page=2": [job(1, 9)]})
    page = server.read(V4.builds_of(NUMBERED, "9"))
    last = server.read(V4.builds_of(NUMBERED, "9", page.cursor))
    assert [build.id for build in (*page.builds, *last.builds)] == ["3", "2", "1"]
    assert last.cursor is None
    (run,) = last.runs
    assert run == Run(
        id="9",
        status="success",
        outcome=Outcome.SUCCESS,
        created_at=EIGHT,
        updated_at=EIGHT + 420,
        branch="main",
        trigger="push",
        sha=SHA,
        ref="main",
    )


def test_a_pipelines_status_is_that_of_its_newest_job_on_the_page_and_it_comes_once() -> None:
    jobs = [job(3, 9, pipeline=pipeline(9, "running")), job(2, 8), job(1, 9, pipeline=pipeline(9, "pending"))]
    page = Server({f"{PROJECT}/jobs": jobs}).read(V4.builds(NUMBERED, 5))
    assert [(run.id, run.status) for run in page.runs] == [("9", "running"), ("8", "success")]


def test_a_tags_run_has_no_branch_though_the_pipeline_does_not_say_that_it_is_a_tag() -> None:
    page = Server({f"{PROJECT}/jobs": [job(1, 9, tag=True, pipeline=pipeline(9, ref="release/1"))]}).read(
        V4.builds(NUMBERED, 5)
    )
    assert [(run.branch, run.ref_kind, run.ref) for run in page.runs] == [(None, "tag", "release/1")]


def test_the_builds_of_a_v3_run_are_those_of_its_commit_and_ref() -> None:
    where = f"/api/v3/projects/shop%2Fweb/repository/commits/{SHA}/builds"
    records = [job(4, 0, ref="dev"), job(3, 0, created_at="2026-03-02T08:01:00Z"), job(2, 0), job(1, 0, tag=True)]
    server = Server({f"{where}?per_page=100": answer(records, {"x-next-page": "2"}), where: [job(0, 0)]})
    page = server.read(V3.builds_of(SHOP, f"{SHA}:main"))
    assert ([build.id for build in page.builds], page.cursor) == (["3", "2", "1"], "per_page=100&page=2")
    (run,) = page.runs
    assert (run.id, run.status, run.outcome, run.ref) == (f"{SHA}:main", "", Outcome.UNKNOWN, "main")
    assert (run.created_at, run.updated_at, run.sha, run.trigger) == (EIGHT, None, SHA, "")
    assert [build.id for build in server.read(V3.builds_of(SHOP, f"{SHA}:main", page.cursor)).builds] == ["0"]


def test_a_v3_build_without_a_commit_is_its_own_run() -> None:
    server = Server({"/api/v3/projects/shop%2Fweb/builds/7": job(7, 0, commit=None, pipeline=None)})
    page = server.read(V3.builds_of(SHOP, "7"))
    assert ([build.run for build in page.builds], page.runs) == (["7"], ())


# Child pipelines


def test_the_trigger_jobs_name_the_child_pipelines_and_whether_they_may_fail() -> None:
    assert once(case("gitlab", "bridges"), V4.bridges(NUMBERED, "9")) == expected("gitlab", "bridges")


def test_all_pages_of_trigger_jobs_are_read() -> None:
    first = f"{PIPELINES}/9/bridges?per_page=100"
    of = {"allow_failure": True, "downstream_pipeline": {"id": 10}}
    server = Server(
        {first: answer([of], {"x-next-page": "2"}), f"{first}&page=2": [{"downstream_pipeline": {"id": 11}}]}
    )
    assert server.read(V4.bridges(NUMBERED, "9")) == {"10": True, "11": False}
    assert {request.operation for request in server.asked} == {"bridges"}


# Branches


@pytest.mark.parametrize("provider", [V4, V3])
def test_a_branch_is_gone_only_where_the_server_says_that_the_branch_is_not_found(provider: GitLab) -> None:
    where = f"/api/{provider.source.api}/projects/42/repository/branches/feature%2Fnew"
    gone = answered(404, b'{"message":"404 Branch Not Found"}')
    assert Server({where: {"name": "feature/new"}}).read(provider.branch_exists(NUMBERED, "feature/new"))
    assert not Server({where: gone}).read(provider.branch_exists(NUMBERED, "feature/new"))


@pytest.mark.parametrize(
    "error",
    [
        answered(404, b'{"message":"404 Project Not Found"}'),
        answered(404, b"<html>404 Branch Not Found</html>"),
        answered(404),
        answered(403, b'{"message":"404 Branch Not Found"}'),
        answered(410, b'{"error":"API V3 is no longer supported. Use API V4 instead."}'),
        answered(301, location="/api/v4/projects/43/repository/branches/main"),
        Unauthorized("refused"),
        RateLimited("wait", 3.0),
    ],
)
def test_any_other_error_says_nothing_of_the_branch(error: SourceError) -> None:
    with pytest.raises(type(error)):
        Server({f"{PROJECT}/repository/branches/main": error}).read(V4.branch_exists(NUMBERED, "main"))


# The project


def test_a_projects_record_has_its_default_branch_its_own_spelling_and_its_number() -> None:
    record = {"id": 42, "path_with_namespace": "shop/web", "default_branch": "develop"}
    written = Target("gl", "project", "Shop/Web", "Shop/Web")
    server = Server({"/api/v4/projects/Shop%2FWeb": record})
    about = server.read(V4.about(written))
    assert about == About("develop", "shop/web", "42")
    assert [request.operation for request in server.asked] == ["project"]
    assert (settled(written, about), settled(written, about).handle) == (SHOP, "42")
    assert settled(written, None) is written


@pytest.mark.parametrize("location", ["/api/v4/projects/42", "http://10.0.0.1/git/api/v4/projects/42?x=1"])
def test_a_renamed_project_is_found_by_the_number_that_it_moved_to_at_our_own_server(location: str) -> None:
    record = {"id": 42, "path_with_namespace": "store/web", "default_branch": None}
    server = Server({"/api/v4/projects/shop%2Fweb": answered(301, location=location), PROJECT: record})
    assert server.read(V4.about(SHOP)) == About(None, "store/web", "42")
    assert [request.path for request in server.asked] == ["/api/v4/projects/shop%2Fweb", PROJECT]


@pytest.mark.parametrize(
    "error",
    [
        answered(301, location="https://elsewhere.example.com/login"),
        answered(302, location="http://[bad/api/v4/projects/42"),
        answered(301),
        answered(404),
        Forbidden("no right"),
    ],
)
def test_a_project_that_cannot_be_read_is_said(error: SourceError) -> None:
    with pytest.raises(type(error)) as raised:
        Server({"/api/v4/projects/shop%2Fweb": error}).read(V4.about(SHOP))
    assert raised.value is error


def test_a_project_that_moves_to_itself_is_asked_once() -> None:
    server = Server({PROJECT: answered(301, location=PROJECT)})
    with pytest.raises(NotFound):
        server.read(V4.about(NUMBERED))
    assert len(server.asked) == 1


def test_a_v3_project_is_shown_as_configured() -> None:
    record = {"id": 42, "path_with_namespace": "shop/web", "default_branch": "develop"}
    about = Server({"/api/v3/projects/shop%2Fweb": record}).read(V3.about(SHOP))
    assert about == About("develop", None, "")
    assert settled(SHOP, about) == SHOP


def test_pages_of_runs() -> None:
    assert V4.page_of_run(SHOP, "9") == "https://gitlab.example.com/shop/web/-/pipelines/9"
    assert V3.page_of_run(SHOP, f"{SHA}:main") == f"https://gitlab.example.com/shop/web/commit/{SHA}"
    assert {V4.page_of_run(SHOP, "x"), V4.page_of_run(Target("gl", "project", "42", "42"), "9")} == {None}
    assert {V3.page_of_run(SHOP, "7"), V3.page_of_run(SHOP, "../x:main")} == {None}


def test_a_job_has_what_started_its_pipeline_and_why_it_failed() -> None:
    records = [
        job(1, 9, status="failed", failure_reason="script_failure", coverage=50),
        job(2, 9, failure_reason="unknown_failure", pipeline=pipeline(9, source="schedule")),
        job(3, 9, pipeline=pipeline(9, source="merge_request_event", ref="main")),
    ]
    failed, nightly, request = Server({f"{PROJECT}/jobs": records}).read(V4.builds(NUMBERED, 5)).builds

    def facts(build: Build) -> tuple[object, ...]:
        return build.trigger, build.ref_kind, build.branch, build.reason, build.coverage

    assert facts(failed) == ("push", "branch", "main", "script_failure", 0.5)
    assert facts(nightly) == ("schedule", "branch", "main", "", None)
    assert facts(request) == ("merge_request_event", "merge_request", None, "", None)
