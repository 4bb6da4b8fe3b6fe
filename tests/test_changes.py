"""Looks: one request shows what moved in many projects, and nothing is taken for read that is not."""

from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

import pytest
from scenes import SCRAPE, START, Scene
from structlog.testing import capture_logs

from exporter.build import Target
from exporter.history.statistics import statistics
from exporter.history.window import Rules
from exporter.polling.looks import LATEST_RETRY, LONGEST_JOB
from exporter.simulator import GraphQL, Job, Script, Simulator, faults, scripted
from exporter.simulator.faults import Effect
from exporter.simulator.message import Answer

LOOK = "/api/graphql"
IDLE_TTL = 300.0
UNIT = Job("unit", lasts=20.0)
BROKEN = Job("unit", lasts=20.0, ends="failed")


def shop(number: int, *pipelines: float) -> Script:
    """A project in which nothing has moved for hours, with such pipelines since (seconds after START)."""
    script = Script(f"shop/app-{number}", id=100 + number, index=number)
    script.pipeline([UNIT], at=START - 20_000)
    for at in pipelines:
        script.pipeline([UNIT], at=START + at)
    return script


@dataclass
class Projects:
    """An exporter that reads these projects."""

    scripts: tuple[Script, ...]
    source: dict[str, Any] = field(default_factory=dict)
    skew: float = 0.0
    """Seconds by which the exporter's clock is ahead of the server's."""

    def __post_init__(self) -> None:
        source = {"name": "gl", "provider": "gitlab", "groups": ["shop"]} | self.source
        self.scene = Scene(scripted(*self.scripts), sources=(source,), exposes=False)
        if self.skew:
            self.scene.simulator = Simulator(self.scene.world, clock=lambda: self.scene.clock() - self.skew)
            self.scene.simulator.faults.add("*", Effect(self._dated))
            self.scene.collector.configure(self.scene.settings())
        self.scene.collector.collect()

    def _dated(self, answer: Answer) -> Answer:
        return answer.with_headers({"date": formatdate(self.scene.clock() - self.skew, usegmt=True)})

    @property
    def graphql(self) -> GraphQL:
        assert self.scene.simulator.gitlab.graphql is not None
        return self.scene.simulator.gitlab.graphql

    @graphql.setter
    def graphql(self, graphql: GraphQL | None) -> None:
        self.scene.simulator.gitlab.graphql = graphql

    def scrapes(self, seconds: float) -> tuple[int, dict[str, int]]:
        """Scrape for so long: how many looks were asked, and how many requests for each project."""
        paths = [path for _at, path in self.scene.scrapes(seconds)]
        asked: dict[str, int] = {}
        for script in self.scripts:
            project = script.project
            count = sum(path.startswith(f"/api/v4/projects/{project.id}/") for path in paths)
            if count:
                asked[project.path] = count
        return paths.count(LOOK), asked

    def until(self, path: str, *, success: bool | None, within: float) -> float:
        """Seconds until the newest decided run of a project's main branch is shown so."""
        begun = self.scene.clock.now
        while self.succeeded(path) is not success:
            self.scene.scrape()
            assert self.scene.clock.now - begun <= within, f"{path} is not shown as {success}"
        return self.scene.clock.now - begun

    def succeeded(self, path: str) -> bool | None:
        target = next(one for one in self.scene.collector.targets() if one.name == path)
        found = [one for one in statistics(self.scene.collector.history(target), Rules()) if one.group[0] == "main"]
        return found[0].sequel.success if found else None

    def age(self, path: str) -> float:
        """Seconds since the project was last known to be as it is shown."""
        known = {each.target: each for each in self.scene.collector.snapshot().targets}
        refreshed_at = known[Target("gl", "project", path, path)].refreshed_at
        assert refreshed_at is not None
        return self.scene.clock.now - refreshed_at


def idle(count: int = 5, **more: Any) -> Projects:
    return Projects(tuple(shop(n) for n in range(count)), **more)


def test_idle_projects_are_looked_at_together_and_each_is_read_once_an_hour() -> None:
    projects = idle()
    looks, asked = projects.scrapes(3_500)
    assert (looks, asked) == (233, {})
    assert projects.age("shop/app-0") < 2 * SCRAPE
    _looks, asked = projects.scrapes(300)
    assert asked == {f"shop/app-{n}": 1 for n in range(5)}


def test_a_look_asks_for_a_hundred_projects_a_request() -> None:
    projects = Projects(tuple(shop(n) for n in range(60)) + tuple(_other(n) for n in range(60)))
    projects.scrapes(60)
    assert projects.scene.scrape().count(LOOK) == 2


def _other(number: int) -> Script:
    return Script(f"shop/other-{number}", id=300 + number, index=number % 64)


def test_what_moves_is_read_and_nothing_else() -> None:
    projects = idle()
    projects.scrapes(600)
    projects.scripts[3].pipeline([BROKEN], at=projects.scene.clock.now + 1)
    assert projects.until("shop/app-3", success=False, within=75) <= 75
    projects.scrapes(60)
    _looks, asked = projects.scrapes(900)
    assert asked == {}


