"""What the status page and the API show of what is known: which targets, in which order, and their builds. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.build import Build, Outcome
from exporter.history.health import Standing, branch_of, latencies, quantile, window_of
from exporter.history.window import History
from exporter.snapshot import KnownTarget, Snapshot

STRIP = 30
"""Builds of a target in the list."""
CHOICES = 200
"""Entries of a filter at most: the most frequent ones."""

State = Literal["", "broken", "running", "stuck", "flaky", "unread"]
Order = Literal["state", "name", "newest", "ratio"]


def _number(value: object) -> object:
    """Digits alone, as OpenAPI's integers are written; pydantic would take more."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise ValueError("wants a whole number")
    return value


Word = Annotated[str, Field(max_length=500)]


class View(BaseModel):
    """What of it is looked at: the parameters of the page and of the API."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    q: Word = ""
    """Words that all stand in the target's address, in any case."""
    source: Word = ""
    project: Word = ""
    """A project, or a group with all that is below it."""
    outcome: Outcome | Literal[""] = ""
    """Of the newest build."""
    branch: Word = ""
    """A branch label: only its builds count then."""
    state: State = ""
    sort: Order = "state"
    page: Annotated[int, BeforeValidator(_number), Field(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, BeforeValidator(_number), Field(ge=1, le=200)] = 50

    def parameters(self, **changed: Any) -> dict[str, str]:
        """What of it, with the changes, is not as without any parameter."""
        values = self.model_dump(mode="json") | changed
        return {name: str(value) for name, value in values.items() if value != View.model_fields[name].default}


def faults(parameters: Mapping[str, str], model: type[BaseModel] = View) -> dict[str, str]:
    """What is wrong with each parameter that no view can have."""
    try:
        model.model_validate(parameters)
    except ValidationError as error:
        return {str(fault["loc"][0]): fault["msg"].removeprefix("Value error, ") for fault in error.errors()}
    return {}


def lenient(parameters: Mapping[str, str]) -> View:
    """The view, without the parameters that no view can have: somebody typed the address, and wants a page."""
    wrong = faults(parameters)
    return View.model_validate({name: value for name, value in parameters.items() if name not in wrong})


@dataclass(frozen=True, slots=True)
class Line:
    """A target in the list, before anything of its builds is looked at."""

    known: KnownTarget
    standing: Standing
    """Of the branch that is looked at, or of all."""
    stuck: bool

    @property
    def running(self) -> bool:
        """Whether a build is pending or executing."""
        return self.standing.oldest_unfinished is not None

    @property
    def unread(self) -> bool:
        """Whether the last read failed."""
        return self.known.up is False

    def is_in(self, state: State) -> bool:
        """Whether it is one of those that a state names."""
        match state:
            case "":
                return True
            case "broken":
                return self.standing.broken
            case "running":
                return self.running
            case "stuck":
                return self.stuck
            case "flaky":
                return self.standing.flaky_commits > 0
            case "unread":
                return self.unread

    @property
    def state(self) -> str:
        """The first that holds of broken, stuck, unread, new, running, passing; `quiet`: no build tells."""
        for name, holds in (("broken", self.standing.broken), ("stuck", self.stuck), ("unread", self.unread)):
            if holds:
                return name
        if self.known.up is None:
            return "new"
        if self.running:
            return "running"
        return "passing" if self.standing.decided else "quiet"


class Row:
    """A target in the list, with its builds."""

    def __init__(self, line: Line, branch: str = "", limit: int | None = STRIP) -> None:
        self.known, self.standing, self.state = line.known, line.standing, line.state
        self.stuck, self.running, self.unread = line.stuck, line.running, line.unread
        self.history = line.known.history
        self.window = builds_of(self.history, branch)
        """Newest first."""
        self.builds = self.window[:limit]

    @property
    def newest(self) -> Build | None:
        """The newest build of the window."""
        return self.window[0] if self.window else None

    @cached_property
    def latencies(self) -> list[float]:
        """Seconds of the builds that succeeded, newest first."""
        return latencies(self.window)

    @cached_property
    def p50(self) -> float | None:
        """Half of those took no longer, in seconds."""
        return quantile(self.latencies, 0.5)

    @cached_property
    def p90(self) -> float | None:
        """Nine of ten took no longer, in seconds."""
        return quantile(self.latencies, 0.9)


@dataclass(frozen=True, slots=True)
class Overview:
    """A view of what is known."""

    at: float
    counts: Mapping[str, int]
    """Targets by state, before `state` and `outcome` choose among them; `targets`: all of them."""
    total: int
    """Targets that are chosen."""
    page: int
    pages: int
    rows: Sequence[Row]
    """Those of the page."""


def overview(known: Snapshot, view: View) -> Overview:
    """What the view shows; only the builds of the page's targets are looked at."""
    lines = list(_lines(known, view))
    counts = {"targets": len(lines)} | {
        state: sum(line.is_in(state) for line in lines) for state in ("broken", "running", "stuck", "flaky", "unread")
    }
    chosen = [
        line
        for line in lines
        if line.is_in(view.state) and (not view.outcome or line.standing.last_outcome == view.outcome)
    ]
    chosen.sort(key=ORDERS[view.sort])
    pages = max(1, ceil(len(chosen) / view.per_page))
    page = min(view.page, pages)
    shown = chosen[(page - 1) * view.per_page : page * view.per_page]
    return Overview(known.at, counts, len(chosen), page, pages, [Row(line, view.branch) for line in shown])


def line_of(known: KnownTarget, now: float, branch: str = "") -> Line:
    """How the target stands, by one branch label or by all."""
    standing = known.standings.branches[branch] if branch else known.standings.whole
    return Line(known, standing, standing.stuck(now))


def builds_of(history: History, branch: str = "") -> list[Build]:
    """The builds of a target's window, of one branch label or of all, newest first."""
    builds = window_of(history)
    return [build for build in builds if branch_of(history, build) == branch] if branch else builds


def _lines(known: Snapshot, view: View) -> Iterator[Line]:
    words = view.q.lower().split()
    for target in known.targets:
        about = target.target
        if view.source and about.source != view.source:
            continue
        if view.project and about.project != view.project and not about.project.startswith(f"{view.project}/"):
            continue
        if view.branch and view.branch not in target.standings.branches:
            continue
        if words:
            address = about.address.lower()
            if not all(word in address for word in words):
                continue
        yield line_of(target, known.at, view.branch)


def _name(line: Line) -> tuple[str, ...]:
    about = line.known.target
    return about.project.lower(), about.name.lower(), about.source, about.kind


_RANK = {"broken": 0, "stuck": 1, "unread": 2}


def _by_state(line: Line) -> tuple[Any, ...]:
    """Broken first, the longest row of failures before all; the rest by name, so that a refresh moves little."""
    return _RANK.get(line.state, 3), -line.standing.failures if line.standing.broken else 0, _name(line)


ORDERS: dict[Order, Callable[[Line], tuple[Any, ...]]] = {
    "state": _by_state,
    "name": _name,
    "newest": lambda line: (-(line.standing.last_created or -inf), _name(line)),
    "ratio": lambda line: (2.0 if (ratio := line.standing.success_ratio) is None else ratio, _name(line)),
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer."""

    sources: Sequence[str]
    projects: Sequence[str]
    """Projects of Northflank, groups of GitLab."""
    branches: Sequence[str]


def choices(known: Snapshot, view: View) -> Choices:
    """What can be chosen; what is chosen is among it."""
    projects: Counter[str] = Counter()
    branches: Counter[str] = Counter()
    for target in known.targets:
        about = target.target
        branches.update(target.standings.branches.keys())
        if about.kind != "project":
            projects[about.project] += 1
        elif "/" in about.project:
            projects[about.project.rpartition("/")[0]] += 1
    return Choices(
        [source.name for source in known.sources], _most(projects, view.project), _most(branches, view.branch)
    )


def _most(counted: Counter[str], chosen: str) -> list[str]:
    return sorted({name for name, _number in counted.most_common(CHOICES)} | ({chosen} - {""}))


def find(known: Snapshot, address: str) -> KnownTarget | None:
    """The target of that address."""
    return next((one for one in known.targets if one.target.address == address), None)


def find_earlier(known: Snapshot, path: str, kind: str = "") -> KnownTarget | None:
    """The target of a path in an older form, without the kind: `SOURCE/PROJECT/TARGET`, or `SOURCE/PROJECT` of GitLab.

    Where a service and a job share a name it is the service, unless `kind` says otherwise.
    """
    found = [one for one in known.targets if path in _earlier_forms(one) and kind in {"", one.target.kind}]
    return min(found, key=lambda one: one.target.kind != "service", default=None)


def _earlier_forms(known: KnownTarget) -> tuple[str, ...]:
    about = known.target
    form = f"{about.source}/{about.project}/{about.name}"
    return (form, f"{about.source}/{about.project}") if about.kind == "project" else (form,)
