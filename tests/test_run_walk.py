"""Reads of a made-up provider that lists runs: what they ask, and that whatever moves is seen."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import ClassVar

import pytest
from builds import DAY, NOW, RUN_OUTCOMES, build
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.build import PARENT_PIPELINE, Build, Outcome, Run, Target
from exporter.errors import BadPayload, Forbidden, NotFound, SourceError
from exporter.history.runs import age_key
from exporter.history.statistics import statistics
from exporter.history.window import OVERLAP, History, Rules, RunRow, with_default_branch
from exporter.http.wire import Answer, Reading, Request
from exporter.polling.run_walk import COMPLETIONS, LIST_OVERLAP, READS, walk_runs
from exporter.polling.walk import Walked, applied
from exporter.providers import BuildStatus, Delivery, Discovery, Page, Provider, Tell, unheard
from exporter.providers.contract import BuildsAreRuns, LimitHeaders

APP = Target("gl", "project", "group/app", "group/app")
RULES = Rules()
EXECUTING, SUCCESS, FAILURE, WAITING = Outcome.EXECUTING, Outcome.SUCCESS, Outcome.FAILURE, Outcome.WAITING
FAR = 30 * DAY


@dataclass
class Server(BuildsAreRuns):
    """A provider with builds and runs, both newest first. Its clock is set by hand."""

    builds_: dict[str, Build] = field(default_factory=dict)
    runs_: dict[str, Run] = field(default_factory=dict)
    bridged: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    branches: Collection[str] = ("main", "develop")
    tags: Collection[str] = ()
    """Refs that lists take for branches."""
    refused: Mapping[str, SourceError] = field(default_factory=dict)
    """By the first word of what is asked."""
    filters: bool = True
    """Lists leave out what was not asked for."""
    asked: list[str] = field(default_factory=list)
    ordered: bool = True
    vocabulary: tuple[tuple[str, Outcome], ...] = ()
    kinds: tuple[str, ...] = ("project",)
    secret_header: str = ""
    title: str = "Server"
    limit_headers: ClassVar[LimitHeaders] = LimitHeaders("x-", 60.0)

    @property
    def lists_runs(self) -> bool:
        return True

    def headers(self, token: str) -> dict[str, str]:
        return {"token": token}

    def discover(self, listed: Collection[str] = (), tell: Tell = unheard) -> Reading[Discovery]:
        raise NotImplementedError(listed)

    def statuses(self, name: str) -> Reading[Mapping[Target, BuildStatus | None]]:
        raise NotImplementedError(name)

    def list_of(self, target: Target) -> str | None:
        raise NotImplementedError(target)

    def event(self, headers: Mapping[str, str], body: object) -> Delivery:
        raise NotImplementedError(headers, body)

    def page_of(self, target: Target, build: Build | None = None) -> str | None:
        raise NotImplementedError(target, build)

    def single(self, target: Target) -> bool:
        assert target == APP
        return True

    def builds(
        self, target: Target, size: int, cursor: str | None = None, scope: tuple[str, ...] = ()
    ) -> Reading[Page]:
        assert (target, scope) == (APP, ())
        yield self._ask("jobs", f"jobs {size}" + (f" after {cursor}" if cursor else ""))
        return self._page(self.builds_.values(), size, cursor)

    def build(self, target: Target, build_id: str) -> Reading[Page]:
        assert target == APP
        yield self._ask("job", f"job {build_id}")
        return self._page([self.builds_[build_id]], 1, None)

    def builds_of(self, target: Target, run_id: str, cursor: str | None = None) -> Reading[Page]:
        assert target == APP
        yield self._ask("of", f"of {run_id}" + (f" after {cursor}" if cursor else ""))
        if run_id not in self.runs_:
            raise NotFound("404 Not found")
        return self._page([one for one in self.builds_.values() if one.run == run_id], 100, cursor)

    def runs(  # noqa: PLR0913
        self,
        target: Target,
        *,
        updated_after: float | None,
        size: int,
        children: bool = False,
        ref: str | None = None,
        cursor: str | None = None,
    ) -> Reading[Page]:
        assert target == APP
        what = "children" if children else "list"
        yield self._ask(what, what + (f" of {ref}" if ref else "") + (f" after {cursor}" if cursor else ""))
        found = [
            run
            for run in self.runs_.values()
            if not self.filters
            or (
                run.child is children
                and ref in {None, run.ref}
                and (updated_after is None or (run.updated_at or 0) >= updated_after)
            )
        ]
        newest = updated_after is None or ref is not None
        found.sort(key=lambda run: (run.created_at if newest else run.updated_at or 0, run.id), reverse=True)
        begin = int(cursor or 0)
        after = str(begin + size) if begin + size < len(found) else None
        page = [self._listed(run) for run in found[begin : begin + size]]
        return Page((), after, (), tuple(page))

    def bridges(self, target: Target, run_id: str) -> Reading[Mapping[str, bool]]:
        assert target == APP
        yield self._ask("bridges", f"bridges {run_id}")
        return self.bridged.get(run_id, {})

    def branch_exists(self, target: Target, branch: str) -> Reading[bool]:
        assert target == APP
        yield self._ask("branch", f"branch {branch}")
        return branch in self.branches

    def _listed(self, run: Run) -> Run:
        return run._replace(branch=run.ref, ref_kind="branch") if run.ref in self.tags else run

    def _page(self, builds: Iterable[Build], size: int, cursor: str | None) -> Page:
        newest_first = sorted(builds, key=age_key, reverse=True)
        begin = int(cursor or 0)
        page = newest_first[begin : begin + size]
        after = str(begin + size) if begin + size < len(newest_first) else None
        runs = dict.fromkeys(one.run for one in page)
        return Page(tuple(page), after, (), tuple(self.runs_[run] for run in runs if run in self.runs_))

    def _ask(self, kind: str, what: str) -> Request:
        self.asked.append(what)
        return Request(kind, what)

    # What happens on it

    def add(  # noqa: PLR0913
        self,
        run_id: str,
        *,
        at: float,
        jobs: Mapping[str, Outcome] | int = 1,
        status: str = "success",
        moved: float = 60.0,
        branch: str = "main",
        trigger: str = "push",
        sha: str = "",
    ) -> None:
        """A run of these jobs created `at` seconds after NOW, whose status last changed `moved` seconds after that."""
        kind = "tag" if branch in self.tags else "branch"
        named = None if kind == "tag" else branch
        self.runs_[run_id] = Run(
            run_id,
            status,
            RUN_OUTCOMES.get(status, WAITING),
            NOW + at,
            NOW + at + moved,
            named,
            kind,
            trigger,
            sha or f"sha-{run_id}",
            branch,
        )
        outcomes = {f"j{n}": _job(status) for n in range(jobs)} if isinstance(jobs, int) else jobs
        for place, (name, outcome) in enumerate(outcomes.items()):
            self.job(f"{run_id}-{name}", run_id, name, outcome, at=at + 0.001 * place, took=moved - 1)

    def job(  # noqa: PLR0913
        self, build_id: str, run_id: str, name: str, outcome: Outcome, *, at: float, took: float = 50.0
    ) -> None:
        run = self.runs_[run_id]
        one = build(build_id, outcome, at=at, took=took, branch=run.branch, run=run_id, name=name, sha=run.sha)
        self.builds_[build_id] = one._replace(trigger=run.trigger, ref_kind=run.ref_kind)

    def move(self, run_id: str, status: str, at: float, **jobs: Outcome) -> None:
        """The run takes that status at NOW and so many seconds, and these jobs those outcomes."""
        self.runs_[run_id] = self.runs_[run_id]._replace(
            status=status, outcome=RUN_OUTCOMES.get(status, WAITING), updated_at=NOW + at
        )
        for name, outcome in jobs.items():
            before = self.builds_[f"{run_id}-{name}"]
            self.job(before.id, run_id, name, outcome, at=before.created_at - NOW, took=NOW + at - before.created_at)


def _job(status: str) -> Outcome:
    return {"success": SUCCESS, "failed": FAILURE, "running": EXECUTING}.get(status, WAITING)


@dataclass
class Reader:
    """One target as it is remembered, and the reads of it."""

    server: Server
    rules: Rules = RULES
    history: History = field(default_factory=History)
    last: Walked | None = None

    def read(self, at: float, *, list_due: bool = True, children: float | None = None) -> list[str]:
        """Read at NOW and so many seconds, take in what it brought; what was asked."""
        self.server.asked.clear()
        provider: Provider = self.server
        since = None if children is None else NOW + children
        reading = walk_runs(provider, APP, self.history, self.rules, NOW + at, list_due=list_due, children=since)
        self.last = driven(reading, self.server)
        self.history = applied(self.last, self.history, self.rules, NOW + at)
        return list(self.server.asked)

    def action_for(self, branch: str = "main") -> bool | None:
        """Whether the newest decided run of the branch succeeded."""
        found = [one.sequel.success for one in statistics(self.history, self.rules) if one.group[0] == branch]
        return found[0] if found else None

    def outcomes(self, branch: str = "main") -> Mapping[str, int]:
        """The window's runs by outcome."""
        found = next(one for one in statistics(self.history, self.rules) if one.group[0] == branch)
        return {outcome.value: count for outcome, count in found.runs.items() if count}

    def row(self, run_id: str) -> RunRow:
        return self.history.runs[run_id]


