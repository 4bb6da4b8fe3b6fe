"""The alerts over what the exporter shows of real courses of runs, minute by minute, by Prometheus' own tool."""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from builds import build
from real import tool

from exporter.build import PARENT_PIPELINE, Build, Outcome, Run, Target
from exporter.exposition.families import Words, window_families
from exporter.exposition.self_metrics import target_families
from exporter.history.statistics import statistics
from exporter.history.window import History, Rules, merge, with_default_branch

MIXIN = Path(__file__).parent.parent / "mixin"
ALERT = "CIBuildDefaultBranchBroken"
START = 1_700_000_000.0
MINUTE = 60.0
END = 50
"""Minutes that each course is followed."""
SHOP = Target("gitlab", "project", "shop/web", "shop/web")
WORDS = Words((("success", Outcome.SUCCESS), ("failed", Outcome.FAILURE)))
OUTCOMES = {
    "success": Outcome.SUCCESS,
    "failed": Outcome.FAILURE,
    "canceled": Outcome.CANCELLATION,
    "running": Outcome.EXECUTING,
}


@dataclass(frozen=True)
class Course:
    """What GitLab shows from which minute on."""

    name: str
    seen: Mapping[int, Iterable[Build | Run]]
    firing: range
    """The minutes at which the alert fires. It fires once, and at no other of the minutes that are looked at."""
    labels: tuple[str, ...] = ()
    of_alert: Mapping[str, str] = field(default_factory=dict)
    restarted: range = range(0)
    """Minutes without an exporter. After them it begins anew."""


def job(  # noqa: PLR0913  # a job is made of these
    job_id: str, status: str, *, at: int, ended: int | None = None, run: str = "p1", name: str = "lint"
) -> Build:
    took = MINUTE * ((at if ended is None else ended) - at)
    made = build(
        job_id, OUTCOMES[status], at=at * MINUTE, took=took, run=run, name=name, branch="develop", sha="c0ffee"
    )
    return made._replace(status=status)


def pipeline(  # noqa: PLR0913  # a pipeline is made of these
    run_id: str, status: str, *, at: int, moved: int, trigger: str = "push", parent: str = ""
) -> Run:
    return Run(
        run_id,
        status,
        OUTCOMES[status],
        START + at * MINUTE,
        START + moved * MINUTE,
        branch="develop",
        trigger=trigger,
        sha="c0ffee",
        ref="develop",
        parent=parent,
    )


RED = (job("1", "failed", at=0, ended=1), pipeline("p1", "failed", at=0, moved=1))

COURSES = [
    Course(
        "a failed job is retried by hand again and again: it neither resolves nor begins anew until a retry succeeds",
        {
            1: RED,
            5: (job("2", "running", at=5), pipeline("p1", "running", at=0, moved=5)),
            8: (job("2", "failed", at=5, ended=8), pipeline("p1", "failed", at=0, moved=8)),
            14: (job("3", "running", at=14), pipeline("p1", "running", at=0, moved=14)),
            17: (job("3", "failed", at=14, ended=17), pipeline("p1", "failed", at=0, moved=17)),
            23: (job("4", "running", at=23), pipeline("p1", "running", at=0, moved=23)),
            26: (job("4", "success", at=23, ended=26), pipeline("p1", "success", at=0, moved=26)),
        },
        firing=range(11, 31),
    ),
    Course(
        "a cancelled run repairs nothing, though a job of it succeeded",
        {
            1: RED,
            12: (job("2", "running", at=12, run="p2"), pipeline("p2", "running", at=12, moved=12)),
            13: (job("2", "success", at=12, ended=13, run="p2"), job("3", "running", at=13, run="p2", name="test")),
            15: (
                job("3", "canceled", at=13, ended=15, run="p2", name="test"),
                pipeline("p2", "canceled", at=12, moved=15),
            ),
        },
        firing=range(11, END),
    ),
    Course(
        "a cancelled run breaks nothing",
        {
            1: (job("1", "success", at=0, ended=1), pipeline("p1", "success", at=0, moved=1)),
            5: (job("2", "canceled", at=3, ended=5, run="p2"), pipeline("p2", "canceled", at=3, moved=5)),
        },
        firing=range(0),
    ),
    Course(
        "a red child pipeline is not outvoted by a green one",
        {
            1: (job("1", "success", at=0, ended=1), pipeline("p1", "success", at=0, moved=1)),
            2: (
                job("2", "failed", at=1, ended=2, run="c1"),
                pipeline("c1", "failed", at=1, moved=2, trigger=PARENT_PIPELINE, parent="p1"),
            ),
            14: (
                job("3", "success", at=1, ended=14, run="c2"),
                pipeline("c2", "success", at=1, moved=14, trigger=PARENT_PIPELINE, parent="p1"),
            ),
        },
        firing=range(12, END),
    ),
    Course(
        "a red nightly build stays red between green pushes, where triggers are told apart",
        {
            1: (job("1", "success", at=0, ended=1), pipeline("p1", "success", at=0, moved=1)),
            3: (
                job("2", "failed", at=2, ended=3, run="p2"),
                pipeline("p2", "failed", at=2, moved=3, trigger="schedule"),
            ),
            14: (job("3", "success", at=13, ended=14, run="p3"), pipeline("p3", "success", at=13, moved=14)),
            29: (job("4", "success", at=28, ended=29, run="p4"), pipeline("p4", "success", at=28, moved=29)),
        },
        firing=range(13, END),
        labels=("trigger",),
        of_alert={"trigger": "schedule"},
    ),
    Course("a restart of the only replica is bridged", {1: RED}, firing=range(11, END), restarted=range(20, 24)),
]


