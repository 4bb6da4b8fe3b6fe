"""What GitLab's API answers about one project: its jobs, pipelines, branches and commits, and changes of its jobs."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from exporter.simulator import gitlab_records as records
from exporter.simulator.course import CANCELABLE, PLAYABLE, RETRYABLE
from exporter.simulator.definition import Action, What
from exporter.simulator.gitlab_pages import jobs_after, keyset_page_of_jobs, offset_page
from exporter.simulator.gitlab_pipelines import STATUSES, Filter, Invalid, listed
from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.pipeline import Builds, Pipeline
from exporter.simulator.plan import Plan
from exporter.simulator.world import HOUR, GitLabProject

SCOPES_V3 = frozenset({"pending", "running", "failed", "success", "canceled", "skipped"})
CHANGES: dict[str, What] = {"cancel": "cancel", "retry": "retry", "play": "play"}
POSSIBLE: dict[str, frozenset[str]] = {"cancel": CANCELABLE | {"manual"}, "retry": RETRYABLE, "play": PLAYABLE}
"""The statuses in which a job can be changed so."""

Show = Callable[[Plan], dict[str, Any]]


def message(status: int, text: str) -> Answer:
    """GitLab's error of that status: `{"message": "404 Project Not Found"}`."""
    return json_answer({"message": f"{status} {text}"}, status)


