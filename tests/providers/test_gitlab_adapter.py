import pytest
from driving import Server, answer, case, cases, expected, gitlab, line, once, shown

from exporter.build import Outcome, Target
from exporter.errors import BadPayload, NotFound
from exporter.providers import Provider, provider_of
from exporter.providers.gitlab.api import GitLab

SHOP = Target("gl", "project", "shop/web", "shop/web")
JOBS = "/api/v4/projects/shop%2Fweb/jobs"
KEYSET = "pagination=keyset&order_by=id&sort=desc"
FIRST = f"{JOBS}?per_page=5&{KEYSET}"


def gone() -> NotFound:
    return NotFound("gone (410)", status=410)


@pytest.mark.parametrize(
    "name", cases("gitlab", lambda name: not name.startswith(("documented_", "pipelines", "bridges")))
)
def test_an_answer_gives_the_builds_beside_it(name: str) -> None:
    provider = GitLab(gitlab("shop/web", v3=name.startswith("v3_")))
    reading = provider.build(SHOP, "7") if name.startswith("whole") else provider.builds(SHOP, 20)
    assert shown(once(case("gitlab", name), reading)) == expected("gitlab", name)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("script_failure", Outcome.FAILURE),
        ("missing_dependency_failure", Outcome.FAILURE),
        ("runner_configuration_error", Outcome.FAILURE),
        ("forward_deployment_failure", Outcome.FAILURE),
        ("archived_failure", Outcome.FAILURE),
        ("user_blocked", Outcome.FAILURE),
        ("runner_system_failure", Outcome.ERROR),
        ("stuck_or_timeout_failure", Outcome.ERROR),
        ("stuck_pending_no_matching_runners", Outcome.ERROR),
        ("no_updates_running", Outcome.ERROR),
        ("scheduler_failure", Outcome.ERROR),
        ("api_failure", Outcome.ERROR),
        ("data_integrity_failure", Outcome.ERROR),
        ("runner_unsupported", Outcome.ERROR),
        ("stale_schedule", Outcome.ERROR),
        ("unmet_prerequisites", Outcome.ERROR),
        ("ci_quota_exceeded", Outcome.ERROR),
        ("job_execution_timeout", Outcome.TIMEOUT),
        ("job_execution_server_timeout", Outcome.TIMEOUT),
        ("server_timeout_running", Outcome.TIMEOUT),
        ("server_timeout_canceling", Outcome.TIMEOUT),
        ("job_token_expired", Outcome.TIMEOUT),
    ],
)
def test_a_failure_is_told_apart_by_its_reason_but_where_the_job_may_fail(reason: str, outcome: Outcome) -> None:
    record = {"id": 1, "created_at": "2024-03-05T09:00:00Z", "status": "failed", "failure_reason": reason}
    page = Server({JOBS: [record, {**record, "allow_failure": True}]}).read(GitLab(gitlab("shop/web")).builds(SHOP, 5))
    assert [build.outcome for build in page.builds] == [outcome, Outcome.ALLOWED_FAILURE]


def test_every_documented_status_is_shown_and_failed_with_each_of_its_outcomes() -> None:
    words = (
        "created waiting_for_resource preparing waiting_for_callback pending running success failed canceling canceled "
        "skipped manual scheduled"
    )
    v4 = GitLab(gitlab("a/b")).vocabulary
    assert {status for status, _ in v4} == set(words.split())
    failed = {Outcome.FAILURE, Outcome.ALLOWED_FAILURE, Outcome.ERROR, Outcome.TIMEOUT}
    assert {outcome for status, outcome in v4 if status == "failed"} == failed
    assert len(set(v4)) == len(v4) == 16


def test_v3_has_fewer_words_and_one_kind_of_failure() -> None:
    assert GitLab(gitlab("a/b", v3=True)).vocabulary == (
        ("pending", Outcome.PENDING),
        ("running", Outcome.EXECUTING),
        ("success", Outcome.SUCCESS),
        ("failed", Outcome.FAILURE),
        ("canceled", Outcome.CANCELLATION),
        ("skipped", Outcome.SKIP),
    )


def test_the_map_makes_it_and_it_is_a_provider() -> None:
    provider: Provider = provider_of(gitlab("a/b"))
    assert provider.headers("t0k") == {"PRIVATE-TOKEN": "t0k", "Accept": "application/json"}
    assert provider.kinds == ("project",)


def test_v4_jobs_are_asked_in_keysets_by_path_or_by_number_with_their_scope() -> None:
    provider = GitLab(gitlab("shop/web"))
    assert (
        line(next(provider.builds(SHOP, 5, scope=("failed", "success")))) == f"{FIRST}&scope[]=failed&scope[]=success"
    )
    numbered = Target("gl", "project", "shop/web", "shop/web", "42")
    assert next(provider.builds(numbered, 5)).path == "/api/v4/projects/42/jobs"
    assert line(next(provider.build(numbered, "7/8"))) == "/api/v4/projects/42/jobs/7%2F8?"
    assert next(provider.builds(SHOP, 5)).operation == "builds"
    assert next(provider.build(SHOP, "7")).operation == "build"


