"""What the templates of the status page may use: words, shapes and functions of what is shown. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.build import Build, Outcome
from exporter.providers import PROVIDERS
from exporter.snapshot import failed_page, page_of
from exporter.web import page_marks, page_words
from exporter.web.overview import ORDERS, STRIP, Order, others_of
from exporter.web.page_words import OUTCOME_WORDS, plural

STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "broken": "Broken",
        "stuck": "Stuck",
        "unread": "Not read",
        "new": "Not read yet",
        "running": "Running",
        "passing": "Passing",
        "quiet": "Quiet",
    }
)
TILES: Final = (
    *(("", "Targets"), ("broken", "Broken"), ("running", "Running")),
    *(("stuck", "Stuck"), ("flaky", "Flaky"), ("unread", "Not read")),
)
STATE_COUNT: Final[Mapping[str, str]] = MappingProxyType(
    {"broken": "broken", "running": "running", "stuck": "stuck", "flaky": "flaky", "unread": "not read"}
)
_ROUND = "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z"
_SQUARE = "M-3 -3h6v6h-6z"
SHAPES: Final[Mapping[Outcome, str]] = MappingProxyType(
    dict.fromkeys(Outcome, _SQUARE)
    | {
        Outcome.SUCCESS: _ROUND,
        Outcome.FAILURE: "M-4 -4l8 8M4 -4l-8 8",
        Outcome.ERROR: "M0 -5l5 9h-10z",
        Outcome.TIMEOUT: "M-4 -5h8l-8 10h8z",
        Outcome.ALLOWED_FAILURE: "M0 -5l5 5l-5 5l-5 -5z",
    }
)
"""What marks a build in the chart, as a path around its point."""
ORDER_WORDS: Final[Mapping[Order, str]] = MappingProxyType(
    {
        "state": "what to fix first",
        "broken": "broken longest",
        "name": "name",
        "newest": "newest build",
        "ratio": "lowest success ratio",
        "p90": "slowest (p90)",
        "read": "least fresh",
    }
)
AROUND: Final = 2
"""Pages before and behind the one that is shown that have a link."""


def environment() -> Environment:
    """The environment of the templates; whoever renders adds the links."""
    made = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    words = ("about", "ago", "instant", "machine_time", "number", "percent", "plural", "round_span", "short", "span")
    made.globals |= {name: getattr(page_words, name) for name in words}
    made.globals |= {
        "NONE": page_words.NONE,
        "ORDERS": {order: ORDER_WORDS[order] for order in ORDERS},
        "OUTCOME_WORDS": OUTCOME_WORDS,
        "PROVIDERS": {name: row.title for name, row in PROVIDERS.items()},
        "SHAPES": SHAPES,
        "STATES": STATES,
        "STATE_COUNT": STATE_COUNT,
        "STRIP": STRIP,
        "TILES": TILES,
        "failed_page": failed_page,
        "others_of": others_of,
        "page_numbers": page_numbers,
        "page_of": page_of,
        "pairs": lambda values: [(value, value) for value in values],
        "sparkline": page_marks.sparkline,
        "tally": _tally,
        "version": __version__,
    }
    return made


def _tally(builds: Sequence[Build]) -> str:
    """The builds of a strip for who does not see it: `30 builds: 24 success, 6 failure; the newest failure`."""
    counted = Counter(build.outcome for build in builds)
    words = ", ".join(f"{counted[outcome]} {word}" for outcome, word in OUTCOME_WORDS.items() if counted[outcome])
    return f"{plural(len(builds), 'build', 'builds')}: {words}; the newest: {OUTCOME_WORDS[builds[0].outcome]}"


def page_numbers(page: int, pages: int) -> list[int | None]:
    """The pages that have a link: the first, those around the page, the last; None: some are left out."""
    shown = sorted({1, pages, *range(max(1, page - AROUND), min(pages, page + AROUND) + 1)})
    numbers: list[int | None] = []
    for before, number in zip([0, *shown], shown, strict=False):
        if number - before > 1:
            numbers.append(before + 1 if number - before == 2 else None)  # noqa: PLR2004  # one page takes no more room
        numbers.append(number)
    return numbers
