"""A small GitLab, written from its own rules by time steps: what its pipelines and jobs are at each moment.

It shares nothing with what it is held against. Jobs start when the stages before them allow it, end as chance will,
are retried by GitLab itself or by hand, played, cancelled; pipelines have child pipelines, which are run again.
"""

from dataclasses import dataclass, field
from random import Random

from exporter.build import PARENT_PIPELINE, Build, Outcome, Run

OUTCOMES = {
    "created": Outcome.WAITING,
    "manual": Outcome.WAITING,
    "scheduled": Outcome.WAITING,
    "pending": Outcome.PENDING,
    "running": Outcome.EXECUTING,
    "success": Outcome.SUCCESS,
    "failed": Outcome.FAILURE,
    "canceled": Outcome.CANCELLATION,
    "skipped": Outcome.SKIP,
}
ENDED = ("success", "failed", "canceled")
FULL_STOP = ("success", "failed", "canceled", "skipped", "manual")


@dataclass(slots=True)
class Job:
    """One attempt."""

    id: int
    name: str
    stage: int
    status: str
    created_at: float
    when: str = "on_success"
    """`on_success`, `manual` or `delayed`."""
    allow_failure: bool = False
    retries: int = 0
    """How often GitLab itself retries it."""
    ended_at: float | None = None
    retried: bool = False
    ever_skipped: bool = False

    @property
    def word(self) -> str:
        """As the pipeline's status takes it."""
        if self.allow_failure and self.status in {"failed", "canceled"}:
            return "success"
        return "ignored" if self.allow_failure and self.status == "manual" else self.status


@dataclass(slots=True)
class Pipeline:
    """A pipeline with all attempts of its jobs."""

    id: int
    sha: str
    created_at: float
    source: str = "push"
    parent: "Pipeline | None" = None
    trigger: str = ""
    """Of a child: which trigger job of its parent made it."""
    jobs: list[Job] = field(default_factory=list)
    status: str = "created"
    updated_at: float = 0.0
    broken_config: bool = False
    replaced: bool = False
    """Its trigger job was run again, and made another one."""

    @property
    def current(self) -> list[Job]:
        """The newest attempts."""
        return [job for job in self.jobs if not job.retried]


def status_of(words: set[str]) -> str:
    """What GitLab makes of its jobs' statuses."""
    rest = words - {"ignored"}
    if rest <= {"skipped"}:
        return "skipped"
    if rest <= {"success", "skipped"}:
        return "success"
    if rest <= {"created"}:
        return "created"
    if rest <= {"canceled", "success", "skipped"}:
        return "canceled"
    if rest <= {"pending", "created", "skipped"}:
        return "pending"
    found = [word for word in ("running", "pending", "manual", "scheduled", "created") if word in rest]
    return {"pending": "running", "created": "running"}.get(found[0], found[0]) if found else "failed"


