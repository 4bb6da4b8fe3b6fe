"""The URLs of GitLab's pages, as a person copies them from a browser or an alert. Pure."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from exporter.build import Target
from exporter.providers.gitlab.settings import GitLabSource
from exporter.providers.operations import Reference

PAGE: Final = re.compile(
    r"(?P<path>.+?)(?:/-)?/(?:(?:jobs|builds)/(?P<job>[0-9]+)|pipelines/(?P<pipeline>[0-9]+)|commit/(?P<sha>[0-9a-f]{7,64}))(?:/.*)?"
)
"""A project's page about a job, a pipeline or a commit. Servers before GitLab 12 have no `/-` in it."""
OTHER_PAGES: Final = ("groups/", "dashboard", "explore", "admin", "users/", "api/", "-/")
"""How the paths of pages begin that show no project."""


def reference(source: GitLabSource, url: str) -> Reference | None:
    """The project in the URL of one of its pages, and the job, pipeline or commit that the page shows.

    `http` and `https` are the same here, and so are a server's name with and without a scheme.
    """
    server, page = _parts(source.url), _parts(url)
    if server is None or page is None or page[0] != server[0] or not page[1].startswith(f"{server[1]}/"):
        return None
    path = page[1].removeprefix(f"{server[1]}/")
    if path.startswith(OTHER_PAGES):
        return None
    match = PAGE.fullmatch(path)
    project = (match["path"] if match else path.partition("/-/")[0]).rstrip("/").removesuffix(".git")
    if "/" not in project or not all(project.split("/")):
        return None
    found = match.groupdict(default="") if match else {}
    return Reference(
        Target(source.name, "project", project, project),
        build_id=found.get("job", ""),
        run=found.get("pipeline", ""),
        commit=found.get("sha", ""),
        configured=_covers(source, project),
    )


def _parts(url: str) -> tuple[str, str] | None:
    """Host with port and path of a URL, the path without a slash at its end; None if it is no URL."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:
        return None
    return (parts.netloc.rpartition("@")[2].lower(), unquote(parts.path).rstrip("/")) if parts.netloc else None


def _covers(source: GitLabSource, project: str) -> bool:
    """Whether the configuration names the project or one of its groups, or neither any project nor any group."""
    path, groups = project.lower(), tuple(f"{group}/".lower() for group in source.groups)
    named = path in {str(name).lower() for name in source.projects}
    return named or path.startswith(groups) or not (source.projects or source.groups)
