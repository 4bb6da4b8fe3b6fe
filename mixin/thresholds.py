"""The numbers in the alerts that are settings, in the Jsonnet mixin and in the chart (`prometheusRule.thresholds`).

`python -m mixin.thresholds` prints what the chart needs: the place of each number in its expression.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CONTEXT = 12
"""Characters on each side of a number, at least."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number in the expression of an alert."""

    name: str
    alert: str
    written: str
    """The part of the expression that has the number; `{}` stands for it."""
    default: float
    meaning: str


THRESHOLDS = (
    Threshold("failingRuns", "CIBuildFailingRepeatedly", ">= {}", 5, "failed runs in a row"),
    Threshold("successRatioFall", "CIBuildSuccessRatioFallen", "> {}", 0.2, "fall of the success ratio below its week"),
    Threshold("latencyFactor", "CIBuildLatencyDoubled", "> {} *", 2, "how many times slower than in its week"),
    Threshold("latencySeconds", "CIBuildLatencyDoubled", "> {}", 60, "seconds slower than in its week"),
    Threshold("stuckSeconds", "CIBuildStuck", "> {}", 3600, "age of an unfinished build"),
    Threshold("flakyCommits", "CIBuildFlaky", ">= {}", 5, "commits on which a build both failed and succeeded"),
    Threshold("flakyShare", "CIBuildFlaky", "> {} *", 0.05, "the same as a share of the builds"),
    Threshold("overdueFactor", "CIBuildOverdue", "> {} *", 2, "how many times longer than the longest pause"),
    Threshold("staleSeconds", "CIBuildTargetStale", "> {}", 1800, "time since a target was read, without webhooks"),
    Threshold("allowanceShare", "CIBuildAllowanceNearlyUsed", "< {}", 0.1, "what is left of the rate limit"),
)


def span(threshold: Threshold, expression: str) -> tuple[int, int]:
    """Where the number is in the alert's expression. Raises ValueError where it is not there exactly once."""
    number = rf"(?<![\d.])(?P<number>{re.escape(str(threshold.default))})(?![\d.])"
    pattern = re.escape(threshold.written).replace(r"\{\}", number)
    if not threshold.written.endswith("*"):
        pattern += r"(?! \*)"
    found = list(re.finditer(pattern, expression))
    if len(found) != 1:
        raise ValueError(f"{threshold.alert} has {threshold.written} with {threshold.default} {len(found)} times")
    return found[0].span("number")


def around(threshold: Threshold, expression: str) -> tuple[str, str]:
    """What stands before and behind the number, enough to be in the expression once whatever the other numbers are."""
    begin, end = span(threshold, expression)
    for more in range(CONTEXT, len(expression) + CONTEXT):
        before, behind = expression[max(0, begin - more) : begin], expression[end : end + more]
        if expression.count(f"{before}{expression[begin:end]}{behind}") == 1:
            return before, behind
    raise AssertionError("the whole expression is in itself once")


def places() -> list[dict[str, str]]:
    """What the chart replaces: of each setting the alert, the text with the number, and the same as a format."""
    groups: list[dict[str, Any]] = yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"]
    expressions = {rule["alert"]: str(rule["expr"]) for group in groups for rule in group["rules"]}
    found = []
    for threshold in THRESHOLDS:
        before, behind = around(threshold, expressions[threshold.alert])
        found.append(
            {
                "name": threshold.name,
                "alert": threshold.alert,
                "find": f"{before}{threshold.default}{behind}",
                "write": f"{before}%s{behind}".replace("%", "%%").replace("%%s", "%s"),
            }
        )
    return found


if __name__ == "__main__":
    sys.stdout.write("# Written by `make chart` from mixin/thresholds.py.\n")
    sys.stdout.write(yaml.safe_dump(places(), sort_keys=False, width=1000))
