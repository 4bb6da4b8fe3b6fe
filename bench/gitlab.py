"""Five hundred projects of GitLab under an allowance of six hundred requests a minute."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.course import EARLIER, TOKEN, Hours, Ours, Scene, Seen, run
from bench.kept import KeptGitLab
from bench.load import START, pipelines, play
from bench.naive import PAGE
from bench.table import Cell, Figure, Row, quantile
from bench.watch import Count, Watch, truth_of
from exporter.settings.settings import Settings
from exporter.simulator import SIMULATOR_TOKEN, Limit
from exporter.simulator.loopback import MINUTE
from exporter.simulator.message import Request

LIMIT = Limit(600, MINUTE)
WARM = 1.0
"""Hours."""
PROJECTS = 500
PIPELINES = 300.0
"""An hour, of fourteen jobs each."""
PLAYS = 6.0
"""Manual jobs an hour that somebody plays, one to six hours after their pipeline began."""
SECONDS = " s"


@dataclass(frozen=True, slots=True)
class Case:
    """One row."""

    name: str
    scrape: float = 15.0
    """Seconds."""


CASES = {
    "gitlab-15s": Case("scraped every 15 s"),
    "gitlab-10s": Case("scraped every 10 s", scrape=10.0),
}


def settings(api_url: str = "http://gitlab.example.com") -> Settings:
    """One group, half of the allowance, nothing unread for longer than two minutes."""
    gitlab = {"name": "gitlab", "provider": "gitlab", "url": api_url, "token": TOKEN, "groups": ["bench"]}
    return Settings.model_validate({"sources": [gitlab | {"spend": "50%"}], "refresh": {"idle_ttl": 120.0}})


def scene_of(per_hour: float, course: Hours, projects: int = PROJECTS) -> tuple[Scene, frozenset[str]]:
    """The world, its lists kept while nothing moves, and the ids of the jobs that are played late."""
    scene = Scene(pipelines(projects=projects, per_hour=per_hour, hours=course.total), LIMIT)
    played = play(scene.world, scene.simulator.history, per_hour=PLAYS if per_hour else 0.0, hours=course.total)
    kept = KeptGitLab(scene.world, scene.simulator.history, START - EARLIER, course.horizon)
    scene.simulator.gitlab = kept
    return scene, played


def simulate(case: Case, hours: float) -> tuple[Seen, int, int]:
    """Read the world for so many hours: what was seen, how many jobs were played late, how many never shown so."""
    course = Hours(WARM, hours)
    scene, played = scene_of(PIPELINES, course)
    truth = truth_of(scene.world, scene.simulator.history, START - EARLIER, course.drained)
    watch, count = Watch(truth), Count()
    collector = scene.exporter(settings())
    collector.collect()
    reader = Ours(collector, watch, count)
    reader.scrape(START)
    watch.forget_past(START)
    run(scene, reader, watch, course, scrape=case.scrape)
    unseen = sum(conclusion.id in played for conclusion in watch.waiting(scene.clock.now))
    delays = watch.delays(course.begin, course.end, without=played)
    return Seen(scene.ledger, course, delays, *count.sums(truth)), len(played), unseen


def row(case: Case, hours: float) -> Row:
    """The case as a line of the table."""
    seen, played, unseen = simulate(case, hours)
    ledger = seen.ledger
    minutes = sorted([*ledger.minutes.values(), *[0] * (round(hours * 60) - len(ledger.minutes))])
    cells: dict[str, Cell] = {
        "requests/min": Figure(ledger.total / hours / 60, limit=320),
        "p99 minute": Figure(quantile(minutes, 0.99)),
        "largest minute": Figure(quantile(minutes, 1.0), limit=320),
        "single reads/min": Figure(ledger.operations["build"] / hours / 60, limit=5, digits=1),
        "429s": Figure(ledger.codes[429], limit=0),
        "delay: median": Figure(quantile(seen.delays, 0.5), SECONDS, 20),
        "p99": Figure(quantile(seen.delays, 0.99), SECONDS, 90),
        "largest": Figure(quantile(seen.delays, 1.0), SECONDS),
        "longest unread": Figure(ledger.longest_gap, SECONDS, 120),
        "jobs concluded": Figure(seen.concluded),
        "counted": Figure(seen.counted),
        "twice": Figure(seen.twice, limit=0),
        "missed": Figure(seen.missed, limit=0),
        "of these, played hours later": f"{unseen} of {played}",
    }
    return Row(case.name, cells)


def idle(_hours: float) -> Row:
    """An hour in which nothing is built: bytes, beside those of a hundred jobs at each of the same reads."""
    course = Hours(WARM, 1.0)
    scene = Scene(pipelines(projects=PROJECTS, per_hour=PIPELINES, hours=-1.0), LIMIT)
    scene.simulator.gitlab = KeptGitLab(scene.world, scene.simulator.history, START - EARLIER, course.end)
    collector = scene.exporter(settings())
    collector.collect()
    truth = truth_of(scene.world, scene.simulator.history, START - EARLIER, course.end)
    watch, count = Watch(truth), Count()
    run(scene, Ours(collector, watch, count), watch, course)
    full = sum(_bytes_of_a_full_page(scene, path) * reads for path, reads in scene.ledger.reads.items())
    ours = scene.ledger.bytes
    cells: dict[str, Cell] = {
        "requests/min": Figure(scene.ledger.total / 60),
        "reads of builds": Figure(scene.ledger.operations["builds"]),
        "MB read": Figure(ours / 1e6, digits=1),
        "MB of a hundred jobs at each of them": Figure(full / 1e6),
        "share": Figure(100 * ours / full if full else 0, " %", 10, digits=1),
    }
    return Row("an idle hour", cells)


def _bytes_of_a_full_page(scene: Scene, path: str) -> int:
    headers = {"authorization": f"Bearer {SIMULATOR_TOKEN}"}
    question = Request("GET", path, {"per_page": [str(PAGE)], "pagination": ["keyset"]}, headers)
    return len(scene.simulator.gitlab.answer(question, scene.clock()).body)


ROWS: dict[str, Callable[[float], Row]] = {
    **{name: partial(row, case) for name, case in CASES.items()},
    "gitlab-idle": idle,
}
