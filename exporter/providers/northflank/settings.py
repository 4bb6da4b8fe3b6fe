"""What can be configured of a Northflank source."""

from typing import Literal

from pydantic import Field, field_validator

from exporter.build import Target
from exporter.config.values import Section, Url, Word, fault
from exporter.providers.settings import SourceSettings


class NorthflankProject(Section):
    """A project of Northflank, and which of its services and jobs to read, by names or globs."""

    id: Word
    services: tuple[Word, ...] = ("*",)
    jobs: tuple[Word, ...] = ("*",)
    exclude: tuple[Word, ...] = ()

    @field_validator("id")
    @classmethod
    def _is_one(cls, text: str) -> str:
        if "*" in text:
            raise fault("is one project's id; for every project leave projects out")
        return text


class NorthflankSource(SourceSettings):
    """An account or team of Northflank."""

    provider: Literal["northflank"]
    url: Url = "https://api.northflank.com"
    team: Word | None = None
    projects: tuple[NorthflankProject, ...] | None = Field(default=None)
    """None: every project that the token sees."""

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
