r"""GitLab's job logs ("traces") as lines for a person. Pure.

The runner adds to the job's output. `section_start:1700000000:get_sources\r\e[0K` marks a part that the web page can
fold. Newer runners begin each line with its time, `2024-05-22T12:43:46.962646Z 00O `: stream 0, standard output. A `+`
instead of the last space means that the text continues the line before.
"""

import re
from typing import Final

SECTION: Final = re.compile(r"section_(?:start|end):[0-9]+:[^\r]*\r(?:\x1b\[0K)?")
STAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z [0-9a-fA-F]{2}[OE](?P<end>[+ ])")
ERASE: Final = re.compile(r"\x1b\[[0-9;]*K")


def log_lines(log: bytes, *, ended: bool = True) -> list[str]:
    """The lines of a log, each as a terminal shows it in the end: a carriage return begins the line anew.

    Until the job has `ended`, its last line is left out if it can still grow.
    """
    raw_lines = log.decode(errors="replace").split("\n")
    last = raw_lines.pop()
    if last and ended:
        raw_lines.append(last)
    lines: list[str] = []
    stamp = None
    for raw in raw_lines:
        stamp = STAMP.match(raw)
        text = raw[stamp.end() :] if stamp else raw
        if stamp and stamp["end"] == "+" and lines:
            lines[-1] += text
        else:
            lines.append(text)
    if stamp and not ended:
        lines.pop()
    shown = map(_shown, lines)
    return [line for line in shown if line is not None]


def _shown(line: str) -> str | None:
    """None for a line that has nothing but markers."""
    text, markers = SECTION.subn("", line)
    written = [part for part in ERASE.sub("", text).split("\r") if part]
    return written[-1] if written else None if markers else ""