def driven(reading: Reading[Walked], server: Server) -> Walked:
    try:
        request = next(reading)
        while True:
            error = server.refused.get(request.operation)
            request = reading.throw(error) if error else reading.send(Answer(200, b""))
    except StopIteration as end:
        result: Walked = end.value
        return result


def reader(server: Server, rules: Rules = RULES, at: float = 0.0) -> Reader:
    """One that has read the server once."""
    known = Reader(server, rules)
    known.read(at)
    return known


def old(count: int = 5, jobs: int = 3) -> Server:
    """A server with runs that ended long before the overlap."""
    server = Server()
    for number in range(count):
        server.add(f"{number + 1}", at=-OVERLAP - 10_000 + 300 * number, jobs=jobs)
    return server


# How many requests a read takes


def idle(known: Reader) -> list[str]:
    return known.read(300)


def idle_for_weeks(known: Reader) -> list[str]:
    known.read(20 * DAY)
    return known.read(20 * DAY + 60)


def one_running(known: Reader) -> list[str]:
    known.server.add("90", at=10, status="running", jobs=4, moved=5)
    known.read(20)
    return known.read(30, list_due=False)


def one_running_and_a_list(known: Reader) -> list[str]:
    known.server.add("90", at=10, status="running", jobs=4, moved=5)
    known.read(20)
    return known.read(30)


