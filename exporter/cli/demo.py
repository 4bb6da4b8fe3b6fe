"""The settings with which the demo reads the simulator."""

import os

from exporter.config.secret import EnvToken
from exporter.settings.settings import Settings
from exporter.simulator.server import SIMULATOR_TOKEN

TOKEN_VARIABLE = "CI_BUILD_EXPORTER_SIMULATOR_TOKEN"  # noqa: S105  # a name, not a token


def simulated_settings(northflank: str, gitlab: str) -> Settings:
    """Sources for a simulated Northflank, GitLab with API v4, and GitLab with API v3; every histogram is on."""
    os.environ[TOKEN_VARIABLE] = SIMULATOR_TOKEN
    token = EnvToken(TOKEN_VARIABLE)
    old = {"name": "old-gitlab", "provider": "gitlab", "url": gitlab, "api": "v3", "token": token}
    return Settings.model_validate(
        {
            "sources": [
                {"name": "northflank", "provider": "northflank", "url": northflank, "token": token},
                {"name": "gitlab", "provider": "gitlab", "url": gitlab, "token": token, "groups": ["harbour"]},
                old | {"projects": [2105, 2106]},
            ],
            "refresh": {"ttl": 10, "idle_ttl": 60},
            "metrics": {"histograms": ["conclude", "run", "queue", "execution", "concluded"]},
        }
    )
