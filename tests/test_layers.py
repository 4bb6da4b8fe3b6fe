"""How the code is cut: imports go down only, modules and functions stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "exporter"

LAYERS: dict[int, tuple[str, ...]] = {
    0: ("build", "errors", "process"),
    1: (
        "secret",
        "document",
        "values",
        "settings",
        "faults",
        "config",
        "wire",
        "runs",
        "window",
        "shelf",
        "pieces",
        "packed",
        "statistics",
        "standing",
        "allowance",
        "cadence",
    ),
    2: ("metrics", "meters", "connection", "refusal", "fetch", "tagged"),
    3: ("providers", "looks", "walk", "deliveries", "exposition", "store"),
    4: ("readers", "source", "errands", "questions", "display", "intake", "known", "overview", "collector", "operate"),
    5: ("web",),
    6: (
        "logs",
        "forecast",
        "options",
        "listing",
        "progress",
        "completion",
        "cli_builds",
        "first_configuration",
        "init",
        "simulator",
        "simulated",
        "demo",
        "cli_collecting",
        "cli",
        "__main__",
    ),
}
"""Layer to modules and packages, which need not exist yet.

One may import those of lower layers, and those before it in its own.
"""

ORDER = [name for layer in sorted(LAYERS) for name in LAYERS[layer]]
LAYER = {name: layer for layer, names in LAYERS.items() for name in names}

MAY_OPERATE = {"operate", "listing", "completion", "cli_builds", "init"}
"""Who may import the calls that change something at a provider: what serves must not.

`cli` imports their commands when they are asked for; `test_builds_commands` sees that `serve` holds none of them.
"""

MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
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
def test_every_module_has_its_layer(path: Path) -> None:
    assert unit(path) in LAYER, f"{named(path)} is in no layer: give it a place in LAYERS"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_go_down_only(path: Path) -> None:
    own = unit(path)
    if own not in LAYER:
        pytest.skip("it is in no layer, as another test says")
    allowed = {*ORDER[: ORDER.index(own)], own}
    faults = [
        f"{named(path)}:{line}: {own} (layer {LAYER[own]}) must not import {name} (layer {LAYER.get(name, 'unknown')})"
        for line, name in imported(path)
        if name not in allowed
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_that_serves_can_change_anything_at_a_provider(path: Path) -> None:
    if unit(path) not in MAY_OPERATE:
        assert "operate" not in {name for _, name in imported(path)}


@pytest.mark.parametrize("path", sorted(ROOT.glob("simulator/**/*.py")), ids=named)
def test_the_simulator_shares_nothing_with_what_reads_it(path: Path) -> None:
    assert {name for _, name in imported(path)} <= {"simulator", *LAYERS[0]}


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