def several_running(known: Reader) -> list[str]:
    for number in range(6):
        known.server.add(f"{90 + number}", at=10 + number, status="running", jobs=10, moved=5)
    known.read(20)
    return known.read(30, list_due=False)


def several_running_and_a_list(known: Reader) -> list[str]:
    for number in range(6):
        known.server.add(f"{90 + number}", at=10 + number, status="running", jobs=10, moved=5)
    known.read(20)
    return known.read(30)


def several_running_with_more_jobs_than_a_page(known: Reader) -> list[str]:
    for number in range(3):
        known.server.add(f"{90 + number}", at=10 + number, status="running", jobs=80, moved=5)
    known.read(20)
    return known.read(30, list_due=False)


def many_jobs_running(known: Reader) -> list[str]:
    known.server.add("90", at=10, status="running", jobs=250, moved=5)
    known.read(20)
    return known.read(30, list_due=False)


def many_jobs_of_which_the_last_run(known: Reader) -> list[str]:
    jobs = {f"j{n}": SUCCESS if n < 200 else EXECUTING for n in range(250)}
    known.server.add("90", at=10, status="running", jobs=jobs, moved=5)
    known.read(20)
    return known.read(90, list_due=False)


def one_concluded(known: Reader) -> list[str]:
    known.server.add("90", at=10, jobs=4)
    return known.read(300)


