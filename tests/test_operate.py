"""The operator's hand: what it asks of each provider, what it changes, and what it says where it cannot."""

import json
import re
from collections.abc import Callable
from importlib import import_module

import pytest
from operating import GITLAB, NORTHFLANK, OLD_GITLAB, Hand
from serving import PATIENCE, Clock

from exporter.build import FAILED, Outcome, Target
from exporter.config.secret import EnvToken
from exporter.errors import (
    BadPayload,
    ExporterError,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    SourceError,
    Unauthorized,
    Unreachable,
)
from exporter.http.wire import Answer
from exporter.operate import BuildDetails, cancel, operator_for, retry, target_of, wait
from exporter.operate.operations import operations_of
from exporter.providers import PROVIDERS
from exporter.settings.settings import Settings
from exporter.simulator import SIMULATOR_TOKEN, Simulator, demo_world, faults

SETTINGS = Settings(sources=(NORTHFLANK, GITLAB, OLD_GITLAB))
WEB = "northflank/service/shop/web"
REPORT = "northflank/job/shop/nightly-report"
STOREFRONT = "gitlab/project/harbour/storefront"
BILLING = "old-gitlab/project/2105"
ALL = (WEB, REPORT, STOREFRONT, BILLING)


def at(address: str) -> tuple[Hand, Target]:
    source, target = target_of(SETTINGS, address)
    return Hand(source), target


def newest(hand: Hand, target: Target, *scope: str) -> BuildDetails:
    return hand.operator.builds(target, scope=scope, limit=1).builds[0]


def first(hand: Hand, target: Target) -> BuildDetails:
    return hand.operator.build(target, "1")


def under_way(hand: Hand, target: Target) -> BuildDetails:
    """A build that has not ended: of a retry, where there is none."""
    ended = newest(hand, target, "success")
    hand.now += 60
    return retry(hand.operator, target, ended)


def test_each_provider_has_operations() -> None:
    for name in PROVIDERS:
        assert import_module(f"exporter.providers.{name}.operations").OPERATIONS
    assert {type(operations_of(source)).__name__ for source in SETTINGS.sources} == {
        "NorthflankOperations",
        "GitLabOperations",
    }


# Addresses


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (WEB, Target("northflank", "service", "shop", "web")),
        (REPORT, Target("northflank", "job", "shop", "nightly-report")),
        ("gitlab/project/a/b/c", Target("gitlab", "project", "a/b/c", "a/b/c")),
        (BILLING, Target("old-gitlab", "project", "2105", "2105")),
    ],
)
def test_an_address_is_read_as_it_is_printed(address: str, target: Target) -> None:
    assert target_of(SETTINGS, address)[1] == target
    assert target.address == address


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("northfank/service/shop/web", 'there is no source "northfank"; did you mean "northflank"?'),
        ("x", 'there is no source "x"; the sources are northflank, gitlab, old-gitlab'),
        ("northflank/service/shop", "write northflank/service/PROJECT/NAME or northflank/job/PROJECT/NAME"),
        ("northflank/service/shop/", "is not the address of a target"),
        ("northflank/service/a/b/c", "is not the address of a target"),
        ("northflank/project/shop", "is not the address of a target"),
        ("gitlab/service/shop/web", "write gitlab/project/PATH"),
        ("gitlab/project/", "is not the address of a target"),
        ("gitlab/project/a//b", "is not the address of a target"),
    ],
)
def test_what_is_no_address_is_told_what_to_write(address: str, says: str) -> None:
    with pytest.raises(Refused, match=re.escape(says)):
        target_of(SETTINGS, address)


# Lists


@pytest.mark.parametrize("address", ALL)
def test_a_list_gives_the_newest_builds_up_to_its_limit(address: str) -> None:
    hand, target = at(address)
    seen = hand.operator.builds(target, limit=120)
    assert len(seen.builds) == 120
    assert not seen.incomplete
    created = [found.build.created_at for found in seen.builds]
    assert created == sorted(created, reverse=True) or "gitlab" in address  # GitLab's are by id
    assert len({found.build.id for found in seen.builds}) == 120


@pytest.mark.parametrize("address", ALL)
@pytest.mark.parametrize(
    ("word", "outcomes"),
    [
        ("success", {Outcome.SUCCESS}),
        ("failed", {*FAILED, Outcome.ALLOWED_FAILURE}),
        ("canceled", {Outcome.CANCELLATION}),
        ("running", {Outcome.EXECUTING}),
        ("pending", {Outcome.PENDING}),
    ],
)
def test_the_scopes_of_the_seed_hold_for_each_provider(address: str, word: str, outcomes: set[Outcome]) -> None:
    hand, target = at(address)
    found = hand.operator.builds(target, scope=(word,), limit=3).builds
    assert {one.build.outcome for one in found} <= outcomes
    assert found or word in {"running", "pending", "canceled"}


