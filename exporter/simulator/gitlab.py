"""GitLab's API, v4 and v3: a request and a clock give an answer.

The shapes are those of https://docs.gitlab.com/api/jobs/ and, of v3, of `doc/api/builds.md` in GitLab 8.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import unquote, urlencode

from exporter.simulator.gitlab_records import build_record, commit_record, job_record, pipeline_record, project_record
from exporter.simulator.history import History
from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.plan import Plan
from exporter.simulator.world import HOUR, GitLabProject, World

PAGE = 20
SCOPES_V3 = frozenset({"pending", "running", "failed", "success", "canceled", "skipped"})
SCOPES_V4 = SCOPES_V3 | {
    "created", "waiting_for_resource", "preparing", "waiting_for_callback", "canceling", "manual", "scheduled",
}  # fmt: skip
CANCELABLE = frozenset({"created", "pending", "running", "manual"})
RETRYABLE = frozenset({"success", "failed", "canceled"})
ROUTE = re.compile(
    r"/api/(?P<version>v[34])/(?:(?P<user>user)|groups/(?P<group>[^/]+)/projects|projects/(?P<project>[^/]+)(?P<rest>/.*)?)"
)
ONE = re.compile(r"/(?P<word>jobs|builds)/(?P<number>\d+)(?:/(?P<change>cancel|retry))?")
PIPELINE = re.compile(r"/pipelines/(?P<run>\d+)(?P<jobs>/jobs)?")
COMMIT = re.compile(r"/repository/commits/(?P<sha>[0-9a-f]{7,40})(?P<builds>/builds)?")
GONE = json_answer({"error": "API V3 is no longer supported. Use API V4 instead."}, 410)

Show = Callable[[Plan], dict[str, Any]]


def message(status: int, text: str) -> Answer:
    """GitLab's error of that status: `{"message": "404 Project Not Found"}`."""
    return json_answer({"message": f"{status} {text}"}, status)


NO_PROJECT = message(404, "Project Not Found")
NOT_FOUND = message(404, "Not Found")


