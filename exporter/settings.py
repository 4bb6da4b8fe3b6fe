"""What can be configured: frozen settings, each checked where it is declared. Times are float seconds."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from exporter.document import Mapped
from exporter.secret import EnvToken, FileToken
from exporter.values import (
    Duration,
    Family,
    FilePath,
    GitLabName,
    Section,
    SourceName,
    Spend,
    Spending,
    Token,
    Url,
    Word,
    duration,
    fault,
    show_duration,
)

__all__ = [
    "EnvToken",
    "FileToken",
    "GitLabSource",
    "Metrics",
    "NorthflankProject",
    "NorthflankSource",
    "Refresh",
    "Settings",
    "Source",
    "Spend",
    "Tls",
    "Webhook",
    "Window",
    "duration",
    "show_duration",
]


class Tls(Section):
    """How a source's server proves who it is."""

    ca_file: FilePath | None = None
    insecure_skip_verify: StrictBool = False


class Webhook(Section):
    """How to know the provider's own deliveries."""

    secret: Token


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


class NorthflankSource(Section):
    """An account or team of Northflank."""

    name: SourceName
    provider: Literal["northflank"]
    url: Url = "https://api.northflank.com"
    token: Token
    team: Word | None = None
    projects: tuple[NorthflankProject, ...] | None = Field(default=None)
    """None: every project that the token sees."""
    exclude: tuple[Word, ...] = ()
    tls: Tls = Tls()
    spend: Spending = None
    webhook: Webhook | None = None
    """None: it takes no deliveries."""

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


class GitLabSource(Section):
    """A GitLab server, with the projects and groups of it to read, by path or number."""

    name: SourceName
    provider: Literal["gitlab"]
    url: Url
    api: Literal["v4", "v3"] = "v4"
    token: Token
    projects: tuple[GitLabName, ...] = ()
    groups: tuple[GitLabName, ...] = Field(default=(), validate_default=True)
    """Their subgroups included."""
    exclude: tuple[Word, ...] = ()
    tls: Tls = Tls()
    spend: Spending = None
    webhook: Webhook | None = None
    """None: it takes no deliveries."""
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


Source = Annotated[NorthflankSource | GitLabSource, Field(discriminator="provider")]


class Window(Section):
    """How many recent builds of a target and branch count, and how old."""

    builds: StrictInt = Field(default=100, ge=1, le=1000)
    age: Duration = 7 * 86400.0


class Refresh(Section):
    """How often to ask the providers, and how long to wait for them."""

    ttl: Duration = 30.0
    idle_ttl: Duration = 300.0
    timeout: Duration = 10.0
    concurrency: StrictInt = Field(default=16, ge=1, le=256)
    discovery: Duration = 600.0

    @model_validator(mode="after")
    def _idles_longer(self) -> "Refresh":
        if self.idle_ttl < self.ttl:
            raise fault(
                f"idle_ttl ({show_duration(self.idle_ttl)}) must not be shorter than ttl ({show_duration(self.ttl)})"
            )
        return self


class Metrics(Section):
    """What is shown, and how finely."""

    branches: tuple[Word, ...] = ("main", "master", "release/*")
    histograms: tuple[Literal["conclude", "queue", "run"], ...] = ("conclude",)
    labels: tuple[Literal["build_name", "build_stage"], ...] = ()
    drop: tuple[Family, ...] = ()
    latency_buckets: tuple[Duration, ...] = (
        *(10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0),
        *(1800.0, 3600.0, 7200.0, 14400.0),
    )
    max_series: StrictInt = Field(default=500_000, ge=1)

    @field_validator("latency_buckets")
    @classmethod
    def _ascend(cls, buckets: tuple[float, ...]) -> tuple[float, ...]:
        if not buckets:
            raise fault("wants one entry at least")
        for shorter, longer in pairwise(buckets):
            if shorter >= longer:
                raise fault(f"must ascend, but {show_duration(longer)} comes after {show_duration(shorter)}")
        return buckets


class Settings(Section):
    """The whole configuration."""

    sources: tuple[Source, ...]
    window: Window = Window()
    refresh: Refresh = Refresh()
    metrics: Metrics = Metrics()

    @field_validator("sources")
    @classmethod
    def _have_names_of_their_own(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if not sources:
            raise fault("wants one entry at least")
        if len({source.name for source in sources}) < len(sources):
            raise PydanticCustomError("same_name", "two sources have the same name")
        return sources
