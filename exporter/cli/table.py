"""Builds for people, as a table or line by line, and for scripts, as JSON."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson

from exporter.build import FAILED, Build, Outcome, Target
from exporter.config.values import show_duration
from exporter.providers.operations import BuildDetails

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SHORT_SHA: Final = 8
TIME: Final = "%Y-%m-%d %H:%M:%S"
SHORT_TIME: Final = "%m-%d %H:%M"
WIDE: Final = 100
"""Terminal columns from which there is room for whole times."""
NARROWEST: Final = 7
"""The fewest columns for a job or a ref."""
WIDEST: Final = 10_000
"""Columns of output that is no terminal: nothing is cut there."""
GAP: Final = 2
"""Spaces between two columns."""
CUT: Final = ("JOB", "REF")
"""Columns whose text is cut to fit the terminal."""
LEFT_OUT: Final = ("COMMIT", "QUEUED", "PIPELINE")
"""Columns that are left out, in this order, on a terminal that is too narrow for all."""
RIGHT: Final = ("QUEUED", "RAN", "TOOK")
EXPLAINED: Final = {Outcome.ALLOWED_FAILURE: "allowed", Outcome.ERROR: "error", Outcome.TIMEOUT: "timeout"}
"""Outcomes that the provider's status does not always say."""
COLOURS: Final = {
    Outcome.SUCCESS: "green",
    Outcome.EXECUTING: "cyan",
    Outcome.PENDING: "cyan",
    Outcome.ALLOWED_FAILURE: "yellow",
    Outcome.CANCELLATION: "yellow",
    Outcome.WAITING: "blue",
    Outcome.SKIP: "bright_black",
    Outcome.UNKNOWN: "magenta",
    **dict.fromkeys(FAILED, "bold red"),
}
"""The status is always there as a word, too."""


def console(stream: TextIO) -> "Console":
    """A console: coloured on a terminal where `NO_COLOR` is not set, and elsewhere as wide as its text."""
    # Imported here and below, because JSON needs none of it and it takes a tenth of a second.
    from rich.console import Console

    made = Console(file=stream, highlight=False, emoji=False, markup=False)
    if made.is_terminal and not made.no_color:
        return made
    width = None if made.is_terminal else WIDEST
    return Console(file=stream, highlight=False, emoji=False, markup=False, color_system=None, width=width)


def show_table(stream: TextIO, builds: Sequence[BuildDetails], now: float) -> None:
    """Write builds as a table, a line each."""
    from rich.table import Table

    out = console(stream)
    columns = _columns(builds, now, narrow=out.width < WIDE)
    for name in LEFT_OUT:
        if _width(columns) + NARROWEST * len(columns.keys() & set(CUT)) > out.width:
            columns.pop(name, None)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    room = _room(columns, out.width)
    for name in columns:
        title = f"CREATED ({zone(now)})" if name == "CREATED" and out.width >= WIDE else name
        table.add_column(
            title,
            no_wrap=True,
            overflow="ellipsis",
            max_width=room.get(name),
            justify="right" if name in RIGHT else "left",
        )
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    with out.capture() as captured:
        out.print(table)
    lines = captured.get().splitlines()
    stream.writelines(f"{line}\n" for line in (lines if out.is_terminal else map(str.rstrip, lines)))


def show_one(stream: TextIO, target: Target, details: BuildDetails, now: float) -> None:
    """Write a build line by line, without lines for what is not known."""
    from rich.text import Text

    out, build = console(stream), details.build
    lines = {
        "target": target.address,
        "id": build.id,
        "pipeline" if details.pipeline else "run": build.run if build.run != build.id else "",
        "status": status_text(build),
        "why": details.message or "",
        "job": _job(build),
        "ref": details.ref or "",
        "commit": build.sha,
        "created": f"{local(build.created_at)} {zone(build.created_at)}",
        "started": local(build.started_at) if build.started_at else "",
        "concluded": local(build.concluded_at) if build.concluded_at else "",
        **({"queued": queued(build, now), "ran": ran(build, now)} if details.starts else {"took": took(build, now)}),
        "page": details.url or "",
    }
    for name, value in lines.items():
        if value:
            style = COLOURS.get(build.outcome, "") if name == "status" else ""
            out.print(Text.assemble((f"{name:<10}", "bold"), (printable(value), style)), soft_wrap=True)


