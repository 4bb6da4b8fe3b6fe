"""The lines of a build's log on standard output, in colour on a terminal, without anything that moves the cursor."""

import os
import re
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from exporter.cli.table import printable

ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""An escape sequence: colours, moves of the cursor, links, titles of the window."""
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
RESET: Final = "\x1b[0m"


def writer(stream: TextIO) -> Callable[[Sequence[str]], None]:
    """A function that writes lines to a stream, in colours on a terminal where `NO_COLOR` is not set."""
    colours = stream.isatty() and not os.environ.get("NO_COLOR")

    def write(lines: Sequence[str]) -> None:
        stream.writelines(f"{shown(line, colours=colours)}\n" for line in lines)
        stream.flush()

    return write


def shown(line: str, *, colours: bool) -> str:
    """The line without escape sequences, or with those for colours only, and without other control characters."""
    pieces = []
    end = 0
    for match in ESCAPE.finditer(line):
        pieces.append(printable(line[end : match.start()].expandtabs()))
        if colours and COLOUR.fullmatch(match[0]):
            pieces.append(match[0])
        end = match.end()
    pieces.append(printable(line[end:].expandtabs()))
    text = "".join(pieces)
    return text + RESET if "\x1b" in text else text
