"""The progress of a command that takes long: one line on standard error, redrawn, if that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from exporter.build import Build
from exporter.config.values import show_duration

if TYPE_CHECKING:
    from exporter.collector import Collector

FRAMES_PER_SECOND = 6


@dataclass(frozen=True, slots=True)
class Step:
    """How far a command is."""

    words: str
    done: int = 0
    total: int = 0
    """0 if it is not known."""


@contextmanager
def drawn(step: Callable[[], Step]) -> Iterator[None]:
    """Draw the progress during the block, and remove it afterwards; without a terminal, draw nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    from exporter.cli.table import console

    spinner = Spinner("dots")

    def line() -> Table:
        now = step()
        grid = Table.grid(padding=(0, 1))
        bar = (ProgressBar(now.total, now.done, width=30),) if now.total else ()
        grid.add_row(spinner, Text(now.words), *bar)
        return grid

    with Live(
        get_renderable=line,
        console=console(sys.stderr),
        transient=True,
        refresh_per_second=FRAMES_PER_SECOND,
        redirect_stdout=False,
    ):
        yield


@contextmanager
def reading(collector: "Collector", *, listing_only: bool = False) -> Iterator[None]:
    """Draw how many targets have been found and read."""

    def step() -> Step:
        targets = collector.targets()
        if listing_only or not targets:
            return Step(f"listing targets: {len(targets)} so far")
        read = 0
        for target in targets:
            with suppress(KeyError):  # it was removed in between
                read += collector.history(target).baseline is not None
        return Step(f"reading: {read} of {len(targets)} targets", read, len(targets))

    with drawn(step):
        yield


@contextmanager
def build_progress(build_id: str) -> Iterator[Callable[[Build | None, str], None]]:
    """Draw the status of a build that is waited for; without a terminal, write a line when the status changes.

    The function must be called after each read: with the build, or with None and what went wrong.
    """
    begun = monotonic()
    last = ["requested"]
    terminal = sys.stderr.isatty()

    def told(build: Build | None, error: str) -> None:
        words = error if build is None else build.status
        if words != last[0] and not terminal:
            sys.stderr.write(f"build {build_id}: {words}\n")
        last[0] = words

    with drawn(lambda: Step(f"build {build_id}: {last[0]}, {show_duration(round(monotonic() - begun))}")):
        yield told


def problems(build_id: str) -> Callable[[Build | None, str], None]:
    """A function like that of `build_progress`, which only writes what went wrong, and no line twice in a row."""
    last = [""]

    def told(_build: Build | None, error: str) -> None:
        if error and error != last[0]:
            sys.stderr.write(f"build {build_id}: {error}\n")
        last[0] = error

    return told
