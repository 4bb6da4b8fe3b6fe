"""How a run goes: from one throw of seeded dice to a Northflank build or the definition of a pipeline. Pure.

Durations are lognormal about the target's median (sigma 0.6), as those of real pipelines are.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

from exporter.simulator.definition import NEVER, Action, Definition, Job
from exporter.simulator.plan import Plan, Steps, cut
from exporter.simulator.runs import Run
from exporter.simulator.world import HOUR, Habits, Step

SIGMA = 0.6
TIMEOUT = 3600.0
"""GitLab's default limit for a job, in seconds."""
PLAYED_WITHIN = (60.0, 5 * HOUR)
"""For how many seconds a manual job waits for somebody, at least and at most."""
REFERENCE = 180.0
"""The `Habits.median` at which a pipeline's jobs take the medians that their steps name."""


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


def gitlab(run: Run, steps: Iterable[Step], habits: Habits, dice: Random) -> tuple[Definition, tuple[Action, ...]]:
    """The definition of a pipeline with the fates of its jobs, and what people do to it."""
    steps = tuple(steps)
    if run.succeeds is not None:
        only = next(step for step in steps if not step.manual)
        ends = "success" if run.succeeds and not run.broken else "failed"
        return Definition((Job(only.name, only.stage, ends, run.lasts or only.median),)), ()
    fails = run.broken or dice.random() < habits.failure
    culprit = dice.choice([step.name for step in _automatic(steps)]) if fails else ""
    canceled = not run.broken and dice.random() < 0.035  # noqa: PLR2004
    jobs = tuple(_job(step, run, habits, culprit, dice) for step in steps)
    actions = (Action(run.at + dice.uniform(5.0, 400.0), "cancel"),) if canceled else ()
    return Definition(jobs), actions


def _automatic(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps that need nobody, those of children in the place of their trigger jobs."""
    for step in steps:
        if step.child:
            yield from _automatic(step.child)
        elif not step.manual:
            yield step


def _job(step: Step, run: Run, habits: Habits, culprit: str, dice: Random) -> Job:
    if step.child:
        child = tuple(_job(one, run, habits, culprit, dice) for one in step.child)
        return Job(step.name, step.stage, queues=0.5, lasts=1.0, children=(child,), depend=True)
    queues, lasts = about(5.0, dice), about(step.median * habits.median / REFERENCE, dice)
    if step.manual:
        low, high = map(math.log, PLAYED_WITHIN)
        played = math.exp(dice.uniform(low, high)) if dice.random() < habits.plays else None
        return Job(
            step.name, step.stage, "success", lasts, queues, "manual",
            allow_failure=step.allow_failure, played_after=played,
        )  # fmt: skip
    job = Job(
        step.name, step.stage, "success", lasts, queues, "delayed" if step.delayed else "on_success", step.delayed,
        step.allow_failure, coverage=81.4 if step.name == "unit" else None,
    )  # fmt: skip
    if step.name != culprit and not (step.allow_failure and dice.random() < 0.25):  # noqa: PLR2004
        return job
    return _failing(job, step, run, habits, dice)


def _failing(job: Job, step: Step, run: Run, habits: Habits, dice: Random) -> Job:
    """The job fails; where somebody thinks it flaky, or its definition says so, it is tried once more."""
    reasons = ("script_failure", "runner_system_failure", "job_execution_timeout")
    reason = "script_failure" if run.broken else dice.choices(reasons, (82, 11, 7))[0]
    last = about(step.median * habits.median / REFERENCE, dice)
    first = TIMEOUT if reason == "job_execution_timeout" else last * dice.uniform(0.2, 1.0)
    again = not run.broken and not step.allow_failure and dice.random() < habits.flaky
    if not again:
        return replace(job, ends="failed", lasts=first, reason=reason)
    second = "success" if dice.random() < 0.85 else "failed"  # noqa: PLR2004
    after = 0.2 if dice.random() < 0.25 else dice.uniform(15.0, 200.0)  # noqa: PLR2004
    lasts = (first, about(step.median * habits.median / REFERENCE, dice))
    return replace(job, ends=("failed", second), lasts=lasts, reason=reason, retries=1, retry_after=after)