def test_a_pipeline_that_ends_between_two_looks_is_seen() -> None:
    projects = idle()
    projects.scrapes(600)
    projects.scripts[1].pipeline([Job("unit", lasts=0.5, ends="failed")], at=projects.scene.clock.now + 1)
    assert projects.until("shop/app-1", success=False, within=2 * SCRAPE)


@pytest.mark.parametrize("skew", [600.0, -600.0])
def test_what_moves_is_seen_whatever_the_exporters_clock_shows(skew: float) -> None:
    projects = idle(skew=skew)
    projects.scrapes(600)
    projects.scripts[3].pipeline([BROKEN], at=projects.scene.clock.now - skew + 1)
    assert projects.until("shop/app-3", success=False, within=75)
    assert projects.scrapes(900)[0] == 60


def test_a_time_in_the_servers_future_hides_nothing_that_comes_later() -> None:
    projects = idle()
    projects.scrapes(60)
    future = faults.Effect(lambda answer: replace(answer, body=_in_a_year(answer.body)))
    projects.scripts[1].pipeline([UNIT], at=projects.scene.clock.now + 1)
    projects.scene.simulator.faults.add(LOOK, future, times=3)
    projects.scrapes(600)
    projects.scripts[3].pipeline([BROKEN], at=projects.scene.clock.now + 1)
    assert projects.until("shop/app-3", success=False, within=75)


def _in_a_year(body: bytes) -> bytes:
    return body.replace(b'"updatedAt":"2026', b'"updatedAt":"2027')


def test_a_manual_job_that_is_played_hours_later_is_seen() -> None:
    script = Script("shop/app-0", id=100)
    deploy = Job("deploy", "deploy", lasts=20, ends="failed", when="manual", allow_failure=False)
    run = script.pipeline([UNIT, deploy], at=START - 20_000)
    projects = Projects((script, shop(1)))
    projects.scrapes(2 * 3600)
    assert projects.succeeded("shop/app-0") is True
    run.play("deploy", at=projects.scene.clock.now + 5)
    assert projects.until("shop/app-0", success=False, within=75)


def test_the_first_red_child_of_a_project_is_seen_while_its_parent_runs() -> None:
    script = shop(0)
    projects = Projects((script, shop(1)))
    projects.scrapes(600)
    child = Job("tests", lasts=1).triggering([BROKEN])
    script.pipeline([child, Job("slow", lasts=3_000)], at=projects.scene.clock.now + 1)
    assert projects.until("shop/app-0", success=False, within=90)


def test_where_graphql_is_refused_the_first_red_child_is_seen_once_its_parent_has_ended() -> None:
    script = shop(0)
    projects = Projects((script, shop(1)))
    projects.graphql = None
    projects.scrapes(600)
    script.pipeline([Job("tests", lasts=1).triggering([BROKEN])], at=projects.scene.clock.now + 1)
    assert projects.until("shop/app-0", success=False, within=IDLE_TTL + 2 * SCRAPE)


def test_a_project_that_a_look_does_not_show_is_read_by_itself() -> None:
    projects = idle()
    projects.graphql = GraphQL(unseen=frozenset({102}))
    _looks, asked = projects.scrapes(1_500)
    assert set(asked) == {"shop/app-2"}
    assert asked["shop/app-2"] >= 4
    projects.scripts[2].pipeline([BROKEN], at=projects.scene.clock.now + 1)
    assert projects.until("shop/app-2", success=False, within=IDLE_TTL + 2 * SCRAPE)


def test_a_project_whose_pipelines_a_look_may_not_see_is_read_within_the_hour() -> None:
    projects = idle()
    projects.graphql = GraphQL(empty=frozenset({102}))
    projects.scrapes(600)
    projects.scripts[2].pipeline([BROKEN], at=projects.scene.clock.now + 1)
    assert projects.until("shop/app-2", success=False, within=3_600)


def test_a_project_that_cannot_be_read_any_more_is_down_though_looks_show_it() -> None:
    projects = idle()
    projects.scrapes(60)
    projects.scene.simulator.faults.add("/api/v4/projects/102/*", faults.instead(403))
    projects.scrapes(3_600)
    assert projects.scene.collector.snapshot().targets[2].up is False
    assert projects.scene.up["shop/app-2"] == 0.0
    assert projects.scene.up["shop/app-1"] == 1.0


def test_where_more_moved_than_a_look_shows_the_project_is_read() -> None:
    script = shop(0)
    projects = Projects((script, shop(1)))
    projects.scrapes(600)
    now = projects.scene.clock.now
    for n in range(30):
        script.pipeline([BROKEN if n == 0 else UNIT], at=now + 1 + n / 10, ref="main" if n == 0 else f"feature-{n}")
    assert projects.until("shop/app-0", success=False, within=120)


def _warnings(logs: list[Any]) -> list[str]:
    return [line["event"] for line in logs if line["log_level"] == "warning"]


REFUSED = "GraphQL is refused, so each project is asked by itself"