def a_manual_job_of_an_old_run(known: Reader) -> list[str]:
    known.server.move("1", "running", 290, j0=EXECUTING)
    return known.read(300)


def several_concluded(known: Reader) -> list[str]:
    for number in range(5):
        known.server.add(f"{90 + number}", at=10 + number, jobs=4)
    return known.read(300)


@pytest.mark.parametrize(
    ("situation", "asked"),
    [
        (idle, ["list"]),
        (idle_for_weeks, ["list"]),
        (one_running, ["of 90"]),
        (one_running_and_a_list, ["list", "of 90"]),
        (several_running, ["jobs 100"]),
        (several_running_and_a_list, ["list", "jobs 100"]),
        (
            several_running_with_more_jobs_than_a_page,
            ["of 90", "of 91", "of 92"],
        ),
        (many_jobs_running, ["of 90", "of 90 after 100", "of 90 after 200"]),
        (many_jobs_of_which_the_last_run, ["jobs 100"]),
        (one_concluded, ["list", "children", "of 90"]),
        (several_concluded, ["list", "children", "jobs 100"]),
        (a_manual_job_of_an_old_run, ["list", "of 1"]),
    ],
)
def test_a_read_takes_so_many_requests(situation: object, asked: list[str]) -> None:
    assert callable(situation)
    assert situation(reader(old())) == asked


@pytest.mark.parametrize(
    ("jobs", "asked"),
    [
        (12, ["jobs 100", "list"]),
        (150, ["jobs 100", "list", "of 9", "of 9 after 100"]),
        (250, ["jobs 100", "list", "of 9", "of 9 after 100", "of 9 after 200"]),
    ],
)
def test_a_first_read_reads_the_newest_run_whole(jobs: int, asked: list[str]) -> None:
    server = old()
    server.add("9", at=-3000, jobs={f"j{n}": FAILURE if n == 3 else SUCCESS for n in range(jobs)}, status="failed")
    known = reader(server)
    assert server.asked == asked
    assert known.row("9").whole
    assert known.action_for() is False
    assert idle(known) == ["list"]


# The first read


def test_runs_that_only_the_list_shows_are_counted() -> None:
    server = Server()
    for number in range(30):
        server.add(f"{number + 10}", at=-90_000 + 300 * number, jobs=12, status="failed" if number % 2 else "success")
    known = reader(server)
    assert known.outcomes() == {"success": 15, "failure": 15}
    assert idle(known) == ["list"]


def test_a_project_without_builds_takes_two_requests_and_then_one() -> None:
    known = reader(Server())
    assert known.server.asked == ["jobs 100", "list"]
    assert known.read(60) == ["list"]
    known.server.add("1", at=70, jobs=2)
    assert known.read(300) == ["list", "children", "of 1"]
    assert known.action_for() is True


def test_the_default_branch_is_asked_for_where_others_fill_the_list() -> None:
    server = Server()
    for number in range(150):
        server.add(f"{number + 100}", at=-9000 + 10 * number, branch="develop" if number < 5 else f"feature/{number}")
    rules = replace(RULES, branches=("default",))
    known = Reader(server, rules, with_default_branch(History(), "develop", rules, NOW))
    assert "list of develop" in known.read(0)
    assert known.outcomes("develop") == {"success": 5}
    assert "list of develop" not in known.read(60)


