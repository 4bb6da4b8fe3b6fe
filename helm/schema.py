"""The chart's values.schema.json, made of values.schema.yaml: `python -m helm.schema` writes it.

Kubernetes' own definitions are added as the package kubernetes-validate has them, in their strict form, so that a
misspelt key is refused in a toleration too; of the exporter's configurations every key, as their settings declare them.
"""

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import yaml
from pydantic import BaseModel

from exporter.config.secret import EnvToken, FileToken
from exporter.config.values import Spend
from exporter.settings.settings import Settings
from exporter.web.web_config import WebSettings

HERE = Path(__file__).parent
SOURCE = HERE / "values.schema.yaml"
TARGET = HERE / "ci-build-exporter" / "values.schema.json"
KUBERNETES = "1.37.0"
"""Whose definitions they are: the newest, since a schema of an older one would refuse what is new."""
REFERENCE = "#/definitions/"
WANTED = ("type", "properties", "additionalProperties", "items", "required", "$ref", "oneOf", "enum")
"""What is kept of a definition of Kubernetes: what tells a right key and type from a wrong one."""
TEXT = {"type": "string"}

Schema = dict[str, Any]


def schema() -> Schema:
    """The whole schema. Every definition is in it that another names, and no other."""
    whole: Schema = yaml.safe_load(SOURCE.read_text())
    definitions = whole["definitions"]
    definitions["config"] = keys_of(Settings)
    definitions["webConfig"] = _objects(keys_of(WebSettings))
    known = kubernetes()
    while missing := sorted(references(whole) - set(definitions)):
        definitions |= {name: known[name] for name in missing}
    whole["definitions"] = dict(sorted(definitions.items()))
    return whole


def references(node: object) -> set[str]:
    """The names of the definitions that something refers to."""
    return set(re.findall(rf'"\$ref": "{REFERENCE}([^"]+)"', json.dumps(node)))


def kubernetes() -> Schema:
    """The definitions of Kubernetes."""
    folder = resources.files(kubernetes_validate) / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"
    path = folder / "_definitions.json"
    return {name: _of_kubernetes(one) for name, one in json.loads(path.read_text())["$defs"].items()}


def _of_kubernetes(node: Schema) -> Schema:
    kept = {key: value for key, value in node.items() if key in WANTED}
    if "$ref" in kept:
        return {"$ref": REFERENCE + kept["$ref"].rpartition("/")[2]}
    if "properties" in kept:
        kept["properties"] = {key: _of_kubernetes(value) for key, value in kept["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = _of_kubernetes(kept[key])
    if "oneOf" in kept:  # a quantity, or a number or text: null would be both
        kept = {"type": sorted({one for part in kept["oneOf"] for one in part["type"]} - {"null"})}
    return kept


def keys_of(*models: type[BaseModel]) -> Schema:
    """What takes the keys of these settings, at every level, and any value: `check` says more of values than a schema.

    Of a source that fits none of several providers a schema says no more than that: so it takes the keys of all, each
    in the form that says most.
    """
    forms: dict[str, list[Schema]] = {}
    for model in models:
        for name, field in model.model_fields.items():
            if not field.exclude:
                forms.setdefault(field.alias or name, []).append(_of_setting(field.annotation))
    properties = {name: max(those, key=lambda form: len(json.dumps(form))) for name, those in sorted(forms.items())}
    return {"additionalProperties": False, "properties": properties}


def _objects(node: Schema) -> Schema:
    """The same where every section is one, and nothing else may stand in its place."""
    if "properties" not in node:
        return node
    return {"type": "object", **node, "properties": {key: _objects(one) for key, one in node["properties"].items()}}


def _of_setting(annotation: Any) -> Schema:
    if get_origin(annotation) is tuple:
        return {"items": _of_setting(get_args(annotation)[0])}
    if get_origin(annotation) is dict:
        return {"type": "object", "additionalProperties": TEXT}
    kinds = set(_kinds(annotation))
    if kinds >= {EnvToken, FileToken}:
        return {"type": "object", "additionalProperties": False, "properties": {"env": TEXT, "file": TEXT}}
    if any(get_origin(kind) is tuple for kind in kinds):
        return _of_setting(next(kind for kind in kinds if get_origin(kind) is tuple))
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Spend]
    return keys_of(*sorted(models, key=lambda model: model.__name__)) if models else {}


def _kinds(annotation: Any) -> Iterator[Any]:
    """The members of a union, without what is annotated."""
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
    else:
        yield annotation


def text() -> str:
    """The file: a line for each key at the top, and for each definition."""
    lines = []
    for key, value in schema().items():
        if key in ("properties", "definitions"):
            inner = ",\n".join(f"    {json.dumps(name)}: {json.dumps(one)}" for name, one in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{inner}\n  }}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text())
