"""What can be configured of a GitLab source."""

from typing import Annotated, Literal

from pydantic import Field, PlainValidator, StrictStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from exporter.build import Target
from exporter.config.document import Mapped
from exporter.config.values import fault, word
from exporter.providers.settings import SourceSettings


def _project_name(value: object) -> str | int:
    """A path or a number, as GitLab's API takes either."""
    if isinstance(value, str):
        if value.startswith("/") or value.endswith("/"):
            raise fault("wants a path without a slash at its start or end, e.g. shop/web")
        return word(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise PydanticCustomError("name_type", "wants a path or a number")
    if value < 1:
        raise fault("wants a path or a number, e.g. shop/web or 42")
    return value


GitLabName = Annotated[str | int, PlainValidator(_project_name)]


class GitLabSource(SourceSettings):
    """A GitLab server, with the projects and groups of it to read, by path or number."""

    provider: Literal["gitlab"]
    api: Literal["v4", "v3"] = "v4"
    projects: tuple[GitLabName, ...] = ()
    groups: tuple[GitLabName, ...] = Field(default=(), validate_default=True)
    """Their subgroups included."""
    api_place: StrictStr = Field(default="", exclude=True, repr=False)
    """`FILE:LINE` of the key `api`, or of the source without one: what to change for a server without that API."""

    @model_validator(mode="before")
    @classmethod
    def _know_the_place(cls, data: object) -> object:
        if not isinstance(data, Mapped):
            return data
        if "api_place" in data:
            raise fault('unknown key "api_place"')
        return {**data, "api_place": data.place("api")}

    @field_validator("url")
    @classmethod
    def _is_the_servers(cls, url: str) -> str:
        if url.endswith(("/api/v3", "/api/v4")):
            raise fault("wants the server's address alone; /api/v3 or /api/v4 goes under api, as v3 or v4")
        return url

    @field_validator("projects")
    @classmethod
    def _are_no_globs(cls, projects: tuple[str | int, ...]) -> tuple[str | int, ...]:
        if any("*" in str(project) for project in projects):
            raise fault("a project is one path or number, without *; to read many, name their group under groups")
        return projects

    @field_validator("groups")
    @classmethod
    def _can_be_read(cls, groups: tuple[str | int, ...], info: ValidationInfo) -> tuple[str | int, ...]:
        if groups and info.data.get("api") == "v3":
            raise fault("groups need api: v4; with v3 name each project under projects")
        if not groups and info.data.get("projects") == ():
            raise fault("missing; name what to read under projects or groups")
        return groups

    def named_targets(self) -> list[Target]:
        """Every project, by the path or number that is configured."""
        names = [str(project) for project in self.projects]
        return [Target(self.name, "project", name, name) for name in names]
