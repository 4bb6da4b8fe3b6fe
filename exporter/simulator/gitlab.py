"""GitLab's API, v4 and v3: a request and a clock give an answer.

The shapes are those of https://docs.gitlab.com/api/jobs/ and, of v3, of `doc/api/builds.md` in GitLab 8.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Any
from urllib.parse import unquote, urlencode

from exporter.simulator.gitlab_records import build_record, commit_record, job_record, pipeline_record, project_record
from exporter.simulator.history import History
from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.plan import Plan
from exporter.simulator.world import HOUR, GitLabProject, World

PAGE = 20
PIPELINES_REACH = 2 * 24 * HOUR
"""Seconds: what is older is taken to be at rest, where the pipelines are asked by their update."""
SCOPES_V3 = frozenset({"pending", "running", "failed", "success", "canceled", "skipped"})
SCOPES_V4 = SCOPES_V3 | {
    "created", "waiting_for_resource", "preparing", "waiting_for_callback", "canceling", "manual", "scheduled",
}  # fmt: skip
CANCELABLE = frozenset({"created", "pending", "running", "manual"})
RETRYABLE = frozenset({"success", "failed", "canceled"})
ROUTE = re.compile(
    r"/api/(?P<version>v[34])/"
    r"(?:(?P<user>user)|groups/(?P<group>[^/]+)/projects|projects/(?P<project>[^/]+)(?P<rest>/.*)?)"
)
ONE = re.compile(r"/(?P<word>jobs|builds)/(?P<number>\d+)(?:/(?P<change>cancel|retry))?")
PIPELINES = re.compile(r"/pipelines(?:/(?P<run>\d+)(?P<jobs>/jobs)?)?")
COMMIT = re.compile(r"/repository/commits/(?P<sha>[0-9a-f]{7,40})(?P<builds>/builds)?")
GONE = json_answer({"error": "API V3 is no longer supported. Use API V4 instead."}, 410)

Show = Callable[[Plan], dict[str, Any]]


def message(status: int, text: str) -> Answer:
    """GitLab's error of that status: `{"message": "404 Project Not Found"}`."""
    return json_answer({"message": f"{status} {text}"}, status)


