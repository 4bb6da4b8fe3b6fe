"""The dashboards as the text of their files."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from mixin.dashboards import exporter, overview, target

DASHBOARDS = (overview.dashboard, target.dashboard, exporter.dashboard)


def written() -> dict[str, str]:
    """File name to JSON, always the same; a file is named as the uid of its dashboard."""
    built = [make().build() for make in DASHBOARDS]
    return {f"{board.uid}.json": JSONEncoder(indent=2, sort_keys=True).encode(board) + "\n" for board in built}
