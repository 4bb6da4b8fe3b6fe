"""The mixin as Jsonnet, made of the YAML files: `python -m mixin.jsonnet` writes mixin.libsonnet.

Expressions become format strings over `_config`, so that selectors, branches and thresholds are settings.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
TARGET = HERE / "mixin.libsonnet"
BRANCHES = "main|master"
FAMILY = re.compile(r"(?<![:\w])(ci_build_\w+)(?![\w:])(\{)?")


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


class Formatted(str):
    """A format string over `_config`."""

    __slots__ = ()


class Linked(str):
    """A path in the repository, behind `_config.runbookUrl`."""

    __slots__ = ()


def expression(rule: dict[str, Any]) -> Formatted:
    """The expression of a rule as a format string."""
    text = str(rule["expr"]).replace("%", "%%").replace(BRANCHES, "%(defaultBranches)s")
    for threshold in THRESHOLDS:
        if threshold.alert == rule.get("alert"):
            number = rf"(?<![\d.]){re.escape(str(threshold.default))}(?![\d.])"
            pattern = re.escape(threshold.written).replace(r"\{\}", number)
            if not threshold.written.endswith("*"):
                pattern += r"(?! \*)"
            text, count = re.subn(pattern, threshold.written.replace("{}", f"%({threshold.name})g"), text)
            if count != 1:
                raise ValueError(f"{threshold.alert} has {threshold.written} with {threshold.default} {count} times")
    return Formatted(FAMILY.sub(lambda found: found[1] + ("{%(first)s" if found[2] else "%(alone)s"), text))


def groups(name: str) -> list[dict[str, Any]]:
    """The groups of a YAML file, with what the settings change."""
    found: list[dict[str, Any]] = yaml.safe_load((HERE / name).read_text())["groups"]
    for rule in (rule for group in found for rule in group["rules"]):
        rule["expr"] = expression(rule)
        if "annotations" in rule:
            rule["annotations"]["runbook_url"] = Linked(rule["annotations"]["runbook_url"])
    return found


def jsonnet(value: Any, indent: str = "  ") -> str:
    """A value as Jsonnet."""
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {jsonnet(one, inner)},\n" for key, one in value.items()]
        return "{\n" + "".join(lines) + indent + "}"
    if isinstance(value, list):
        return "[\n" + "".join(f"{inner}{jsonnet(one, inner)},\n" for one in value) + indent + "]"
    if isinstance(value, Formatted):
        return f"{json.dumps(value)} % $._settings"
    if isinstance(value, Linked):
        return f"$._config.runbookUrl + {json.dumps(value)}"
    return json.dumps(value)


def text(runbook_url: str) -> str:
    """The whole file."""
    thresholds = "".join(f"    {one.name}: {one.default},  // {one.alert}: {one.meaning}\n" for one in THRESHOLDS)
    boards = sorted(path.name for path in (HERE / "dashboards").glob("*.json"))
    imports = "".join(f"    {json.dumps(name)}: (import {json.dumps(f'dashboards/{name}')}),\n" for name in boards)
    return f"""// Written by `make dashboards` from alerts.yaml and rules.yaml. README.md describes how to use it.
{{
  _config+:: {{
    selector: '',  // added to every selector of the exporter's metrics, for example 'job="ci-builds"'
    defaultBranches: {json.dumps(BRANCHES)},  // a regular expression
    runbookUrl: {json.dumps(runbook_url)},  // what stands before docs/runbook.md
{thresholds}  }},
  _settings:: $._config {{
    first: if $._config.selector == '' then '' else $._config.selector + ', ',
    alone: if $._config.selector == '' then '' else '{{' + $._config.selector + '}}',
  }},
  prometheusAlerts+:: {{ groups+: {jsonnet(groups("alerts.yaml"))} }},
  prometheusRules+:: {{ groups+: {jsonnet(groups("rules.yaml"))} }},
  grafanaDashboards+:: {{
{imports}  }},
}}
"""


def repository() -> str:
    """The address that stands before a path of the repository."""
    project = (HERE.parent / "pyproject.toml").read_text()
    (source,) = re.findall(r'^Source = "(.*)"$', project, re.MULTILINE)
    return f"{source}/blob/main/"


if __name__ == "__main__":
    TARGET.write_text(text(repository()))
