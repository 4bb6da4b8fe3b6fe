"""How a pipeline and its children go: a definition and what people do, played out as GitLab processes it. Pure.

Two kinds of things happen. A job moves, by itself or because somebody plays, retries or cancels it; and GitLab
processes the pipeline (`lag` seconds later, or at once where somebody retries): stage by stage it starts or skips the
jobs that are `created`, by the status of all stages before, and then moves the pipeline's own status. After
`app/services/ci/pipeline_processing/atomic_processing_service.rb`, `retry_job_service.rb`,
`reset_skipped_jobs_service.rb`, `cancel_pipeline_service.rb` and `app/models/ci/bridge.rb` (GitLab 17).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from exporter.simulator.definition import NEVER, Action, Definition, Job, Key
from exporter.simulator.plan import append
from exporter.simulator.status import COMPLETED, composite, composite_of_needs, counted_as, moved

CANCELABLE = frozenset({
    "created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "scheduled",
})  # fmt: skip
"""What a pipeline's cancellation ends. A single manual job can be canceled, too."""
PLAYABLE = frozenset({"manual", "scheduled"})
RETRYABLE = frozenset({"success", "failed", "canceled"})
STARTS_AFTER = {
    "on_success": frozenset({"success", "skipped"}),
    "manual": frozenset({"success", "skipped"}),
    "delayed": frozenset({"success", "skipped"}),
    "on_failure": frozenset({"failed"}),
    "always": frozenset({"success", "failed", "skipped"}),
}
"""By a job's `when`: what the stages before must have come to; at any other completed status it is skipped."""
NO_CHILD = "downstream_pipeline_creation_failed"
T = TypeVar("T", str, float)
Happen = Callable[[float], object]


class Attempt:
    """One attempt at a job, and how far it got."""

    __slots__ = (
        "at_once", "child", "counts_as", "job", "line", "may_fail", "nth", "pipeline", "reason", "retried", "status",
        "turn",
    )  # fmt: skip

    def __init__(self, pipeline: "Course", job: Job, nth: int, created: float) -> None:
        self.pipeline, self.job, self.nth = pipeline, job, nth
        self.line: list[tuple[float, str]] = [(created, "created")]
        """Its statuses, each with the moment from which it holds."""
        self.may_fail = job.may_fail
        self.status = "created"
        """The newest."""
        self.counts_as = "created"
        """What it counts as in the status of its pipeline."""
        self.retried = NEVER
        """When a newer attempt took its place."""
        self.child: Course | None = None
        self.reason = job.reason
        self.at_once = False
        """It starts at its turn though it is manual or delayed, because somebody retried it."""
        self.turn = 0
        """Counts its moves, so that what was planned before one is known to be void."""

    @property
    def created(self) -> float:
        """Epoch seconds."""
        return self.line[0][0]

    def move(self, status: str, at: float) -> None:
        """Takes a status."""
        append(self.line, status, at)
        self.status, self.counts_as = status, counted_as(status, allow_failure=self.may_fail)
        self.turn += 1


class Course:
    """One pipeline of a family, and how far it got."""

    def __init__(self, key: Key, definition: Definition, created: float, bridge: Attempt | None) -> None:
        self.key, self.definition, self.created, self.bridge = key, definition, created, bridge
        self.line: list[tuple[float, str]] = [(created, "created" if definition.jobs else "failed")]
        """Its statuses, each with the moment from which it holds."""
        self.attempts: list[Attempt] = []
        self.current: dict[str, Attempt] = {}
        """The newest attempt at each job, by its name."""
        self.stages = list(dict.fromkeys(job.stage for job in definition.jobs))
        self.counted: dict[str, dict[str, int]] = {stage: {} for stage in self.stages}
        """How many of the newest attempts count as what, by stage; what none counts as is not there."""
        self.needing = {job.stage for job in definition.jobs if job.needs is not None}
        """Stages with jobs that do not wait for the stages before."""
        self.woken = False
        """Whether it is going to be processed."""

    @property
    def status(self) -> str:
        """The newest."""
        return self.line[-1][1]

    @property
    def complete_at(self) -> float:
        """When all of its jobs have been created; epoch seconds."""
        return self.created + self.definition.spacing * max(0, len(self.definition.jobs) - 1)

    def add(self, attempt: Attempt) -> None:
        """Takes the attempt in, in the place of an earlier one at the same job."""
        earlier = self.current.get(attempt.job.name)
        if earlier is not None:
            self._count(earlier, -1)
            earlier.retried = attempt.created
        self.attempts.append(attempt)
        self.current[attempt.job.name] = attempt
        self._count(attempt, 1)

    def put(self, attempt: Attempt, status: str, at: float) -> None:
        """Moves an attempt of its own."""
        self._count(attempt, -1)
        attempt.move(status, at)
        self._count(attempt, 1)

    def _count(self, attempt: Attempt, number: int) -> None:
        if attempt.retried == NEVER:
            counted, word = self.counted[attempt.job.stage], attempt.counts_as
            counted[word] = counted.get(word, 0) + number
            if not counted[word]:
                del counted[word]

    def needed(self, names: Iterable[str]) -> str:
        """The composite status of these jobs."""
        return composite_of_needs(frozenset(self.current[name].counts_as for name in names if name in self.current))

    def after(self, attempt: Attempt) -> Iterator[Attempt]:
        """The newest attempts at the jobs of later stages, and at those that need this one."""
        later = set(self.stages[self.stages.index(attempt.job.stage) + 1 :])
        names = {attempt.job.name}
        for other in self.current.values():
            if other.job.stage in later or names & set(other.job.needs or ()):
                names.add(other.job.name)
                yield other


