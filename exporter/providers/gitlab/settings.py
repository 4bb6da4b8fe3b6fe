"""What can be configured of a GitLab source."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, StrictStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from exporter.build import Target
from exporter.config.document import Mapped
from exporter.config.values import LONGEST_SHOWN, Word, fault, shown, word
from exporter.providers.settings import SourceSettings

_SEGMENT = re.compile(r"[A-Za-z0-9_.+-]+")
_GLOB = frozenset("*?[")


def _name(value: object) -> str | int:
    """The path or number of a project or group, as GitLab's API accepts it."""
    if isinstance(value, str):
        return _path(word(value))
    if not isinstance(value, int) or isinstance(value, bool):
        raise PydanticCustomError("name_type", "must be a path or a number")
    if value < 1:
        raise fault("must be a path or a number, e.g. shop/web or 42")
    return value


def _path(text: str) -> str:
    if "://" in text:
        raise fault(f"is a URL; write the path alone, e.g. {_plain_path(text)}")
    if _GLOB & set(text):
        return text  # `_one_each` names the key to use instead
    if text.startswith("/") or text.endswith("/"):
        raise fault("must be a path without a slash at its start or end, e.g. shop/web")
    if "/-/" in text or text.endswith((".git", "/-")):
        raise fault(f"is more than a path; write {_plain_path(text)}")
    segments = text.split("/")
    if any(_SEGMENT.fullmatch(segment) is None or segment in {".", ".."} for segment in segments):
        raise fault("is not a GitLab path; its parts are letters, digits, _, - and ., e.g. shop/web")
    return text


def _plain_path(text: str) -> str:
    """The path of a project or group in the address of one of its pages; an example if there is none."""
    try:
        path = urlsplit(text).path
    except ValueError:
        path = ""
    path = path.partition("/-/")[0].strip("/").removesuffix("/-").removesuffix(".git")
    good = len(path) <= LONGEST_SHOWN and all(map(_SEGMENT.fullmatch, path.split("/")))
    return path if good else "shop/web"


def _one_each(key: str, names: tuple[str | int, ...], url: object, instead: str) -> None:
    """Check the names of one key. Raises a fault."""
    for name in map(str, names):
        if _GLOB & set(name):
            raise fault(f"a {key} is one path or number, without * ? or [; {instead}")
        host = urlsplit(str(url)).netloc
        if host and name.lower().startswith(f"{host}/"):
            raise fault(f"must be paths without the server's name; write {shown(name[len(host) + 1 :], quote='')}")


GitLabName = Annotated[str | int, PlainValidator(_name)]


class GitLabSource(SourceSettings):
    """A GitLab server, with the projects and groups of it to read, by path or number.

    Without either: every project that the token is a member of.
    """

    provider: Literal["gitlab"]
    api: Literal["v4", "v3"] = "v4"
    groups: tuple[GitLabName, ...] = ()
    """Their subgroups included."""
    projects: tuple[GitLabName, ...] = Field(default=(), validate_default=True)
    topics: tuple[Word, ...] = ()
    """Of the projects that lists show, only those with one of these."""
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
        if re.search(r"/api(?:/v[0-9]+(?:/.*)?)?$", urlsplit(url).path):
            raise fault("must be the server's address alone; /api/v3 or /api/v4 goes under api, as v3 or v4")
        return url

    @field_validator("projects")
    @classmethod
    def _are_projects(cls, projects: tuple[str | int, ...], info: ValidationInfo) -> tuple[str | int, ...]:
        if not projects and info.data.get("api") == "v3" and info.data.get("groups") == ():
            raise fault("missing; name what to read under projects")
        _one_each("project", projects, info.data.get("url", ""), "to read many, name their group under groups")
        for name in map(str, projects):
            if "/" not in name and not name.isdecimal():
                raise fault(f"{shown(name)} is no project's path, which begins with its group or user, e.g. shop/web")
        return projects

    @field_validator("groups")
    @classmethod
    def _are_groups(cls, groups: tuple[str | int, ...], info: ValidationInfo) -> tuple[str | int, ...]:
        _one_each("group", groups, info.data.get("url", ""), "its subgroups are included, and exclude leaves some out")
        if groups and info.data.get("api") == "v3":
            raise fault("groups need api: v4; with v3 name each project under projects")
        return groups

    @field_validator("topics")
    @classmethod
    def _narrow_a_list(cls, topics: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if topics and info.data.get("api") == "v3":
            raise fault("topics need api: v4; with v3 name each project under projects")
        if any("," in topic for topic in topics):
            raise fault("a topic has no comma; write each as an entry of its own")
        if topics and info.data.get("projects") and info.data.get("groups") == ():
            raise fault("has no effect on projects that are named; name groups, or leave projects out to read all")
        return topics

    @model_validator(mode="after")
    def _names_something_or_nothing(self) -> "GitLabSource":
        empty = [key for key in ("projects", "groups") if key in self.model_fields_set]
        if empty and not self.projects and not self.groups:
            keys, them = " and ".join(empty), "it" if len(empty) == 1 else "them"
            raise fault(f"{keys} without an entry: leave {them} out to read every project of the token")
        return self

    def named_targets(self) -> list[Target]:
        """Every project, by the path or number that is configured."""
        names = [str(project) for project in self.projects]
        return [Target(self.name, "project", name, name) for name in names]