def test_scopes_add_up_and_an_outcome_is_one_too() -> None:
    hand, target = at(STOREFRONT)
    both = hand.operator.builds(target, scope=("canceled", "allowed_failure"), limit=50).builds
    assert {one.build.outcome for one in both} == {Outcome.CANCELLATION, Outcome.ALLOWED_FAILURE}
    assert {one.build.status for one in both} == {"canceled", "failed"}
    assert "scope%5B%5D=canceled&scope%5B%5D=failed" in hand.asked[0][1]


def test_an_outcome_that_no_documented_status_has_is_sifted_here() -> None:
    hand, target = at(BILLING)
    seen = hand.operator.builds(target, scope=("unknown",), limit=1)
    assert (seen.builds, seen.incomplete) == ((), True)
    assert len(hand.asked) == 10
    assert not any("scope" in path for _, path in hand.asked)


@pytest.mark.parametrize("address", [WEB, STOREFRONT, BILLING])
def test_an_unknown_scope_is_told_the_nearest_and_asks_nothing(address: str) -> None:
    hand, target = at(address)
    with pytest.raises(Refused, match='"faled" is not a scope; did you mean "failed"'):
        hand.operator.builds(target, scope=("faled",))
    assert not hand.asked


@pytest.mark.parametrize("address", ALL)
@pytest.mark.parametrize("length", [8, 40])
def test_the_list_of_a_commit_has_its_builds_and_no_others(address: str, length: int) -> None:
    hand, target = at(address)
    whole = hand.operator.builds(target, limit=300).builds
    sha = whole[len(whole) // 2].build.sha
    seen = hand.operator.builds(target, commit=sha[:length].upper(), limit=100)
    expected = {one.build.id for one in whole if one.build.sha == sha}
    assert expected
    assert expected <= {one.build.id for one in seen.builds}
    assert {one.build.sha for one in seen.builds} == {sha}


def test_the_list_of_a_commit_takes_a_scope_too() -> None:
    hand, target = at(STOREFRONT)
    sha = hand.operator.builds(target, limit=50).builds[-1].build.sha
    seen = hand.operator.builds(target, commit=sha, scope=("success",), limit=100)
    assert {one.build.status for one in seen.builds} == {"success"}
    assert len(seen.builds) < len(hand.operator.builds(target, commit=sha, limit=100).builds)


@pytest.mark.parametrize("address", [STOREFRONT, BILLING])
def test_a_commit_that_is_not_there_is_said(address: str) -> None:
    hand, target = at(address)
    with pytest.raises(Refused, match=f"{address} has no commit abcdef0"):
        hand.operator.builds(target, commit="abcdef0")


def test_what_can_be_no_commit_asks_nothing() -> None:
    hand, target = at(STOREFRONT)
    with pytest.raises(Refused, match='"main" is not a commit'):
        hand.operator.builds(target, commit="main")
    assert not hand.asked


# The seeds' endpoints


def test_each_endpoint_of_the_seeds_is_used() -> None:
    """As the seeds write them, the ids left out."""
    used: set[str] = set()
    for address in ALL:
        hand, target = at(address)
        hand.operator.builds(target, scope=("failed",), limit=1)
        sha = newest(hand, target).build.sha
        hand.operator.builds(target, commit=sha, limit=1)
        again = under_way(hand, target)
        found = hand.operator.build(target, again.build.id)
        cancel(hand.operator, target, found)
        used |= {f"{method} {_shape(path)}" for method, path in hand.asked}
    assert used >= {
        "GET /api/v3/projects/ID/builds?scope",
        "GET /api/v3/projects/ID/repository/commits/ID/builds",
        "GET /api/v3/projects/ID/builds/ID",
        "POST /api/v3/projects/ID/builds/ID/cancel",
        "POST /api/v3/projects/ID/builds/ID/retry",
        "GET /api/v4/projects/ID/jobs?scope",
        "GET /api/v4/projects/ID/pipelines",
        "GET /api/v4/projects/ID/pipelines/ID/jobs",
        "GET /api/v4/projects/ID/jobs/ID",
        "POST /api/v4/projects/ID/jobs/ID/cancel",
        "POST /api/v4/projects/ID/jobs/ID/retry",
        "GET /v1/projects/ID/services/ID/build",
        "GET /v1/projects/ID/jobs/ID/build",
        "GET /v1/projects/ID/services/ID/build/ID",
        "GET /v1/projects/ID/jobs/ID/build/ID",
        "POST /v1/projects/ID/services/ID/build",
        "POST /v1/projects/ID/jobs/ID/build",
        "DELETE /v1/projects/ID/services/ID/build/ID",
        "DELETE /v1/projects/ID/jobs/ID/build/ID",
    }


def _shape(path: str) -> str:
    words = r"api|v[134]|projects|builds?|jobs|services|pipelines|repository|commits|cancel|retry"
    plain, _, query = path.partition("?")
    shaped = re.sub(rf"/(?!(?:{words})(?:/|$))[^/]+", "/ID", plain)
    return shaped + ("?scope" if "scope" in query else "")


# One build


@pytest.mark.parametrize("address", ALL)
def test_one_build_is_as_the_list_has_it(address: str) -> None:
    hand, target = at(address)
    listed = newest(hand, target, "failed")
    found = hand.operator.build(target, listed.build.id)
    assert found.build == listed.build
    assert (found.ref, found.message, found.url) == (listed.ref, listed.message, listed.url)


def test_a_record_says_more_than_a_build() -> None:
    hand, target = at(STOREFRONT)
    found = newest(hand, target, "failed")
    assert found.message
    assert found.url
    assert found.url.endswith(f"/harbour/storefront/-/jobs/{found.build.id}")
    hand, target = at(WEB)
    assert newest(hand, target, "failed").message == "The build failed: a step exited with a non-zero code"


def test_a_page_that_is_no_web_page_is_not_shown() -> None:
    hand, target = at(STOREFRONT)
    hand.answered = lambda _method, _path, answer: Answer(
        answer.status, re.sub(rb'"web_url":"[^"]*"', b'"web_url":"javascript:alert(1)"', answer.body), answer.headers
    )
    assert newest(hand, target).url is None


@pytest.mark.parametrize("address", ALL)
@pytest.mark.parametrize("build_id", ["nope-1", "12", "99999999999"])
def test_an_unknown_build_is_said(address: str, build_id: str) -> None:
    hand, target = at(address)
    with pytest.raises(Refused, match=f"{address} has no build {build_id}"):
        hand.operator.build(target, build_id)


def test_what_can_be_no_id_asks_nothing() -> None:
    hand, target = at(WEB)
    with pytest.raises(Refused, match="cannot be the id of a build"):
        hand.operator.build(target, "..")
    assert not hand.asked


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("northflank/service/shop/wep", WEB),
        ("northflank/job/shop/nigthly-report", REPORT),
        ("gitlab/project/harbour/storefrnt", STOREFRONT),
        ("old-gitlab/project/2195", BILLING),
    ],
)
def test_an_unknown_target_is_told_the_nearest(address: str, near: str) -> None:
    for ask in (first, newest):
        hand, target = at(address)
        with pytest.raises(Refused, match=f'{address}: there is no such target, .*; did you mean "{near}"'):
            ask(hand, target)


