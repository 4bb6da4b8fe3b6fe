"""The workflows: no mistake in them, everything pinned, and the steps of a release in their order."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import ROOT
from real import missing

from exporter import __version__

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GITLAB = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())


def script(name: str, *arguments: str, tree: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    """A program of .ci/, ended."""
    command: list[str | Path] = [tree / ".ci" / name, *arguments]
    environment = {**os.environ, **more}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_actionlint_finds_nothing() -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    actionlint: str = shutil.which("actionlint", path=path) or missing("the program actionlint (make actionlint)")
    command: list[str | Path] = [actionlint, "-no-color", "-shellcheck=", "-pyflakes=", *WORKFLOWS]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("github-workflows", path) for path in WORKFLOWS),
        ("gitlab-ci", ROOT / ".gitlab-ci.yml"),
        ("renovate", ROOT / "renovate.json"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_each_file_satisfies_its_schema(schema: str, path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout


def test_every_action_and_base_image_is_pinned() -> None:
    ended = script("pins")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("path", "pinned", "loose"),
    [
        (".github/workflows/ci.yml", r"(actions/checkout@)\w+ # (v\S+)", r"\1\2"),
        (".github/workflows/ci.yml", r"(actions/checkout@\w+) # v\S+", r"\1"),
        ("Dockerfile", r"(?m)^(ARG BASE=.*)@sha256:\w+", r"\1"),
        (".gitlab-ci.yml", r"(cosign:v[^@\s]+)@sha256:\w+", r"\1"),
    ],
)
def test_what_is_not_pinned_is_found(tmp_path: Path, path: str, pinned: str, loose: str) -> None:
    for name in (".ci/pins", "Dockerfile", ".gitlab-ci.yml", *(f".github/workflows/{one.name}" for one in WORKFLOWS)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changed, count = re.subn(pinned, loose, (ROOT / path).read_text(), count=1)
    assert count == 1
    (tmp_path / path).write_text(changed)
    ended = script("pins", tree=tmp_path)
    assert ended.returncode == 1
    assert f"{path}:" in ended.stdout


def test_no_job_has_more_permissions_than_it_names() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}, path.name
        assert all("permissions" in job and "timeout-minutes" in job for job in workflow["jobs"].values()), path.name


def before(job: str, jobs: dict[str, Any]) -> set[str]:
    """The jobs that have ended well when this one starts."""
    needs = jobs[job].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct | {one for name in direct for one in before(name, jobs)}


def test_what_cannot_be_taken_back_is_published_last() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert before("package", jobs) == {"build", "image", "chart"}
    assert before("release", jobs) == {"build", "image", "chart", "package"}
    gitlab = {name: job for name, job in GITLAB.items() if isinstance(job, dict) and "script" in job}
    assert before("package", gitlab) == {"test", "build", "container", "chart"}
    assert before("release", gitlab) == {"test", "build", "container", "chart", "package", "signatures"}


def changelog(tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "changelog", tmp_path / ".ci")
    (tmp_path / "CHANGELOG.md").write_text(text)
    return script("changelog", *arguments, tree=tmp_path)


RELEASES = "# Changelog\n\n## [Unreleased]\n\n- new\n\n## [1.2.0] - 2026-11-25\n\n### Added\n\n- more\n\n## [1.1.0]\n"


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [((), 0, "- new\n\n"), (("1.2.0",), 0, "### Added\n\n- more\n\n"), (("1.1.0",), 1, ""), (("1.2",), 1, "")],
)
def test_the_section_of_a_version_is_the_text_of_its_release(
    tmp_path: Path, arguments: tuple[str, ...], status: int, text: str
) -> None:
    ended = changelog(tmp_path, RELEASES, *arguments)
    assert (ended.returncode, ended.stdout.rstrip()) == (status, text.rstrip())
    assert bool(ended.stderr) == bool(status)


def test_a_tag_of_another_version_is_refused() -> None:
    ended = script("release-check", f"v{__version__}1")
    assert ended.returncode == 1
    assert f"The tag is v{__version__}1, but the version of the code is {__version__}." in ended.stderr


class Releases(http.server.BaseHTTPRequestHandler):
    """GitLab's API of releases: it keeps what it is sent."""

    def __init__(self, kept: list[tuple[str, str | None, Any]], *arguments: Any) -> None:
        self.kept = kept
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kept.append((self.path, self.headers["JOB-TOKEN"], body))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(json.dumps({"name": body["name"]}).encode())

    def log_message(self, *_arguments: Any) -> None:
        """Nothing is logged."""


def test_the_release_of_gitlab_has_the_text_of_the_changelog(tmp_path: Path) -> None:
    kept: list[tuple[str, str | None, Any]] = []
    (tmp_path / "notes.md").write_text("- more\n")
    with http.server.HTTPServer(("127.0.0.1", 0), partial(Releases, kept)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended = script(
            "gitlab-release",
            str(tmp_path / "notes.md"),
            CI_COMMIT_TAG="v1.2.0",
            CI_API_V4_URL=f"http://127.0.0.1:{server.server_port}/api/v4",
            CI_PROJECT_ID="7",
            CI_JOB_TOKEN="unused",
        )
        server.shutdown()
    assert (ended.returncode, ended.stdout) == (0, "201 1.2.0\n"), ended.stderr
    expected = {"tag_name": "v1.2.0", "name": "1.2.0", "description": "- more\n"}
    assert kept == [("/api/v4/projects/7/releases", "unused", expected)]
