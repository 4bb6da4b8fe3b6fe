"""What a list tells of a target: when it asks for a read, and when it is enough."""

import pytest
from builds import NOW, build, moved, read, read_again

from exporter.build import UNFINISHED, Outcome
from exporter.history.window import History
from exporter.polling.list_status import Action, action_for, covers, running, stepped
from exporter.providers import BuildStatus

STEPS = {"queued": 0, "starting": 1, "cloning": 2, "building": 3, "uploading": 4, "success": 5, "failure": 5}
OUTCOMES = {"queued": Outcome.PENDING, "success": Outcome.SUCCESS, "failure": Outcome.FAILURE}


def look(status: str, at: float | None = 0.0) -> BuildStatus:
    outcome = OUTCOMES.get(status, Outcome.EXECUTING)
    return BuildStatus(status, outcome, None if at is None else NOW + at, STEPS[status])


def known(*statuses: str) -> History:
    """The builds of a target, one of each status."""
    rows = [build(f"b{n}", OUTCOMES.get(status, Outcome.EXECUTING), at=n) for n, status in enumerate(statuses)]
    return read(*(stepped(one, look(status)) for one, status in zip(rows, statuses, strict=True)))


@pytest.mark.parametrize(
    ("before", "now", "builds", "right"),
    [
        # Nothing moved
        (look("success"), look("success"), ("success",), Action.NOTHING),
        (look("building"), look("building"), ("building",), Action.NOTHING),
        (look("success", None), look("success", None), ("success",), Action.NOTHING),
        # The list told of nothing before
        (None, look("success"), ("success",), Action.READ),
        (None, look("building"), ("building",), Action.READ),
        # Began
        (look("success"), look("queued", 10), ("success",), Action.READ),
        (look("failure"), look("building", 10), ("failure",), Action.READ),
        # Ended
        (look("building"), look("success", 10), ("building",), Action.READ),
        (look("queued"), look("failure", 10), ("queued",), Action.READ),
        # Another one began and ended between
        (look("success"), look("success", 10), ("success",), Action.READ),
        (look("success"), look("failure", 10), ("success",), Action.READ),
        (look("success", None), look("failure", None), ("success",), Action.READ),
        (look("success"), look("failure"), ("success",), Action.READ),
        # Backwards: another one
        (look("building"), look("queued", 10), ("building",), Action.READ),
        (look("uploading"), look("cloning", 10), ("uploading",), Action.READ),
        # The same status at another time: another one
        (look("building"), look("building", 10), ("building",), Action.READ),
        (look("queued"), look("queued", 10), ("queued",), Action.READ),
        # A step of the one that is known to be unfinished
        (look("queued"), look("building", 10), ("queued",), Action.STEP),
        (look("building"), look("uploading", 10), ("building",), Action.STEP),
        (look("queued", None), look("building", None), ("queued",), Action.STEP),
        # What is known is behind the look that was there before
        (look("building"), look("building"), ("queued",), Action.STEP),
        # Whose step it is cannot be told, or nobody knows the build
        (look("queued"), look("building", 10), ("queued", "queued"), Action.NOTHING),
        (look("queued"), look("building", 10), (), Action.NOTHING),
        (look("queued"), look("building", 10), ("building",), Action.NOTHING),
    ],
)
def test_a_look_asks_for_what_it_cannot_tell(
    before: BuildStatus | None, now: BuildStatus, builds: tuple[str, ...], right: Action
) -> None:
    assert action_for(before, now, known(*builds).unfinished) is right


def test_a_step_is_taken_from_the_look_and_nothing_else() -> None:
    before = build("b", Outcome.PENDING, branch="main", sha="abc")
    after = stepped(before, look("building"))
    assert (after.status, after.outcome, after.concluded) == ("building", Outcome.EXECUTING, False)
    assert (after.id, after.created_at, after.branch, after.sha) == (before.id, before.created_at, "main", "abc")
    assert not stepped(before, look("building")).concluded


@pytest.mark.parametrize(
    ("status", "builds", "right"),
    [
        ("success", (), True),
        ("success", ("success", "failure"), True),
        ("building", ("success", "building"), True),
        ("building", ("success",), False),
        ("success", ("building",), False),
        ("building", ("building", "queued"), False),
    ],
)
def test_a_list_is_enough_where_it_shows_the_only_unfinished_build(
    status: str,
    builds: tuple[str, ...],
    right: bool,  # noqa: FBT001
) -> None:
    assert covers(look(status), known(*builds).unfinished) is right


def test_a_word_never_heard_of_is_not_taken_for_a_running_build() -> None:
    assert not running(BuildStatus("napping", Outcome.UNKNOWN, None))
    assert all(running(BuildStatus("", outcome, None)) is (outcome in UNFINISHED) for outcome in Outcome)


def test_a_look_at_a_build_that_a_read_saw_end_asks_for_no_step() -> None:
    queued = build("b", Outcome.PENDING)
    ended = read_again(read(queued), moved(queued, Outcome.SUCCESS), now=NOW + 60)
    assert action_for(look("queued"), look("building", 10), ended.unfinished) is Action.NOTHING
