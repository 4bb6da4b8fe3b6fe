"""What a list tells of a target without a read of its builds, and when a read is needed all the same. Pure.

The list shows the newest build alone. It covers a target whose unfinished build, if it has one, is the newest; with
another unfinished build beside it, the target is asked itself.
"""

from collections.abc import Sequence
from enum import Enum

from exporter.build import UNFINISHED, Build
from exporter.history.runs import age_key
from exporter.history.window import History
from exporter.providers.contract import BuildStatus

REPEATS = 3
"""How often a read is repeated that does not show the running build that the look before it told of."""

SAME = 60.0
"""Seconds between a build's end and its service's move to the status, at most."""


class Action(Enum):
    """What a look asks for."""

    NOTHING = "nothing moved"
    STEP = "the unfinished build took a step that the look tells"
    READ = "the builds must be read"


def action_for(before: BuildStatus | None, look: BuildStatus, unfinished: Sequence[Build]) -> Action:
    """What the look asks for, by the one before it and what is known to be unfinished.

    It asks for a read when the newest build ended or began, and when it is another one: it went backwards, or came to
    the same status at another time. Steps of the one unfinished build that is known are taken from the look.
    """
    if before is None or running(before) != running(look) or look.step < before.step:
        return Action.READ
    moved = (look.status, look.moved_at) != (before.status, before.moved_at)
    if moved and (not running(look) or look.status == before.status):
        return Action.READ
    if running(look) and len(unfinished) == 1 and unfinished[0].status != look.status:
        return Action.STEP
    return Action.NOTHING


def heard(look: BuildStatus, history: History) -> bool:
    """Whether deliveries have told what the look tells: the newest build is known to stand as it shows."""
    newest = max((row.build for row in history.rows.values()), key=age_key, default=None)
    if newest is None or running(look):
        return newest is not None and newest.unfinished
    ended = newest.concluded_at
    same_time = look.moved_at is None or ended is None or abs(look.moved_at - ended) <= SAME
    return newest.status == look.status and same_time


def running(look: BuildStatus) -> bool:
    """Whether the newest build is unfinished."""
    return look.outcome in UNFINISHED


def stepped(build: Build, look: BuildStatus) -> Build:
    """The build as the look tells it."""
    return build._replace(status=look.status, outcome=look.outcome)


def covers(look: BuildStatus, unfinished: Sequence[Build]) -> bool:
    """Whether the next looks can tell all that moves: what is known to be unfinished is the build that it shows."""
    return len(unfinished) == running(look)
