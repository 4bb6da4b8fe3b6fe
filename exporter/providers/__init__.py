"""The providers: what each must give (`contract.py`), and the one map from a source's `provider` to what reads it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from exporter.providers.contract import (
    OTHER_EVENT,
    Delivery,
    Discovery,
    Listed,
    Look,
    Page,
    Provider,
    Rejected,
    ServiceList,
    Tell,
    unheard,
)
from exporter.providers.gitlab import GitLab
from exporter.providers.northflank import Northflank

__all__ = [
    "OTHER_EVENT",
    "PROVIDERS",
    "Delivery",
    "Discovery",
    "Listed",
    "Look",
    "Page",
    "Provider",
    "Rejected",
    "ServiceList",
    "Tell",
    "unheard",
]

PROVIDERS: Final[Mapping[str, Callable[[Any], Provider]]] = MappingProxyType(
    {
        "northflank": Northflank,
        "gitlab": GitLab,
    }
)
"""From the configuration's word to what makes a provider of that source's settings."""