def test_what_must_be_whole_is_completed_over_several_reads() -> None:
    server = Server(branches=[f"b{n}" for n in range(20)])
    rules = replace(RULES, branches=("b*",), builds=10)
    for number in range(5):
        for nth in range(4):  # a streak: its first run, its newest, and the one that runs
            run_id = f"{number + 1}{nth}"
            at = -9000 + 1000 * nth + 100 * number
            server.add(run_id, at=at, jobs=30, status="running" if nth == 3 else "failed", branch=f"b{number}")
    known = reader(server, rules)
    completed = [what for what in server.asked if what.startswith("of")]
    assert len(completed) == COMPLETIONS
    known.read(60)
    known.read(120)
    for number in range(5):
        assert all(known.row(f"{number + 1}{nth}").whole for nth in (0, 2, 3))


# What moves is seen


def test_a_manual_job_that_is_played_weeks_later_and_fails_is_seen_at_the_next_list() -> None:
    server = Server()
    server.add("1", at=-1000, jobs={"test": SUCCESS, "deploy": WAITING})
    known = reader(server)
    for day in range(1, 5):
        known.read(day * DAY)
    server.move("1", "failed", 4 * DAY + 100, deploy=FAILURE)
    assert known.read(4 * DAY + 200) == ["list", "children", "of 1"]
    assert known.action_for() is False


def test_the_next_stage_is_seen_though_a_read_fell_between_two_stages() -> None:
    known = reader(old())
    known.server.add("9", at=10, jobs={"build": SUCCESS, "test": WAITING}, status="running", moved=5)
    known.read(30)
    assert known.action_for() is True  # of the run before
    known.read(60, list_due=False)
    known.server.move("9", "failed", 100, test=FAILURE)
    known.read(110, list_due=False)
    assert known.action_for() is False


def test_a_run_that_is_under_way_keeps_no_other_from_being_listed() -> None:
    known = reader(old())
    known.server.add("90", at=10, jobs=2, status="running", moved=5)
    known.read(30)
    known.server.add("91", at=40, jobs=2, status="failed", moved=5)
    assert known.read(60, list_due=False) == ["of 90"]
    assert known.read(90) == ["list", "children", "jobs 20"]
    assert known.action_for() is False


def test_what_cannot_be_read_at_once_is_read_by_the_next_reads() -> None:
    known = reader(old())
    for number in range(3 * READS):
        known.server.add(f"{number + 100}", at=1000 * number, jobs=60)
    at = 3000.0 * READS
    asked = [known.read(at + 60 * again) for again in range(8)]
    assert all(len(one) <= READS + COMPLETIONS + 2 for one in asked)
    assert asked[-1] == ["list"]
    assert all(known.row(f"{number + 100}").run.status == "success" for number in range(3 * READS))
    totals = statistics(known.history, RULES)[0].totals
    assert totals[SUCCESS] == 3 * READS * 60


def test_a_server_that_does_not_filter_costs_no_more() -> None:
    server = old(20)
    server.filters = False
    known = reader(server)
    assert known.read(60) == ["list"]
    assert known.read(DAY) == ["list"]


def test_a_new_attempt_in_one_of_several_running_runs_is_met() -> None:
    known = reader(old())
    for number in range(3):
        known.server.add(f"{90 + number}", at=10 + number, jobs=5, status="running", moved=5)
    known.read(20)
    known.server.move("90", "running", 60, j0=FAILURE)
    known.server.job("90-retry", "90", "j0", EXECUTING, at=200)
    assert known.read(210, list_due=False) == ["jobs 20"]
    assert "90-retry" in known.history.rows
    assert known.row("90").whole


# Tags


def test_a_list_makes_no_branch_of_a_tag() -> None:
    server = Server(tags=("main-1",))
    server.add("1", at=-5000, branch="main-1")
    known = reader(server, replace(RULES, branches=("main*",)))
    assert (known.row("1").run.branch, known.row("1").run.ref_kind) == (None, "tag")
    server.move("1", "failed", 10, j0=FAILURE)
    known.read(60)
    assert (known.row("1").run.branch, known.row("1").run.ref_kind, known.row("1").run.status) == (
        None,
        "tag",
        "failed",
    )
    assert "main-1" not in known.history.names


# Child pipelines


