"""Prometheus exporter for the builds of Northflank and GitLab."""

__version__ = "0.1.0"
