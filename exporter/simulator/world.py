"""What exists in the simulated providers: projects, services, jobs and pipelines, and how each of them tends to build.

Times here are seconds from the moment at which the simulator starts, so that "broken for six hours" stays true whenever
a demo is begun. Nothing else about a world depends on a clock.
"""

import random
from dataclasses import dataclass

from exporter.simulator.definition import NEVER
from exporter.simulator.pipeline import Builds

HOUR = 3600.0
DAY = 24 * HOUR

TEAM = "harbour"
"""The only team: `/v1/teams/harbour/…` answers what `/v1/…` does."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A build (GitLab: the only job of a pipeline) that is not left to chance; always on the default branch."""

    at: float
    """When it is created, in seconds from the simulator's start; negative is before."""
    run: float
    """How many seconds it runs; `NEVER` is stuck."""
    succeeds: bool = True


@dataclass(frozen=True, slots=True)
class Habits:
    """How a target tends to build."""

    per_hour: float
    """The mean number of runs in an hour; 0 never builds."""
    median: float = 180.0
    """Seconds that a Northflank build runs; of GitLab, a factor of 180 to the medians of the jobs."""
    failure: float = 0.06
    """The share of runs that do not succeed."""
    flaky: float = 0.15
    """The share of failures after which the same commit is built again."""
    steady: bool = False
    """Runs follow each other at even intervals, rather than at random."""
    default: str = "main"
    """The default branch."""
    default_share: float = 0.55
    """The share of runs on the default branch."""
    broken_from: float = NEVER
    """From then on every run of the default branch fails; seconds from the start."""
    until: float = NEVER
    """From then on nothing is built; seconds from the start."""
    plays: float = 0.0
    """GitLab: the share of manual jobs that somebody plays, minutes or hours later."""
    nightly: float | None = None
    """GitLab: a schedule that runs the pipeline of the default branch once a day, so many seconds after midnight."""
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class Entity:
    """A service or a job of a Northflank project."""

    id: str
    project: str
    kind: str
    """`service` or `job`."""
    type: str
    """Services: `combined`, `build` or `deployment`; jobs: `manual` or `cron`."""
    habits: Habits
    tags: tuple[str, ...] = ()
    suspended: bool = False

    @property
    def key(self) -> str:
        """`service/shop/web`, unique among the targets of Northflank."""
        return f"{self.kind}/{self.project}/{self.id}"

    def __hash__(self) -> int:
        return hash(self.key)  # not of all fields: a script may have thousands of builds

    @property
    def name(self) -> str:
        """As a person reads it."""
        return self.id.replace("-", " ").capitalize()


@dataclass(frozen=True, slots=True)
class NorthflankProject:
    """A project of Northflank."""

    id: str
    name: str
    services: tuple[Entity, ...]
    jobs: tuple[Entity, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A job as the pipeline's definition has it."""

    stage: str
    name: str
    median: float
    """Seconds."""
    allow_failure: bool = False
    manual: bool = False
    """Waits for a person: as a gate, or beside the way where it may fail."""
    delayed: float = 0.0
    """For how many seconds it is `scheduled`."""
    child: tuple["Step", ...] = ()
    """Makes it a trigger job that ends as its child pipeline does, which has these jobs."""


@dataclass(frozen=True, slots=True)
class GitLabProject:
    """A project of GitLab. `index` counts the projects of the world from 0: ids are told apart by it."""

    id: int
    path: str
    index: int
    steps: tuple[Step, ...]
    """In the order of their stages."""
    habits: Habits
    archived: bool = False
    jobs_enabled: bool = True
    topics: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    """Paths that it had before it was renamed."""
    gone: tuple[tuple[str, float], ...] = ()
    """Branches that were deleted, and when, in seconds from the start; a later push brings one back."""
    script: Builds | None = None
    """Its pipelines, where they are written by hand; otherwise they follow from its steps and habits."""

    @property
    def key(self) -> str:
        """`project/shop/web`, unique among the targets of GitLab."""
        return f"project/{self.path}"

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class World:
    """All that the simulator knows of."""

    northflank: tuple[NorthflankProject, ...] = ()
    gitlab: tuple[GitLabProject, ...] = ()


BUILD, UNIT, LINT = Step("build", "compile", 95.0), Step("test", "unit", 170.0), Step("test", "lint", 40.0)
E2E, AUDIT = Step("test", "end-to-end", 320.0), Step("test", "audit", 35.0, allow_failure=True)
DEPLOY = Step("deploy", "production", 60.0, allow_failure=True, manual=True)
STAGING = Step("deploy", "staging", 75.0)
PIPELINES = (
    (BUILD, UNIT, LINT, AUDIT, STAGING, DEPLOY),
    (BUILD, UNIT, E2E, LINT, STAGING),
    (LINT, Step("test", "plan", 60.0), DEPLOY),
    (BUILD, UNIT),
)


def world(
    northflank_projects: int = 1, services: int = 10, jobs: int = 4, gitlab_projects: int = 4, seed: int = 1
) -> World:
    """A world of any size, equal for equal arguments.

    `services` and `jobs` are those of each Northflank project. `services` counts the ones that build: for every ten
    there is a `deployment` one beside them, which does not. Every fifth job has no builds. GitLab projects are spread
    over `group-N` and `group-N/sub`, ten to a group.
    """
    dice = random.Random(seed)  # noqa: S311
    return World(
        tuple(_some_project(f"project-{n}", services, jobs, dice) for n in range(northflank_projects)),
        tuple(
            GitLabProject(
                id=1001 + n,
                path=f"group-{n // 10}/{'sub/' if n % 3 == 2 else ''}app-{n}",  # noqa: PLR2004
                index=n,
                steps=PIPELINES[n % len(PIPELINES)],
                habits=_some_habits(dice, 1.0),
            )
            for n in range(gitlab_projects)
        ),
    )


def _some_project(name: str, services: int, jobs: int, dice: random.Random) -> NorthflankProject:
    built = [
        Entity(f"service-{n}", name, "service", "build" if n % 4 == 3 else "combined", _some_habits(dice, 2.0))  # noqa: PLR2004
        for n in range(services)
    ]
    idle = [Entity(f"image-{n}", name, "service", "deployment", Habits(0.0)) for n in range((services + 9) // 10)]
    some = [
        Entity(f"job-{n}", name, "job", "cron", Habits(0.0) if n % 5 == 4 else _some_habits(dice, 1.0))  # noqa: PLR2004
        for n in range(jobs)
    ]
    return NorthflankProject(name, name.capitalize(), tuple(built + idle), tuple(some))


def _some_habits(dice: random.Random, per_hour: float) -> Habits:
    return Habits(
        per_hour=per_hour * dice.lognormvariate(-0.32, 0.8),
        median=dice.lognormvariate(5.2, 0.5),
        failure=dice.uniform(0.01, 0.2),
        flaky=dice.uniform(0.0, 0.4),
        default=dice.choice(("main", "main", "main", "master")),
    )
