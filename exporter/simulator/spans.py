"""The families of pipelines that begin in a span of time, as a function of the seed, the project and the span. Pure.

A number is `2 * (((tick * projects + project) * 5 + kind) * 32 + place) + 2^32`. Ticks are quarters of a second. A run
begins at a multiple of 16 of them, and the numbers of its first attempts follow from there: up to 512 jobs. `kind` is 0
for those, 1 to 3 in turn for what the runs of three neighbouring spans create later (retries, children), 4 for what
callers add. Numbers ascend with the moment of creation, and none is given twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from exporter.simulator import fates
from exporter.simulator.course import Attempt, Course, play_out
from exporter.simulator.definition import Action, Definition
from exporter.simulator.numbers import BASE, TICKS
from exporter.simulator.pipeline import Family, Head, Pipeline, family_of
from exporter.simulator.plan import Plan
from exporter.simulator.runs import SLOT, SPAN, Run, Runs
from exporter.simulator.world import DAY, GitLabProject

KINDS = 5
ADDED = 4
PLACES = 32
"""Numbers of a project in one tick, of each kind."""
REACH = 14 * DAY
"""How long before the simulator's start the past begins."""
SPANS_KEPT = 1 << 15


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the numbers of one project are made, which is the `index`th of so many."""

    projects: int
    index: int

    def number(self, tick: int, kind: int, place: int) -> int:
        """The number in that place."""
        return 2 * (BASE + ((tick * self.projects + self.index) * KINDS + kind) * PLACES + place)

    def span(self, number: int) -> int:
        """The span in which it was given."""
        return (number // 2 - BASE) // PLACES // KINDS // self.projects // TICKS // SPAN

    def slot(self, number: int) -> int:
        """The slot of its span."""
        return (number // 2 - BASE) // PLACES // KINDS // self.projects % (SPAN * TICKS) // SLOT


class Later:
    """Numbers of what is created after the run itself: the first free place of the tick, or of one that follows."""

    def __init__(self, scheme: Scheme, kind: int, taken: Iterable[int] = ()) -> None:
        self._scheme, self._kind, self._taken = scheme, kind, set(taken)

    def at(self, created: float) -> int:
        """The next number for something created then."""
        place = int(created * TICKS) * PLACES
        while (number := self._scheme.number(place // PLACES, self._kind, place % PLACES)) in self._taken:
            place += 1
        self._taken.add(number)
        return number


class FirstNumbers:
    """The numbers of a family that follows from the seed."""

    def __init__(self, scheme: Scheme, at: float, pipelines: Later, jobs: Later) -> None:
        self._scheme, self._pipelines, self._jobs = scheme, pipelines, jobs
        self._place = int(at * TICKS) * PLACES

    def pipeline(self, course: Course) -> int:
        """That of a pipeline."""
        return self._pipelines.at(course.created) if course.key else self._scheme.number(self._place // PLACES, 0, 0)

    def job(self, attempt: Attempt) -> int:
        """That of an attempt at a job."""
        if attempt.pipeline.key or attempt.nth:
            return self._jobs.at(attempt.created)
        place, self._place = self._place, self._place + 1
        return self._scheme.number(place // PLACES, 0, place % PLACES)


class Spans:
    """What follows from the seed for each project and span, kept in caches of bounded size."""

    def __init__(self, runs: Runs, projects: int) -> None:
        self._runs, self._projects = runs, projects
        self.first = int(max(0.0, runs.start - REACH) // SPAN)
        """The span in which the past begins."""
        self.start = runs.start
        self.begun = lru_cache(SPANS_KEPT)(self._begin)
        self.plans = lru_cache(SPANS_KEPT)(self._place)
        self.pipelines = lru_cache(SPANS_KEPT)(self._place_pipelines)
        self.settled = lru_cache(SPANS_KEPT)(self._settle)

    def scheme(self, project: GitLabProject) -> Scheme:
        """How its numbers are made."""
        return Scheme(self._projects, project.index)

    def family(self, project: GitLabProject, number: int) -> Family | None:
        """The family of the pipeline of that number, which is no child."""
        span = self.scheme(project).span(number)
        families = self.begun(project, span) if span >= self.first else ()
        return next((family for family in families if family[0].number == number), None)

    def definition(self, project: GitLabProject, number: int) -> tuple[Definition, tuple[Action, ...]] | None:
        """What that pipeline is played out from."""
        span, wanted = self.scheme(project).span(number), self.scheme(project).slot(number)
        runs = self._runs.of(project, span)
        return next((self._set_off(project, span, slot, run) for slot, run in runs if slot == wanted), None)

    def _set_off(self, project: GitLabProject, span: int, slot: int, run: Run) -> tuple[Definition, tuple[Action, ...]]:
        dice = Random(f"{self._runs.seed}/{project.key}/{span}/{slot}")  # noqa: S311
        return fates.gitlab(run, project.steps, project.habits, dice)

    def _begin(self, project: GitLabProject, span: int) -> tuple[Family, ...]:
        """The families of the runs that begin in `span`."""
        scheme = self.scheme(project)
        pipelines, jobs = Later(scheme, 1 + span % 3), Later(scheme, 1 + span % 3)
        families = []
        for slot, run in self._runs.of(project, span):
            definition, actions = self._set_off(project, span, slot, run)
            courses = play_out(definition, run.at, actions)
            families.append(family_of(courses, head_of(run), FirstNumbers(scheme, run.at, pipelines, jobs)))
        return tuple(families)

    def _lately(self, project: GitLabProject, span: int) -> Iterable[Family]:
        """What has numbers in `span` began in it or in one of the two before."""
        earlier = range(max(span - 2, self.first), span + 1)
        return (family for begun in earlier for family in self.begun(project, begun))

    def _place(self, project: GitLabProject, span: int) -> tuple[Plan, ...]:
        """The jobs whose numbers lie in `span`, the newest first."""
        scheme = self.scheme(project)
        pipelines = (pipeline for family in self._lately(project, span) for pipeline in family)
        plans = [plan for pipeline in pipelines for plan in pipeline.jobs if scheme.span(plan.number) == span]
        return tuple(sorted(plans, key=lambda plan: plan.number, reverse=True))

    def _place_pipelines(self, project: GitLabProject, span: int) -> tuple[Pipeline, ...]:
        """The pipelines whose numbers lie in `span`, the newest first."""
        scheme = self.scheme(project)
        some = (pipeline for family in self._lately(project, span) for pipeline in family)
        placed = [pipeline for pipeline in some if scheme.span(pipeline.number) == span]
        return tuple(sorted(placed, key=lambda pipeline: pipeline.number, reverse=True))

    def _settle(self, project: GitLabProject, span: int) -> float:
        """When the last of the pipelines with numbers in `span` moves last, epoch seconds."""
        return max((pipeline.steps[-1][0] for pipeline in self.pipelines(project, span)), default=0.0)


def head_of(run: Run) -> Head:
    """What the pipelines of a run are of."""
    return Head(run.sha, run.ref, run.source, run.tag, run.pull_request, run.at)
