"""The providers: what each does (`contract.py`), and the one map from a source's `provider` to what reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from exporter.providers.contract import (
    OTHER_EVENT,
    About,
    BuildStatus,
    Changes,
    Delivery,
    Discovery,
    Listed,
    Page,
    Provider,
    Rejected,
    RunChange,
    ServiceList,
    Tell,
    settled,
    unheard,
)
from exporter.providers.gitlab import GitLab, GitLabSource
from exporter.providers.northflank import Northflank, NorthflankSource
from exporter.providers.settings import SourceSettings

__all__ = [
    "OTHER_EVENT",
    "PROVIDERS",
    "About",
    "BuildStatus",
    "Changes",
    "Delivery",
    "Discovery",
    "Listed",
    "Page",
    "Provider",
    "Rejected",
    "Row",
    "RunChange",
    "ServiceList",
    "SourceSettings",
    "Tell",
    "provider_of",
    "settled",
    "unheard",
]


@dataclass(frozen=True, slots=True)
class Row:
    """A provider: what the configuration calls it, what can be configured of a source of it, and what reads one."""

    title: str
    """Its name, as a person writes it."""
    settings: type[SourceSettings]
    reader: Callable[[Any], Provider]
    """From a source's settings to what reads it."""


PROVIDERS: Final[Mapping[str, Row]] = MappingProxyType(
    {
        "northflank": Row("Northflank", NorthflankSource, Northflank),
        "gitlab": Row("GitLab", GitLabSource, GitLab),
    }
)
"""By the configuration's word."""


def provider_of(source: SourceSettings) -> Provider:
    """The provider that reads a source with these settings."""
    return PROVIDERS[source.provider].reader(source)
