"""What can be configured of a Northflank source."""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from exporter.build import Target
from exporter.config.values import Section, Url, Word, fault
from exporter.providers.settings import SourceSettings

API: Final = "https://api.northflank.com"
_WEBSITES = ("northflank.com", "www.northflank.com", "app.northflank.com")


class NorthflankProject(Section):
    """A project of Northflank, and which of its services and jobs to read, by names or globs."""

    id: Word
    services: tuple[Word, ...] = ("*",)
    jobs: tuple[Word, ...] = ("*",)
    exclude: tuple[Word, ...] = ()

    @field_validator("id")
    @classmethod
    def _is_one(cls, text: str) -> str:
        if set(text) & set("*?["):
            raise fault("must be one project's id; to read every project, leave projects out")
        if set(text) & set("/:#%"):
            raise fault("must be a project's id alone, e.g. shop; it is the last part of the project's address")
        return text

    @field_validator("services", "jobs")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any("/" in name for name in names):
            raise fault("must be ids or globs without a slash: nothing else can match")
        return names


class NorthflankSource(SourceSettings):
    """An account or team of Northflank."""

    provider: Literal["northflank"]
    url: Url = API
    team: Word | None = None
    projects: tuple[NorthflankProject, ...] | None = Field(default=None)
    """None: every project that the token sees."""

    @field_validator("url")
    @classmethod
    def _is_the_apis(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.hostname in _WEBSITES:
            raise fault(f"is the website; the API is {API}, which is the default")
        if re.search(r"/v[0-9]+(?:/|$)", parts.path):
            raise fault("must be the API's address without /v1, which is added to it")
        return url

    @field_validator("projects")
    @classmethod
    def _are_some(cls, projects: tuple[NorthflankProject, ...] | None) -> tuple[NorthflankProject, ...] | None:
        if projects == ():
            raise fault("is empty; leave it out to read every project")
        places: dict[str, int] = {}
        for place, project in enumerate(projects or ()):
            first = places.setdefault(project.id, place)
            if first != place:
                raise fault(f"entries {first} and {place} are the same project; put them together")
        return projects

    def named_targets(self) -> list[Target]:
        """The services and jobs that are named without a glob."""
        return [
            Target(self.name, kind, project.id, name)
            for project in self.projects or ()
            for kind, names in (("service", project.services), ("job", project.jobs))
            for name in names
            if not set(name) & set("*?[")
        ]
