"""What a host without containers gets: the systemd unit and the example configurations."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from certificates import Authority
from here import run
from pages import PAGES, ROOT
from real import tool

from exporter.cli.main import commands
from exporter.cli.options import ENVIRONMENT

UNIT = ROOT / "contrib" / "systemd" / "ci-build-exporter.service"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
COMMAND = "/opt/ci-build-exporter/bin/ci-build-exporter"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the command that is here."""
    text = UNIT.read_text()
    assert text.count(COMMAND) == 1
    path = tmp_path / UNIT.name
    path.write_text(text.replace(COMMAND, str(Path(sys.executable).with_name("ci-build-exporter"))))
    return path


def analyzed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [tool("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_systemd_finds_no_mistake_in_the_unit(unit: Path) -> None:
    ended = analyzed("verify", "--man=no", unit)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_unit_is_hardened(unit: Path) -> None:
    """The threshold is ten times the exposure level: 0 is none, 100 the most."""
    ended = analyzed("security", "--offline=yes", "--threshold=15", unit)
    assert ended.returncode == 0, ended.stdout


def test_the_command_and_the_variables_of_the_unit_exist() -> None:
    text = UNIT.read_text()
    (line,) = re.findall(rf"^ExecStart={COMMAND} (\S+)$", text, re.MULTILINE)
    serve = commands.get_command(click.Context(commands), line)
    assert serve
    known = {option.envvar for option in serve.params if isinstance(option, click.Option)}
    named = set(re.findall(rf"{ENVIRONMENT}[A-Z_]+", text + PAGES["docs/installing.md"]))
    assert named
    assert named <= known


def test_the_page_installs_what_the_unit_starts() -> None:
    page = PAGES["docs/installing.md"]
    assert f"python3 -m venv {Path(COMMAND).parent.parent}\n" in page
    assert str(UNIT.relative_to(ROOT)) in page
    for path in re.findall(r"/etc/ci-build-exporter/[a-z.]+", UNIT.read_text()):
        assert path in page


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_check_finds_no_fault_in_an_example(example: Path, tmp_path: Path) -> None:
    text = example.read_text()
    (tmp_path / "config.yaml").write_text(text)
    Authority().write(tmp_path / "company-ca.pem")
    for name in re.findall(r"file: ([\w-]+)}", text):
        (tmp_path / name).write_text("token")
    ended = run(
        "check", f"--config.file={tmp_path / 'config.yaml'}", NORTHFLANK_TOKEN="token", OLD_GITLAB_TOKEN="token"
    )
    assert ended.status == 0, ended.err
    assert text.startswith("# "), "it says whom it is for"


def test_there_is_an_example_for_each_kind_of_user() -> None:
    assert {path.stem for path in EXAMPLES} == {
        "gitlab-group",
        "northflank-and-gitlab",
        "northflank-small-team",
        "old-gitlab",
    }
