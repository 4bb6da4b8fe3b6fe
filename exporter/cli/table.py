"""Builds as a person reads them, in a table or line by line, and as a script does, in JSON."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson

from exporter.build import FAILED, Build, Outcome, Target
from exporter.config.values import show_duration
from exporter.operate import Found

if TYPE_CHECKING:
    from rich.console import Console

SHORT_SHA: Final = 8
TIME: Final = "%Y-%m-%d %H:%M:%S"
SHORT_TIME: Final = "%m-%d %H:%M"
WIDE: Final = 100
"""Columns from which there is room for whole times."""
NARROWEST: Final = 7
"""Columns of a job or a ref."""
WIDEST: Final = 10_000
"""Columns of what is no terminal: nothing is cut there."""
SAY_MORE: Final = {Outcome.ALLOWED_FAILURE: "allowed", Outcome.ERROR: "error", Outcome.TIMEOUT: "timeout"}
"""What a provider's word does not always tell."""
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
"""Never the only sign: the status is there as a word."""


def console(stream: TextIO) -> "Console":
    """A console: coloured on a terminal where `NO_COLOR` is not set, and elsewhere as wide as it must be."""
    # Here and not above, and so below: `serve`, completion and JSON do without what takes a tenth of a second.
    from rich.console import Console  # noqa: PLC0415

    made = Console(file=stream, highlight=False, emoji=False, markup=False)
    if made.is_terminal and not made.no_color:
        return made
    width = None if made.is_terminal else WIDEST
    return Console(file=stream, highlight=False, emoji=False, markup=False, color_system=None, width=width)


def show_table(stream: TextIO, builds: Sequence[Found], now: float) -> None:
    """Write the builds as a table, a line each."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    out = console(stream)
    lasted = [took(found.build, now) for found in builds]
    named = any(found.build.name for found in builds)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("ID", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    narrow = out.width < WIDE
    job_width, ref_width = _widths(out.width, builds, lasted)
    if named:
        table.add_column("JOB", no_wrap=True, overflow="ellipsis", max_width=job_width)
    table.add_column("REF", no_wrap=True, overflow="ellipsis", max_width=ref_width)
    table.add_column("COMMIT", no_wrap=True)
    table.add_column("CREATED" if narrow else f"CREATED ({zone(now)})", no_wrap=True)
    table.add_column("TOOK", no_wrap=True, justify="right")
    for found, duration in zip(builds, lasted, strict=True):
        build = found.build
        cells = (
            Text(printable(build.id)),
            Text(standing(build), style=COLOURS.get(build.outcome, "")),
            *((Text(_job(build)),) if named else ()),
            Text(printable(found.ref or "-")),
            Text(printable(build.sha[:SHORT_SHA]) or "-"),
            Text(local(build.created_at, SHORT_TIME if narrow else TIME)),
            Text(duration),
        )
        table.add_row(*cells)
    with out.capture() as captured:
        out.print(table)
    lines = captured.get().splitlines()
    stream.writelines(f"{line}\n" for line in (lines if out.is_terminal else map(str.rstrip, lines)))


def show_one(stream: TextIO, target: Target, found: Found, now: float) -> None:
    """Write a build line by line; what is not known has no line."""
    from rich.text import Text  # noqa: PLC0415

    out, build = console(stream), found.build
    lines = {
        "target": target.address,
        "id": build.id,
        "run": build.run if build.run != build.id else "",
        "status": standing(build),
        "why": found.message or "",
        "job": _job(build),
        "ref": found.ref or "",
        "commit": build.sha,
        "created": f"{local(build.created_at)} {zone(build.created_at)}",
        "started": local(build.started_at) if build.started_at else "",
        "concluded": local(build.concluded_at) if build.concluded_at else "",
        "took": took(build, now),
        "page": found.url or "",
    }
    for name, value in lines.items():
        if value:
            style = COLOURS.get(build.outcome, "") if name == "status" else ""
            out.print(Text.assemble((f"{name:<10}", "bold"), (printable(value), style)), soft_wrap=True)


def as_json(target: Target, found: Found) -> dict[str, Any]:
    """The build as a script reads it; the keys are always the same, what is not known is null."""
    build = found.build
    return {
        "target": target.address,
        "id": build.id,
        "run": build.run,
        "status": build.status,
        "outcome": str(build.outcome),
        "concluded": build.concluded,
        "ref": found.ref,
        "branch": build.branch,
        "sha": build.sha or None,
        "name": build.name or None,
        "stage": build.stage or None,
        "created_at": iso(build.created_at),
        "started_at": iso(build.started_at),
        "concluded_at": iso(build.concluded_at),
        "latency_seconds": None if build.latency is None else round(build.latency, 3),
        "message": found.message,
        "url": found.url,
    }


def json_text(value: dict[str, Any] | Iterable[dict[str, Any]]) -> str:
    """JSON, indented."""
    told = value if isinstance(value, dict) else list(value)
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


def one_line(target: Target, found: Found) -> str:
    """What a question calls a build: `build 42 of gitlab/project/shop/web (failed, main, 1a2b3c4d, test/unit)`."""
    build = found.build
    words = (build.status, found.ref or "", build.sha[:SHORT_SHA], _job(build))
    return printable(f"build {build.id} of {target.address} ({', '.join(filter(None, words))})")


def standing(build: Build) -> str:
    """The provider's word, and ours where it says more: `failed (allowed)`, `crashed (error)`."""
    more = SAY_MORE.get(build.outcome)
    return printable(build.status) + (f" ({more})" if more else "")


def took(build: Build, now: float) -> str:
    """From creation to conclusion; `2m30s…` up to now where it has not concluded."""
    if build.latency is not None:
        return show_duration(round(build.latency))
    return "" if build.concluded else f"{show_duration(max(0, round(now - build.created_at)))}…"


def local(seconds: float, form: str = TIME) -> str:
    """A time in the zone of whoever reads it."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime(form)


def zone(seconds: float) -> str:
    """The name of that zone then."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().tzname() or "local"


def iso(seconds: float | None) -> str | None:
    """A time as ISO 8601 in UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    """A provider's text without what could move a terminal's cursor."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _widths(width: int, builds: Sequence[Found], lasted: Sequence[str]) -> tuple[int, int]:
    """How wide the jobs and the refs may be, so that all else stays whole on a narrow terminal."""
    rest = (
        max(len(found.build.id) for found in builds)
        + max(6, *(len(standing(found.build)) for found in builds))
        + SHORT_SHA
        + len(local(0.0, SHORT_TIME if width < WIDE else TIME))
        + max(4, *map(len, lasted))
        + 12  # between the columns
    )
    ref = max(len(found.ref or "") for found in builds)
    job = max(len(_job(found.build)) for found in builds)
    ref = min(ref, max(NARROWEST, (width - rest) // 3 if job else width - rest))
    return max(NARROWEST, width - rest - ref), max(NARROWEST, ref)


def _job(build: Build) -> str:
    return printable("/".join(filter(None, (build.stage, build.name))))
