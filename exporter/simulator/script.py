"""A GitLab project built by hand: what happens in it and when, and how it stands at any time.

    shop = Script("shop/web")
    run = shop.pipeline(
        [
            Job("compile", "build", lasts=40),
            Job("unit", lasts=90, ends=("failed", "success")),            # the first attempt fails, the next succeeds
            Job("tests").triggering([Job("a"), Job("b")], depend=True),   # a child pipeline
            Job("production", "deploy", when="manual"),                   # optional; a gate with allow_failure=False
        ],
        at=1000.0,
    )
    run.retry("unit", at=1600.0)
    run.play("production", at=9000.0)
    run.child("tests").cancel(at=1120.0)

    run.status(1200.0)                                     # "failed"
    run.updated_at(1200.0)                                 # since when it is: the moment at which the status moved
    [(job.name, job.at(1200.0).status) for job in run.jobs(1200.0)]
    Simulator(scripted(shop), clock=lambda: 1200.0)        # the same over the API

Everything follows from the script and a clock: nothing is random, and nothing that was asked before matters. All
moments are epoch seconds (any base will do), all other times are seconds.

- What a job does is in its `Job`: how long it is pending and runs, how each attempt ends, whether it is manual,
  delayed, may fail, needs others, is retried by GitLab (`retries=1`) or by a person some minutes later
  (`retries=1, retry_after=300`), or makes child pipelines.
- What people do is said of the pipeline: `play`, `retry`, `cancel`, `retry_all`; `child(…)` is the same for a child.
  What GitLab would refuse at that time (to play what runs, to retry what has not ended) has no effect and is kept in
  `refused`. `POST jobs/:id/play`, `retry` and `cancel` do the same at the simulator's clock.
- How GitLab takes that is in `course.py`: later stages wait, are skipped, and come back to life at a retry; a trigger
  job that is run again makes another child; a retry in a child sets the trigger job that depends on it running again.
  `lag` is the time from a job's move until its pipeline is processed: in between the pipeline still says what it said
  before, and the next stage is still `created`.
- `pipeline(source="schedule")` is a nightly, `tag=True` that of a tag, `merge_request=7` that of a merge request,
  `sha=` another pipeline of the same commit; `pipeline([], at=…)` has invalid YAML and has failed at once.
- `delete_branch("feature", at=…)` lets a branch go; a later push to it brings it back.
- Ids ascend with the moment of creation, and do not change when more is added later on.

`hooks.deliveries` has the webhooks of a script.
"""

import hashlib
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from exporter.simulator.course import Attempt, Course, Player
from exporter.simulator.definition import Action, Definition, Job, Key
from exporter.simulator.numbers import ascending
from exporter.simulator.pipeline import CHILD, Family, Head, Pipeline, family_of
from exporter.simulator.plan import Plan
from exporter.simulator.world import GitLabProject, Habits, World

T = TypeVar("T", Plan, Pipeline)


class ScriptedPipeline:
    """A pipeline of a script, or a child of one (`key`)."""

    def __init__(self, script: "Script", root: "_Root", key: Key = ()) -> None:
        self._script, self._root, self._key = script, root, key

    def play(self, job: str, at: float) -> "ScriptedPipeline":
        """Somebody plays a manual or delayed job."""
        return self._act(Action(at, "play", job, self._key))

    def retry(self, job: str, at: float) -> "ScriptedPipeline":
        """Somebody tries a job again that has ended."""
        return self._act(Action(at, "retry", job, self._key))

    def retry_all(self, at: float) -> "ScriptedPipeline":
        """Somebody tries all again that failed or was canceled."""
        return self._act(Action(at, "retry", None, self._key))

    def cancel(self, at: float, job: str | None = None) -> "ScriptedPipeline":
        """Somebody cancels the pipeline with its children, or one of its jobs."""
        return self._act(Action(at, "cancel", job, self._key))

    def child(self, trigger: str, nth: int = 0) -> "ScriptedPipeline":
        """The child that the nth attempt at that trigger job makes."""
        return ScriptedPipeline(self._script, self._root, (*self._key, (trigger, nth)))

    @property
    def record(self) -> Pipeline:
        """As it will have gone. Raises LookupError for a child that is never made."""
        found = [one for one in self._script.family_of(self._root) if one.key == self._key]
        if not found:
            raise LookupError(f"There is never a child pipeline {self._key}")
        return found[0]

    @property
    def id(self) -> int:
        """Its number in the API."""
        return self.record.number

    @property
    def refused(self) -> list[Action]:
        """What GitLab would not have taken, in the whole family."""
        return self._root.player().refused

    def exists(self, at: float) -> bool:
        """Whether it has been created."""
        return any(one.key == self._key and one.created <= at for one in self._script.family_of(self._root))

    def status(self, at: float) -> str:
        """What GitLab says of it."""
        return self.record.at(at).status

    def updated_at(self, at: float) -> float:
        """When its status moved last."""
        return self.record.at(at).since

    def jobs(self, at: float, *, retried: bool = False) -> list[Plan]:
        """The newest attempts at its jobs, the newest first; `retried`: all attempts."""
        return self.record.jobs_at(at, retried=retried)

    def job(self, name: str, nth: int = -1) -> Plan:
        """An attempt at one of its jobs or trigger jobs, as it will have gone; -1 is the last that will be."""
        attempts = sorted((job for job in self.record.jobs if job.name == name), key=lambda job: job.number)
        return attempts[nth]

    def _act(self, action: Action) -> "ScriptedPipeline":
        self._script.change(self._root, action)
        return self


