"""The Helm chart, rendered by a real Helm: that of `make helm`, or of the PATH."""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from real import missing

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm" / "ci-build-exporter"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))

Manifest = dict[str, Any]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Helm, ended."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [shutil.which("helm", path=path) or missing("the program helm (make helm)"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class Rendered:
    """The manifests of one rendering."""

    def __init__(self, text: str) -> None:
        self.manifests: list[Manifest] = [one for one in yaml.safe_load_all(text) if one]

    def of(self, kind: str) -> list[Manifest]:
        return [one for one in self.manifests if one["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Manifest:
        (found,) = (one for one in self.of(kind) if name in (None, one["metadata"]["name"]))
        return found

    @property
    def pod(self) -> Manifest:
        """The pods' template."""
        template: Manifest = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Manifest:
        container: Manifest
        container, *_others = self.pod["spec"]["containers"]
        return container

    @property
    def config(self) -> str:
        """The exporter's configuration."""
        (text,) = (one["data"]["config.yaml"] for one in self.of("ConfigMap") if "config.yaml" in one["data"])
        return str(text)

    @property
    def web_config(self) -> str:
        """The exporter's web configuration."""
        (text,) = (one["data"]["web.yaml"] for one in self.of("Secret") if "web.yaml" in one["data"])
        return base64.b64decode(text).decode()

    def by_name(self) -> Mapping[tuple[str, str], Manifest]:
        return {(one["kind"], one["metadata"]["name"]): one for one in self.manifests}


@cache
def rendered(values: Path, *more: str, chart: Path = CHART) -> Rendered:
    """What a release "builds" in the namespace "ci-builds" would be; `more` are options."""
    ended = run("template", "builds", chart, "--namespace=ci-builds", f"--values={values}", *more)
    assert ended.returncode == 0, ended.stderr
    return Rendered(ended.stdout)


def refusal(*options: str) -> str:
    """Why the chart is not rendered."""
    ended = run("template", "builds", CHART, *options)
    assert ended.returncode != 0, "it was rendered"
    return ended.stderr


def case(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"
