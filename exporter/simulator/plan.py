"""A build as it will have gone if nobody interferes: its steps and their times. A clock tells how it stands."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from exporter.simulator.definition import NEVER

STARTED = frozenset({"STARTING", "CLONING", "BUILDING", "UPLOADING", "running"})
ENDED = frozenset({"SUCCESS", "FAILURE", "CRASHED", "ABORTED", "SUBMISSION_FAILURE", "success", "failed", "canceled"})
"""The words that end a build. GitLab's `skipped` is none: such a job has no end and can come to life."""

Steps = tuple[tuple[float, str], ...]
"""`(since, status)` in the order of time, epoch seconds; the first is the creation."""


class Standing(NamedTuple):
    """How a build stands at some time. Epoch seconds."""

    status: str
    since: float
    started: float | None
    ended: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """One build from its creation to its end."""

    number: int
    """Ascends with creation. GitLab's id; Northflank's id is a spelling of it."""
    run: int
    """GitLab's pipeline; Northflank: the same as `number`."""
    steps: Steps
    sha: str
    ref: str
    """The branch; the tag where `tag`; GitLab's `refs/merge-requests/…` where `pull_request`."""
    tag: bool = False
    pull_request: int | None = None
    name: str = ""
    stage: str = ""
    allow_failure: bool = False
    reason: str = ""
    """GitLab's `failure_reason`, shown once it failed."""
    source: str = "push"
    """GitLab: why there is a pipeline."""
    pushed: float = 0.0
    """When the run was set off, epoch seconds."""
    again: bool = False
    """Northflank: another attempt at an earlier build of the same commit and name."""
    retried: float = NEVER
    """GitLab: when a newer attempt took its place, epoch seconds."""
    bridge: bool = False
    """GitLab: a trigger job, which is in no list of jobs."""
    when: str = "on_success"
    """GitLab: `manual`, `delayed` and so on."""
    coverage: float | None = None
    """GitLab: per cent, shown once it succeeded."""
    family: int = 0
    """GitLab: the number of the pipeline that is no child, of which it or its parent is."""

    @property
    def created(self) -> float:
        """Epoch seconds."""
        return self.steps[0][0]

    def at(self, now: float) -> Standing:
        """How it stands at `now`, which is not before its creation."""
        since, status = self.steps[0]
        started = None
        for moment, word in self.steps:
            if moment > now:
                break
            since, status = moment, word
            if started is None and word in STARTED:
                started = moment
        return Standing(status, since, started, since if status in ENDED else None)

    def cut(self, at: float, status: str) -> "Plan":
        """The same build, but that it took `status` for good at `at`."""
        return replace(self, steps=cut(self.steps, at, status))


def append(line: list[tuple[float, str]], status: str, at: float) -> None:
    """Moves to `status` at `at`. Of what comes at one moment only the last is seen, but the first moment stays."""
    if line[-1][0] == at:
        line.pop()
    if not line or line[-1][1] != status:
        line.append((at, status))


def cut(steps: Iterable[tuple[float, str]], at: float, status: str) -> Steps:
    """The steps before `at`, and `status` from then on."""
    return (*(step for step in steps if step[0] < at), (at, status))
