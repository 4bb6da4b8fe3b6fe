"""Whatever a server answers: builds, rejections, or `BadPayload`, and never another exception."""

import json
import math
from typing import Any

import pytest
from driving import gitlab, northflank
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import CONCLUDED, UNFINISHED, Build, Outcome, Run, Target
from exporter.errors import BadPayload
from exporter.http.wire import Answer, Reading
from exporter.providers import Page
from exporter.providers.gitlab.api import GitLab
from exporter.providers.gitlab.outcomes import OUTCOMES as GITLAB_OUTCOMES
from exporter.providers.northflank.api import Northflank
from exporter.providers.northflank.builds import OUTCOMES as NORTHFLANK_OUTCOMES

SERVICE = Target("nf", "service", "shop", "web")
PROJECT = Target("gl", "project", "shop/web", "shop/web")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
anything = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=12
)
times = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()), st.integers(0, 2**34), anything
)

pipelines = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.integers(0, 2**40), anything),
        "status": st.one_of(st.sampled_from([*GITLAB_OUTCOMES]), anything),
        "source": st.one_of(st.sampled_from(["push", "parent_pipeline", "merge_request_event"]), anything),
        "ref": st.one_of(st.sampled_from(["main", "refs/merge-requests/1/head"]), anything),
        "created_at": times,
        "updated_at": times,
        **dict.fromkeys(("sha", "tag", "merge_request"), anything),
    },
)


