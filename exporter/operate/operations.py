"""The operations of a source, from the module `operations` in the folder of its provider."""

from importlib import import_module

from exporter.providers import provider_of
from exporter.providers.operations import Operations
from exporter.settings.settings import Source


def operations_of(source: Source) -> Operations:
    """The operations of a source."""
    # By name and not by an import above: `exporter.providers` must not know these modules, because `serve` loads it.
    module = import_module(f"exporter.providers.{source.provider}.operations")
    operations: Operations = module.OPERATIONS(provider_of(source))
    return operations