def test_a_build_of_a_job_is_found_without_the_right_to_deploy() -> None:
    hand, target = at(REPORT)
    listed = hand.operator.builds(target, limit=150).builds[-1]
    hand.fault = lambda _method, path: Forbidden("no", status=403) if re.search("/build/[^/]+$", path) else None
    assert hand.operator.build(target, listed.build.id).build == listed.build
    with pytest.raises(Refused, match=r"has no build nope among its newest \d+"):
        hand.operator.build(target, "nope")


@pytest.mark.parametrize(
    ("address", "right"),
    [
        (WEB, "Project > Services > General > Read"),
        (STOREFRONT, "the scope read_api"),
    ],
)
def test_reading_without_the_right_names_it(address: str, right: str) -> None:
    hand, target = at(address)
    hand.fault = lambda _method, _path: Forbidden("x answered 403: the token of source s has no right", status=403)
    for ask in (first, newest):
        with pytest.raises(Forbidden, match=f"x answered 403: the token needs .*{right}"):
            ask(hand, target)


def test_a_server_that_forgot_v3_says_what_to_write() -> None:
    hand, target = at(BILLING)
    hand.simulator.gitlab.v3 = False
    for ask in (first, newest):
        with pytest.raises(NotFound, match='no longer speaks API v3: write "api: v4"'):
            ask(hand, target)