def family(child: str = "failed", parent: str = "success") -> Server:
    server = old()
    server.add("20", at=-500, jobs=2, status=parent, sha="s")
    server.add("21", at=-490, jobs=2, status=child, trigger=PARENT_PIPELINE, sha="s")
    return server


def test_a_red_child_is_a_red_run_and_its_bridge_is_asked_once() -> None:
    server = family()
    server.bridged = {"20": {"21": False}}
    known = reader(server)
    assert server.asked == ["jobs 100", "list", "children", "bridges 20"]
    assert known.action_for() is False
    assert known.read(60) == ["list", "children"]


@pytest.mark.parametrize("bridges", [{"21": True}, {"99": False}, {}])
def test_a_red_child_that_may_fail_or_that_nothing_names_does_not_count(bridges: dict[str, bool]) -> None:
    server = family()
    server.bridged = {"20": bridges}
    known = reader(server)
    assert known.action_for() is True
    assert known.read(60) == ["list", "children"]


def test_what_a_child_made_red_stays_so_until_the_child_that_replaced_it_succeeded() -> None:
    server = family()
    server.bridged = {"20": {"21": False}}
    known = reader(server)
    server.add("22", at=100, jobs=1, status="running", trigger=PARENT_PIPELINE, sha="s")
    server.bridged = {"20": {"22": False}}
    assert "bridges 20" in known.read(160)
    assert known.action_for() is False
    assert known.history.runs["21"].replaced
    server.move("22", "success", 300, j0=SUCCESS)
    known.read(400)
    assert known.action_for() is True


@pytest.mark.parametrize("error", [NotFound("404 Not found"), Forbidden("403")])
def test_where_bridges_are_refused_the_child_counts(error: SourceError) -> None:
    server = family()
    server.refused = {"bridges": error}
    known = reader(server)
    assert known.action_for() is False
    assert known.read(60) == ["list", "children"]


def test_a_childs_child_counts_where_its_parent_does() -> None:
    for may_fail in (False, True):
        server = family(child="success")
        server.add("22", at=-480, jobs=1, status="failed", trigger=PARENT_PIPELINE, sha="s")
        server.bridged = {"20": {"21": may_fail}, "21": {"22": False}}
        assert reader(server).action_for() is may_fail


def test_a_child_that_begins_later_is_listed() -> None:
    known = reader(family(child="success"))
    known.server.add("30", at=100, jobs=1, sha="t")
    known.server.add("31", at=110, jobs=1, status="failed", trigger=PARENT_PIPELINE, sha="t")
    known.server.bridged = {"30": {"31": False}}
    assert known.read(300) == ["list", "children", "jobs 100", "bridges 30"]
    assert known.action_for() is False


def test_the_first_child_of_a_project_is_seen_once_its_parent_has_ended() -> None:
    known = reader(old())
    known.server.add("30", at=100, jobs=1, sha="t", status="running", moved=5)
    known.server.add("31", at=110, jobs=1, status="failed", trigger=PARENT_PIPELINE, sha="t")
    known.server.bridged = {"30": {"31": False}}
    assert known.read(120) == ["list", "of 30"]
    known.read(180)
    known.server.move("30", "success", 700, j0=SUCCESS)
    assert known.read(720) == ["list", "children", "jobs 20", "bridges 30"]
    assert known.action_for() is False


def test_the_first_child_of_a_job_that_is_played_weeks_later_is_seen() -> None:
    server = Server()
    server.add("1", at=-1000, jobs={"test": SUCCESS, "deploy": WAITING}, sha="t")
    known = reader(server)
    for day in range(1, 5):
        known.read(day * DAY)
    server.move("1", "success", 4 * DAY + 100, deploy=SUCCESS)
    server.add("2", at=4 * DAY + 90, jobs=1, status="failed", trigger=PARENT_PIPELINE, sha="t")
    server.bridged = {"1": {"2": False}}
    assert known.read(4 * DAY + 200)[:2] == ["list", "children"]
    assert known.action_for() is False


