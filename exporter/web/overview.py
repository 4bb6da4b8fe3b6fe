"""What the status page and the API show of what is known: which targets, in which order, and their builds. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.build import Build, Outcome
from exporter.history.health import Standing, branch_of, latencies, unbroken, urgency, window_of
from exporter.history.window import OTHER, History
from exporter.snapshot import KnownTarget, Snapshot

STRIP = 30
"""Builds of a target in the list."""
CHOICES = 200
"""Entries of a filter at most: the most frequent ones."""

State = Literal["", "broken", "running", "stuck", "flaky", "unread"]
Order = Literal["state", "name", "broken", "newest", "ratio", "p90", "read"]


def _number(value: object) -> object:
    """Digits alone, as OpenAPI's integers are written; pydantic would take more."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise ValueError("must be a whole number")
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

    @property
    def cleared(self) -> "View":
        """The same order and size, without any filter."""
        return View(sort=self.sort, per_page=self.per_page)

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
    whole: Standing
    """How it stands as a whole; only the chosen branch where the view chooses one."""
    branch: str
    """The branch label that its row is about; empty: it has none yet."""
    at: float

    @property
    def standing(self) -> Standing:
        """How the branch stands that its row is about."""
        return self.known.standings.branches.get(self.branch, self.whole)

    @property
    def stuck(self) -> bool:
        """Whether a build should have ended long ago."""
        return self.whole.stuck(self.at)

    @property
    def running(self) -> bool:
        """Whether a build is pending or executing."""
        return self.whole.oldest_unfinished is not None

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
                return self.whole.broken
            case "running":
                return self.running
            case "stuck":
                return self.stuck
            case "flaky":
                return self.whole.flaky_commits > 0
            case "unread":
                return self.unread

    @property
    def state(self) -> str:
        """How the target stands: the first that holds of broken, stuck, unread, new, running, passing, quiet."""
        return state_of(self.known, self.whole, self.at)


def state_of(known: KnownTarget, standing: Standing, now: float) -> str:
    """The first that holds of broken, stuck, unread, new, running, passing; `quiet`: no build says anything."""
    holding = (
        ("broken", standing.broken),
        ("stuck", standing.stuck(now)),
        ("unread", known.up is False),
        ("new", known.up is None),
        ("running", standing.oldest_unfinished is not None),
        ("passing", standing.succeeded > 0),
    )
    return next((name for name, holds in holding if holds), "quiet")


class Row:
    """A branch of a target, with its builds; without a branch all builds of the target."""

    def __init__(self, line: Line, branch: str = "", limit: int | None = STRIP, history: History | None = None) -> None:
        self.known, self.whole, self.branch = line.known, line.whole, branch
        self.standing = shown_standing(line.known, branch) if branch else line.whole
        self.state = state_of(line.known, self.standing, line.at)
        self.stuck, self.running = self.standing.stuck(line.at), self.standing.oldest_unfinished is not None
        self.unread = line.unread
        self.history = history or line.known.history
        self.window = builds_of(self.history, branch)
        """Newest first."""
        self.builds = self.window[:limit]

    @property
    def newest(self) -> Build | None:
        """The newest build of the window."""
        return self.window[0] if self.window else None

    @cached_property
    def awaited(self) -> Build | None:
        """The newest unfinished build of a broken branch, which may repair it."""
        return next((build for build in self.window if build.unfinished), None) if self.standing.broken else None

    @cached_property
    def latencies(self) -> list[float]:
        """Seconds of the builds that succeeded, newest first."""
        return latencies(self.window)

    @property
    def p50(self) -> float | None:
        """Half of those took no longer, in seconds."""
        return self.standing.p50

    @property
    def p90(self) -> float | None:
        """Nine of ten took no longer, in seconds."""
        return self.standing.p90


def others_of(row: Row, now: float) -> list[tuple[str, Standing, str]]:
    """The other branch labels of the row's target, with how each stands and the word for that."""
    return [
        (branch, standing, state_of(row.known, standing, now))
        for branch in ordered_branches(row.known, now)
        if branch != row.branch
        for standing in (shown_standing(row.known, branch),)
    ]


