"""Northflank's API: a request and a clock give an answer.

The shapes are those of https://northflank.com/docs/v1/api (list service builds, list job builds) and of the types in
the vendor's own client.
"""

import base64
import math
import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import orjson

from exporter.simulator.history import History
from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.numbers import BASE, TICKS
from exporter.simulator.plan import ENDED, Plan
from exporter.simulator.spans import KINDS
from exporter.simulator.words import iso, number_of, slug
from exporter.simulator.world import TEAM, Entity, NorthflankProject, World

PAGE = 50
BUILDING_TYPES = frozenset({"combined", "build"})
MESSAGES = {
    "SUCCESS": "Image successfully built",
    "FAILURE": "The build failed: a step exited with a non-zero code",
    "CRASHED": "The build crashed",
    "ABORTED": "The build was aborted",
    "SUBMISSION_FAILURE": "The build could not be submitted",
}
ROUTE = re.compile(
    rf"/v1(?:/teams/{TEAM})?/(?:(?P<login>login)|projects(?:/(?P<project>[^/]+)"
    r"(?:/(?P<kind>services|jobs)(?:/(?P<name>[^/]+)/build(?:/(?P<build>[^/]+))?)?)?)?)/?"
)


def error(status: int, message: str) -> Answer:
    """The documented error."""
    return json_answer({"error": {"status": status, "message": message, "id": "simulated", "details": {}}}, status)


class Northflank:
    """The projects of a world. `build_status` says whether the list of services tells of their newest builds."""

    def __init__(self, world: World, history: History) -> None:
        self.build_status = True
        self._history = history
        self._projects = {project.id: project for project in world.northflank}
        self._entities = {
            (project.id, f"{entity.kind}s", entity.id): entity
            for project in world.northflank
            for entity in (*project.services, *project.jobs)
        }

    def answer(self, request: Request, now: float) -> Answer:
        """The answer to a request that has shown its token."""
        match = ROUTE.fullmatch(request.path)
        if match is None:
            return error(404, "Not found")
        project, kind, name, build = match.group("project", "kind", "name", "build")
        if name is not None:
            entity = self._entities.get((project, kind, name))
            return error(404, "Not found") if entity is None else self._builds(request, entity, build, now)
        if request.method not in ("GET", "HEAD"):
            return error(405, "Method not allowed")
        if match.group("login"):
            return json_answer({"data": {"user": {"id": "simulated"}, "teams": [{"id": TEAM, "name": TEAM}]}})
        return self._about(request, project, kind, now)

    def _about(self, request: Request, project: str | None, kind: str | None, now: float) -> Answer:
        if project is None:
            return _page(request, "projects", list(self._projects.values()), _project)
        if project not in self._projects:
            return error(404, "Project not found")
        found = self._projects[project]
        if kind == "services":
            return _page(request, kind, found.services, lambda entity: self._service(entity, now))
        return _page(request, kind, found.jobs, _job) if kind else json_answer({"data": _project(found)})

    def find(self, path: str) -> Entity | None:
        """The service or job whose list of builds `path` is."""
        match = ROUTE.fullmatch(path)
        return self._entities.get((match["project"], match["kind"], match["name"])) if match else None

    def _builds(self, request: Request, entity: Entity, build: str | None, now: float) -> Answer:
        if build is None:
            if request.method == "POST":
                return self._begin(request, entity, now)
            reads = request.method in ("GET", "HEAD")
            return self._build_list(request, entity, now) if reads else error(405, "Method not allowed")
        plan = self._plan(entity, build, now)
        if plan is None:
            return error(404, "Build not found")
        if request.method in ("GET", "HEAD"):
            return json_answer({"data": shown(plan, entity, now)})
        return self._abort(entity, plan, now) if request.method == "DELETE" else error(405, "Method not allowed")

    def _abort(self, entity: Entity, plan: Plan, now: float) -> Answer:
        if plan.at(now).status in ENDED:
            return error(409, "The build has already concluded")
        self._history.change(entity, plan.cut(now, "ABORTED"))
        return json_answer({"data": {}})

    def _plan(self, entity: Entity, build: str, now: float) -> Plan | None:
        # Numbers run a little ahead of the clock where several builds begin at once.
        number = number_of(build, BASE + int((now + 60) * TICKS) * KINDS)
        return None if number is None else self._history.find(entity, number, now)

    def _begin(self, request: Request, entity: Entity, now: float) -> Answer:
        """Starts a build of the given commit, or of the newest one of the branch."""
        try:
            body = orjson.loads(request.body or b"{}")
        except orjson.JSONDecodeError:
            return error(400, "The body is not JSON")
        if not isinstance(body, dict):
            return error(400, "The body is not an object")
        if entity.type == "deployment":
            return error(400, "The service does not build")
        newest = next(self._history.newest(entity, now), None)
        like = Plan(0, 0, (), newest.sha if newest else "0" * 40, entity.habits.default)
        sha, ref, pull = body.get("sha") or like.sha, body.get("branch") or like.ref, body.get("pullRequestId")
        plan = self._history.add(entity, now, Plan(0, 0, (), sha, ref, pull_request=pull), "SUCCESS")
        started = {"id": slug(plan.number), "branch": ref, "sha": sha, "createdAt": iso(now)}
        return json_answer({"data": {**started, "status": "PENDING", "concluded": False}})

    def _build_list(self, request: Request, entity: Entity, now: float) -> Answer:
        """A page of builds. The cursor names the last build seen, so that pages do not shift while it is followed."""
        size = request.page_size(PAGE)
        cursor = request.first("cursor")
        below = _opened(cursor)
        if cursor and below is None:
            return error(400, "Invalid cursor")
        skip = 0 if cursor else (request.number("page", 1) - 1) * size
        plans = list(islice(self._history.newest(entity, now, below), skip, skip + size + 1))
        pagination: dict[str, Any] = {"hasNextPage": len(plans) > size}
        if len(plans) > size:
            plans.pop()
            pagination["cursor"] = _sealed(plans[-1].number)
        pagination["count"] = len(plans)
        return json_answer({"data": {"builds": [shown(plan, entity, now) for plan in plans]}, "pagination": pagination})

    def _service(self, entity: Entity, now: float) -> dict[str, Any]:
        status: dict[str, Any] = {}
        newest = next(iter(self._history.newest(entity, now)), None) if self.build_status else None
        if newest is not None:
            standing = newest.at(now)
            status["build"] = {"status": standing.status, "lastTransitionTime": iso(standing.since)}
        if entity.type != "build":
            status["deployment"] = {"reason": "SCALING", "status": "COMPLETED", "lastTransitionTime": iso(0.0)}
        return {
            "id": entity.id,
            "appId": f"/{TEAM}/{entity.project}/{entity.id}",
            "projectId": entity.project,
            "name": entity.name,
            "tags": list(entity.tags),
            "serviceType": entity.type,
            "disabledCI": entity.type not in BUILDING_TYPES,
            "disabledCD": False,
            "status": status,
        }