def shown(course: Course) -> dict[str, list[str]]:
    """What the exporter shows at each minute, as promtool takes it; `_`: no sample."""
    rules = Rules(labels=course.labels)
    history, known = History(), list[tuple[Build | Run, float]]()
    series: dict[str, list[str]] = {}
    info = {"provider": "gitlab", "url": "https://gitlab.example.com", "default_branch": "develop"}
    for minute in range(END + 1):
        now = START + minute * MINUTE
        news = [(one, now) for one in course.seen.get(minute, ())]
        known += news
        if minute in course.restarted:
            history = History()
            continue
        if history.baseline is None:
            history, news = with_default_branch(History(), "develop", rules, now), known
        builds = [(one, at) for one, at in news if isinstance(one, Build)]
        runs = [(one, at) for one, at in news if isinstance(one, Run)]
        history = merge(history, builds, rules, now, runs=runs)
        families = [
            *window_families(SHOP, statistics(history, rules), WORDS, rules),
            *target_families(SHOP, up=True, info=info, errors={}),
        ]
        for sample in (sample for metric in families for sample in metric.samples):
            labels = ", ".join(f'{name}="{value}"' for name, value in {"instance": "a", **sample.labels}.items())
            values = series.setdefault(f"{sample.name}{{{labels}}}", [])
            values += ["_"] * (minute - len(values))
            values.append(repr(sample.value) if isinstance(sample.value, float) else str(sample.value))
    ended = {name: [*values, *["_"] * (len(values) <= END)] for name, values in series.items()}
    return {name: ["stale" if value == "_" else value for value in values] for name, values in ended.items()}


def moments(course: Course) -> list[int]:
    """Those at which the alert is looked at: around each change, and some more."""
    edges = {course.firing.start, course.firing.stop} if course.firing else set()
    changes = {at + more for at in (*course.seen, *course.restarted) for more in (0, 1, 2)}
    return sorted(at for at in {*edges, *(edge - 1 for edge in edges), *changes, 10, 40} if 0 < at < END)


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.name)
def test_the_alert_of_a_broken_default_branch(course: Course, tmp_path: Path) -> None:
    labels = {"severity": "warning", "source": "gitlab", "project": "shop/web", "kind": "project"}
    labels |= {"target": "shop/web", "branch": "develop", **course.of_alert}
    looks = [
        {
            "expr": f'count(ALERTS{{alertname="{ALERT}", alertstate="firing"}}) or vector(0)',
            "eval_time": f"{at}m",
            "exp_samples": [{"labels": "{}", "value": int(at in course.firing)}],
        }
        for at in moments(course)
    ]
    of_it = ", ".join(f'{name}="{value}"' for name, value in {"alertname": ALERT, **labels}.items())
    one = {
        "expr": f'count_over_time(ALERTS{{alertname="{ALERT}", alertstate="firing"}}[{END}m])',
        "eval_time": f"{END - 1}m",
        "exp_samples": [
            {"labels": f'{{alertstate="firing", {of_it}}}', "value": len([at for at in course.firing if at < END])}
        ]
        if course.firing
        else [],
    }
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in shown(course).items()],
        "promql_expr_test": [*looks, one],
    }
    content = {
        "rule_files": [str(MIXIN / "rules.yaml"), str(MIXIN / "alerts.yaml")],
        "evaluation_interval": "1m",
        "group_eval_order": ["ci-build-exporter-window", "ci-build-exporter-builds"],
        "tests": [case],
    }
    path = tmp_path / "course.yaml"
    path.write_text(yaml.safe_dump(content))
    ended = subprocess.run(
        [tool("promtool"), "test", "rules", path], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
