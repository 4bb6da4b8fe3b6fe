"""What a pipeline is made of, and what people do to it, as data: jobs, trigger jobs, and actions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

NEVER = float("inf")

When = Literal["on_success", "on_failure", "always", "manual", "delayed"]
What = Literal["play", "retry", "cancel"]
Key = tuple[tuple[str, int], ...]
"""Which pipeline of a family: () is the parent, (("tests", 0),) the child of the first attempt at its job `tests`."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the pipeline's definition has it, and how each attempt at it goes.

    Where a field is a tuple, its values are those of the first attempt, the second and so on; the last one is that of
    all later ones, too. Times are seconds.
    """

    name: str
    stage: str = "test"
    """Stages follow each other in the order in which the jobs name them."""
    ends: str | tuple[str, ...] = "success"
    """`success`, `failed` or `canceled`; a trigger job that ends `failed` makes no child."""
    lasts: float | tuple[float, ...] = 60.0
    """From running to the end; `NEVER` hangs. Of a trigger job: until its child is there."""
    queues: float | tuple[float, ...] = 2.0
    """From pending to running."""
    when: When = "on_success"
    start_in: float = 0.0
    """How long a delayed job is `scheduled`."""
    allow_failure: bool | None = None
    """None is GitLab's default: a manual job may fail (it is optional), every other may not. False makes it a gate."""
    needs: tuple[str, ...] | None = None
    """Names of jobs that it waits for, rather than for the stages before its own."""
    retries: int = 0
    """How often it is tried again after a failure."""
    retry_after: float = 0.2
    """Between the failure and the next attempt: GitLab's own `retry:` comes at once; minutes are a person."""
    played_after: float | None = None
    """For how long it is `manual` until somebody plays it; None is for good."""
    cancels_in: float = 0.0
    """For how long a running job is `canceling`."""
    reason: str = "script_failure"
    """The `failure_reason` of a failed attempt."""
    coverage: float | None = None
    """Per cent, told once it succeeded."""
    children: tuple[tuple["Job", ...], ...] = ()
    """Makes it a trigger job: the jobs of its child pipeline, for each attempt; one without jobs has invalid YAML."""
    depend: bool = False
    """A trigger job with `strategy: depend` ends as its child does."""

    def triggering(self, *children: Iterable["Job"], depend: bool = False) -> "Job":
        """The same as a trigger job: `Job("tests").triggering([Job("a"), Job("b")], depend=True)`."""
        return replace(self, children=tuple(tuple(child) for child in children), depend=depend)

    @property
    def bridge(self) -> bool:
        """Whether it is a trigger job."""
        return bool(self.children)

    @property
    def may_fail(self) -> bool:
        """`allow_failure` as GitLab tells it."""
        return self.when == "manual" if self.allow_failure is None else self.allow_failure


@dataclass(frozen=True, slots=True)
class Definition:
    """A pipeline as it is set off."""

    jobs: tuple[Job, ...]
    """None: the YAML is invalid, and the pipeline has failed as soon as it is there."""
    lag: float = 0.3
    """Seconds from a job's move to the moment at which GitLab has processed its pipeline: the pipeline's status moves
    and the next stage begins that much later."""
    spacing: float = 0.004
    """Seconds between the creations of two jobs; 0: all share one."""


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody does at `at`. GitLab refuses it where the job is in no state for it."""

    at: float
    what: What
    job: str | None = None
    """None is the pipeline: all jobs that can be canceled, or all that failed or were canceled."""
    key: Key = ()
