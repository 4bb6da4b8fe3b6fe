"""The pages of GitLab's own website to which links lead: of a project, a job, a pipeline. They say which they are."""

import re
from html import escape

from exporter.simulator.message import Answer

PAGE = re.compile(r"/(?P<project>[^/].*?)(?:/(?:-/)?(?P<kind>jobs|builds|pipelines|commit)/(?P<id>[0-9a-f]+))?/?")


def page(project: str, kind: str, number: str) -> Answer:
    """The page of a job, a pipeline or a commit; without a kind of the project."""
    words = {"jobs": "Job", "builds": "Build", "pipelines": "Pipeline", "commit": "Commit"}
    title = f"{words[kind]} {number} of {project}" if kind else project
    text = f"<!doctype html><title>{escape(title)}</title><h1>{escape(title)}</h1><p>A page of the simulated GitLab."
    return Answer(200, {"content-type": "text/html; charset=utf-8"}, text.encode())
