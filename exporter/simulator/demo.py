"""The world of the demo: two Northflank projects, a GitLab of today and the projects of an old one.

Mostly healthy, at different rates and durations, and one of each kind of trouble:
`service/platform/auth` is flaky, `service/shop/checkout` has a default branch that broke six hours ago,
`service/shop/search` has a build that hangs since four hours, `service/platform/docs` was built last nine days ago, and
`job/platform/seed-data` has never built. Of GitLab, `harbour/mobile-app` has child pipelines, `harbour/infra/terraform`
a gate that somebody plays sooner or later, `harbour/infra/runner-images` a nightly schedule.
"""

from exporter.simulator.definition import NEVER
from exporter.simulator.limit import Limit
from exporter.simulator.world import (
    AUDIT,
    BUILD,
    DAY,
    DEPLOY,
    E2E,
    HOUR,
    LINT,
    PIPELINES,
    STAGING,
    UNIT,
    Entity,
    Extra,
    GitLabProject,
    Habits,
    NorthflankProject,
    Step,
    World,
)

NO_BUILDS = Habits(0.0)
APPLY = Step("deploy", "apply", 60.0, manual=True)
SMOKE = Step("verify", "smoke", 45.0, delayed=120.0)
DEVICES = Step("test", "devices", 0.0, child=(Step("test", "android", 260.0), Step("test", "ios", 340.0)))
DEMO_LIMIT = Limit(2000, HOUR)
"""What each provider of the demo allows: more than it needs, so that what is left can be seen."""


def demo_world() -> World:
    """Always the same."""
    return World((_shop(), _platform()), _gitlab())


def _shop() -> NorthflankProject:
    def service(name: str, habits: Habits, kind: str = "combined", tags: tuple[str, ...] = ()) -> Entity:
        return Entity(name, "shop", "service", kind, habits, tags)

    # Five failures that are not left to chance: by that many the alert fires for sure.
    failures = tuple(Extra(-hours * HOUR, 190.0) for hours in (5.75, 4.5, 3.25, 2.0, 0.75))
    broken = Habits(2.0, 190.0, default_share=0.7, broken_from=-6 * HOUR, extras=failures)
    services = (
        service("web", Habits(24.0, 60.0, failure=0.05, steady=True), tags=("frontend",)),
        service("api", Habits(4.0, 210.0, failure=0.08), tags=("backend",)),
        service("checkout", broken, tags=("backend", "critical")),
        service("search", Habits(1.2, 420.0, failure=0.03, extras=(Extra(-4 * HOUR, NEVER),)), "build"),
        service("payments", Habits(1.5, 260.0, failure=0.02, default="master"), tags=("critical",)),
        service("storefront-cache", NO_BUILDS, "deployment"),
    )
    jobs = (
        Entity("image-resize", "shop", "job", "manual", Habits(1.0, 90.0, failure=0.1)),
        Entity("nightly-report", "shop", "job", "cron", Habits(0.4, 75.0, failure=0.04)),
    )
    return NorthflankProject("shop", "Shop", services, jobs, "All that a customer sees")


def _platform() -> NorthflankProject:
    def service(name: str, habits: Habits, kind: str = "combined") -> Entity:
        return Entity(name, "platform", "service", kind, habits, ("internal",))

    quiet = Habits(0.3, 60.0, failure=0.0, until=-9 * DAY, extras=(Extra(-9 * DAY, 62.0),))
    services = (
        service("gateway", Habits(2.0, 330.0, failure=0.06)),
        service("auth", Habits(3.0, 170.0, failure=0.4, flaky=0.85)),
        service("worker", Habits(38.0, 32.0, failure=0.03, steady=True)),
        service("docs", quiet, "build"),
        service("redis-proxy", NO_BUILDS, "deployment"),
    )
    jobs = (
        Entity("backup", "platform", "job", "cron", Habits(0.5, 120.0, failure=0.02)),
        Entity("seed-data", "platform", "job", "manual", NO_BUILDS),
    )
    return NorthflankProject("platform", "Platform", services, jobs)


def _gitlab() -> tuple[GitLabProject, ...]:
    nightly = Habits(0.25, 300.0, failure=0.05, default="master")
    apps = (
        (
            "harbour/storefront",
            (BUILD, UNIT, E2E, LINT, AUDIT, STAGING, DEPLOY, SMOKE),
            Habits(4.0, 180.0, failure=0.1, flaky=0.5, plays=0.4),
        ),
        (
            "harbour/mobile-app",
            (BUILD, UNIT, Step("test", "screenshots", 520.0), LINT, DEVICES),
            Habits(1.5, 240.0, failure=0.15),
        ),
        (
            "harbour/infra/terraform",
            (LINT, Step("test", "plan", 70.0), APPLY),
            Habits(2.0, 120.0, failure=0.04, plays=0.8),
        ),
        (
            "harbour/infra/runner-images",
            PIPELINES[3],
            Habits(0.8, 420.0, failure=0.07, default="master", nightly=2.25 * HOUR),
        ),
        ("legacy/billing", PIPELINES[1], Habits(0.6, 260.0, failure=0.12, default="master")),
        ("legacy/reports", PIPELINES[3], nightly),
    )
    archived = GitLabProject(2107, "harbour/archive/prototype", len(apps), PIPELINES[3], NO_BUILDS, archived=True)
    return (
        *(GitLabProject(2101 + n, path, n, steps, habits) for n, (path, steps, habits) in enumerate(apps)),
        archived,
    )
