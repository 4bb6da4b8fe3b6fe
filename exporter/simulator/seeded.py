"""The pipelines of a project of GitLab that follow from a seed, and what callers do to them.

Any part of the past (and of the future, which is not shown) is found by its span, without what lies between, and
nothing grows with time (`spans.py`). A family that somebody changes is played out again with that action; it is kept,
and lies over what follows from the seed.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import takewhile
from typing import TypeVar

from exporter.simulator.course import Attempt, Course, play_out
from exporter.simulator.definition import Action, Definition, Job, Key
from exporter.simulator.pipeline import Family, Head, Pipeline, family_of
from exporter.simulator.plan import Plan
from exporter.simulator.runs import SPAN
from exporter.simulator.spans import ADDED, Later, Spans
from exporter.simulator.world import DAY, GitLabProject

STIRRING = 2 * DAY
"""Seconds after its creation in which a pipeline moves by itself."""
BRANCH_KEPT = 30 * DAY
CHANGES_KEPT = 10_000

Numbered = TypeVar("Numbered", Plan, Pipeline)


@dataclass(frozen=True, slots=True)
class Overlay:
    """A family that somebody changed or added, and what it is played out from."""

    family: Family
    definition: Definition
    actions: tuple[Action, ...] = ()
    changed: tuple[Plan, ...] = ()
    """Jobs that were put in the place of those that were played out."""


class Seeded:
    """The pipelines of one project."""

    def __init__(self, project: GitLabProject, spans: Spans) -> None:
        self.project = project
        self._spans, self._scheme = spans, spans.scheme(project)
        self._overlays: dict[int, Overlay] = {}
        self._lock = threading.RLock()

    def newest(self, now: float, below: int | None = None) -> Iterator[Plan]:
        """Its jobs that exist at `now`, the newest first, without trigger jobs; with numbers under `below`."""
        last = int(now // SPAN) if below is None else min(int(now // SPAN), self._scheme.span(below))
        over = self._over([plan for pipeline in self._changed() for plan in pipeline.jobs])
        for span in range(last, self._spans.first - 1, -1):
            for plan in _laid_over(self._spans.plans(self.project, span), over.get(span, ()), self._overlays):
                if plan.created <= now and not plan.bridge and (below is None or plan.number < below):
                    yield plan

    def find(self, number: int, now: float) -> Plan | None:
        """The job of that number, a trigger job too."""
        span = self._scheme.span(number)
        over = (plan for pipeline in self._changed() for plan in pipeline.jobs)
        plans = [*self._base(self._spans.plans(self.project, span), span, now), *over]
        return next((plan for plan in plans if plan.number == number and plan.created <= now), None)

    def pipelines(self, now: float) -> Iterator[Pipeline]:
        """Its pipelines that exist at `now`, children too, the newest first."""
        over = self._over(list(self._changed()))
        for span in range(int(now // SPAN), self._spans.first - 1, -1):
            placed = _laid_over(self._spans.pipelines(self.project, span), over.get(span, ()), self._overlays)
            yield from (pipeline for pipeline in placed if pipeline.created <= now)

    def updated(self, now: float, since: float) -> Iterator[Pipeline]:
        """Those whose status moved since, the one that moved last first."""
        waiting: list[tuple[float, int, Pipeline]] = []

        def add(pipelines: Iterable[Pipeline]) -> None:
            for one in pipelines:
                if one.created <= now and (at := one.at(now).since) >= since:
                    heappush(waiting, (-at, -one.number, one))

        overlays = self._overlays
        add(self._changed())
        for span in range(int(now // SPAN), self._spans.first - 1, -1):
            if self._spans.settled(self.project, span) >= since:
                add(one for one in self._spans.pipelines(self.project, span) if one.family not in overlays)
            latest = span * SPAN + STIRRING  # that anything of an earlier span can have moved
            if latest < since:
                break
            while waiting and -waiting[0][0] > latest:
                yield heappop(waiting)[-1]
        while waiting:
            yield heappop(waiting)[-1]

    def find_pipeline(self, number: int, now: float) -> Pipeline | None:
        """The pipeline of that number."""
        span = self._scheme.span(number)
        pipelines = [*self._base(self._spans.pipelines(self.project, span), span, now), *self._changed()]
        return next((one for one in pipelines if one.number == number and one.created <= now), None)

    def branch(self, name: str, now: float) -> Head | None:
        """What the branch is at; None where there is none of that name."""
        gone = max((self._spans.start + at for one, at in self.project.gone if one == name), default=float("-inf"))
        gone = gone if gone <= now else float("-inf")
        some = takewhile(lambda one: one.created > max(gone, now - BRANCH_KEPT), self.pipelines(now))
        found = next((one.head for one in some if one.head.branch == name), None)
        return found or (Head("0" * 40, name) if name == self.project.habits.default else None)

    def family(self, pipeline: Pipeline) -> Family:
        """The pipeline that is no child of which it is or its parent is, and all children, created or yet to be."""
        overlay = self._overlays.get(pipeline.family)
        family = self._spans.family(self.project, pipeline.family) if overlay is None else overlay.family
        return family or ()

    def act(self, pipeline: Pipeline, action: Action) -> None:
        """Somebody does something to one of its pipelines."""
        with self._lock:
            overlay = self._overlay(pipeline.family)
            if overlay is not None:
                actions = (*overlay.actions, replace(action, key=pipeline.key))
                self._keep(self._played(replace(overlay, actions=actions)))

    def push(self, now: float) -> None:
        """Somebody pushes to the default branch: one more pipeline, of one job."""
        with self._lock:
            step = next(step for step in self.project.steps if not step.manual and not step.child)
            definition = Definition((Job(step.name, step.stage, lasts=step.median),))
            head = Head(f"{int(now * 1000):040x}", self.project.habits.default, pushed=now)
            family = family_of(play_out(definition, now), head, self._numbers(()))
            self._keep(Overlay(family, definition))

    def change(self, plan: Plan) -> None:
        """Puts `plan` in the place of the job with its number, and takes the status of its pipeline from that."""
        with self._lock:
            overlay = self._overlay(plan.family)
            if overlay is not None:
                changed = tuple(other for other in overlay.changed if other.number != plan.number)
                self._keep(_changed(replace(overlay, changed=(*changed, plan))))

    def _changed(self) -> Iterator[Pipeline]:
        """The pipelines that lie over what follows from the seed."""
        return (pipeline for overlay in self._overlays.values() for pipeline in overlay.family)

    def _over(self, rows: Iterable[Numbered]) -> dict[int, list[Numbered]]:
        """By the spans of their numbers."""
        spans: dict[int, list[Numbered]] = {}
        for row in rows:
            spans.setdefault(self._scheme.span(row.number), []).append(row)
        return spans

    def _base(self, rows: Iterable[Numbered], span: int, now: float) -> list[Numbered]:
        """Those that nothing lies over."""
        within = self._spans.first <= span <= now // SPAN
        return [row for row in rows if row.family not in self._overlays] if within else []

    def _keep(self, overlay: Overlay) -> None:
        overlays = {**self._overlays, overlay.family[0].number: overlay}
        while len(overlays) > CHANGES_KEPT:
            del overlays[next(iter(overlays))]
        self._overlays = overlays

    def _overlay(self, number: int) -> Overlay | None:
        """The family of the pipeline of that number as it is now."""
        known = self._overlays.get(number)
        if known is not None:
            return known
        family, found = self._spans.family(self.project, number), self._spans.definition(self.project, number)
        return None if family is None or found is None else Overlay(family, *found)

    def _played(self, overlay: Overlay) -> Overlay:
        """The family with all actions; what was there before keeps its number."""
        root = overlay.family[0]
        courses = play_out(overlay.definition, root.created, overlay.actions)
        family = family_of(courses, root.head, self._numbers(overlay.family))
        return _changed(replace(overlay, family=family))

    def _numbers(self, family: Family) -> "_Numbers":
        taken = list(self._changed())
        pipelines = Later(self._scheme, ADDED, (one.number for one in taken))
        jobs = Later(self._scheme, ADDED, (job.number for one in taken for job in one.jobs))
        return _Numbers(family, pipelines, jobs)


class _Numbers:
    """The numbers of a family that is played out again: new ones for what was not there before."""

    def __init__(self, family: Family, pipelines: Later, jobs: Later) -> None:
        self._pipelines, self._jobs = pipelines, jobs
        self._known_pipelines = {(one.key, one.created): one.number for one in family}
        self._known_jobs: dict[tuple[Key, str, float], list[int]] = {}
        for one in family:
            for job in one.jobs:
                self._known_jobs.setdefault((one.key, job.name, job.created), []).append(job.number)

    def pipeline(self, course: Course) -> int:
        """That of a pipeline."""
        known = self._known_pipelines.get((course.key, course.created))
        return self._pipelines.at(course.created) if known is None else known

    def job(self, attempt: Attempt) -> int:
        """That of an attempt at a job."""
        known = self._known_jobs.get((attempt.pipeline.key, attempt.job.name, attempt.created))
        return known.pop() if known else self._jobs.at(attempt.created)


def _changed(overlay: Overlay) -> Overlay:
    """With the jobs that were changed one by one in their places."""
    touched = {plan.run for plan in overlay.changed}
    family = (one.with_jobs(overlay.changed) if one.number in touched else one for one in overlay.family)
    return replace(overlay, family=tuple(family))


def _laid_over(rows: Iterable[Numbered], over: Iterable[Numbered], overlays: dict[int, Overlay]) -> Iterable[Numbered]:
    """`rows` without those of families that were changed, and with `over` among them, the newest first."""
    if not overlays:
        return rows
    merged = [row for row in rows if row.family not in overlays] + list(over)
    return sorted(merged, key=lambda row: row.number, reverse=True)
