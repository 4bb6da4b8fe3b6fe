"""How a run goes: from one throw of seeded dice to the plans of its builds. Pure.

Durations are lognormal about the target's median (sigma 0.6), as those of real pipelines are.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from random import Random

from exporter.simulator.plan import ENDED, Plan, Steps, cut
from exporter.simulator.world import NEVER, Habits, Step

SIGMA = 0.6
TIMEOUT = 3600.0
"""GitLab's default limit for a job, in seconds."""
REFERENCE = 180.0
"""The `Habits.median` at which a pipeline's jobs take the medians that their steps name."""


@dataclass(frozen=True, slots=True)
class Run:
    """What somebody set off: a push, a pull request, a tag."""

    number: int
    at: float
    sha: str
    ref: str
    tag: bool = False
    pull_request: int | None = None
    source: str = "push"
    broken: bool = False
    """It fails for sure, however often it is tried."""
    lasts: float | None = None
    """Seconds, where that is not left to chance."""
    succeeds: bool | None = None
    """None is left to chance."""


def about(median: float, dice: Random) -> float:
    """Seconds about `median`, never below one."""
    return max(1.0, dice.lognormvariate(math.log(median), SIGMA))


def northflank(run: Run, habits: Habits, dice: Random) -> list[Plan]:
    """The build of a run and, on a flaky target, the same commit once more. Numbers are still to be given."""
    plan = Plan(run.number, run.number, (), run.sha, run.ref, run.tag, run.pull_request)
    last = about(habits.median, dice) if run.lasts is None else run.lasts
    fails = run.broken or (dice.random() < habits.failure if run.succeeds is None else not run.succeeds)
    if not fails:
        return [replace(plan, steps=northflank_steps(run.at, last, "SUCCESS", dice))]
    end = "FAILURE" if run.broken or run.succeeds is not None else _northflank_end(dice)
    steps = northflank_steps(run.at, last, end, dice)
    again = end == "FAILURE" and not run.broken and dice.random() < habits.flaky
    plans = [replace(plan, steps=steps)]
    if again:
        later = northflank_steps(steps[-1][0] + dice.uniform(20, 240), about(habits.median, dice), "SUCCESS", dice)
        plans.append(replace(plan, steps=later, again=True))
    return plans


def _northflank_end(dice: Random) -> str:
    return dice.choices(("FAILURE", "ABORTED", "CRASHED", "SUBMISSION_FAILURE"), (72, 15, 7, 6))[0]


def northflank_steps(at: float, last: float, end: str, dice: Random) -> Steps:
    """From creation to `end`, `last` seconds of building between; all that is infinite stays BUILDING."""
    queue = about(8.0, dice)
    start = at + queue
    if end == "SUBMISSION_FAILURE":
        return ((at, "PENDING"), (start + 2.0, end))
    waiting = ((at, "QUEUED"), (at + queue / 2, "PENDING")) if dice.random() < 0.6 else ((at, "PENDING"),)  # noqa: PLR2004
    clone, build = start + dice.uniform(1.5, 4), start + dice.uniform(6, 14)
    upload = build + last
    steps = (*waiting, (start, "STARTING"), (clone, "CLONING"), (build, "BUILDING"))
    if last == NEVER:
        return steps
    if end == "SUCCESS":
        return (*steps, (upload, "UPLOADING"), (upload + dice.uniform(4, 15), end))
    moment = start + dice.random() * (upload - start) if end == "ABORTED" else build + last * dice.uniform(0.15, 0.95)
    return cut(steps, moment, end)


def gitlab(run: Run, steps: Iterable[Step], habits: Habits, dice: Random) -> list[Plan]:
    """The jobs of a pipeline, stage after stage, retried ones after those. Numbers are still to be given."""
    steps = tuple(steps)
    fails = run.broken or dice.random() < habits.failure
    culprit = dice.choice([step.name for step in steps if not step.manual]) if fails else ""
    canceled = not run.broken and dice.random() < 0.035  # noqa: PLR2004
    pipeline = _Pipeline(run, habits, dice)
    for _, stage in groupby(steps, key=lambda step: step.stage):
        pipeline.go_through(tuple(stage), culprit)
    if not canceled:
        return pipeline.plans
    moment = run.at + dice.uniform(5.0, 400.0)
    return [_canceled(plan, moment) for plan in pipeline.plans if plan.created < moment]


