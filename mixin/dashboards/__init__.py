"""Grafana's dashboards as code: `python -m mixin.dashboards` writes the JSON files of this folder."""