def shown(plan: Plan, entity: Entity, now: float) -> dict[str, Any]:
    """A build as the lists show it: no end, success or message before it ended; a registry for services only."""
    status, _, _, ended = plan.at(now)
    build: dict[str, Any] = {"id": slug(plan.number), "branch": plan.ref}
    if plan.pull_request is not None:
        build["pullRequestId"] = plan.pull_request
    build["status"] = status
    build["sha"] = plan.sha
    if entity.kind == "service" and status == "SUCCESS":
        build["registry"] = {"uri": f"registry.example.com/{entity.project}/{entity.id}:{plan.sha}"}
    build["concluded"] = ended is not None
    build["createdAt"] = iso(plan.created)
    if ended is not None:
        build["success"] = status == "SUCCESS"
        build["message"] = MESSAGES[status]
        # Whole seconds, but never before the creation, whose milliseconds are told.
        build["buildConcludedAt"] = max(int(ended), math.ceil(plan.created))
    return build


def _page(request: Request, name: str, rows: Sequence[Any], show: Callable[[Any], Any]) -> Answer:
    size = request.page_size(PAGE)
    cursor = request.first("cursor")
    opened = _opened(cursor)
    if cursor and opened is None:
        return error(400, "Invalid cursor")
    begin = (request.number("page", 1) - 1) * size if opened is None else opened
    page = rows[begin : begin + size]
    more = begin + size < len(rows)
    pagination: dict[str, Any] = {"hasNextPage": more, **({"cursor": _sealed(begin + size)} if more else {})}
    return json_answer({"data": {name: [show(row) for row in page]}, "pagination": {**pagination, "count": len(page)}})


def _project(project: NorthflankProject) -> dict[str, Any]:
    shown_project = {"id": project.id, "name": project.name}
    return {**shown_project, "description": project.description} if project.description else shown_project


def _job(entity: Entity) -> dict[str, Any]:
    return {
        "id": entity.id,
        "appId": f"/{TEAM}/{entity.project}/{entity.id}",
        "projectId": entity.project,
        "name": entity.name,
        "tags": list(entity.tags),
        "jobType": entity.type,
        "disabledCI": False,
        "disabledCD": False,
        "suspended": entity.suspended,
    }


def _sealed(number: int) -> str:
    return base64.urlsafe_b64encode(f"after:{number}".encode()).decode().rstrip("=")


def _opened(cursor: str) -> int | None:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        return None
    number = text.removeprefix("after:")
    return int(number) if text.startswith("after:") and number.isascii() and number.isdecimal() else None
