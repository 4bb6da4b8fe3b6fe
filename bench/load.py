"""Who builds what, and when: the worlds of the measurements, each a function of its arguments."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from math import log
from random import Random

from exporter.simulator import World
from exporter.simulator.history import History
from exporter.simulator.world import DAY, HOUR, Entity, Extra, GitLabProject, Habits, NorthflankProject, Step

START = 1_767_225_600.0
"""Midnight of 2026-01-01, UTC: the moment from which the worlds count."""
SIGMA = 0.6
FAILING = 0.06
SLOT = 4
"""Seconds: of a target, the simulator begins one run in each."""
SERVICES, JOBS = 20, 10
CLUSTER = 5
CLUSTER_SPREAD = 120.0
"""Seconds within which the builds of a cluster come."""

STEPS = (
    *(Step("build", f"compile-{n}", 60.0 + 20 * n) for n in range(3)),
    *(Step("test", f"test-{n}", 60.0 + 12 * n) for n in range(5)),
    *(Step("package", f"package-{n}", 70.0) for n in range(2)),
    *(Step("deploy", f"staging-{n}", 90.0) for n in range(2)),
    *(Step("deploy", f"production-{n}", 60.0, allow_failure=True, manual=True) for n in range(2)),
)
"""Twelve jobs in four stages, and two that wait for a person."""


def zipf(size: int) -> list[float]:
    """The shares of `size` ranks whose weights are 1, 1/2, 1/3 and so on."""
    weights = [1 / rank for rank in range(1, size + 1)]
    return [weight / sum(weights) for weight in weights]


def clustered(*, per_hour: float, median: float, hours: float, seed: int = 1) -> World:
    """Two Northflank projects whose builds come in clusters, for a week before the start and `hours` after it.

    `median` is that of the time that a build runs, in seconds; about 30 more go to queue, clone and upload.
    """
    dice = Random(f"clustered/{seed}")
    names = [("service", n) for n in range(SERVICES)] + [("job", n) for n in range(JOBS)]
    dice.shuffle(names)
    bounds = list(accumulate(zipf(len(names))))
    extras: dict[tuple[str, int], dict[int, Extra]] = {name: {} for name in names}
    for at in _cluster_builds(per_hour, hours, dice):
        place = min(_place(bounds, dice.random()), len(names) - 1)
        slots = extras[names[place]]
        slot = int(at // SLOT)
        while slot in slots:
            slot += 1
        run = max(1.0, dice.lognormvariate(log(median), SIGMA))
        slots[slot] = Extra(float(slot * SLOT), run, succeeds=dice.random() >= FAILING)
    return World(tuple(_northflank_project(f"project-{n}", n, extras) for n in range(2)))


def _cluster_builds(per_hour: float, hours: float, dice: Random) -> Iterator[float]:
    """When builds begin, in seconds from the start: a Poisson process, given that its mean is met in both periods."""
    for begin, end in ((-7 * DAY, 0.0), (0.0, hours * HOUR)):
        for _ in range(round(per_hour / CLUSTER * (end - begin) / HOUR)):
            at = dice.uniform(begin, end - CLUSTER_SPREAD)
            yield from (at + dice.uniform(0, CLUSTER_SPREAD) for _ in range(CLUSTER))


@dataclass(frozen=True, slots=True)
class Size:
    """How many projects a Northflank has, and how many services and jobs each of them."""

    projects: int
    services: int
    jobs: int


def northflank(  # noqa: PLR0913  # how large, how busy, for how long; the rest has a default
    size: Size,
    *,
    per_hour: float,
    hours: float,
    seed: int,
    before: tuple[float, float] = (0.0, 0.0),
    cluster: int = CLUSTER,
) -> World:
    """A Northflank whose builds come in clusters as those of `clustered` do, with `per_hour` in the past week too.

    `before`: builds an hour before the load changes (also in the past week), and the hours after which it does.
    """
    dice = Random(f"northflank/{seed}")
    names = [
        (kind, f"{kind}-{project}-{n}", project)
        for project in range(size.projects)
        for kind, number in (("service", size.services), ("job", size.jobs))
        for n in range(number)
    ]
    dice.shuffle(names)
    bounds = list(accumulate(zipf(len(names))))
    slots: dict[str, dict[int, Extra]] = {name: {} for _kind, name, _project in names}
    early, change = before if before[1] else (per_hour, 0.0)
    periods = ((-7 * DAY, change * HOUR, early), (change * HOUR, hours * HOUR, per_hour))
    for begin, end, rate in periods:
        for at in _clusters(rate, cluster, begin, end, dice):
            _kind, name, _project = names[min(_place(bounds, dice.random()), len(names) - 1)]
            slot = int(at // SLOT)
            while slot in slots[name]:
                slot += 1
            run = max(1.0, dice.lognormvariate(log(180.0), SIGMA))
            slots[name][slot] = Extra(float(slot * SLOT), run, succeeds=dice.random() >= FAILING)

    def of(project: int, kind: str, type_: str) -> tuple[Entity, ...]:
        mine = sorted(name for of_kind, name, of_project in names if (of_kind, of_project) == (kind, project))
        return tuple(Entity(name, f"project-{project}", kind, type_, _scripted(slots[name])) for name in mine)

    return World(
        tuple(
            NorthflankProject(f"project-{n}", f"project-{n}", of(n, "service", "combined"), of(n, "job", "manual"))
            for n in range(size.projects)
        )
    )


def _clusters(per_hour: float, size: int, begin: float, end: float, dice: Random) -> Iterator[float]:
    """When builds begin: clusters at random moments, as many as the rate gives on average."""
    at = begin
    while per_hour and (at := at + dice.expovariate(per_hour / size / HOUR)) < end - CLUSTER_SPREAD:
        yield from (at + dice.uniform(0, CLUSTER_SPREAD) for _ in range(size))


def _place(bounds: list[float], throw: float) -> int:
    return next((place for place, bound in enumerate(bounds) if throw < bound), len(bounds))


def _northflank_project(name: str, number: int, extras: dict[tuple[str, int], dict[int, Extra]]) -> NorthflankProject:
    entities = [
        Entity(f"{kind}-{n}", name, kind, "combined" if kind == "service" else "manual", _scripted(slots))
        for (kind, n), slots in sorted(extras.items())
        if n % 2 == number
    ]
    services = tuple(entity for entity in entities if entity.kind == "service")
    return NorthflankProject(name, name, services, tuple(entity for entity in entities if entity.kind == "job"))


def _scripted(slots: dict[int, Extra]) -> Habits:
    return Habits(0.0, flaky=0.0, extras=tuple(slots[slot] for slot in sorted(slots)))


def pipelines(*, projects: int, per_hour: float, hours: float, seed: int = 1) -> World:
    """GitLab projects of one group with `per_hour` pipelines among them, `hours` after the start none any more.

    The seed is part of the paths, from which follows what each project builds.
    """
    return World(
        gitlab=tuple(
            GitLabProject(
                id=1001 + n,
                path=f"bench/app-{n}" if seed == 1 else f"bench/app-{seed}-{n}",
                index=n,
                steps=STEPS,
                habits=Habits(per_hour * share, until=hours * HOUR),
            )
            for n, share in enumerate(zipf(projects))
        )
    )


def play(world: World, history: History, *, per_hour: float, hours: float, seed: int = 1) -> frozenset[str]:
    """Now and then somebody plays a job that waited for hours: the ids of those jobs."""
    dice = Random(f"play/{seed}")
    bounds = list(accumulate(zipf(len(world.gitlab))))
    played: set[str] = set()
    at = 0.0
    while per_hour and (at := at + dice.expovariate(per_hour / HOUR)) < hours * HOUR:
        project = world.gitlab[min(_place(bounds, dice.random()), len(world.gitlab) - 1)]
        now = START + at
        waiting = (plan for plan in history.newest(project, now) if plan.at(now).status == "manual")
        born = now - dice.uniform(1, 6) * HOUR
        plan = next((plan for plan in waiting if plan.created < born), None)
        if plan is None or plan.steps[-1][1] != "manual":
            continue
        running = now + dice.uniform(2, 10)
        steps = (*plan.steps, (now, "pending"), (running, "running"), (running + dice.uniform(30, 120), "success"))
        history.change(project, replace(plan, steps=steps))
        played.add(str(plan.number))
    return frozenset(played)
