"""Northflank: services and jobs with their builds."""

from exporter.providers.northflank.api import Northflank
from exporter.providers.northflank.settings import NorthflankProject, NorthflankSource

__all__ = ["Northflank", "NorthflankProject", "NorthflankSource"]
