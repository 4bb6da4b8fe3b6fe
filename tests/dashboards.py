"""The dashboards' files as a test reads them: panels, and the expressions that they ask."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "mixin" / "dashboards"

Json = dict[str, Any]

RANGES = {"$__rate_interval": "10s", "$__range": "30s"}
"""What Grafana would put in; short, for a Prometheus that has just begun."""


@dataclass(frozen=True)
class Expression:
    """What a panel, a variable or an event asks, as it is written."""

    where: str
    text: str
    over_time: bool = False
    """Whether it is asked for a range, not as of now."""

    @property
    def of_everything(self) -> str:
        """With Grafana's variables put in: everything is chosen."""
        text = self.text
        for name, value in RANGES.items():
            text = text.replace(name, value)
        return re.sub(r'=~"\$\w+"', '=~".*"', text)


def boards() -> list[Json]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def of_panels(board: Json) -> Iterator[Expression]:
    for panel in panels(board):
        for target in panel["targets"]:
            ref = f" {target['refId']}" if len(panel["targets"]) > 1 else ""
            yield Expression(
                f"{board['uid']}: {panel['title']}{ref}", target["expr"], over_time=bool(target.get("range"))
            )


def of_events(board: Json) -> Iterator[Expression]:
    for event in board["annotations"]["list"]:
        yield Expression(f"{board['uid']}: {event['name']}", event["expr"], over_time=True)


def of_variables(board: Json) -> Iterator[tuple[Expression, str]]:
    """The series that each variable asks, and the label whose values it takes."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert asked, variable["name"]
            yield Expression(f"{board['uid']}: ${variable['name']}", asked[1]), asked[2]


def expressions(board: Json) -> list[Expression]:
    """All of a dashboard."""
    return [*of_panels(board), *of_events(board), *(expression for expression, _label in of_variables(board))]