class GitLab:
    """The GitLab projects of a world. `v3` says whether the old API is still served; `url` is the host in links."""

    def __init__(self, world: World, history: History) -> None:
        self.v3 = True
        self.url: str | None = None
        self._history = history
        self._projects = world.gitlab
        self._known = {str(project.id): project for project in world.gitlab}
        self._paths = {project.path: project for project in world.gitlab}

    def answer(self, request: Request, now: float) -> Answer:
        """The answer to a request that has shown its token."""
        match = ROUTE.fullmatch(request.path)
        if match is None:
            return json_answer({"error": "404 Not Found"}, 404)
        version, group, project, rest = match.group("version", "group", "project", "rest")
        if version == "v3" and not self.v3:
            return GONE
        url = self.url or f"http://{request.headers.get('host', 'gitlab.example.com')}"
        if match.group("user"):
            return json_answer({"id": 1, "username": "simulator", "name": "Simulator", "state": "active"})
        if group is not None:
            return self._group(request, unquote(group), now, url) if version == "v4" else NOT_FOUND
        found = self._project(project, version)
        if found is None:
            return NO_PROJECT
        if not rest:
            return json_answer(project_record(found, url, self._activity(now)))
        if not found.jobs_enabled:
            return message(403, "Forbidden")
        return self._inside(request, found, version, rest, now, url)

    def find(self, path: str) -> GitLabProject | None:
        """The project whose list of jobs or builds `path` is."""
        match = ROUTE.fullmatch(path)
        if match is None or match.group("rest") not in ("/jobs", "/builds"):
            return None
        return self._project(match.group("project"), match.group("version"))

    def _project(self, name: str, version: str) -> GitLabProject | None:
        return self._known.get(name) or (self._paths.get(unquote(name)) if version == "v4" else None)

    def _inside(
        self, request: Request, project: GitLabProject, version: str, rest: str, now: float, url: str
    ) -> Answer:
        show = self._shown(project, version, now, url)
        word = "jobs" if version == "v4" else "builds"
        if rest == f"/{word}":
            return self._list(request, self._history.newest(project, now, _below(request)), show, version, now, url)
        one = ONE.fullmatch(rest)
        if one is not None and one.group("word") == word:
            plan = self._history.find(project, int(one.group("number")), now)
            if plan is None:
                return NOT_FOUND
            if one.group("change") is None:
                return json_answer(show(plan))
            return self._change(request, project, plan, one.group("change"), now, show)
        commit = COMMIT.fullmatch(rest)
        if commit is not None:
            return self._commit(request, project, commit, version, now, url)
        return self._pipelines(request, project, rest, now, url) if version == "v4" else NOT_FOUND

    def _shown(self, project: GitLabProject, version: str, now: float, url: str) -> Show:
        """How the plans of one answer are shown; each of their pipelines is looked at once."""
        if version == "v3":
            return lambda plan: build_record(project, plan, now, url)
        pipelines: dict[int, dict[str, Any]] = {}

        def show(plan: Plan) -> dict[str, Any]:
            if plan.run not in pipelines:
                pipelines[plan.run] = pipeline_record(project, self._history.run(project, plan.run, now), now, url)
            return job_record(project, plan, pipelines[plan.run], now, url)

        return show

    def _list(self, request: Request, plans: Iterable[Plan], show: Show, version: str, now: float, url: str) -> Answer:
        scope = {*request.query.get("scope[]", ()), *request.query.get("scope", ())}
        if scope - (SCOPES_V4 if version == "v4" else SCOPES_V3):
            return json_answer({"error": "scope does not have a valid value"}, 400)
        if scope:
            plans = (plan for plan in plans if plan.at(now).status in scope)
        size = request.page_size(PAGE)
        if request.first("pagination") == "keyset":
            if request.first("order_by", "id") != "id" or request.first("sort", "desc") != "desc":
                return json_answer({"error": "Keyset pagination is not yet available for this type of request"}, 405)
            return _keyset_page(request, plans, show, size, url)
        return _offset_page(request, plans, show, size, url)

    def _pipelines(self, request: Request, project: GitLabProject, rest: str, now: float, url: str) -> Answer:
        def show(plan: Plan) -> dict[str, Any]:
            return pipeline_record(project, self._history.run(project, plan.run, now), now, url)

        if rest == "/pipelines":
            sha = request.first("sha")
            firsts = _one_a_run(plan for plan in self._history.newest(project, now) if sha in ("", plan.sha))
            return _offset_page(request, firsts, show, request.page_size(PAGE), url)
        match = PIPELINE.fullmatch(rest)
        plans = self._history.run(project, int(match.group("run")), now) if match else []
        if not plans or match is None:
            return NOT_FOUND
        if not match.group("jobs"):
            return json_answer(show(plans[0]))
        if request.first("include_retried") != "true":
            names: dict[str, Plan] = {}
            for plan in plans:
                names.setdefault(plan.name, plan)
            plans = list(names.values())
        return self._list(request, plans, self._shown(project, "v4", now, url), "v4", now, url)

    def _commit(
        self, request: Request, project: GitLabProject, match: re.Match[str], version: str, now: float, url: str
    ) -> Answer:
        sha = match.group("sha")
        plans = [plan for plan in self._history.newest(project, now) if plan.sha.startswith(sha)]
        if not plans:
            return message(404, "Commit Not Found")
        if not match.group("builds"):
            return json_answer(commit_record(project, plans[0], url))
        if version == "v4":
            return NOT_FOUND
        return self._list(request, plans, self._shown(project, version, now, url), version, now, url)

    def _change(
        self, request: Request, project: GitLabProject, plan: Plan, change: str, now: float, show: Show
    ) -> Answer:
        """Cancels a job, or adds another attempt at it in its pipeline. 403 where its status does not allow that."""
        if request.method != "POST":
            return json_answer({"error": "405 Not Allowed"}, 405)
        status = plan.at(now).status
        if change == "cancel":
            if status not in CANCELABLE:
                return message(403, "Forbidden - Job is not cancelable")
            plan = plan.cut(now, "canceled")
            self._history.change(project, plan)
            for other in self._history.run(project, plan.run, now):
                if other.at(now).status == "created" and other.number != plan.number:
                    self._history.change(project, other.cut(now, "skipped"))
            return json_answer(show(plan), 201)
        attempts = [other for other in self._history.run(project, plan.run, now) if other.name == plan.name]
        if status not in RETRYABLE or attempts[0].number != plan.number:
            return message(403, "Forbidden - Job is not retryable")
        return json_answer(show(self._history.add(project, now, plan, "success")), 201)

    def _group(self, request: Request, group: str, now: float, url: str) -> Answer:
        inside = [project for project in self._projects if project.path.startswith(f"{group}/")]
        if not inside:
            return message(404, "Group Not Found")
        if request.first("include_subgroups") != "true":
            inside = [project for project in inside if project.path.rpartition("/")[0] == group]
        archived = request.first("archived")
        if archived:
            inside = [project for project in inside if project.archived == (archived == "true")]
        activity = self._activity(now)
        ordered = sorted(inside, key=lambda project: project.id, reverse=request.first("sort", "desc") == "desc")
        return _offset_page(
            request, ordered, lambda project: project_record(project, url, activity), request.page_size(PAGE), url
        )

    def _activity(self, now: float) -> float:
        """GitLab notes activity once an hour at most."""
        return now // HOUR * HOUR


def _below(request: Request) -> int | None:
    cursor = request.first("cursor")
    return int(cursor) if request.first("pagination") == "keyset" and cursor.isdecimal() else None


def _one_a_run(plans: Iterable[Plan]) -> Iterator[Plan]:
    seen: set[int] = set()
    for plan in plans:
        if plan.run not in seen:
            seen.add(plan.run)
            yield plan


def _link(request: Request, url: str, relation: str, change: dict[str, str]) -> str:
    query = {**request.query, **{name: [value] for name, value in change.items()}}
    return f'<{url}{request.path}?{urlencode(query, doseq=True)}>; rel="{relation}"'


def _keyset_page(request: Request, plans: Iterable[Plan], show: Show, size: int, url: str) -> Answer:
    page = list(islice(plans, size + 1))
    headers = {"x-per-page": str(size)}
    if len(page) > size:
        page.pop()
        headers["link"] = _link(request, url, "next", {"cursor": str(page[-1].number), "per_page": str(size)})
    return json_answer([show(plan) for plan in page], headers=headers)


def _offset_page(request: Request, rows: Iterable[Any], show: Callable[[Any], Any], size: int, url: str) -> Answer:
    """A page by its number. No total: the jobs list of GitLab bears none."""
    number = request.number("page", 1)
    page = list(islice(rows, (number - 1) * size, number * size + 1))
    more = len(page) > size
    links = [_link(request, url, "first", {"page": "1", "per_page": str(size)})]
    if number > 1:
        links.insert(0, _link(request, url, "prev", {"page": str(number - 1), "per_page": str(size)}))
    if more:
        links.insert(0, _link(request, url, "next", {"page": str(number + 1), "per_page": str(size)}))
    headers = {
        "x-page": str(number),
        "x-per-page": str(size),
        "x-next-page": str(number + 1) if more else "",
        "x-prev-page": str(number - 1) if number > 1 else "",
        "link": ", ".join(links),
    }
    return json_answer([show(row) for row in page[:size]], headers=headers)