# Cancel and retry


@pytest.mark.parametrize("address", ALL)
def test_what_is_retried_is_a_new_build_of_the_same_commit_and_can_be_cancelled(address: str) -> None:
    hand, target = at(address)
    ended = newest(hand, target, "success")
    hand.now += 60
    again = retry(hand.operator, target, ended)
    assert again.build.id != ended.build.id
    assert not again.build.concluded
    assert hand.operator.build(target, again.build.id).build.sha == ended.build.sha
    assert (again.build.name, again.build.stage) == (ended.build.name, ended.build.stage)
    canceled = cancel(hand.operator, target, again)
    assert canceled
    assert canceled.build.outcome is Outcome.CANCELLATION
    assert len(hand.changes) == 2


def test_a_build_of_a_pull_request_is_retried_as_one() -> None:
    hand, target = at(WEB)
    of_request = next(
        one for one in hand.operator.builds(target, limit=200).builds if one.record.get("pullRequestId") is not None
    )
    retry(hand.operator, target, of_request)
    (body,) = hand.bodies
    assert json.loads(body or b"") == {
        "sha": of_request.build.sha,
        "branch": of_request.ref,
        "pullRequestId": of_request.record["pullRequestId"],
    }


def test_a_build_without_a_commit_is_not_retried() -> None:
    hand, target = at(WEB)
    hand.answered = lambda _method, _path, answer: Answer(
        answer.status, re.sub(rb'"sha":"[^"]*"', b'"sha":null', answer.body), answer.headers
    )
    found = newest(hand, target, "failed")
    with pytest.raises(Refused, match="has no commit"):
        retry(hand.operator, target, found)
    assert not hand.changes


@pytest.mark.parametrize("address", ALL)
def test_what_has_ended_is_not_cancelled_and_what_runs_is_not_retried(address: str) -> None:
    hand, target = at(address)
    ended = newest(hand, target, "failed")
    with pytest.raises(Refused, match=rf"build {ended.build.id} has ended \(fail\w+\): there is nothing to cancel"):
        cancel(hand.operator, target, ended)
    assert not hand.changes
    running = under_way(hand, target)
    with pytest.raises(Refused, match=rf"build {running.build.id} has not ended \(pending\): cancel it first, or wait"):
        retry(hand.operator, target, running)
    assert len(hand.changes) == 1


@pytest.mark.parametrize("address", ALL)
def test_what_ends_while_somebody_thinks_is_told_so(address: str) -> None:
    hand, target = at(address)
    running = under_way(hand, target)
    hand.now += 86_400
    with pytest.raises(Refused, match=rf"build {running.build.id} has ended in the meantime \(success\)"):
        cancel(hand.operator, target, running)


def test_an_old_server_that_answers_a_cancellation_with_the_build_as_it_is_fools_nobody() -> None:
    hand, target = at(BILLING)
    running = under_way(hand, target)
    record = {**running.record, "status": "success", "finished_at": "2026-11-22T00:00:00Z"}
    hand.answered = lambda method, _path, answer: (
        Answer(201, json.dumps(record).encode()) if method == "POST" else answer
    )
    with pytest.raises(Refused, match="had ended before it could be cancelled: success"):
        cancel(hand.operator, target, running)


@pytest.mark.parametrize("address", [STOREFRONT, BILLING])
def test_what_was_retried_before_is_said(address: str) -> None:
    hand, target = at(address)
    ended = newest(hand, target, "success")
    retry(hand.operator, target, ended)
    with pytest.raises(Refused, match=r"not retryable.*: it was retried before, or cannot be retried"):
        retry(hand.operator, target, ended)


@pytest.mark.parametrize(
    ("address", "right"),
    [
        (WEB, "Project > Services > Deployment > Deploy Build"),
        (REPORT, "Project > Jobs > Deployment > Deploy Build"),
        (STOREFRONT, "the scope api .* the role Developer"),
        (BILLING, "the scope api .* the role Developer"),
    ],
)
@pytest.mark.parametrize("change", [cancel, retry])
def test_changing_without_the_right_names_it(address: str, right: str, change: Callable[..., object]) -> None:
    hand, target = at(address)
    found = under_way(hand, target) if change is cancel else newest(hand, target, "success")
    hand.fault = lambda method, _path: (
        None if method == "GET" else Forbidden("x answered 403: the token of source s has no right", status=403)
    )
    with pytest.raises(Forbidden, match=f"^x answered 403: the token needs .*{right}"):
        change(hand.operator, target, found)