IMPOSSIBLE = {
    "cancel": message(403, "Forbidden - Job is not cancelable"),
    "retry": message(403, "Forbidden - Job is not retryable"),
    "play": message(400, "Bad request - Unplayable Job"),
}
FORBIDDEN = message(403, "Forbidden")
NOT_FOUND = message(404, "Not Found")
NO_COMMIT = message(404, "Commit Not Found")
NOT_ALLOWED = json_answer({"error": "405 Not Allowed"}, 405)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request about a project, and what its answer depends on."""

    request: Request
    version: str
    """`v3` or `v4`."""
    project: GitLabProject
    builds: Builds
    now: float
    url: str
    """The host of all links."""

    def pipeline(self, match: re.Match[str]) -> Pipeline | None:
        """The one whose number the path names."""
        return self.builds.find_pipeline(int(match["number"]), self.now)


def about(asked: Asked, rest: str) -> Answer:
    """The answer to a request whose path has `rest` after the project."""
    reads = asked.request.method in ("GET", "HEAD")
    for version, route, ask in ROUTES:
        match = route.fullmatch(rest) if version in ("", asked.version) else None
        if match is not None:
            if reads == bool(match.groupdict().get("change")):
                return NOT_ALLOWED
            return ask(asked, match) if asked.project.jobs_enabled or ask in ALWAYS else FORBIDDEN
    return NOT_FOUND if reads else NOT_ALLOWED


def activity(now: float) -> float:
    """GitLab notes activity once an hour at most."""
    return now // HOUR * HOUR


def _project(asked: Asked, _: re.Match[str]) -> Answer:
    return json_answer(records.project_record(asked.project, asked.url, activity(asked.now)))


def _branch(asked: Asked, match: re.Match[str]) -> Answer:
    name = unquote(match["name"])
    head = asked.builds.branch(name, asked.now)
    if head is None:
        return message(404, "Branch Not Found")
    return json_answer(records.branch_record(asked.project, name, head, asked.url))


def _shown(asked: Asked) -> Show:
    """How the jobs of one answer are shown; each of their pipelines is looked at once."""
    if asked.version == "v3":
        return lambda plan: records.build_record(asked.project, plan, asked.now, asked.url)
    pipelines: dict[int, dict[str, Any]] = {}

    def show(plan: Plan) -> dict[str, Any]:
        if plan.run not in pipelines:
            pipeline = asked.builds.find_pipeline(plan.run, asked.now)
            pipelines[plan.run] = _record(asked, pipeline) if pipeline else {}
        return records.job_record(asked.project, plan, pipelines[plan.run], asked.now, asked.url)

    return show


def _bridges_shown(asked: Asked, pipeline: Pipeline) -> Show:
    """How trigger jobs are shown, with the children that they made."""
    children = {one.trigger: one for one in asked.builds.family(pipeline) if one.created <= asked.now}

    def show(plan: Plan) -> dict[str, Any]:
        child = children.get(plan.number)
        pair = (_record(asked, pipeline), None if child is None else _record(asked, child))
        return records.bridge_record(asked.project, plan, pair, asked.now, asked.url)

    return show


def _record(asked: Asked, pipeline: Pipeline) -> dict[str, Any]:
    return records.pipeline_record(asked.project, pipeline, asked.now, asked.url)


def _project_jobs(asked: Asked, _: re.Match[str]) -> Answer:
    return _jobs(asked, asked.builds.newest(asked.now, jobs_after(asked.request)))


def _jobs(asked: Asked, plans: Iterable[Plan], show: Show | None = None) -> Answer:
    request = asked.request
    scope = {*request.query.get("scope[]", ()), *request.query.get("scope", ())}
    if scope - (STATUSES if asked.version == "v4" else SCOPES_V3):
        return json_answer({"error": "scope does not have a valid value"}, 400)
    some = (plan for plan in plans if not scope or plan.at(asked.now).status in scope)
    if asked.version == "v4" and request.first("pagination") == "keyset":
        return keyset_page_of_jobs(request, some, show or _shown(asked), asked.url)
    return offset_page(request, some, show or _shown(asked), asked.url)


def _pipelines(asked: Asked, _: re.Match[str]) -> Answer:
    try:
        wanted = Filter.of({name: values[0] for name, values in asked.request.query.items() if values})
    except Invalid as invalid:
        return json_answer({"error": str(invalid)}, 400)
    some = listed(asked.builds, wanted, asked.now)
    return offset_page(asked.request, iter(some), lambda pipeline: _record(asked, pipeline), asked.url)


def _pipeline(asked: Asked, match: re.Match[str]) -> Answer:
    pipeline = asked.pipeline(match)
    if pipeline is None:
        return NOT_FOUND
    return json_answer(records.pipeline_details(asked.project, pipeline, asked.now, asked.url))


def _pipeline_jobs(asked: Asked, match: re.Match[str]) -> Answer:
    pipeline = asked.pipeline(match)
    if pipeline is None:
        return NOT_FOUND
    bridges, retried = match["list"] == "bridges", bool(asked.request.flag("include_retried"))
    jobs = pipeline.jobs_at(asked.now, bridges=bridges, retried=retried)
    return _jobs(asked, jobs, _bridges_shown(asked, pipeline) if bridges else None)


def _changed_pipeline(asked: Asked, match: re.Match[str]) -> Answer:
    """All jobs canceled that can be, or all tried again that failed or were canceled."""
    pipeline = asked.pipeline(match)
    if pipeline is None:
        return NOT_FOUND
    asked.builds.act(pipeline, Action(asked.now, CHANGES[match["change"]]))
    changed = asked.builds.find_pipeline(pipeline.number, asked.now) or pipeline
    record = records.pipeline_details(asked.project, changed, asked.now, asked.url)
    return json_answer(record, 200 if match["change"] == "cancel" else 201)


def _commit(asked: Asked, match: re.Match[str]) -> Answer:
    """The commit, which exists as soon as it is built."""
    built = _built(asked, match["sha"])
    if not built:
        return NO_COMMIT
    return json_answer(records.commit_record(asked.project, built[0].sha, built[0].pushed, asked.url))


def _commit_builds(asked: Asked, match: re.Match[str]) -> Answer:
    built = _built(asked, match["sha"])
    return _jobs(asked, built) if built else NO_COMMIT


def _built(asked: Asked, sha: str) -> list[Plan]:
    return [plan for plan in asked.builds.newest(asked.now) if plan.sha.startswith(sha)]


def _job(asked: Asked, match: re.Match[str]) -> Answer:
    plan = asked.builds.find(int(match["number"]), asked.now)
    return NOT_FOUND if plan is None or plan.bridge else json_answer(_shown(asked)(plan))


def _trace(asked: Asked, match: re.Match[str]) -> Answer:
    plan = asked.builds.find(int(match["number"]), asked.now)
    if plan is None or plan.bridge:
        return NOT_FOUND
    return Answer(200, {"content-type": "text/plain"}, records.trace(plan, asked.now).encode())


def _changed(asked: Asked, match: re.Match[str]) -> Answer:
    """The job as it is after the change: of a retry, the new one."""
    plan, change = asked.builds.find(int(match["number"]), asked.now), match["change"]
    pipeline = asked.builds.find_pipeline(plan.run, asked.now) if plan else None
    if plan is None or pipeline is None or (plan.bridge and change == "cancel"):
        return NOT_FOUND
    if plan.at(asked.now).status not in POSSIBLE[change] or plan.retried <= asked.now:
        return IMPOSSIBLE[change]
    asked.builds.act(pipeline, Action(asked.now, CHANGES[change], plan.name))
    after = asked.builds.find_pipeline(plan.run, asked.now) or pipeline
    show = _bridges_shown(asked, after) if plan.bridge else _shown(asked)
    changed = next(job for job in after.jobs_at(asked.now, bridges=plan.bridge) if job.name == plan.name)
    return json_answer(show(changed), 200 if change == "play" else 201)


Ask = Callable[[Asked, re.Match[str]], Answer]
ROUTES: tuple[tuple[str, re.Pattern[str], Ask], ...] = tuple(
    (version, re.compile(route), ask)
    for version, route, ask in (
        ("", r"", _project),
        ("", r"/repository/commits/(?P<sha>[0-9a-f]{7,40})", _commit),
        ("v3", r"/repository/commits/(?P<sha>[0-9a-f]{7,40})/builds", _commit_builds),
        ("v3", r"/builds", _project_jobs),
        ("v3", r"/builds/(?P<number>\d+)", _job),
        ("v3", r"/builds/(?P<number>\d+)/(?P<change>cancel|retry|play)", _changed),
        ("v4", r"/jobs", _project_jobs),
        ("v4", r"/jobs/(?P<number>\d+)", _job),
        ("v4", r"/jobs/(?P<number>\d+)/trace", _trace),
        ("v4", r"/jobs/(?P<number>\d+)/(?P<change>cancel|retry|play)", _changed),
        ("v4", r"/pipelines", _pipelines),
        ("v4", r"/pipelines/(?P<number>\d+)", _pipeline),
        ("v4", r"/pipelines/(?P<number>\d+)/(?P<list>jobs|bridges)", _pipeline_jobs),
        ("v4", r"/pipelines/(?P<number>\d+)/(?P<change>cancel|retry)", _changed_pipeline),
        ("v4", r"/repository/branches/(?P<name>[^/]+)", _branch),
    )
)
"""By the API's version (empty is both): what follows the project in the path; a `change` needs a POST."""
ALWAYS = (_project, _branch)
"""What is answered about a project without CI, too."""
