"""A command on a terminal: what it draws, and what somebody answers."""

import os
import pty
import re
import select
import subprocess
import termios
import time
from pathlib import Path
from typing import Final

from processes import COMMAND, environment
from serving import PATIENCE

CONTROLS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command with a terminal of 120 columns as its input, output and error."""

    def __init__(self, *arguments: str, folder: Path, **more: str) -> None:
        variables = environment({"TERM": "xterm-256color"} | more)
        for name in {"NO_COLOR", "COLUMNS", "LINES"} - more.keys():
            variables.pop(name, None)
        self._file, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (30, 120))
        # Not `pty.fork`: the tests have threads, which a fork would leave in the middle of something.
        self._process = subprocess.Popen(
            [COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=variables,
            start_new_session=True,
        )
        os.close(theirs)
        self.drawn = ""
        self._read_to = 0

    @property
    def text(self) -> str:
        """What was drawn, without colours and moves of the cursor."""
        return CONTROLS.sub("", self.drawn).replace("\r\n", "\n")

    def until(self, words: str) -> "Terminal":
        """Read until these words are there, after those that were waited for before."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.text[self._read_to :]:
            assert time.monotonic() < deadline, self.drawn
            assert self._read(), f"it ended without {words!r}: {self.drawn}"
        self._read_to = self.text.index(words, self._read_to) + len(words)
        return self

    def answers(self, line: str) -> "Terminal":
        """Type a line."""
        os.write(self._file, f"{line}\n".encode())
        return self

    def ended(self) -> int:
        """With what it ends; all that it drew is read."""
        deadline = time.monotonic() + PATIENCE
        try:
            while self._read():
                assert time.monotonic() < deadline, self.drawn
            return self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._file)
            assert "Traceback" not in self.drawn

    def _read(self) -> bool:
        if not select.select([self._file], [], [], 1.0)[0]:
            return True
        try:
            piece = os.read(self._file, 65536)
        except OSError:  # so Linux says that the other end is closed
            return False
        self.drawn += piece.decode(errors="replace")
        return bool(piece)
