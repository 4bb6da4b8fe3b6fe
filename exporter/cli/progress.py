"""What goes on while a command takes long: a line on standard error, drawn anew, where that is a terminal."""

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

FRAMES_A_SECOND = 6


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is."""

    words: str
    done: int = 0
    total: int = 0
    """0: nobody knows."""


@contextmanager
def drawn(step: Callable[[], Step]) -> Iterator[None]:
    """Draw how far it is until the end of the block, and then wipe it; elsewhere than on a terminal nothing."""
    if not sys.stderr.isatty():
        yield
        return
    # Here and not above: where nothing is drawn it need not be loaded.
    from rich.live import Live  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.spinner import Spinner  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from exporter.cli.table import console  # noqa: PLC0415

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
        refresh_per_second=FRAMES_A_SECOND,
        redirect_stdout=False,
    ):
        yield


@contextmanager
def reading(collector: "Collector", *, listing_only: bool = False) -> Iterator[None]:
    """Draw how many targets were found and read."""

    def step() -> Step:
        targets = collector.targets()
        if listing_only or not targets:
            return Step(f"listing targets: {len(targets)} so far")
        read = 0
        for target in targets:
            with suppress(KeyError):  # it went between the two
                read += collector.history(target).baseline is not None
        return Step(f"reading: {read} of {len(targets)} targets", read, len(targets))

    with drawn(step):
        yield


@contextmanager
def awaiting(build_id: str) -> Iterator[Callable[[Build | None, str], None]]:
    """Draw how a build goes; what is given is told each look. Elsewhere than on a terminal each step is a line."""
    begun = monotonic()
    last = ["asked for"]
    terminal = sys.stderr.isatty()

    def told(build: Build | None, fault: str) -> None:
        words = fault if build is None else build.status
        if words != last[0] and not terminal:
            sys.stderr.write(f"build {build_id}: {words}\n")
        last[0] = words

    with drawn(lambda: Step(f"build {build_id}: {last[0]}, {show_duration(round(monotonic() - begun))}")):
        yield told