def test_v3_builds_are_asked_in_pages() -> None:
    provider = GitLab(gitlab("shop/web", v3=True))
    assert line(next(provider.builds(SHOP, 5, scope=("failed",)))) == (
        "/api/v3/projects/shop%2Fweb/builds?per_page=5&scope[]=failed"
    )
    assert next(provider.build(SHOP, "7")).path == "/api/v3/projects/shop%2Fweb/builds/7"


def test_of_a_link_only_the_query_is_followed_and_a_keyset_may_change_its_size() -> None:
    link = f'<http://10.0.0.1/evil?{KEYSET}&per_page=5&cursor=aB%3D&scope%5B%5D=failed>; rel="next", <x>; rel="first"'
    server = Server({FIRST: answer([], {"link": link}), JOBS: answer([])})
    provider = GitLab(gitlab("shop/web"))
    first = server.read(provider.builds(SHOP, 5))
    last = server.read(provider.builds(SHOP, 100, first.cursor))
    assert last.cursor is None
    assert server.lines() == [FIRST, f"{JOBS}?{KEYSET}&cursor=aB=&scope[]=failed&per_page=100"]


def test_an_offset_page_keeps_its_size_or_builds_would_be_passed_over() -> None:
    server = Server({FIRST: answer([], {"x-next-page": "2"}), JOBS: answer([], {"x-next-page": ""})})
    provider = GitLab(gitlab("shop/web"))
    server.read(provider.builds(SHOP, 100, server.read(provider.builds(SHOP, 5)).cursor))
    assert server.lines()[1] == f"{FIRST}&page=2"


def test_v3_pages_follow_one_another_to_the_end() -> None:
    path = "/api/v3/projects/shop%2Fweb/builds"
    server = Server(
        {
            f"{path}?per_page=5": answer([], {"x-next-page": "2"}),
            f"{path}?per_page=5&page=2": answer([], {"link": '<http://old/x?page=3&per_page=5>; title="a"; rel=next'}),
            f"{path}?page=3&per_page=5": answer([], {"link": '<http://old/x?page=1>; rel="first"', "x-next-page": ""}),
        }
    )
    provider = GitLab(gitlab("shop/web", v3=True))
    cursor = None
    for _ in range(3):
        cursor = server.read(provider.builds(SHOP, 5, cursor)).cursor
    assert (cursor, len(server.asked)) == (None, 3)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"link": "nonsense"},
        {"link": '<http://h/x>; rel="next"'},
        {"link": '<http://[h/x?page=2>; rel="next"'},
        {"link": '<http://h/x?page=2>; rel="prev"'},
        {"link": '<http://h/x?page=2>; rel="nextish"'},
        {"x-next-page": ""},
        {"x-next-page": "²"},
        {"x-next-page": "2&per_page=9"},
    ],
)
def test_without_a_usable_next_page_it_is_the_last(headers: dict[str, str]) -> None:
    assert Server({JOBS: answer([], headers)}).read(GitLab(gitlab("shop/web")).builds(SHOP, 5)).cursor is None


def test_a_page_that_names_itself_as_the_next_is_refused() -> None:
    server = Server({JOBS: answer([], {"link": '<http://h/x?cursor=a>; rel="next"'})})
    with pytest.raises(BadPayload, match="next page is itself"):
        server.read(GitLab(gitlab("shop/web")).builds(SHOP, 5, "cursor=a"))


def test_an_answer_of_another_shape_is_a_bad_payload() -> None:
    provider = GitLab(gitlab("shop/web"))
    with pytest.raises(BadPayload, match=r"^answered an object instead of an array for the builds$"):
        Server({JOBS: {"message": "x"}}).read(provider.builds(SHOP, 5))
    with pytest.raises(BadPayload, match=r"^answered an array instead of an object for the build$"):
        Server({f"{JOBS}/7": []}).read(provider.build(SHOP, "7"))


@pytest.mark.parametrize("path", ["/api/v3/projects/shop%2Fweb/builds", "/api/v3/projects/shop%2Fweb/builds/7"])
def test_a_server_that_no_longer_speaks_v3_is_said_with_the_line_to_change(path: str) -> None:
    provider = GitLab(gitlab("shop/web", v3=True))
    reading = provider.build(SHOP, "7") if path.endswith("7") else provider.builds(SHOP, 5)
    with pytest.raises(NotFound) as raised:
        Server({path: gone()}).read(reading)
    assert str(raised.value) == 'the server no longer speaks API v3: write "api: v4" at config.yaml:7'


@pytest.mark.parametrize(("v3", "error"), [(True, NotFound("not found (404)")), (False, gone())])
def test_any_other_thing_that_is_not_found_is_said_as_it_came(v3: bool, error: NotFound) -> None:  # noqa: FBT001
    path = f"/api/{'v3' if v3 else 'v4'}/projects/shop%2Fweb/{'builds' if v3 else 'jobs'}"
    with pytest.raises(NotFound) as raised:
        Server({path: error}).read(GitLab(gitlab("shop/web", v3=v3)).builds(SHOP, 5))
    assert raised.value is error