@pytest.mark.parametrize(
    "error",
    [
        Unauthorized("wrong token", status=401),
        RateLimited("too many", 30.0, status=429),
        NotFound("moved", status=301),
        BadPayload("answered 400", status=400),
        Unauthorized("cannot be read"),
    ],
)
@pytest.mark.parametrize("change", [cancel, retry])
def test_what_a_provider_surely_did_not_do_is_said_to_be_so(error: SourceError, change: Callable[..., object]) -> None:
    hand, target = at(STOREFRONT)
    found = under_way(hand, target) if change is cancel else newest(hand, target, "success")
    before = len(hand.changes)
    hand.fault = lambda method, _path: None if method == "GET" else error
    with pytest.raises(Refused, match="; nothing was changed"):
        change(hand.operator, target, found)
    assert len(hand.changes) == before + 1


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("no answer within 10 s"),
        Unreachable("answered 502", status=502),
        Unreachable("answered 408", status=408),
        BadPayload("a body whose compression is broken", status=200),
        BadPayload("does not speak HTTP"),
        KeyboardInterrupt(),
    ],
)
@pytest.mark.parametrize("change", [cancel, retry])
@pytest.mark.parametrize("address", ALL)
def test_a_change_whose_end_is_not_known_is_sent_once_and_says_how_to_look(
    error: SourceError, change: Callable[..., object], address: str
) -> None:
    hand, target = at(address)
    found = under_way(hand, target) if change is cancel else newest(hand, target, "success")
    before = len(hand.changes)
    hand.fault = lambda method, _path: None if method == "GET" else error
    command = f"show {address} {found.build.id}" if change is cancel else f"list {address} --commit {found.build.sha}"
    says = f", and it was not sent again; to see: ci-build-exporter builds {command}"
    with pytest.raises(OutcomeUnknown, match=f"{re.escape(says)}$"):
        change(hand.operator, target, found)
    assert len(hand.changes) == before + 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data": {}}'])
def test_a_retry_that_was_accepted_without_a_word_of_the_new_build_says_how_to_look(body: bytes) -> None:
    hand, target = at(STOREFRONT)
    found = newest(hand, target, "success")
    hand.answered = lambda method, _path, answer: answer if method == "GET" else Answer(201, body)
    says = f"did not say which build is new; to see it: .* --commit {found.build.sha}"
    with pytest.raises(OutcomeUnknown, match=says):
        retry(hand.operator, target, found)


def test_a_cancellation_that_was_accepted_without_a_word_is_looked_at() -> None:
    hand, target = at(STOREFRONT)
    running = under_way(hand, target)
    hand.answered = lambda method, _path, answer: answer if method == "GET" else Answer(204, b"")
    canceled = cancel(hand.operator, target, running)
    assert canceled
    assert canceled.build.status == "canceled"


def test_a_cancellation_that_cannot_be_looked_at_was_accepted_all_the_same() -> None:
    hand, target = at(WEB)
    running = under_way(hand, target)
    hand.fault = lambda method, _path: Unreachable("gone") if method == "GET" else None
    assert cancel(hand.operator, target, running) is None


# The same over a real connection