def test_children_are_listed_only_where_it_is_known_that_one_changed() -> None:
    known = reader(old())
    known.server.add("30", at=100, jobs=1, sha="t")
    known.server.add("31", at=110, jobs=1, status="failed", trigger=PARENT_PIPELINE, sha="t")
    known.server.bridged = {"30": {"31": False}}
    assert known.read(120, children=inf) == ["list", "of 30"]
    assert known.action_for() is True
    assert known.read(135, children=110) == ["list", "children", "of 31", "bridges 30"]
    assert known.action_for() is False
    assert known.read(150, children=inf) == ["list"]


# Branches that are gone


def broken(branches: Collection[str], at: float = -1000) -> Server:
    server = Server(branches=branches)
    server.add("1", at=at, status="failed", branch="release/1")
    server.add("2", at=at + 100, status="success")
    return server


def test_a_broken_and_silent_branch_is_asked_for_once_a_day() -> None:
    known = reader(broken({"main", "release/1"}))
    asked = [known.read(900.0 * n) for n in range(1, 4 * 96)]
    assert [what for one in asked for what in one if what.startswith("branch")] == ["branch release/1"] * 3
    assert known.action_for("release/1") is False


def test_a_branch_that_is_gone_is_broken_no_more() -> None:
    known = reader(broken({"main"}))
    known.read(DAY + 3600)
    assert known.last
    assert known.last.gone_branches == {"release/1"}
    assert known.action_for("release/1") is None
    assert known.read(3 * DAY) == ["list"]


def test_a_first_read_asks_for_branches_that_have_been_silent_for_long() -> None:
    known = reader(broken({"main"}, at=-3 * DAY))
    assert known.server.asked[-1] == "branch release/1"
    assert known.action_for("release/1") is None


@pytest.mark.parametrize("error", [NotFound("404 Project Not Found"), Forbidden("403")])
def test_where_branches_cannot_be_asked_they_stay(error: SourceError) -> None:
    server = broken({"main"}, at=-3 * DAY)
    server.refused = {"branch": error}
    assert reader(server).action_for("release/1") is False


# What is refused and what is lost


@pytest.mark.parametrize("error", [NotFound("404 Not found"), Forbidden("403"), BadPayload("no list")])
def test_where_the_list_is_refused_builds_are_walked(error: SourceError) -> None:
    server = old()
    server.refused = {"list": error}
    known = reader(server)
    assert known.last
    assert known.last.lists_refused
    assert server.asked == ["jobs 100", "list"]
    server.add("90", at=100, status="failed", jobs=2)
    assert known.read(300) == ["list", "jobs 5"]
    assert known.last.lists_refused
    assert known.action_for() is False
    server.refused = {}
    known.read(600)
    assert not known.last.lists_refused


def test_a_target_that_is_gone_is_an_error() -> None:
    known = reader(old())
    gone = NotFound("404 Project Not Found")
    known.server.add("90", at=10, status="running", moved=5)
    known.read(20)
    known.server.refused = {"list": gone, "jobs": gone, "of": gone}
    with pytest.raises(NotFound):
        known.read(60)
    with pytest.raises(NotFound):
        known.read(60, list_due=False)


def test_a_run_that_was_deleted_is_not_asked_for_again() -> None:
    known = reader(old())
    known.server.add("90", at=10, status="running", jobs=2, moved=5)
    known.read(20)
    del known.server.runs_["90"]
    known.server.builds_ = {id_: one for id_, one in known.server.builds_.items() if one.run != "90"}
    assert known.read(60, list_due=False) == ["of 90", "list"]
    assert not known.history.unfinished
    assert known.read(90, list_due=False) == ["list"]


def test_a_run_whose_builds_a_server_does_not_tell_keeps_those_of_the_page() -> None:
    server = Server(refused={"of": NotFound("404")})
    server.add("1", at=-1000, jobs=150, status="failed")
    known = reader(server)
    assert known.action_for() is False
    assert len(known.history.rows) == 100