class Server:
    """The project's pipelines; `step` lets some time pass, and something happen."""

    def __init__(self, chance: Random, now: float) -> None:
        self.chance, self.now = chance, now
        self.pipelines: list[Pipeline] = []
        self._ids = 0

    def step(self) -> None:
        """Some seconds later something has happened."""
        self.now += self.chance.choice([0.5, 7.0, 20.0, 45.0, 200.0])
        chance = self.chance
        if not self.pipelines or chance.random() < 0.12:
            self._push()
        for pipeline in self.pipelines[-4:]:
            for job in [job for job in pipeline.current if job.status in {"pending", "running", "scheduled"}]:
                if chance.random() < 0.4:
                    self._advance(pipeline, job)
        for pipeline in [one for one in self.pipelines[-4:] if chance.random() < 0.15]:
            self._by_hand(pipeline)
        for pipeline in reversed(self.pipelines):
            self._process(pipeline)

    # What happens

    def _next(self) -> int:
        self._ids += 1
        return self._ids

    def _push(self) -> None:
        pipeline = Pipeline(self._next(), f"sha{self._ids}", self.now)
        self._fill(pipeline)
        self.pipelines.append(pipeline)

    def _fill(self, pipeline: Pipeline) -> None:
        chance = self.chance
        pipeline.updated_at = self.now
        if chance.random() < 0.07:
            pipeline.broken_config, pipeline.status = True, "failed"
            return
        for stage in range(chance.randint(1, 3)):
            for number in range(chance.randint(1, 3)):
                when = chance.choice(["on_success"] * 6 + ["manual", "delayed"])
                optional = chance.random() < (0.7 if when == "manual" else 0.15)
                name = f"{'ab'[number % 2]}{stage}{number}"
                retries = chance.choice([0, 0, 0, 1])
                pipeline.jobs.append(Job(self._next(), name, stage, "created", self.now, when, optional, retries))

    def _advance(self, pipeline: Pipeline, job: Job) -> None:
        if job.status in {"scheduled", "pending"}:
            job.status = "pending" if job.status == "scheduled" else "running"
            return
        job.status = self.chance.choice(["success", "success", "success", "failed", "failed", "canceled"])
        job.ended_at = self.now
        if job.status == "failed" and job.retries:
            self._attempt(pipeline, job, self.now + 0.05, job.retries - 1)

    def _attempt(self, pipeline: Pipeline, job: Job, at: float, retries: int) -> None:
        job.retried = True
        self._ids += 1
        pipeline.jobs.append(Job(self._ids, job.name, job.stage, "pending", at, job.when, job.allow_failure, retries))

    def _by_hand(self, pipeline: Pipeline) -> None:
        chance = self.chance
        what = chance.choice(["retry", "retry", "play", "cancel", "trigger", "trigger again"])
        if what == "retry":
            ended = [job for job in pipeline.current if job.status in ENDED and (job.ended_at or 0) + 35 < self.now]
            if ended:
                self._attempt(pipeline, chance.choice(ended), self.now, 0)
        elif what == "play":
            for job in [job for job in pipeline.current if job.status == "manual"][:1]:
                job.status = "pending"
        elif what == "cancel" and chance.random() < 0.3:
            for job in pipeline.current:
                if job.status not in (*ENDED, "skipped", "manual"):
                    job.status, job.ended_at = "canceled", self.now
        elif pipeline.parent is None and not pipeline.broken_config and pipeline.source == "push":
            self._trigger(pipeline, again=what == "trigger again")

    def _trigger(self, pipeline: Pipeline, *, again: bool) -> None:
        """A trigger job makes a child pipeline, or is run again and makes another one."""
        children = [one for one in self.pipelines if one.parent is pipeline and not one.replaced]
        if again and children:
            if any(job.ended_at == self.now for job in children[-1].jobs):
                return  # nobody could have seen that it ended
            children[-1].replaced = True
            trigger = children[-1].trigger
        elif len(children) < 2 and self.now - pipeline.created_at < 300:
            trigger = f"t{len(children)}"
        else:
            return
        child = Pipeline(self._next(), pipeline.sha, self.now, PARENT_PIPELINE, pipeline, trigger)
        self._fill(child)
        self.pipelines.append(child)

    def _process(self, pipeline: Pipeline) -> None:
        """Start the jobs whose turn it is, and take the pipeline's status anew."""
        if pipeline.broken_config:
            return
        for stage in sorted({job.stage for job in pipeline.jobs}):
            before = status_of({job.word for job in pipeline.current if job.stage < stage})
            for job in pipeline.current:
                if job.stage != stage or job.status not in {"created", "skipped"}:
                    continue
                if before in {"success", "skipped"}:
                    job.status = {"on_success": "pending", "manual": "manual", "delayed": "scheduled"}[job.when]
                elif before in {"failed", "canceled"}:
                    job.status, job.ever_skipped = "skipped", True
                else:
                    job.status = "created"
        status = status_of({job.word for job in pipeline.current})
        if status != pipeline.status:
            pipeline.status, pipeline.updated_at = status, self.now

    # What it tells

    def run(self, pipeline: Pipeline, *, named: bool = False) -> Run:
        """The record of a pipeline; `named`: with its parent."""
        return Run(
            id=f"p{pipeline.id}",
            status=pipeline.status,
            outcome=OUTCOMES[pipeline.status],
            created_at=pipeline.created_at,
            updated_at=pipeline.updated_at,
            branch="main",
            trigger=pipeline.source,
            sha=pipeline.sha,
            ref="main",
            parent=f"p{pipeline.parent.id}" if named and pipeline.parent else "",
        )

    def build(self, pipeline: Pipeline, job: Job) -> Build:
        """The record of a job."""
        outcome = OUTCOMES[job.status]
        if outcome is Outcome.FAILURE and job.allow_failure:
            outcome = Outcome.ALLOWED_FAILURE
        return Build(
            id=f"{job.id}",
            run=f"p{pipeline.id}",
            status=job.status,
            outcome=outcome,
            concluded=job.status in (*ENDED, "skipped"),
            created_at=job.created_at,
            concluded_at=job.ended_at if job.status in ENDED else None,
            branch="main",
            sha=pipeline.sha,
            name=job.name,
        )