def _canceled(plan: Plan, moment: float) -> Plan:
    status = plan.at(moment).status
    if status in ENDED or status in ("manual", "skipped"):
        return replace(plan, steps=tuple(step for step in plan.steps if step[0] <= moment))
    return plan.cut(moment, "canceled")


class _Pipeline:
    """A pipeline that is being thought out: what its stages did so far."""

    def __init__(self, run: Run, habits: Habits, dice: Random) -> None:
        self.run, self.habits, self.dice = run, habits, dice
        self.factor = habits.median / REFERENCE
        self.plans: list[Plan] = []
        self.ready = run.at
        """When the next stage may begin."""
        self.blocked = False
        self.waited: Steps = ()
        """What the jobs of later stages went through: skipped at a failure, created anew at its retry."""

    def go_through(self, stage: tuple[Step, ...], culprit: str) -> None:
        """Adds the plans of a stage's jobs, and moves on to where the next one may begin."""
        ends = [self.ready]
        culprits: list[tuple[Plan, Step]] = []
        for step in stage:
            plan = self._plan(step, self.run.at + 0.004 * len(self.plans))
            if not self.blocked and not step.manual:
                plan = self._executed(plan, step, fails=step.name == culprit)
                ends.append(plan.steps[-1][0])
                if plan.steps[-1][1] == "failed" and not plan.allow_failure:
                    culprits.append((plan, step))
            self.plans.append(plan)
        self.ready = max(ends)
        for plan, step in culprits:
            self._stop(self._again(plan, step))

    def _stop(self, again: Plan | None) -> None:
        """Skips the later stages; a retry that succeeds creates their jobs anew."""
        self.waited += ((self.ready, "skipped"),)
        self.blocked = again is None or again.steps[-1][1] != "success"
        if again is None:
            return
        self.plans.append(again)
        if not self.blocked:
            self.waited += ((max(self.ready + 0.5, again.created), "created"),)
            self.ready = max(self.waited[-1][0], again.steps[-1][0])

    def _plan(self, step: Step, created: float) -> Plan:
        """The job until its stage's turn; a manual one then waits for a person."""
        first = self.ready == self.run.at and not self.waited
        steps: Steps = () if first and not step.manual else ((created, "created"), *self.waited)
        if step.manual and not self.blocked:
            steps = (*steps, (max(self.ready, created + 0.01), "manual"))
        run = self.run
        return Plan(
            number=run.number,
            run=run.number,
            steps=steps or ((created, "pending"),),
            sha=run.sha,
            ref=run.ref,
            tag=run.tag,
            pull_request=run.pull_request,
            name=step.name,
            stage=step.stage,
            allow_failure=step.allow_failure,
            source=run.source,
            pushed=run.at,
        )

    def _executed(self, plan: Plan, step: Step, *, fails: bool) -> Plan:
        dice = self.dice
        pending = max(self.ready, plan.created) + 0.3
        running = pending + about(5.0, dice)
        last = about(step.median * self.factor, dice)
        before = plan.steps if plan.steps[0][1] == "pending" else (*plan.steps, (pending, "pending"))
        fails = fails or (step.allow_failure and dice.random() < 0.25)  # noqa: PLR2004
        if not fails:
            return replace(plan, steps=(*before, (running, "running"), (running + last, "success")))
        reasons = ("script_failure", "runner_system_failure", "job_execution_timeout")
        reason = "script_failure" if self.run.broken else dice.choices(reasons, (82, 11, 7))[0]
        last = TIMEOUT if reason == "job_execution_timeout" else last * dice.uniform(0.2, 1.0)
        return replace(plan, steps=(*before, (running, "running"), (running + last, "failed")), reason=reason)

    def _again(self, plan: Plan, step: Step) -> Plan | None:
        """The retry of a failed job, where somebody thought it flaky."""
        if self.run.broken or self.dice.random() >= self.habits.flaky:
            return None
        created = plan.steps[-1][0] + self.dice.uniform(15.0, 200.0)
        running = created + about(5.0, self.dice)
        end = running + about(step.median * self.factor, self.dice)
        word = "success" if self.dice.random() < 0.85 else "failed"  # noqa: PLR2004
        steps = ((created, "pending"), (running, "running"), (end, word))
        return replace(plan, steps=steps, again=True, reason="script_failure" if word == "failed" else "")