class Script:
    """A project whose pipelines are written by hand.

    `lag` and `spacing` are those of its pipelines (`Definition`). Of several scripts in one world each needs an `id`
    and an `index` (under 64) of its own, so that ids are unique.
    """

    def __init__(  # noqa: PLR0913 - what a project is
        self,
        path: str = "group/app",
        *,
        id: int = 1,  # noqa: A002 - GitLab's word
        index: int = 0,
        default_branch: str = "main",
        topics: Iterable[str] = (),
        archived: bool = False,
        former: Iterable[str] = (),
        lag: float = 0.3,
        spacing: float = 0.004,
    ) -> None:
        self.project = GitLabProject(
            id, path, index, (), Habits(0.0, default=default_branch), archived,
            topics=tuple(topics), former=tuple(former), script=self,
        )  # fmt: skip
        self._lag, self._spacing = lag, spacing
        self._roots: list[_Root] = []
        self._gone: list[tuple[float, str]] = []
        self._lock = threading.RLock()
        self._compiled: _Compiled | None = None

    def pipeline(  # noqa: PLR0913 - what a pipeline is
        self,
        jobs: Iterable[Job],
        *,
        at: float,
        ref: str | None = None,
        sha: str | None = None,
        source: str = "push",
        tag: bool = False,
        merge_request: int | None = None,
        lag: float | None = None,
        spacing: float | None = None,
    ) -> ScriptedPipeline:
        """Adds one, created at `at`: by default of a new commit on the default branch."""
        with self._lock:
            name = f"{self.project.path}/{len(self._roots)}"
            sha = sha or hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
            ref = ref or self.project.habits.default
            if merge_request is not None:
                ref, source = f"refs/merge-requests/{merge_request}/head", "merge_request_event"
            head = Head(sha, ref, source, tag, merge_request, at)
            lag, spacing = self._lag if lag is None else lag, self._spacing if spacing is None else spacing
            root = _Root(Definition(tuple(jobs), lag, spacing), at, head)
            self._roots.append(root)
            self._compiled = None
            return ScriptedPipeline(self, root)

    def delete_branch(self, name: str, at: float) -> None:
        """Lets a branch go."""
        self._gone.append((at, name))

    def newest(self, now: float, below: int | None = None) -> Iterator[Plan]:
        """Its jobs that exist at `now`, the newest first, without trigger jobs; with numbers under `below`."""
        plans = self._now.plans
        end = bisect_right(plans, now, key=lambda plan: plan.created)
        if below is not None:
            end = min(end, bisect_left(plans, below, key=lambda plan: plan.number))
        return (plan for plan in _reversed(plans, end) if not plan.bridge)

    def find(self, number: int, now: float) -> Plan | None:
        """The job of that number, a trigger job too."""
        return _found(self._now.plans, number, now)

    def pipelines(self, now: float) -> Iterator[Pipeline]:
        """Its pipelines that exist at `now`, children too, the newest first."""
        pipelines = self._now.pipelines
        return _reversed(pipelines, bisect_right(pipelines, now, key=lambda pipeline: pipeline.created))

    def updated(self, now: float, since: float) -> Iterator[Pipeline]:
        """Those whose status moved since, the one that moved last first."""
        moved = [(pipeline.at(now).since, pipeline.number, pipeline) for pipeline in self.pipelines(now)]
        return (pipeline for at, _, pipeline in sorted(moved, reverse=True) if at >= since)

    def find_pipeline(self, number: int, now: float) -> Pipeline | None:
        """The pipeline of that number."""
        return _found(self._now.pipelines, number, now)

    def act(self, pipeline: Pipeline, action: Action) -> None:
        """Somebody does something to one of its pipelines."""
        with self._lock:
            place = next(n for n, family in enumerate(self._now.families) if family[0].number == pipeline.family)
            self.change(self._roots[place], replace(action, key=pipeline.key))

    def push(self, now: float) -> None:
        """Somebody pushes to the default branch: one more pipeline, of one job."""
        self.pipeline([Job("compile", "build")], at=now)

    def branch(self, name: str, now: float) -> Head | None:
        """What the branch is at; None where there is none of that name."""
        gone = max((at for at, one in self._gone if one == name and at <= now), default=float("-inf"))
        for one in self.pipelines(now):
            if one.head.branch == name and one.created > gone and one.source != CHILD:
                return one.head
        default = name == self.project.habits.default and gone == float("-inf")
        return Head("0" * 40, name) if default else None

    def family(self, pipeline: Pipeline) -> Family:
        """The pipeline that is no child of which it is or its parent is, and all children, created or yet to be."""
        return next((family for family in self._now.families if family[0].number == pipeline.family), ())

    def family_of(self, root: "_Root") -> Family:
        """The pipeline that was written down, and its children."""
        with self._lock:
            return self._now.families[self._roots.index(root)]

    def change(self, root: "_Root", action: Action) -> None:
        """Adds an action."""
        with self._lock:
            root.actions.append(action)
            root.played = None
            self._compiled = None

    @property
    def _now(self) -> "_Compiled":
        with self._lock:
            if self._compiled is None:
                self._compiled = _compiled(self._roots, self.project.index)
            return self._compiled