@pytest.mark.parametrize(
    "refusal",
    [None, GraphQL(without=frozenset({"Project.pipelines.updatedAfter"})), faults.instead(403), faults.instead(301)],
)
def test_a_server_that_has_no_such_request_is_asked_once_a_day(refusal: Any) -> None:
    projects = idle(3)
    with capture_logs() as logs:
        if refusal is None or isinstance(refusal, GraphQL):
            projects.graphql = refusal
        else:
            projects.scene.simulator.faults.add(LOOK, refusal)
        looks, asked = projects.scrapes(3_600)
        assert looks == 1
        assert all(count >= 10 for count in asked.values())
        assert len(asked) == 3
        assert max(projects.age(f"shop/app-{n}") for n in range(3)) <= IDLE_TTL + SCRAPE
        projects.scene.clock.now += LATEST_RETRY
        assert projects.scrapes(600)[0] == 1
    assert _warnings(logs) == [REFUSED]


def test_a_server_that_answers_for_fewer_projects_is_asked_for_fewer() -> None:
    projects = idle(50)
    projects.graphql = GraphQL(most_projects=20)
    with capture_logs() as logs:
        looks, asked = projects.scrapes(SCRAPE)
        assert (looks, asked) == (1 + 1 + 5, {})  # 50, 25, and then by 12
        looks, asked = projects.scrapes(600)
        assert asked == {}
    assert _warnings(logs) == ["GraphQL does not answer for so many projects: fewer are asked for"]


def test_a_few_projects_for_which_a_server_fails_once_are_polled_by_themselves_until_the_next_look() -> None:
    projects = Projects(tuple(shop(n) for n in range(60)) + tuple(_other(n) for n in range(45)))
    projects.scrapes(60)

    def second() -> None:
        projects.scene.hooks[LOOK] = lambda: projects.scene.simulator.faults.add(LOOK, faults.instead(500), times=1)

    projects.scene.hooks[LOOK] = second
    with capture_logs() as logs:
        assert projects.scrapes(600)[0] == 2 * 40
    assert _warnings(logs) == []


@pytest.mark.parametrize(
    "effect",
    [faults.server_error(503), faults.instead(200, b"{}"), faults.html(), faults.instead(200, b'{"errors": [{}]}')],
)
def test_a_server_that_answers_wrongly_for_a_while_is_read_meanwhile_and_looked_at_again(effect: Any) -> None:
    projects = idle(50)
    projects.scrapes(600)
    fault = projects.scene.simulator.faults.add(LOOK, effect)
    assert fault.path == LOOK
    with capture_logs() as logs:
        looks, asked = projects.scrapes(590)
        assert looks == 3  # 50, 25, 12
        assert len(asked) == 50
        assert max(projects.age(f"shop/app-{n}") for n in range(50)) <= IDLE_TTL + SCRAPE
        projects.scene.simulator.faults.clear()
        projects.scrapes(60)
        looks, asked = projects.scrapes(600)
        assert (looks, asked) == (40, {})
    assert _warnings(logs)[-1] == REFUSED
    assert [line["event"] for line in logs if line["log_level"] == "info"] == ["GraphQL is answered again"]


def test_while_the_server_is_away_projects_are_read_by_themselves_and_it_is_said_once() -> None:
    projects = idle()
    projects.scrapes(600)
    projects.scene.simulator.faults.add(LOOK, faults.instead(401))
    with capture_logs() as logs:
        _looks, asked = projects.scrapes(600)
    assert len(asked) == 5
    assert len(_warnings(logs)) == 1
    projects.scene.simulator.faults.clear()
    projects.scrapes(600)
    assert projects.scrapes(600) == (40, {})


def test_a_look_that_meets_a_429_makes_the_source_rest() -> None:
    projects = idle()
    projects.scene.simulator.faults.add(LOOK, faults.too_many({"retry-after": "120"}), times=1)
    assert projects.scrapes(SCRAPE) == (1, {})
    assert projects.scrapes(105) == (0, {})
    assert projects.scrapes(30)[0] > 0


def test_v3_and_a_single_project_are_not_looked_at() -> None:
    one = idle(1)
    assert one.scrapes(900)[0] == 0
    old = idle(2, source={"api": "v3", "projects": ["100", "101"], "groups": ()})
    assert old.scrapes(900)[0] == 0


def test_a_reload_forgets_a_refusal_and_what_looks_showed_still_counts() -> None:
    projects = idle()
    projects.graphql = None
    projects.scrapes(60)
    projects.graphql = GraphQL()
    assert projects.scrapes(60)[0] == 0
    projects.scene.collector.configure(projects.scene.settings())
    assert projects.scrapes(60)[0] > 0


def test_a_look_ends_before_its_job_would_be_given_up() -> None:
    projects = idle(3)

    def slow() -> None:
        projects.scene.clock.now += LONGEST_JOB

    projects.scene.hooks[LOOK] = slow
    projects.scrapes(SCRAPE)
    assert replace(projects.graphql) == GraphQL()
    assert projects.scrapes(3 * LONGEST_JOB)[0] >= 1