@pytest.mark.parametrize("fault", [faults.reset, faults.hang, faults.server_error, faults.truncated, faults.html])
@pytest.mark.parametrize("address", [WEB, STOREFRONT])
def test_no_fault_on_the_way_makes_a_change_be_sent_twice(
    fault: Callable[[], faults.Effect], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMULATED", SIMULATOR_TOKEN)
    with Simulator(demo_world(), clock=Clock()) as simulator:
        source, target = target_of(real_settings(simulator), address)
        operator = operator_for(source, 3.0 if fault is faults.hang else PATIENCE)
        found = operator.builds(target, scope=("success",), limit=1).builds[0]
        for method in ("POST", "DELETE"):
            simulator.faults.add("*", fault(), method=method)
        with pytest.raises(OutcomeUnknown):
            retry(operator, target, found)
        assert [request.method for request in simulator.requests if request.method != "GET"] == ["POST"]
        operator.close()


def test_a_change_that_never_went_out_is_said_not_to_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED", SIMULATOR_TOKEN)
    with Simulator(demo_world(), clock=Clock()) as simulator:
        source, target = target_of(real_settings(simulator), WEB)
        operator = operator_for(source, PATIENCE)
        found = operator.builds(target, scope=("success",), limit=1).builds[0]
    with pytest.raises(Refused, match=r"connection refused by 127\.0\.0\.1:.*; nothing was changed"):
        retry(operator, target, found)
    operator.close()


def test_a_connection_that_died_while_somebody_thought_hurts_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATED", SIMULATOR_TOKEN)
    with Simulator(demo_world(), clock=Clock()) as simulator:
        source, target = target_of(real_settings(simulator), WEB)
        operator = operator_for(source, PATIENCE)
        found = operator.builds(target, scope=("success",), limit=1).builds[0]
        for connection in tuple(simulator._server._open if simulator._server else ()):  # as a proxy does it
            connection.shutdown(2)
        assert retry(operator, target, found).build.id != found.build.id
        operator.close()


def real_settings(simulator: Simulator) -> Settings:
    over_http = {"url": simulator.url, "token": EnvToken("SIMULATED")}
    return Settings(sources=tuple(source.model_copy(update=over_http) for source in (NORTHFLANK, GITLAB)))


# Waiting


def test_waiting_ends_with_the_build_and_asks_less_the_longer_it_takes() -> None:
    hand, target = at(WEB)
    running = under_way(hand, target)
    statuses: list[str] = []
    ended = wait(
        hand.operator,
        target,
        running.build.id,
        seconds=7200,
        progress=lambda build, fault: statuses.append(build.status if build else fault),
    )
    assert ended
    assert ended.build.outcome is Outcome.SUCCESS
    assert {"building", "uploading"} < set(statuses)
    assert [status for status in statuses if status == "success"] == statuses[-1:]
    assert hand.slept[0] == 2.0
    assert hand.slept == sorted(hand.slept)
    assert max(hand.slept) <= 30.0
    assert len(hand.slept) < 60


def test_waiting_ends_at_its_timeout() -> None:
    hand, target = at(WEB)
    running = under_way(hand, target)
    begun = hand.now
    assert wait(hand.operator, target, running.build.id, seconds=9) is None
    assert hand.now - begun == pytest.approx(9)


def test_waiting_rests_as_long_as_a_429_says() -> None:
    hand, target = at(STOREFRONT)
    running = under_way(hand, target)
    left = [RateLimited("too many", 120.0, status=429), RateLimited("too many", None, status=429)]
    hand.fault = lambda _method, _path: left.pop(0) if left else None
    faults_told: list[str] = []
    ended = wait(
        hand.operator, target, running.build.id, seconds=7200, progress=lambda _build, fault: faults_told.append(fault)
    )
    assert ended
    assert hand.slept[:2] == [120.0, 60.0]
    assert faults_told[:2] == [
        "the rate limit is reached; the next request is in 120 s",
        "the rate limit is reached; the next request is in 60 s",
    ]


def test_waiting_that_would_have_to_rest_beyond_its_timeout_asks_no_more() -> None:
    hand, target = at(STOREFRONT)
    running = under_way(hand, target)
    before = len(hand.asked)
    hand.fault = lambda _method, _path: RateLimited("too many", 3600.0, status=429)
    assert wait(hand.operator, target, running.build.id, seconds=100) is None
    assert len(hand.asked) == before + 1


def test_waiting_goes_on_through_a_provider_that_is_away_and_a_build_that_is_not_visible_yet() -> None:
    hand, target = at(WEB)
    running = under_way(hand, target)
    left: list[SourceError] = [
        NotFound("not there", status=404),
        Unreachable("connection refused"),
        BadPayload("answered HTML"),
        NotFound("not there", status=404),
    ]
    hand.fault = lambda _method, _path: left.pop(0) if left else None
    assert wait(hand.operator, target, running.build.id, seconds=7200)
    assert not left


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (NotFound("not there", status=404), Refused),
        (Unauthorized("no", status=401), Unauthorized),
        (Forbidden("no", status=403), Forbidden),
    ],
)
def test_waiting_does_not_go_on_where_it_leads_notarget_of(error: SourceError, ends: type[ExporterError]) -> None:
    hand, target = at(WEB)
    running = under_way(hand, target)
    hand.fault = lambda _method, _path: error
    with pytest.raises(ends):
        wait(hand.operator, target, running.build.id, seconds=7200)
    assert hand.now < running.build.created_at + 60


def test_a_build_of_a_job_is_waited_for_without_the_right_to_read_it_alone() -> None:
    hand, target = at(REPORT)
    running = under_way(hand, target)
    hand.fault = lambda _method, path: Forbidden("no", status=403) if re.search("/build/[^/]+$", path) else None
    ended = wait(hand.operator, target, running.build.id, seconds=7200)
    assert ended
    assert ended.build.concluded