def scripted(*scripts: Script) -> World:
    """A world of these projects."""
    return World(gitlab=tuple(script.project for script in scripts))


class _Root:
    """A pipeline as it was written down, and what people do to its family."""

    def __init__(self, definition: Definition, at: float, head: Head) -> None:
        self.definition, self.at, self.head = definition, at, head
        self.actions: list[Action] = []
        self.played: Player | None = None

    def player(self) -> Player:
        """Its family, played out."""
        if self.played is None:
            self.played = Player(self.definition, self.at, self.actions)
        return self.played


@dataclass(frozen=True, slots=True)
class _Compiled:
    """All that a script comes to, by ascending numbers."""

    families: list[Family]
    pipelines: list[Pipeline]
    plans: list[Plan]


class _Numbers:
    """Numbers that were given beforehand, over all families."""

    def __init__(self, players: Sequence[Player], index: int) -> None:
        courses = sorted((one for player in players for one in player.courses), key=lambda one: one.created)
        attempts = sorted((one for course in courses for one in course.attempts), key=lambda one: one.created)
        self._courses = dict(zip(map(id, courses), ascending([one.created for one in courses], index), strict=True))
        self._jobs = dict(zip(map(id, attempts), ascending([one.created for one in attempts], index), strict=True))

    def pipeline(self, course: Course) -> int:
        """That of a pipeline."""
        return self._courses[id(course)]

    def job(self, attempt: Attempt) -> int:
        """That of an attempt at a job."""
        return self._jobs[id(attempt)]


def _compiled(roots: Sequence[_Root], index: int) -> _Compiled:
    players = [root.player() for root in roots]
    numbers = _Numbers(players, index)
    families = [family_of(player.courses, root.head, numbers) for root, player in zip(roots, players, strict=True)]
    pipelines = sorted((one for family in families for one in family), key=lambda one: one.number)
    plans = sorted((plan for one in pipelines for plan in one.jobs), key=lambda plan: plan.number)
    return _Compiled(families, pipelines, plans)


def _found(rows: Sequence[T], number: int, now: float) -> T | None:
    place = bisect_left(rows, number, key=lambda row: row.number)
    found = rows[place] if place < len(rows) else None
    return found if found is not None and found.number == number and found.created <= now else None


def _reversed(rows: Sequence[T], end: int) -> Iterator[T]:
    return (rows[place] for place in range(end - 1, -1, -1))