def as_json(target: Target, details: BuildDetails) -> dict[str, Any]:
    """The build as JSON: the keys are always the same, and what is not known is null."""
    build = details.build
    return {
        "target": target.address,
        "id": build.id,
        "run": build.run,
        "status": build.status,
        "outcome": str(build.outcome),
        "concluded": build.concluded,
        "ref": details.ref,
        "branch": build.branch,
        "sha": build.sha or None,
        "name": build.name or None,
        "stage": build.stage or None,
        "created_at": iso(build.created_at),
        "started_at": iso(build.started_at),
        "concluded_at": iso(build.concluded_at),
        "latency_seconds": _rounded(build.latency),
        "queue_latency_seconds": _rounded(build.started_at and build.started_at - build.created_at),
        "execution_seconds": _rounded(build.running),
        "message": details.message,
        "url": details.url,
    }


def json_text(value: dict[str, Any] | Iterable[dict[str, Any]]) -> str:
    """JSON, indented."""
    return orjson.dumps(value if isinstance(value, dict) else list(value), option=orjson.OPT_INDENT_2).decode()


def summary(target: Target, details: BuildDetails) -> str:
    """The build in a question: `build 42 of gitlab/project/shop/web (failed, main, 1a2b3c4d, test/unit)`."""
    build = details.build
    words = (build.status, details.ref or "", build.sha[:SHORT_SHA], _job(build))
    return printable(f"build {build.id} of {target.address} ({', '.join(filter(None, words))})")


def status_text(build: Build) -> str:
    """The provider's status, with the outcome if that says more: `failed (allowed)`, `crashed (error)`."""
    more = EXPLAINED.get(build.outcome)
    return printable(build.status) + (f" ({more})" if more else "")


def took(build: Build, now: float) -> str:
    """The time from creation to the end; `2m30s…` until now if the build has not ended."""
    if build.latency is not None:
        return show_duration(round(build.latency))
    return "" if build.concluded or build.outcome is Outcome.WAITING else _so_far(build.created_at, now)


def queued(build: Build, now: float) -> str:
    """The time from creation to the start; empty if the build waits for a person or an earlier stage."""
    if build.started_at is not None:
        return show_duration(round(build.started_at - build.created_at))
    return _so_far(build.created_at, now) if build.unfinished else ""


def ran(build: Build, now: float) -> str:
    """The time from the start to the end; empty if the build never started."""
    if build.running is not None:
        return show_duration(round(build.running))
    return "" if build.concluded or build.started_at is None else _so_far(build.started_at, now)


def local(seconds: float, form: str = TIME) -> str:
    """A time in the reader's time zone."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime(form)


def zone(seconds: float) -> str:
    """The name of the reader's time zone at a time."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().tzname() or "local"


def iso(seconds: float | None) -> str | None:
    """A time as ISO 8601 in UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    """The text with a replacement character for each that could move a terminal's cursor."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _columns(builds: Sequence[BuildDetails], now: float, *, narrow: bool) -> "dict[str, list[Text]]":
    """The cells of each column that has something to show."""
    from rich.text import Text

    form = SHORT_TIME if narrow else TIME
    starts = any(details.starts for details in builds)
    columns = {
        "ID": [printable(details.build.id) for details in builds],
        "STATUS": [status_text(details.build) for details in builds],
        "JOB": [_job(details.build) for details in builds],
        "PIPELINE": [printable(details.pipeline or "") for details in builds],
        "REF": [printable(details.ref or "-") for details in builds],
        "COMMIT": [printable(details.build.sha[:SHORT_SHA]) or "-" for details in builds],
        "CREATED": [local(details.build.created_at, form) for details in builds],
        "QUEUED": [queued(details.build, now) if starts else "" for details in builds],
        "RAN": [ran(details.build, now) if starts else "" for details in builds],
        "TOOK": ["" if starts else took(details.build, now) for details in builds],
    }
    optional = {"JOB", "PIPELINE", *(("TOOK",) if starts else ("QUEUED", "RAN"))}
    cells = {
        name: [Text(text) for text in texts] for name, texts in columns.items() if any(texts) or name not in optional
    }
    for cell, details in zip(cells["STATUS"], builds, strict=True):
        cell.stylize(COLOURS.get(details.build.outcome, ""))
    return cells


def _width(columns: "dict[str, list[Text]]") -> int:
    """The width of the table without the text of the columns that can be cut."""
    widths = [max(len(name), *map(len, cells)) for name, cells in columns.items() if name not in CUT]
    return sum(widths) + GAP * (len(columns) - 1)


def _room(columns: "dict[str, list[Text]]", width: int) -> dict[str, int]:
    """The most columns of a terminal for each column that can be cut: the refs get a third at most."""
    left = width - _width(columns)
    ref = min(max(map(len, columns["REF"])), left // 3 if "JOB" in columns else left)
    ref = max(NARROWEST, ref)
    return {"JOB": max(NARROWEST, left - ref), "REF": ref}


def _so_far(since: float, now: float) -> str:
    return f"{show_duration(max(0, round(now - since)))}…"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _job(build: Build) -> str:
    return printable("/".join(filter(None, (build.stage, build.name))))