def shown_standing(known: KnownTarget, branch: str) -> Standing:
    """How a branch label stands; `other` is never broken, since what failed there may be any pull request."""
    standing = known.standings.branches[branch]
    return unbroken(standing) if branch == OTHER and standing.broken else standing


def ordered_branches(known: KnownTarget, now: float) -> list[str]:
    """The branch labels: broken ones first, in the order in which they are fixed, then stuck ones, then the default."""

    def key(branch: str) -> tuple[Any, ...]:
        standing = shown_standing(known, branch)
        newest = standing.last_created or -inf
        return *urgency(standing), not standing.stuck(now), not standing.default, branch == OTHER, -newest, branch

    return sorted(known.standings.branches, key=key)


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


def overview(known: Snapshot, view: View, *, whole: bool = False) -> Overview:
    """What the view shows; only the builds of the page's targets are looked at.

    A row is about one branch, the one to look at first; if `whole`, about all branches of its target.
    """
    lines = list(_lines(known, view, whole=whole))
    counts = {"targets": len(lines)} | {
        state: sum(line.is_in(state) for line in lines) for state in ("broken", "running", "stuck", "flaky", "unread")
    }
    chosen = [
        line
        for line in lines
        if line.is_in(view.state) and (not view.outcome or line.whole.last_outcome == view.outcome)
    ]
    chosen.sort(key=ORDERS[view.sort])
    pages = max(1, ceil(len(chosen) / view.per_page))
    page = min(view.page, pages)
    shown = chosen[(page - 1) * view.per_page : page * view.per_page]
    return Overview(known.at, counts, len(chosen), page, pages, [Row(line, line.branch) for line in shown])


def line_of(known: KnownTarget, now: float, branch: str = "", *, whole: bool = False) -> Line:
    """How the target stands, by one branch label or by all; its row is about all of them if `whole`."""
    if branch:
        return Line(known, shown_standing(known, branch), branch, now)
    if whole:
        return Line(known, known.standings.whole, "", now)
    branches = known.standings.branches
    first = next(iter(branches), "") if len(branches) < 2 else ordered_branches(known, now)[0]  # noqa: PLR2004  # most have one
    return Line(known, known.standings.whole, first, now)


def builds_of(history: History, branch: str = "") -> list[Build]:
    """The builds of a target's window, of one branch label or of all, newest first."""
    builds = window_of(history)
    return [build for build in builds if branch_of(history, build) == branch] if branch else builds


def _lines(known: Snapshot, view: View, *, whole: bool) -> Iterator[Line]:
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
        yield line_of(target, known.at, view.branch, whole=whole)


def _name(line: Line) -> tuple[str, ...]:
    about = line.known.target
    return about.project.lower(), about.name.lower(), about.source, about.kind


_RANK = {"broken": 0, "stuck": 1, "unread": 2}


def _by_state(line: Line) -> tuple[Any, ...]:
    """What is to be fixed first; the rest by name, so that a refresh moves little."""
    return _RANK.get(line.state, 3), urgency(line.whole), _name(line)


def _by(value: Callable[[Line], float | None], *, largest_first: bool = False) -> Callable[[Line], tuple[Any, ...]]:
    """An order by a number; targets without it come last."""

    def key(line: Line) -> tuple[Any, ...]:
        number = value(line)
        return number is None, 0.0 if number is None else -number if largest_first else number, _name(line)

    return key


ORDERS: dict[Order, Callable[[Line], tuple[Any, ...]]] = {
    "state": _by_state,
    "name": _name,
    "broken": _by(lambda line: line.whole.broken_since),
    "newest": _by(lambda line: line.whole.last_created, largest_first=True),
    "ratio": _by(lambda line: line.standing.success_ratio),
    "p90": _by(lambda line: line.standing.p90, largest_first=True),
    "read": _by(lambda line: line.known.refreshed_at),
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
