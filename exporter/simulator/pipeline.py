"""A pipeline of GitLab as it will have gone if nobody interferes; a clock tells how it stands."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from exporter.simulator.course import Attempt, Course
from exporter.simulator.definition import Action, Key
from exporter.simulator.plan import Plan, Steps, append
from exporter.simulator.status import COMPLETED, moved, statuses

INVALID = "jobs config should contain at least one visible job"
"""What GitLab says of a definition without jobs."""
CHILD = "parent_pipeline"


@dataclass(frozen=True, slots=True)
class Head:
    """What a pipeline is of, and what set it off."""

    sha: str
    ref: str
    """The branch; the tag where `tag`; `refs/merge-requests/7/head` where `pull_request`."""
    source: str = "push"
    tag: bool = False
    pull_request: int | None = None
    """The number of the merge request."""
    pushed: float = 0.0
    """Epoch seconds."""

    @property
    def branch(self) -> str | None:
        """The branch that it is of, if any."""
        return None if self.tag or self.pull_request is not None else self.ref


class State(NamedTuple):
    """How a pipeline stands at some time."""

    status: str
    since: float
    """GitLab's `updated_at`, epoch seconds: it moves when the status does."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline, or a child of one."""

    number: int
    """Ascends with creation; GitLab's id."""
    steps: Steps
    """Its statuses in the order of time; the first is its creation."""
    head: Head
    jobs: tuple[Plan, ...] = ()
    """All attempts, trigger jobs too, the newest first."""
    family: int = 0
    """Its own number, or that of its parent's family."""
    key: Key = ()
    parent: int | None = None
    """The number of the pipeline whose trigger job made it."""
    trigger: int | None = None
    """The number of that trigger job."""
    yaml_errors: str | None = None

    @property
    def created(self) -> float:
        """Epoch seconds."""
        return self.steps[0][0]

    @property
    def source(self) -> str:
        """`push`, `schedule` and so on; `parent_pipeline` of a child."""
        return self.head.source if self.parent is None else CHILD

    def at(self, now: float) -> State:
        """How it stands at `now`, which is not before its creation."""
        since, status = self.steps[max(0, bisect_right(self.steps, now, key=lambda step: step[0]) - 1)]
        return State(status, since)

    def jobs_at(self, now: float, *, bridges: bool = False, retried: bool = True) -> list[Plan]:
        """Its jobs (or its trigger jobs) that exist at `now`, the newest first; without `retried`, the newest tries."""
        some = (job for job in self.jobs if job.created <= now and job.bridge == bridges)
        return [job for job in some if retried or job.retried > now]

    def started(self, now: float) -> float | None:
        """When it ran first, epoch seconds."""
        return next((at for at, status in self.steps if at <= now and status == "running"), None)

    def finished(self, now: float) -> float | None:
        """When it ended, epoch seconds; None while it is not at an end."""
        state = self.at(now)
        return state.since if state.status in COMPLETED - {"skipped"} else None

    def with_jobs(self, changed: Iterable[Plan]) -> "Pipeline":
        """The same with some of its jobs changed, and its status as GitLab makes it of them all."""
        places = {job.number: job for job in changed}
        jobs = tuple(places.get(job.number, job) for job in self.jobs)
        return replace(self, jobs=jobs, steps=status_steps(jobs, self.created))


Family = tuple[Pipeline, ...]
"""A pipeline and its children, in the order of their creation."""


def status_steps(jobs: Sequence[Plan], created: float) -> Steps:
    """The statuses of a pipeline of these jobs, which is processed the moment that one of them moves."""
    steps = [(created, "created")]
    for now in sorted({at for job in jobs for at, _ in job.steps}):
        some = (job for job in jobs if job.created <= now < job.retried)
        status = moved(steps[-1][1], statuses((job.at(now).status, job.allow_failure) for job in some))
        append(steps, status, max(now, created))
    return tuple(steps)


class Numbering(Protocol):
    """Gives numbers; asked for each pipeline and each attempt of a family once, in the order of their creation."""

    def pipeline(self, course: Course) -> int:
        """That of a pipeline."""

    def job(self, attempt: Attempt) -> int:
        """That of an attempt at a job."""


def family_of(courses: Sequence[Course], head: Head, numbering: Numbering) -> Family:
    """The records of a family that was played out."""
    numbers = {course.key: numbering.pipeline(course) for course in courses}
    attempts = sorted((one for course in courses for one in course.attempts), key=lambda one: one.created)
    jobs = {id(attempt): numbering.job(attempt) for attempt in attempts}
    return tuple(_record(course, head, numbers, jobs) for course in courses)


def _record(course: Course, head: Head, numbers: dict[Key, int], jobs: dict[int, int]) -> Pipeline:
    bridge = course.bridge
    plans = [_plan(one, head, jobs[id(one)], numbers) for one in course.attempts]
    return Pipeline(
        numbers[course.key],
        tuple(course.line),
        head,
        tuple(sorted(plans, key=lambda plan: plan.number, reverse=True)),
        numbers[()],
        course.key,
        None if bridge is None else numbers[bridge.pipeline.key],
        None if bridge is None else jobs[id(bridge)],
        None if course.definition.jobs else INVALID,
    )


def _plan(attempt: Attempt, head: Head, number: int, numbers: dict[Key, int]) -> Plan:
    job = attempt.job
    return Plan(
        number=number,
        run=numbers[attempt.pipeline.key],
        steps=tuple(attempt.line),
        sha=head.sha,
        ref=head.ref,
        tag=head.tag,
        pull_request=head.pull_request,
        name=job.name,
        stage=job.stage,
        allow_failure=job.may_fail,
        reason=attempt.reason,
        source=head.source if not attempt.pipeline.key else CHILD,
        pushed=head.pushed,
        retried=attempt.retried,
        bridge=job.bridge,
        when=job.when,
        coverage=job.coverage,
        family=numbers[()],
    )


class Builds(Protocol):
    """The pipelines of one project, read at any time. All moments are epoch seconds."""

    def newest(self, now: float, below: int | None = None) -> Iterator[Plan]:
        """Its jobs that exist at `now`, the newest first, without trigger jobs; with numbers under `below`."""

    def find(self, number: int, now: float) -> Plan | None:
        """The job of that number, a trigger job too."""

    def pipelines(self, now: float) -> Iterator[Pipeline]:
        """Its pipelines that exist at `now`, children too, the newest first."""

    def updated(self, now: float, since: float) -> Iterator[Pipeline]:
        """Those whose status moved since, the one that moved last first."""

    def find_pipeline(self, number: int, now: float) -> Pipeline | None:
        """The pipeline of that number."""

    def family(self, pipeline: Pipeline) -> Family:
        """The pipeline that is no child of which it is or its parent is, and all children, created or yet to be."""

    def act(self, pipeline: Pipeline, action: Action) -> None:
        """Somebody does something to one of its pipelines."""

    def push(self, now: float) -> None:
        """Somebody pushes to the default branch: one more pipeline, of one job."""

    def branch(self, name: str, now: float) -> Head | None:
        """What the branch is at; None where there is none of that name."""
