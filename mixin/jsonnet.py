"""The mixin as Jsonnet, made of the YAML files: `python -m mixin.jsonnet` writes mixin.libsonnet.

Expressions and annotations become format strings over `_config`, so that selectors, branches, thresholds, severities
and addresses are settings.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from mixin.thresholds import THRESHOLDS, span

HERE = Path(__file__).parent
TARGET = HERE / "mixin.libsonnet"
BRANCHES = "main|master"
FAMILY = re.compile(r"(?<![:\w])(ci_build_\w+)(?![\w:])(\{)?")
EXPORTER, GRAFANA = "http://localhost:10065", "http://localhost:3000"
"""What stands before the links of the YAML files."""
QUERY = "{%%s}"
"""The selector of a query in an annotation, in a format string."""


class Formatted(str):
    """A format string over `_config`."""

    __slots__ = ()


class Setting(str):
    """A field of `_config`."""

    __slots__ = ()


def expression(rule: dict[str, Any]) -> Formatted:
    """The expression of a rule as a format string."""
    text = str(rule["expr"])
    places = {}
    for threshold in THRESHOLDS:
        if threshold.alert == rule.get("alert"):
            places[span(threshold, text)] = f"\0{threshold.name}\0"
    for (begin, end), name in sorted(places.items(), reverse=True):
        text = text[:begin] + name + text[end:]
    text = text.replace("%", "%%").replace(BRANCHES, "%(defaultBranches)s")
    text = FAMILY.sub(lambda found: found[1] + ("{%(first)s" if found[2] else "%(alone)s"), text)
    return Formatted(re.sub("\0(\\w+)\0", r"%(\1)g", text))


def annotation(text: str) -> Formatted:
    """The text of an annotation as a format string: its queries have the selector, its links the addresses."""
    text = text.replace("%", "%%").replace(QUERY, "{%%s%(inQuery)s}")
    text = text.replace(f"{EXPORTER}/", "%(externalUrl)s").replace(f"{GRAFANA}/", "%(grafanaUrl)s")
    return Formatted(text.replace(f"{repository()}docs/", "%(runbookUrl)sdocs/"))


def groups(name: str) -> list[dict[str, Any]]:
    """The groups of a YAML file, with what the settings change."""
    found: list[dict[str, Any]] = yaml.safe_load((HERE / name).read_text())["groups"]
    for rule in (rule for group in found for rule in group["rules"]):
        rule["expr"] = expression(rule)
        if "alert" in rule:
            rule["annotations"] = {key: annotation(text) for key, text in rule["annotations"].items()}
            of = f"$._config.alerts.{rule['alert']}"
            rule["for"], rule["labels"]["severity"] = Setting(f"{of}['for']"), Setting(f"{of}.severity")
            if "keep_firing_for" in rule:
                rule["keep_firing_for"] = Setting("$._config.keepFiringFor")
    return found


def alerts() -> dict[str, dict[str, str]]:
    """What is set of each alert: how severe it is, and how long it must hold before it fires."""
    found = yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in found for rule in group["rules"]]
    return {rule["alert"]: {"severity": rule["labels"]["severity"], "for": rule["for"]} for rule in rules}


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
    return str(value) if isinstance(value, Setting) else json.dumps(value)


def text() -> str:
    """The whole file."""
    thresholds = "".join(f"    {one.name}: {one.default},  // {one.alert}: {one.meaning}\n" for one in THRESHOLDS)
    boards = sorted(path.name for path in (HERE / "dashboards").glob("*.json"))
    imports = "".join(f"    {json.dumps(name)}: (import {json.dumps(f'dashboards/{name}')}),\n" for name in boards)
    return f"""// Written by `make dashboards` from alerts.yaml and rules.yaml. README.md describes how to use it.
{{
  _config+:: {{
    selector: '',  // added to every selector of the exporter's metrics, for example 'job="ci-builds"'
    defaultBranches: {json.dumps(BRANCHES)},  // a regular expression
    externalUrl: {json.dumps(EXPORTER + "/")},  // the address of the exporter, as in --web.external-url
    grafanaUrl: {json.dumps(GRAFANA + "/")},  // the address of Grafana
    runbookUrl: {json.dumps(repository())},  // what stands before docs/runbook.md
    keepFiringFor: {json.dumps(keep_firing_for())},  // how long alerts bridge a restart
{thresholds}    alerts: {jsonnet(alerts(), "    ")},
  }},
  _settings:: $._config {{
    first: if $._config.selector == '' then '' else $._config.selector + ', ',
    alone: if $._config.selector == '' then '' else '{{' + $._config.selector + '}}',
    inQuery: std.strReplace($._config.selector, '%', '%%'),
  }},
  prometheusAlerts+:: {{ groups+: {jsonnet(groups("alerts.yaml"))} }},
  prometheusRules+:: {{ groups+: {jsonnet(groups("rules.yaml"))} }},
  grafanaDashboards+:: {{
{imports}  }},
}}
"""


def keep_firing_for() -> str:
    """The one value of the alerts that have it. Raises ValueError where there are several."""
    (value,) = set(re.findall(r"keep_firing_for: (\w+)", (HERE / "alerts.yaml").read_text()))
    return str(value)


def repository() -> str:
    """The address that stands before a path of the repository."""
    project = (HERE.parent / "pyproject.toml").read_text()
    (source,) = re.findall(r'^Source = "(.*)"$', project, re.MULTILINE)
    return f"{source}/blob/main/"


if __name__ == "__main__":
    TARGET.write_text(text())