def record(statuses: list[str], **times_by_key: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = ("branch", "ref", "pullRequestId", "sha", "concluded", "success", "tag", "allow_failure", "failure_reason")
    known = {
        "id": st.one_of(st.integers(0, 2**40), st.text(min_size=1), anything),
        "status": st.one_of(st.sampled_from(statuses), anything),
        "commit": st.one_of(st.dictionaries(st.just("id"), anything), anything),
        "pipeline": st.one_of(pipelines, anything),
        "coverage": st.one_of(st.floats(0, 100), st.from_regex(r"[0-9.]{1,6}%?"), anything),
        **{key: st.one_of(st.booleans(), anything) for key in keys},
        **times_by_key,
    }
    return st.one_of(st.fixed_dictionaries({}, optional=known), anything)


northflank_answers = st.one_of(
    anything,
    st.fixed_dictionaries(
        {
            "data": st.one_of(
                st.fixed_dictionaries(
                    {"builds": st.lists(record([*NORTHFLANK_OUTCOMES], createdAt=times, buildConcludedAt=times))}
                ),
                record([*NORTHFLANK_OUTCOMES], createdAt=times, buildConcludedAt=times),
                anything,
            )
        },
        optional={
            "pagination": st.one_of(anything, st.dictionaries(st.sampled_from(["hasNextPage", "cursor"]), scalars))
        },
    ),
)
gitlab_records = record([*GITLAB_OUTCOMES], created_at=times, started_at=times, finished_at=times)
gitlab_answers = st.one_of(anything, st.lists(gitlab_records), gitlab_records)
links = st.one_of(st.none(), st.text(), st.text().map(lambda query: f'<http://[x?{query}>; rel="next"'))


def read(answer: Answer, reading: Reading[Page]) -> Page | None:
    next(reading)
    try:
        reading.send(answer)
    except StopIteration as end:
        page: Page = end.value
        return page
    except BadPayload:
        return None
    pytest.fail("asked again")


def holds(build: Build) -> bool:
    ended = build.concluded_at is None or (build.concluded and build.concluded_at >= build.created_at)
    started = build.started_at is None or build.created_at <= build.started_at <= (build.concluded_at or math.inf)
    told = build.outcome is Outcome.UNKNOWN or build.concluded == (build.outcome in CONCLUDED)
    names = (build.id, build.run, build.status, build.branch or "", build.sha, build.name, build.stage)
    labels = (*names, build.trigger, build.reason)
    return (
        ended
        and (build.branch is None or build.ref_kind == "branch")
        and 0 <= (build.coverage or 0) <= 1
        and started
        and told
        and not (build.concluded and build.outcome in UNFINISHED)
        and all(label.encode() or not label for label in labels)
    )


def run_holds(run: Run) -> bool:
    labels = (run.id, run.status, run.branch or "", run.trigger, run.sha, run.ref)
    return (
        bool(run.id)
        and run.created_at > 0
        and (run.branch is None or run.ref_kind == "branch")
        and all(label.encode() or not label for label in labels)
    )


@given(northflank_answers, st.booleans())
def test_any_json_from_northflank_gives_sound_builds(value: object, many: bool) -> None:  # noqa: FBT001 - drawn
    provider = Northflank(northflank())
    reading = provider.builds(SERVICE, 20) if many else provider.build(SERVICE, "b")
    page = read(Answer(200, json.dumps(value).encode()), reading)
    assert page is None or all(map(holds, page.builds))


@given(gitlab_answers, links, st.booleans(), st.booleans())
def test_any_json_from_gitlab_gives_sound_builds(value: object, link: str | None, many: bool, v3: bool) -> None:  # noqa: FBT001 - drawn
    provider = GitLab(gitlab("shop/web", v3=v3))
    headers = {} if link is None else {"link": link, "x-next-page": link}
    reading = provider.builds(PROJECT, 20) if many else provider.build(PROJECT, "1")
    page = read(Answer(200, json.dumps(value).encode(), headers), reading)
    assert page is None or (all(map(holds, page.builds)) and all(map(run_holds, page.runs)))
    if page is not None:
        ids = [run.id for run in page.runs]
        assert len(set(ids)) == len(ids)
        assert v3 or all(run.status for run in page.runs)


@given(st.one_of(st.lists(st.one_of(pipelines, anything)), anything), links)
def test_any_json_in_a_list_of_pipelines_gives_sound_runs(value: object, link: str | None) -> None:
    headers = {} if link is None else {"link": link, "x-next-page": link}
    reading = GitLab(gitlab("shop/web")).runs(PROJECT, updated_after=None, size=20)
    page = read(Answer(200, json.dumps(value).encode(), headers), reading)
    assert page is None or (page.builds == () and all(map(run_holds, page.runs)))


projects = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.integers(0, 2**40), anything),
        "path_with_namespace": st.one_of(st.just("shop/web"), anything),
        **dict.fromkeys(("default_branch", "topics", "archived", "jobs_enabled", "builds_access_level"), anything),
    },
)
bridges = st.fixed_dictionaries({}, optional={"downstream_pipeline": st.one_of(pipelines, anything)})


@given(st.one_of(anything, projects, st.lists(st.one_of(projects, bridges, anything))), st.booleans())
def test_any_json_about_projects_and_trigger_jobs_is_read_or_a_bad_payload(value: object, v3: bool) -> None:  # noqa: FBT001 - drawn
    provider = GitLab(gitlab("shop/web", v3=v3))
    readings: list[Reading[Any]] = [provider.about(PROJECT), provider.branch_exists(PROJECT, "main")]
    if not v3:
        readings += [provider.bridges(PROJECT, "1")]
        readings += [GitLab(source).discover() for source in (gitlab(topics=("a",)), gitlab(groups=("shop",)))]
    for reading in readings:
        next(reading)
        with pytest.raises((StopIteration, BadPayload)):
            reading.send(Answer(200, json.dumps(value).encode()))


@given(anything)
def test_any_json_in_a_list_of_services_gives_services_or_a_bad_payload(value: object) -> None:
    provider = Northflank(northflank())
    for body in (value, {"data": {"services": [value, {"id": "web", "serviceType": value, "status": value}]}}):
        reading = provider.services("shop")
        next(reading)
        with pytest.raises((StopIteration, BadPayload)):
            reading.send(Answer(200, json.dumps(body).encode()))
