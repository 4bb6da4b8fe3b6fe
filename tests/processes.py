"""The commands as processes of their own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from serving import PATIENCE, TOKEN, eventually

from exporter.simulator.server import SIMULATOR_TOKEN

COMMAND = Path(sys.executable).with_name("ci-build-exporter")


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("CI_BUILD_EXPORTER_")}
    return mine | {TOKEN: SIMULATOR_TOKEN} | dict(given or {})


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command, ended."""
    ended = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, env=environment(more), check=False)
    assert "Traceback" not in ended.stderr + ended.stdout
    return ended


class Running:
    """A command that serves."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        eventually(lambda: "event=listening" in self.log or self.process.poll() is not None)
        found = re.search(r"url=(https?://[^/\s]+)", self.log)
        assert found, self.log
        return found[1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def running(log: Path, *arguments: str, **more: str) -> Iterator[Running]:
    with log.open("w") as opened:
        process = subprocess.Popen([COMMAND, *arguments], stderr=opened, text=True, env=environment(more))
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


@contextmanager
def simulate(*arguments: str) -> Iterator[str]:
    """The address of a simulator."""
    command = [str(COMMAND), "simulate", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.communicate()
