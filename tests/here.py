"""A command in the process of the test, as `main` runs it, with nobody at the terminal: quicker than one of its own."""

import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from serving import TOKEN

from exporter.cli import main as cli
from exporter.simulator import SIMULATOR_TOKEN


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def run(*arguments: str, **more: str) -> Ended:
    """The command, ended."""
    with (
        pytest.MonkeyPatch.context() as patch,
        Path(os.devnull).open() as nobody,
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
    ):
        for name in [name for name in os.environ if name.startswith("CI_BUILD_EXPORTER_")]:
            patch.delenv(name)
        for name, value in {TOKEN: SIMULATOR_TOKEN, **more}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["ci-build-exporter", *arguments])
        patch.setattr(sys, "stdin", nobody)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert "Traceback" not in err.getvalue()
    code = ended.value.code
    return Ended(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
