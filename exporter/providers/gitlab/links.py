"""The addresses of GitLab's own pages, as a person opens them. Pure."""

from urllib.parse import quote

from exporter.build import Build, Target
from exporter.providers.gitlab.settings import GitLabSource


def page_of(source: GitLabSource, target: Target, build: Build | None = None) -> str | None:
    """The page of a job, or of its project; None where the project is known by its number only.

    `URL/PATH/-/jobs/ID`, before version 9 `URL/PATH/builds/ID`: later servers redirect from there.
    """
    if "/" not in target.project:
        return None
    address = f"{source.url}/{quote(target.project)}"
    if build is None:
        return address
    if not (build.id.isascii() and build.id.isdecimal()):
        return None
    return f"{address}/builds/{build.id}" if source.api == "v3" else f"{address}/-/jobs/{build.id}"