def play_out(definition: Definition, created: float, actions: Iterable[Action] = ()) -> list[Course]:
    """The pipeline and its children, in the order of their creation; without end where a job never ends."""
    return Player(definition, created, actions).courses


class Player:
    """Plays a family of pipelines out. `refused` are the actions that GitLab would not have taken."""

    def __init__(self, definition: Definition, created: float, actions: Iterable[Action] = ()) -> None:
        self.courses: list[Course] = []
        self.refused: list[Action] = []
        self._definition = definition
        self._order = count()
        self._coming: list[tuple[float, bool, int, Happen]] = []
        self._create((), definition, created, None)
        for action in actions:
            self._later(action.at, partial(self._act, action), by_hand=True)
        while self._coming:
            at, _, _, happen = heappop(self._coming)
            happen(at)

    def _later(self, at: float, happen: Happen, *, by_hand: bool = False) -> None:
        """Of what comes at one moment, people come last: they saw what else there was."""
        if at < NEVER:
            heappush(self._coming, (at, by_hand, next(self._order), happen))

    def _create(self, key: Key, definition: Definition, at: float, bridge: Attempt | None) -> Course:
        course = Course(key, definition, at, bridge)
        self.courses.append(course)
        for place, job in enumerate(definition.jobs):
            course.add(Attempt(course, job, 0, at + definition.spacing * place))
        if definition.jobs:
            self._wake(course, course.complete_at)
        return course

    def _wake(self, course: Course, at: float) -> None:
        """Has it processed, as GitLab does whenever one of its jobs moves."""
        if not course.woken:
            course.woken = True
            self._later(at + self._definition.lag, lambda at: self._process(course, at))

    def _process(self, course: Course, at: float) -> None:
        course.woken = False
        counted: set[str] = set()  # what the jobs of all stages so far count as
        for stage in course.stages:
            if "created" in course.counted[stage]:
                before = composite(frozenset(counted))
                if before in COMPLETED or stage in course.needing:
                    some = [
                        one for one in course.current.values() if one.job.stage == stage and one.status == "created"
                    ]
                    for attempt in some:
                        self._take_up(attempt, before, at)
            counted.update(course.counted[stage])
        status = moved(course.status, composite(frozenset(counted)))
        if status != course.status:
            append(course.line, status, at)
            bridge = course.bridge
            if status in COMPLETED and bridge is not None and bridge.job.depend:
                self._later(at + self._definition.lag, lambda at: self._inherit(bridge, course, at))

    def _take_up(self, attempt: Attempt, before: str, at: float) -> None:
        """Starts or skips a created job, once what it waits for is complete."""
        job, valid = attempt.job, STARTS_AFTER[attempt.job.when]
        if job.needs is not None:
            before = attempt.pipeline.needed(job.needs)
            valid = valid - {"skipped"} if "success" in valid and "failed" not in valid else valid
        if before not in COMPLETED:
            return
        if before not in valid:
            self._move(attempt, "skipped", at)
        elif job.when == "delayed" and not attempt.at_once:
            self._move(attempt, "scheduled", at)
        else:
            self._move(attempt, "manual" if job.when == "manual" and not attempt.at_once else "pending", at)

    def _move(self, attempt: Attempt, status: str, at: float) -> None:
        attempt.pipeline.put(attempt, status, at)
        self._wake(attempt.pipeline, at)
        job, nth, turn = attempt.job, attempt.nth, attempt.turn

        def plan(seconds: float, happen: Happen) -> None:
            """Only if it does not move before."""
            self._later(at + seconds, lambda at: happen(at) if attempt.turn == turn else None)

        if status == "pending" and attempt.child is None:
            plan(_at(job.queues, nth), lambda at: self._move(attempt, "running", at))
        elif status == "running":
            plan(_at(job.lasts, nth), lambda at: self._end(attempt, at))
        elif status == "scheduled":
            plan(job.start_in, lambda at: self._move(attempt, "pending", at))
        elif status == "manual" and job.played_after is not None:
            plan(job.played_after, lambda at: self._play(attempt, at))
        elif status == "canceling":
            plan(job.cancels_in, lambda at: self._move(attempt, "canceled", at))
        elif status == "failed" and nth < job.retries:
            plan(job.retry_after, lambda at: self._retry(attempt, at))

    def _end(self, attempt: Attempt, at: float) -> None:
        job, end = attempt.job, _at(attempt.job.ends, attempt.nth)
        if job.bridge and end == "success":
            jobs = job.children[min(attempt.nth, len(job.children) - 1)]
            key = (*attempt.pipeline.key, (job.name, attempt.nth))
            definition = self._definition
            attempt.child = self._create(key, Definition(jobs, definition.lag, definition.spacing), at, attempt)
            if not jobs:
                attempt.reason = NO_CHILD
                self._move(attempt, "failed", at)
            elif not job.depend:
                self._move(attempt, "success", at)
        else:
            self._move(attempt, end, at)

    def _inherit(self, bridge: Attempt, child: Course, at: float) -> None:
        """A trigger job that depends on its child ends as that one does."""
        end = {"skipped": "failed"}.get(child.status, child.status)
        if child.status in COMPLETED and bridge.status != end:
            self._move(bridge, end, at)

    def _act(self, action: Action, at: float) -> None:
        course = next((one for one in self.courses if one.key == action.key and one.complete_at <= at), None)
        attempt = course.current.get(action.job) if course and action.job else None
        done = False
        if attempt is not None:
            done = {"play": self._play, "retry": self._retry, "cancel": self._cancel}[action.what](attempt, at)
        elif course is not None and action.job is None and action.what != "play":
            done = self._cancel_all(course, at) if action.what == "cancel" else self._retry_all(course, at)
        if not done:
            self.refused.append(action)

    def _play(self, attempt: Attempt, at: float) -> bool:
        if attempt.status not in PLAYABLE:
            return False
        self._move(attempt, "pending", at)
        self._reset(attempt, at)
        return True

    def _retry(self, attempt: Attempt, at: float) -> bool:
        if attempt.status not in RETRYABLE or attempt.retried < NEVER:
            return False
        course = attempt.pipeline
        course.add(self._next(attempt, at))
        self._process(course, at)
        self._reset(course.current[attempt.job.name], at)
        return True

    def _retry_all(self, course: Course, at: float) -> bool:
        failed = [attempt for attempt in course.current.values() if attempt.status in ("failed", "canceled")]
        if not failed:
            return False
        for attempt in failed:
            course.add(self._next(attempt, at))
        for attempt in course.current.values():
            if attempt.status == "skipped":
                self._move(attempt, "created", at)
        self._process(course, at)
        self._reset_bridge(course, at)
        return True

    def _next(self, attempt: Attempt, at: float) -> Attempt:
        following = Attempt(attempt.pipeline, attempt.job, attempt.nth + 1, at)
        following.at_once = True
        return following

    def _reset(self, attempt: Attempt, at: float) -> None:
        """What was skipped because of it gets another turn, and a trigger job that depends on its pipeline waits."""
        for other in attempt.pipeline.after(attempt):
            if other.status == "skipped":
                self._move(other, "created", at)
        self._reset_bridge(attempt.pipeline, at)

    def _reset_bridge(self, course: Course, at: float) -> None:
        bridge = course.bridge
        if bridge is not None and bridge.job.depend and bridge.retried == NEVER and bridge.status in COMPLETED:
            self._move(bridge, "pending", at)
            self._reset(bridge, at)

    def _cancel(self, attempt: Attempt, at: float) -> bool:
        if attempt.status not in CANCELABLE and attempt.status != "manual":
            return False
        canceling = attempt.status == "running" and attempt.job.cancels_in and not attempt.job.bridge
        self._move(attempt, "canceling" if canceling else "canceled", at)
        return True

    def _cancel_all(self, course: Course, at: float) -> bool:
        below = [other for other in self.courses if other.key[: len(course.key)] == course.key]
        live = [one for other in below for one in other.current.values() if one.status in CANCELABLE]
        for attempt in live:
            self._cancel(attempt, at)
        return bool(live)


def _at(values: T | tuple[T, ...], nth: int) -> T:
    """What holds for the nth attempt."""
    return values[min(nth, len(values) - 1)] if isinstance(values, tuple) else values
