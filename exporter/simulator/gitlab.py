"""GitLab's API, v4 and v3: a request and a clock give an answer.

The shapes are those of https://docs.gitlab.com/api/jobs/ and https://docs.gitlab.com/api/pipelines/ and, of v3, of
`doc/api/builds.md` in GitLab 8.
"""

import re
from typing import Any
from urllib.parse import unquote, urlencode

from exporter.simulator.gitlab_pages import keyset_page_of_projects, offset_page
from exporter.simulator.gitlab_project import NOT_FOUND, Asked, about, activity, message
from exporter.simulator.gitlab_records import project_record
from exporter.simulator.graphql import GraphQL, Projects
from exporter.simulator.history import History
from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.website import PAGE, page
from exporter.simulator.world import GitLabProject, World

ROUTE = re.compile(
    r"/api/(?P<version>v[34])/"
    r"(?:(?P<user>user)|projects|groups/(?P<group>[^/]+)/projects|projects/(?P<project>[^/]+)(?P<rest>/.*)?)"
)
GRAPHQL = "/api/graphql"
GONE = json_answer({"error": "API V3 is no longer supported. Use API V4 instead."}, 410)
NO_PROJECT = message(404, "Project Not Found")


class GitLab:
    """The GitLab projects of a world.

    `v3` says whether the old API is still served; `url` is the host in links; `graphql` is how much of GraphQL there
    is, None for a server without.
    """

    def __init__(self, world: World, history: History) -> None:
        self.v3 = True
        self.url: str | None = None
        self.graphql: GraphQL | None = GraphQL()
        self._history = history
        self._projects = world.gitlab
        self._known = {str(project.id): project for project in world.gitlab}
        self._paths = {project.path.lower(): project for project in world.gitlab}
        self._former = {path.lower(): project for project in world.gitlab for path in project.former}

    def answer(self, request: Request, now: float) -> Answer:
        """The answer to a request that has shown its token."""
        if request.path == GRAPHQL and self.graphql is not None:
            return self.graphql.answer(request, Projects(self._projects, self._history.of, now))
        match = ROUTE.fullmatch(request.path)
        if match is None:
            return json_answer({"error": "404 Not Found"}, 404)
        if match["version"] == "v3" and not self.v3:
            return GONE
        url = self.url or f"http://{request.headers.get('host', 'gitlab.example.com')}"
        if match["user"]:
            return json_answer({"id": 1, "username": "simulator", "name": "Simulator", "state": "active"})
        if match["project"] is not None:
            return self._about(request, match, now, url)
        group = unquote(match["group"]) if match["group"] else None
        return self._lists(request, group, now, url) if match["version"] == "v4" else NOT_FOUND

    def page(self, path: str, now: float) -> Answer | None:
        """A page of its website, which needs no token; None where there is none."""
        match = PAGE.fullmatch(unquote(path))
        project = self._paths.get(match["project"].lower()) if match else None
        if match is None or project is None:
            return None
        kind, number = match["kind"] or "", match["id"] or ""
        course = self._history.of(project)
        if kind in {"jobs", "builds"}:
            known = number.isdecimal() and course.find(int(number), now) is not None
        else:
            known = kind != "pipelines" or (number.isdecimal() and course.find_pipeline(int(number), now) is not None)
        return page(project.path, kind, number) if known else None

    def find(self, path: str) -> GitLabProject | None:
        """The project whose list of jobs or builds `path` is."""
        match = ROUTE.fullmatch(path)
        if match is None or match["rest"] not in ("/jobs", "/builds"):
            return None
        return self._project(match["project"], match["version"])

    def _project(self, name: str, version: str) -> GitLabProject | None:
        return self._known.get(name) or (self._paths.get(unquote(name).lower()) if version == "v4" else None)

    def _about(self, request: Request, match: re.Match[str], now: float, url: str) -> Answer:
        """The answer about a project; one that was renamed is found by its earlier paths, too."""
        name, version, rest = match["project"], match["version"], match["rest"] or ""
        found = self._project(name, version)
        if found is not None:
            return about(Asked(request, version, found, self._history.of(found), now, url), rest)
        project = self._former.get(unquote(name).lower()) if version == "v4" else None
        if project is None:
            return NO_PROJECT
        if request.method not in ("GET", "HEAD"):
            return json_answer({"message": "Non GET methods are not allowed for moved projects"}, 405)
        query = f"?{urlencode(request.query, doseq=True)}" if request.query else ""
        target = f"{url}/api/v4/projects/{project.id}{rest}{query}"
        return json_answer({"message": "Moved Permanently"}, 301, {"location": target})

    def _lists(self, request: Request, group: str | None, now: float, url: str) -> Answer:
        """The projects of the token, or those of a group; of `topic=a,b` those that have both."""
        some = list(self._projects)
        if group is not None:
            some = [project for project in some if project.path.lower().startswith(f"{group.lower()}/")]
            if not some:
                return message(404, "Group Not Found")
            if not request.flag("include_subgroups"):
                some = [project for project in some if project.path.count("/") == group.count("/") + 1]
        archived = request.flag("archived")
        topics = {topic.strip() for topic in request.first("topic").split(",")} - {""}
        some = [one for one in some if archived in (None, one.archived) and topics <= set(one.topics)]
        ordered = sorted(some, key=lambda project: project.id, reverse=request.first("sort", "desc") == "desc")

        def show(project: GitLabProject) -> dict[str, Any]:
            return project_record(project, url, activity(now))

        if group is None and request.first("pagination") == "keyset":
            return keyset_page_of_projects(request, ordered, show, url)
        return offset_page(request, ordered, show, url)