def test_the_list_begins_where_the_last_one_ended() -> None:
    known = reader(old())
    assert known.history.listed_at == max(run.updated_at or 0 for run in known.server.runs_.values())
    known.server.add("90", at=10, moved=5)
    known.server.add("80", at=-100, moved=LIST_OVERLAP)  # shown late
    known.read(60)
    assert known.history.listed_at == NOW + 15
    assert {"90", "80"} <= known.history.runs.keys()


# Whatever happens between reads


@dataclass(frozen=True)
class Course:
    """A run of some jobs that begin at once and, at times, one that is played by hand later; seconds after NOW."""

    created: float
    hidden: float
    """Seconds until it is shown."""
    jobs: tuple[tuple[float, Outcome], ...]
    """How long each takes, and how it ends."""
    played: float | None
    """Seconds after its creation."""

    def show(self, server: Server, run_id: str, now: float) -> None:
        """Let the server show it as it is by now."""
        if now < self.created + self.hidden:
            return
        lives = [(0.0, took, outcome) for took, outcome in self.jobs]
        lives += [] if self.played is None else [(self.played, self.played + 30, FAILURE)]
        points = {0.0, *(begin for begin, _end, _outcome in lives), *(end for _begin, end, _outcome in lives)}
        status, moved = "", 0.0
        for point in sorted(point for point in points if point <= now - self.created):
            at = self.status(lives, point)
            status, moved = (status, moved) if at == status else (at, point)
        server.add(run_id, at=self.created, jobs=0, status=status, moved=moved)
        for place, (begin, end, ends_as) in enumerate(lives):
            after = now - self.created
            outcome = ends_as if after >= end else EXECUTING if after >= begin else WAITING
            server.job(f"{run_id}-{place}", run_id, f"j{place}", outcome, at=self.created + place * 0.001, took=end)

    @staticmethod
    def status(lives: list[tuple[float, float, Outcome]], point: float) -> str:
        if any(begin <= point < end for begin, end, _outcome in lives):
            return "running"
        return "failed" if any(end <= point and ends_as is FAILURE for _begin, end, ends_as in lives) else "success"


courses = st.builds(
    Course,
    st.floats(1, 9000),
    st.sampled_from([0.0, 0.0, 20.0, LIST_OVERLAP - 10]),
    st.lists(
        st.tuples(st.one_of(st.floats(1, 120), st.floats(1, 4000)), st.sampled_from([SUCCESS, FAILURE])),
        min_size=1,
        max_size=12,
    ).map(tuple),
    st.sampled_from([None, None, 4000.0, 15_000.0]),
)


@given(
    happened=st.lists(courses, max_size=30),
    pauses=st.lists(st.tuples(st.one_of(st.floats(15, 120), st.floats(15, 3600)), st.booleans()), max_size=15),
    before=st.integers(0, 40),
)
@settings(deadline=None, max_examples=40)
def test_every_build_and_run_is_counted_once_and_judged_right_whatever_comes_between_two_reads(
    happened: list[Course], pauses: list[tuple[float, bool]], before: int
) -> None:
    server = old(before)
    known = reader(server)
    now = 0.0
    for pause, list_due in (*pauses, (30_000.0, True), *[(60.0, True)] * 4):
        now += pause
        for number, course in enumerate(happened):
            course.show(server, f"{number + 1000}", now)
        asked = known.read(now, list_due=list_due)
        assert len(asked) <= READS + COMPLETIONS + 6
    (shown,) = statistics(known.history, replace(RULES, branches=())) or (None,)
    builds = sum(len(course.jobs) + (course.played is not None) for course in happened)
    runs = [server.runs_[f"{number + 1000}"] for number in range(len(happened))]
    assert sum(shown.totals.values() if shown else ()) == builds
    assert sum(shown.run_totals.values() if shown else ()) == len(runs)
    for run in runs:
        assert known.row(run.id).run.status == run.status
        assert known.row(run.id).succeeded is (run.status == "success")
    assert not known.history.unfinished
    assert known.read(now + 60) == ["list"]
