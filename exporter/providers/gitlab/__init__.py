"""GitLab: API v4, and servers so old that they only speak v3."""

from exporter.providers.gitlab.api import GitLab
from exporter.providers.gitlab.settings import GitLabSource

__all__ = ["GitLab", "GitLabSource"]
