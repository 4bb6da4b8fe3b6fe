"""The addresses of GitLab's own pages, as a person opens them. Pure."""

import re
from typing import Final
from urllib.parse import quote

from exporter.build import Build, Target
from exporter.providers.gitlab.settings import GitLabSource

_SHA: Final = re.compile(r"([0-9a-f]{7,64}):")


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


def page_of_run(source: GitLabSource, target: Target, run_id: str) -> str | None:
    """The page of a pipeline, `URL/PATH/-/pipelines/ID`; v3, which has none: of the commit, `URL/PATH/commit/SHA`."""
    if "/" not in target.project:
        return None
    address = f"{source.url}/{quote(target.project)}"
    if source.api == "v3":
        sha = _SHA.match(run_id)
        return f"{address}/commit/{sha[1]}" if sha else None
    return f"{address}/-/pipelines/{run_id}" if run_id.isascii() and run_id.isdecimal() else None
