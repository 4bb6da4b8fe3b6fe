"""How the code is cut: imports go down only, modules and functions stay small."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.providers.gitlab.graphql import QUERY

ROOT = Path(__file__).parent.parent / "exporter"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("build", "errors"),
    ("config", "http", "history"),
    ("providers",),
    ("settings", "store"),
    ("polling", "exposition"),
    ("snapshot", "reading", "collector"),
    ("operate", "web"),
    ("simulator",),
    ("cli", "__main__"),
)
"""The rooms from the lowest floor up: a room is a package or a module directly under `exporter`.

A room may import those of lower floors and those before it on its own floor, so no two import each other.
"""

ORDER = [room for floor in FLOORS for room in floor]
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}

MAY_OPERATE = {"operate", "cli"}
"""Who may import the calls that change something at a provider: what serves must not.

`cli` imports them when a command needs them; `test_builds_commands` proves that `serve` holds none of them.
"""

OPERATIONS = {"operations", "references", "trace"}
"""The modules of a provider's folder for `operate` only, and what they share."""

MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
LOOPBACK = ROOT / "simulator" / "loopback.py"
"""Connects a source to a simulator in the same process, so it imports from both."""
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def unit(path: Path) -> str:
    """The module or package directly under `exporter` to which a file belongs."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the name of each unit of this package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports by the package's name, not relative to a file"
            # `from exporter import cadence` names a module, `from exporter import __version__` none.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "exporter" and rest and rest != "__version__":
                yield node.lineno, rest.partition(".")[0]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_module_is_in_a_room(path: Path) -> None:
    assert unit(path) in FLOOR, f"{named(path)} is in no room: give its room a floor in FLOORS"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_go_down_only(path: Path) -> None:
    own = unit(path)
    if own not in FLOOR:
        pytest.skip("it is in no room, as another test says")
    allowed = {*ORDER[: ORDER.index(own)], own}
    faults = [
        f"{named(path)}:{line}: {own} (floor {FLOOR[own]}) must not import {name} (floor {FLOOR.get(name, 'unknown')})"
        for line, name in imported(path)
        if name not in allowed
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_that_serves_can_change_anything_at_a_provider(path: Path) -> None:
    """The changing calls are in `operate` and in the modules `OPERATIONS` of each provider."""
    if unit(path) in MAY_OPERATE or path.stem in OPERATIONS:
        return
    assert "operate" not in {name for _, name in imported(path)}
    modules = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert not {module for module in modules if module.rpartition(".")[2] in OPERATIONS}


def test_only_a_constant_query_is_sent_with_post_by_what_serves() -> None:
    """`Request.query` is sent with POST: GraphQL's query is the only one, and it is no mutation."""
    senders = {
        named(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and any(keyword.arg == "query" for keyword in node.keywords)
        if isinstance(node.func, ast.Name) and node.func.id == "Request"
    }
    assert senders == {"providers/gitlab/graphql.py"}
    assert QUERY.split()[0] == "query"
    assert "mutation" not in QUERY


@pytest.mark.parametrize("path", sorted({*ROOT.glob("simulator/**/*.py")} - {LOOPBACK}), ids=named)
def test_the_simulator_shares_nothing_with_what_reads_it(path: Path) -> None:
    assert {name for _, name in imported(path)} <= {"simulator", *FLOORS[0]}


def test_no_test_imports_from_the_benchmarks() -> None:
    tests = [path for path in Path(__file__).parent.rglob("*.py") if "node_modules" not in path.parts]
    assert not [str(path) for path in tests if re.search(r"^\s*(from|import) bench\b", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE, f"{named(path)} is longer than {LONGEST_MODULE} lines"
    functions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [
        f"{named(path)}:{function.lineno}: {function.name} has {length} lines, more than {LONGEST_FUNCTION}"
        for function in functions
        if (length := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    ]
    assert not long, "\n".join(long)
