"""What can be configured: frozen settings, each checked where it is declared. Times are float seconds."""

from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StrictInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from exporter.config.values import Duration, Family, Section, Store, StoreAddress, Word, fault, show_duration
from exporter.providers import PROVIDERS, SourceSettings

if TYPE_CHECKING:
    Source = SourceSettings
else:
    Source = Annotated[reduce(or_, [row.settings for row in PROVIDERS.values()]), Field(discriminator="provider")]
    """Any source: its provider decides which keys it has."""


class Window(Section):
    """How many recent builds and runs of a target and branch count, and how old."""

    builds: StrictInt = Field(default=100, ge=1, le=1000)
    runs: StrictInt = Field(default=100, ge=1, le=1000)
    age: Duration = 7 * 86400.0
    remember: Duration = 30 * 86400.0
    """How long a sequence (`last_*`, consecutive failures, broken since) is remembered beyond the window."""


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

    branches: tuple[Word, ...] = ("default", "main", "master", "release/*")
    """`default` stands for each target's own default branch."""
    histograms: tuple[Literal["conclude", "run", "queue", "execution", "concluded"], ...] = ("conclude",)
    labels: tuple[Literal["build_name", "build_stage", "trigger", "ref_kind"], ...] = ()
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
            raise fault("needs at least one entry")
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
    store: Store = StoreAddress()
    """Where the state is kept; read at the start only."""

    @field_validator("sources")
    @classmethod
    def _have_names_of_their_own(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if not sources:
            raise fault("needs at least one entry")
        if len({source.name for source in sources}) < len(sources):
            raise PydanticCustomError("same_name", "two sources have the same name")
        return sources