NO_PROJECT = message(404, "Project Not Found")
NOT_FOUND = message(404, "Not Found")
NOT_ALLOWED = json_answer({"error": "405 Not Allowed"}, 405)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request about a project, and what its answer depends on besides the history."""

    request: Request
    version: str
    """`v3` or `v4`."""
    project: GitLabProject
    now: float
    url: str
    """The host of all links."""


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
        version, group, rest = match.group("version", "group", "rest")
        if version == "v3" and not self.v3:
            return GONE
        url = self.url or f"http://{request.headers.get('host', 'gitlab.example.com')}"
        if match.group("user"):
            return json_answer({"id": 1, "username": "simulator", "name": "Simulator", "state": "active"})
        if group is not None:
            return self._group(request, unquote(group), now, url) if version == "v4" else NOT_FOUND
        found = self._project(match.group("project"), version)
        return NO_PROJECT if found is None else self._about(Asked(request, version, found, now, url), rest or "")

    def find(self, path: str) -> GitLabProject | None:
        """The project whose list of jobs or builds `path` is."""
        match = ROUTE.fullmatch(path)
        if match is None or match.group("rest") not in ("/jobs", "/builds"):
            return None
        return self._project(match.group("project"), match.group("version"))

    def _project(self, name: str, version: str) -> GitLabProject | None:
        return self._known.get(name) or (self._paths.get(unquote(name)) if version == "v4" else None)

    def _about(self, asked: Asked, rest: str) -> Answer:
        project = asked.project
        one = ONE.fullmatch(rest)
        if asked.request.method not in ("GET", "HEAD") and not (one and one.group("change")):
            return NOT_ALLOWED
        if not rest:
            return json_answer(project_record(project, asked.url, _activity(asked.now)))
        if not project.jobs_enabled:
            return message(403, "Forbidden")
        word = "jobs" if asked.version == "v4" else "builds"
        if rest == f"/{word}":
            return self._list(asked, self._history.newest(project, asked.now, _below(asked.request)))
        if one is not None and one.group("word") == word:
            return self._one(asked, int(one.group("number")), one.group("change"))
        commit = COMMIT.fullmatch(rest)
        return self._pipelines(asked, rest) if commit is None else self._commit(asked, commit)

    def _shown(self, asked: Asked) -> Show:
        """How the plans of one answer are shown; each of their pipelines is looked at once."""
        if asked.version == "v3":
            return lambda plan: build_record(asked.project, plan, asked.now, asked.url)
        pipelines: dict[int, dict[str, Any]] = {}

        def show(plan: Plan) -> dict[str, Any]:
            if plan.run not in pipelines:
                pipelines[plan.run] = self._pipeline(asked, plan.run)
            return job_record(asked.project, plan, pipelines[plan.run], asked.now, asked.url)

        return show

    def _pipeline(self, asked: Asked, run: int) -> dict[str, Any]:
        plans = self._history.run(asked.project, run, asked.now)
        return pipeline_record(asked.project, plans, asked.now, asked.url)

    def _list(self, asked: Asked, plans: Iterable[Plan]) -> Answer:
        request = asked.request
        scope = {*request.query.get("scope[]", ()), *request.query.get("scope", ())}
        if scope - (SCOPES_V4 if asked.version == "v4" else SCOPES_V3):
            return json_answer({"error": "scope does not have a valid value"}, 400)
        if scope:
            plans = (plan for plan in plans if plan.at(asked.now).status in scope)
        if asked.version == "v3" or request.first("pagination") != "keyset":
            return _offset_page(request, plans, self._shown(asked), asked.url)
        if request.first("order_by", "id") != "id" or request.first("sort", "desc") != "desc":
            return json_answer({"error": "Keyset pagination is not yet available for this type of request"}, 405)
        return _keyset_page(request, plans, self._shown(asked), asked.url)

    def _pipelines(self, asked: Asked, rest: str) -> Answer:
        match = PIPELINES.fullmatch(rest)
        if match is None or asked.version == "v3":
            return NOT_FOUND
        if match.group("run") is None:
            sha = asked.request.first("sha")
            plans: Iterable[Plan] = self._history.newest(asked.project, asked.now)
            runs: Iterable[int] = _runs(plan for plan in plans if sha in ("", plan.sha))
            after = asked.request.first("updated_after")
            if after:
                runs = self._updated(asked, datetime.fromisoformat(after).timestamp())
            return _offset_page(asked.request, runs, lambda run: self._pipeline(asked, run), asked.url)
        plans = self._history.run(asked.project, int(match.group("run")), asked.now)
        if not plans:
            return NOT_FOUND
        if match.group("jobs") is None:
            return json_answer(self._pipeline(asked, plans[0].run))
        if not asked.request.flag("include_retried"):
            names: dict[str, Plan] = {}
            for plan in plans:
                names.setdefault(plan.name, plan)
            plans = list(names.values())
        return self._list(asked, plans)

    def _updated(self, asked: Asked, since: float) -> Iterable[int]:
        """The pipelines in which something happened since, among those of the last days."""
        recent = takewhile(
            lambda plan: plan.created > asked.now - PIPELINES_REACH, self._history.newest(asked.project, asked.now)
        )
        return _runs(plan for plan in recent if plan.at(asked.now).since > since)

    def _commit(self, asked: Asked, match: re.Match[str]) -> Answer:
        """The commit, which exists as soon as it is built; or, in v3, its builds."""
        sha, plans = match.group("sha"), self._history.newest(asked.project, asked.now)
        built = [plan for plan in plans if plan.sha.startswith(sha)]
        if not built:
            return message(404, "Commit Not Found")
        if match.group("builds") is None:
            return json_answer(commit_record(asked.project, built[0], asked.url))
        return self._list(asked, built) if asked.version == "v3" else NOT_FOUND

    def _one(self, asked: Asked, number: int, change: str | None) -> Answer:
        plan = self._history.find(asked.project, number, asked.now)
        if plan is None:
            return NOT_FOUND
        if change is None:
            return json_answer(self._shown(asked)(plan))
        if asked.request.method != "POST":
            return NOT_ALLOWED
        changed = self._canceled(asked, plan) if change == "cancel" else self._retried(asked, plan)
        if changed is None:
            return message(403, f"Forbidden - Job is not {'cancelable' if change == 'cancel' else 'retryable'}")
        return json_answer(self._shown(asked)(changed), 201)

    def _canceled(self, asked: Asked, plan: Plan) -> Plan | None:
        """The cancelled job, for which those that waited are skipped; None where it has ended."""
        project, now = asked.project, asked.now
        if plan.at(now).status not in CANCELABLE:
            return None
        canceled = plan.cut(now, "canceled")
        self._history.change(project, canceled)
        for other in self._history.run(project, plan.run, now):
            if other.at(now).status == "created":
                self._history.change(project, other.cut(now, "skipped"))
        return canceled

    def _retried(self, asked: Asked, plan: Plan) -> Plan | None:
        """Another attempt in the same pipeline; None where it has not ended or is not the newest attempt."""
        run = self._history.run(asked.project, plan.run, asked.now)
        newest = next((other for other in run if other.name == plan.name), plan)
        if plan.at(asked.now).status not in RETRYABLE or newest.number != plan.number:
            return None
        return self._history.add(asked.project, asked.now, plan, "success")

    def _group(self, request: Request, group: str, now: float, url: str) -> Answer:
        inside = [project for project in self._projects if project.path.startswith(f"{group}/")]
        if not inside:
            return message(404, "Group Not Found")
        if not request.flag("include_subgroups"):
            inside = [project for project in inside if project.path.rpartition("/")[0] == group]
        archived = request.flag("archived")
        if archived is not None:
            inside = [project for project in inside if project.archived == archived]
        activity = _activity(now)
        ordered = sorted(inside, key=lambda project: project.id, reverse=request.first("sort", "desc") == "desc")
        return _offset_page(request, ordered, lambda project: project_record(project, url, activity), url)


def _activity(now: float) -> float:
    """GitLab notes activity once an hour at most."""
    return now // HOUR * HOUR


def _below(request: Request) -> int | None:
    cursor = request.first("cursor")
    return int(cursor) if request.first("pagination") == "keyset" and cursor.isdecimal() else None


def _runs(plans: Iterable[Plan]) -> Iterator[int]:
    """Each pipeline of these jobs once."""
    seen: set[int] = set()
    for plan in plans:
        if plan.run not in seen:
            seen.add(plan.run)
            yield plan.run


def _link(request: Request, url: str, relation: str, change: dict[str, str]) -> str:
    query = {**request.query, **{name: [value] for name, value in change.items()}}
    return f'<{url}{request.path}?{urlencode(query, doseq=True)}>; rel="{relation}"'


def _keyset_page(request: Request, plans: Iterable[Plan], show: Show, url: str) -> Answer:
    size = request.page_size(PAGE)
    page = list(islice(plans, size + 1))
    headers = {"x-per-page": str(size)}
    if len(page) > size:
        page.pop()
        headers["link"] = _link(request, url, "next", {"cursor": str(page[-1].number), "per_page": str(size)})
    return json_answer([show(plan) for plan in page], headers=headers)


def _offset_page(request: Request, rows: Iterable[Any], show: Callable[[Any], Any], url: str) -> Answer:
    """A page by its number. No total: the jobs list of GitLab bears none."""
    number, size = request.number("page", 1), request.page_size(PAGE)
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
