"""What the status page says above its table: how things stand in one sentence, and why there is nothing. Pure."""

from difflib import get_close_matches
from typing import Final

from exporter.snapshot import Snapshot
from exporter.web.overview import Overview, View
from exporter.web.page_words import number, plural

SUGGESTIONS: Final = 3
"""Targets that are suggested for an address that is none."""


def headline(known: Snapshot, view: View, seen: Overview) -> dict[str, str]:
    """How it stands, in one sentence, the mood of that, and what else there is to say."""
    here = " here" if view.parameters(state="", sort="state", page=1, per_page=50, outcome="") else ""
    said = [
        ("broken" if state == "broken" else "stuck", plural(seen.counts[state], one, many) + here)
        for state, one, many in (
            ("broken", "target is broken", "targets are broken"),
            ("stuck", "target is stuck", "targets are stuck"),
            ("unread", "target cannot be read", "targets cannot be read"),
        )
        if seen.counts[state]
    ]
    reading = first_read(known)
    down = [source.name for source in known.sources if source.up is False]
    if down:
        said.insert(0, ("broken", f"{', '.join(down)} cannot be read"))
    if not said and reading:
        return {"mood": "quiet", "headline": "Reading for the first time", "more": reading}
    if not said and not seen.counts["targets"]:
        return {"mood": "quiet", "headline": f"No targets{here}", "more": ""}
    (mood, first), *rest = said or [("passing", f"Nothing is broken{here}")]
    more = [words for _mood, words in rest[:1]] + ([reading] if reading else [])
    return {"mood": mood, "headline": first, "more": " · ".join(more)}


def first_read(known: Snapshot) -> str:
    """How far the first read is: `1,154 of 2,000 targets read so far`; empty once everything was tried."""
    waiting = sum(source.unread for source in known.sources)
    listing = [source.name for source in known.sources if not source.discovered]
    parts = []
    if waiting:
        total = len(known.targets)
        parts.append(f"{number(total - waiting)} of {plural(total, 'target', 'targets')} read so far")
    if listing:
        parts.append(f"{', '.join(listing)}: looking for targets")
    return " · ".join(parts)


def last_read(known: Snapshot) -> float | None:
    """When any target was last known to be current."""
    return max((target.refreshed_at for target in known.targets if target.refreshed_at is not None), default=None)


def empty(known: Snapshot, view: View) -> str:
    """Why there is no target to show."""
    if known.targets:
        return "No target matches these filters." if view.parameters() else "No target yet."
    if any(source.up is False for source in known.sources):
        return "No targets are known, because a source cannot be read. Its reason is shown above."
    if any(source.up is None for source in known.sources):
        return "The sources are being read for the first time."
    return "The sources have nothing that builds, or the configuration leaves it out."


def similar(address: str, known: Snapshot) -> list[str]:
    """The addresses of targets that are most similar to one that is none."""
    return get_close_matches(address, (one.target.address for one in known.targets), n=SUGGESTIONS, cutoff=0.6)
