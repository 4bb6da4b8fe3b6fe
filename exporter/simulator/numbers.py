"""Numbers of pipelines and jobs that ascend with the moment of creation, and are unique over all projects.

A quarter of a second is a tick. In one tick each project has room for a thousand numbers of its own; where that is not
enough, those of its next tick follow. Odd numbers are those of scripts, even ones those of seeded projects: they meet
in one world without meeting each other.
"""

from collections.abc import Iterable

TICKS = 4
"""A second."""
BASE = 2**31
ROOM = 1024
SCRIPTS = 64
"""How many scripts share a tick."""


def ascending(moments: Iterable[float], index: int) -> list[int]:
    """The numbers of what a script's project created at these ascending moments, in epoch seconds."""
    numbers, place = [], -1
    for moment in moments:
        place = max(place + 1, int(moment * TICKS) * ROOM)
        tick, rest = divmod(place, ROOM)
        numbers.append(2 * (BASE + (tick * SCRIPTS + index) * ROOM + rest) + 1)
    return numbers
