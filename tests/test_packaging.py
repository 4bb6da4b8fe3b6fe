"""The package as it is published: built twice, checked, and described by links that lead somewhere."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pages import ROOT

from exporter import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = f"ci_build_exporter-{__version__}"
REPOSITORY = PROJECT["urls"]["Source"]
NOT_OF_THE_TREE = shutil.ignore_patterns(".git", ".venv*", "node_modules", ".image", ".*_cache", ".hypothesis", "dist")


def build(source: Path, destination: Path) -> None:
    """Build the source distribution, and the wheel from it, without an index."""
    command: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", destination, source]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Two builds, of two copies of the tree: other folders, other times of the files, other permissions."""
    results = []
    for name in ("first", "second"):
        tree = tmp_path_factory.mktemp(name) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_OF_THE_TREE, copy_function=shutil.copyfile)
        if name == "second":
            for path in tree.rglob("*.py"):
                path.chmod(0o600)
        results.append(tree.parent / "dist")
        build(tree, results[-1])
        shutil.rmtree(tree)
    yield results[0], results[1]
    for result in results:
        shutil.rmtree(result)


def wheel(folder: Path) -> Path:
    return folder / f"{NAME}-py3-none-any.whl"


def sdist(folder: Path) -> Path:
    return folder / f"{NAME}.tar.gz"


def test_two_builds_are_equal_to_the_byte(built: tuple[Path, Path]) -> None:
    first, second = built
    for artefact in (wheel, sdist):
        assert artefact(first).read_bytes() == artefact(second).read_bytes(), artefact(first).name


def test_the_wheel_is_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(wheel(built[0])) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "exporter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == expected
    assert "exporter/py.typed" in files, "the classifier says that it is typed"


def test_the_source_distribution_has_what_its_tests_need(built: tuple[Path, Path]) -> None:
    with tarfile.open(sdist(built[0])) as archive:
        files = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        "mixin/alerts.yaml",
        "tests/test_packaging.py",
    } <= files
    assert not [name for name in files if name.endswith(".png")]


@pytest.mark.parametrize(
    "check", [["twine", "check", "--strict"], ["check_wheel_contents"]], ids=lambda check: check[0]
)
def test_the_checks_of_packages_find_nothing(built: tuple[Path, Path], check: list[str]) -> None:
    artefacts = [wheel(built[0])] if check[0] == "check_wheel_contents" else [wheel(built[0]), sdist(built[0])]
    command: list[str | Path] = [sys.executable, "-m", *check, *artefacts]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "warning" not in ended.stdout.lower()


def metadata(built: tuple[Path, Path]) -> tuple[dict[str, list[str]], str]:
    """The fields of the wheel's metadata, and the description."""
    with zipfile.ZipFile(wheel(built[0])) as archive:
        text = archive.read(f"{NAME}.dist-info/METADATA").decode()
    message = HeaderParser().parsestr(text)
    fields: dict[str, list[str]] = {}
    for name, value in message.items():
        fields.setdefault(name, []).append(str(value))
    return fields, str(message.get_payload())


def test_every_link_and_picture_of_the_description_leads_to_the_repository_at_this_version(
    built: tuple[Path, Path],
) -> None:
    fields, description = metadata(built)
    assert fields["Description-Content-Type"] == ["text/markdown"]
    found = re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", description)
    pictures = [link for link in found if link.endswith(".png")]
    assert pictures
    assert all(link.startswith(("https://", "http://localhost", "#")) for link in found), found
    raw = REPOSITORY.replace("https://github.com/", "https://raw.githubusercontent.com/")
    assert all(link.startswith(f"{raw}/v{__version__}/docs/") for link in pictures)
    pages = [link for link in found if link.startswith(REPOSITORY)]
    prefix = f"{REPOSITORY}/blob/v{__version__}/"
    assert pages
    for link in pages:
        assert (ROOT / link.removeprefix(prefix).partition("#")[0]).is_file(), link


def test_the_metadata_names_the_project(built: tuple[Path, Path]) -> None:
    fields, _ = metadata(built)
    assert fields["Version"] == [__version__]
    assert fields["Author"]
    assert {url.partition(", ")[0] for url in fields["Project-URL"]} == set(PROJECT["urls"])
    assert all(url.startswith(REPOSITORY) for url in PROJECT["urls"].values())


def pythons() -> list[str]:
    """The versions of Python that the classifiers name."""
    found = (re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in PROJECT["classifiers"])
    return [match[1] for match in found if match]


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (versions,) = re.findall(r"^VERSIONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == pythons() == versions.split()
    assert PROJECT["requires-python"] == f">={pythons()[0]}"


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "exporter", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert __version__ in ended.stdout


def locked(name: str) -> dict[str, str]:
    """The version of each package in a lock; each has hashes."""
    text = (ROOT / "locks" / name).read_text()
    found = {}
    for name_and_version, rest in re.findall(r"^(\S+==[^\s;]+)(.*(?:\n {4}.*)*)", text, re.MULTILINE):
        package, _, version = name_and_version.partition("==")
        assert "--hash=sha256:" in rest, name_and_version
        found[package] = version
    return found


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("run.txt", PROJECT["dependencies"]),
        ("build.txt", tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]),
    ],
)
def test_the_locks_have_what_pyproject_toml_wants(lock: str, wanted: list[str]) -> None:
    versions = locked(lock)
    for requirement in map(Requirement, wanted):
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{lock} lacks {requirement.name}: make locks"
        assert requirement.specifier.contains(version), f"{lock} has {requirement.name} {version}: make locks"
