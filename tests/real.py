"""The real tools that some tests need: where one is missing the test is skipped, saying so; with CI=true it fails."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

NODE_MODULES = Path(__file__).parent / "node_modules"


def missing(what: str) -> NoReturn:
    """Ends the test: in CI as a failure, elsewhere as a skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and in CI it must not be", pytrace=False)
    pytest.skip(f"needs {what}")


def tool(name: str) -> Path:
    """Where the program is, such as `tool("prometheus")`."""
    found = shutil.which(name)
    return Path(found) if found else missing(f"the program {name}")


def node_package(name: str) -> Path:
    """The directory of a package of tests/package.json, such as `node_package("@northflank/js-client")`."""
    tool("node")
    place = NODE_MODULES / name
    return place if place.is_dir() else missing(f"the npm package {name} (npm ci --prefix tests)")
