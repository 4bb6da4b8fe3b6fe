"""Walks down the pages of a made-up server: how deep they go, what they ask, and that each build counts once."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
from builds import NOW, RULES, WEB, all_counted, build, many, moved
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Build, Outcome, Run, Target
from exporter.errors import BadPayload, NotFound, Unreachable
from exporter.history.runs import age_key
from exporter.history.window import OVERLAP, History, Rules
from exporter.http.wire import Answer, Reading, Request
from exporter.polling.walk import LARGEST, PAGES, SINGLES, Walked, applied, walk
from exporter.providers import BuildStatus, Delivery, Discovery, Page, Provider, Rejected, Tell, unheard
from exporter.providers.contract import BuildsAreRuns, LimitHeaders

HUGE = replace(RULES, builds=10_000)
EXECUTING, SUCCESS, WAITING = Outcome.EXECUTING, Outcome.SUCCESS, Outcome.WAITING


@dataclass
class Server(BuildsAreRuns):
    """A provider whose builds are a list, newest first where nothing else is said."""

    builds_: list[Build] = field(default_factory=list)
    ordered: bool = True
    singles: bool = True
    cursors: Mapping[str | None, str] = field(default_factory=dict)
    """Instead of the right ones."""
    rejected: tuple[Rejected, ...] = ()
    with_runs: bool = False
    run_page: int = 100
    """Builds of a run that are shown at most."""
    asked: list[str] = field(default_factory=list)
    vocabulary: tuple[tuple[str, Outcome], ...] = ()
    kinds: tuple[str, ...] = ("service",)
    secret_header: str = ""
    title: str = "Server"
    limit_headers: ClassVar[LimitHeaders] = LimitHeaders("x-", 60.0)

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

    def builds_of(self, target: Target, run_id: str, cursor: str | None = None) -> Reading[Page]:
        assert (target, cursor) == (WEB, None)
        yield self._ask(f"run {run_id}")
        return self._page([one for one in self.newest_first if one.run == run_id][: self.run_page])

    def single(self, target: Target) -> bool:
        assert target == WEB
        return self.singles

    def builds(
        self, target: Target, size: int, cursor: str | None = None, scope: tuple[str, ...] = ()
    ) -> Reading[Page]:
        assert (target, scope) == (WEB, ())
        yield self._ask(f"{size}" if cursor is None else f"{size} after {cursor}")
        begin = int(cursor or 0)
        page = self.newest_first[begin : begin + size]
        right = str(begin + size) if begin + size < len(self.builds_) else None
        return Page(tuple(page), self.cursors.get(cursor, right), self.rejected, self._runs(page))

    def build(self, target: Target, build_id: str) -> Reading[Page]:
        assert target == WEB
        yield self._ask(build_id)
        return self._page([one for one in self.builds_ if one.id == build_id])

    @property
    def newest_first(self) -> list[Build]:
        return sorted(self.builds_, key=age_key, reverse=True) if self.ordered else list(self.builds_)

    def _ask(self, what: str) -> Request:
        self.asked.append(what)
        return Request("builds", what)

    def _page(self, builds: list[Build]) -> Page:
        if not builds:
            raise NotFound("not found (404)")
        return Page(tuple(builds), runs=self._runs(builds))

    def _runs(self, builds: Iterable[Build]) -> tuple[Run, ...]:
        """As API v3 has them: made of the builds on the page."""
        oldest = {one.run: one for one in sorted(builds, key=age_key, reverse=True)} if self.with_runs else {}
        return tuple(Run(one.run, "", Outcome.UNKNOWN, one.created_at, None, "main") for one in oldest.values())


@dataclass
class Reader:
    """One target as it is remembered, and the walks that read it."""

    server: Server
    rules: Rules = RULES
    history: History = field(default_factory=History)

    def walk(self, at: float = 0.0, *, short: bool = True, sweep: bool = False) -> Walked:
        """Walk at NOW and so many seconds, take in what it brought, and forget what was asked before."""
        self.server.asked.clear()
        now = NOW + at
        provider: Provider = self.server
        reading = walk(provider, WEB, self.history, self.rules, now, short=short, sweep=sweep)
        walked = driven(reading)
        self.history = applied(walked, self.history, self.rules, now)
        return walked

    @property
    def asked(self) -> list[str]:
        return self.server.asked


def driven(reading: Reading[Walked]) -> Walked:
    try:
        next(reading)
        while True:
            reading.send(Answer(200, b""))
    except StopIteration as end:
        result: Walked = end.value
        return result


def reader(builds: Iterable[Build], rules: Rules = RULES, **more: bool) -> Reader:
    """One that has read these once."""
    known = Reader(Server(list(builds), singles=more.get("singles", True)), rules)
    known.walk()
    return known


def old(count: int) -> list[Build]:
    """Builds that ended long before the overlap, oldest first."""
    return many(count, begin=-OVERLAP - 100 - count, step=1.0, prefix="old", branch="main")


# The first walk


def test_the_first_walk_goes_down_until_the_window_of_each_label_is_full() -> None:
    known = reader(old(500))
    assert known.asked == ["100"]
    known = reader(old(500), replace(RULES, builds=250))
    assert known.asked == ["100", "100 after 100", "100 after 200"]


def test_or_until_the_windows_age() -> None:
    known = reader(many(500, begin=-500 * 3600.0, step=3600.0), replace(HUGE, age=150 * 3600.0))
    assert known.asked == ["100", "100 after 100"]


def test_or_until_there_is_nothing_more() -> None:
    assert reader(old(150), HUGE).asked == ["100", "100 after 100"]
    assert reader([]).asked == ["100"]


def test_or_for_ten_pages_and_nothing_is_missed_by_that() -> None:
    known = Reader(Server(old(3000)), HUGE)
    walked = known.walk()
    assert len(known.asked) == PAGES
    assert not walked.missed


def test_a_label_that_is_rare_is_looked_for_further_down() -> None:
    rare = [build(f"rare{n}", at=-5000 - n * 10, branch="main") for n in range(3)]
    assert reader([*many(150, begin=-2000), *rare], replace(RULES, builds=2)).asked == ["100"]
    common = many(99, begin=-2000)
    seen = build("seen", at=-1000, branch="main")
    assert reader([seen, *common, *rare], replace(RULES, builds=2)).asked == ["100", "100 after 100"]


def test_more_names_than_are_kept_take_no_longer() -> None:
    names = [build(f"n{n}", at=-n, branch=f"release/{n % 7}") for n in range(100)]
    assert reader([*names, *old(200)], replace(RULES, builds=5)).asked == ["100"]


# Later walks


def test_a_walk_that_finds_nothing_new_reads_the_smallest_page() -> None:
    known = reader(old(50))
    walked = known.walk(300)
    assert known.asked == ["5"]
    assert (walked.missed, walked.ordered, walked.gone, walked.mark) == (False, True, frozenset(), known.history.mark)


@pytest.mark.parametrize(("new", "pages"), [(4, ["5"]), (5, ["5", "20"]), (19, ["5", "20"]), (20, ["5", "20", "100"])])
def test_pages_grow_until_they_reach_what_is_known(new: int, pages: list[str]) -> None:
    known = reader(old(50))
    known.server.builds_ += many(new, begin=10, prefix="new")
    assert not known.walk(300).missed
    assert known.asked == pages
    assert sum(all_counted(known.history).values()) == new


def test_a_burst_is_followed_down_to_the_mark() -> None:
    known = reader(old(50), HUGE)
    known.server.builds_ += many(350, begin=10, prefix="new")
    assert not known.walk(600).missed
    assert known.asked == ["5", "20", "100", "100 after 100", "100 after 200", "100 after 300"]
    assert all_counted(known.history) == {"success": 350}


def test_what_lies_deeper_than_ten_pages_is_missed_in_the_open() -> None:
    known = reader(old(50), HUGE)
    known.server.builds_ += many(1200, begin=10, prefix="new")
    assert known.walk(2000).missed
    assert known.asked[-1] == "100 after 900"
    assert all_counted(known.history) == {"success": PAGES * LARGEST}
    assert not known.walk(2000 + 2 * OVERLAP).missed


def test_nothing_is_missed_where_the_newest_minutes_alone_fill_ten_pages() -> None:
    known = reader(old(50), HUGE)
    busy = many(1100, begin=10, step=0.5, prefix="busy")
    known.server.builds_ += busy[:900]
    assert not known.walk(460).missed
    known.server.builds_ += busy[900:]
    assert not known.walk(561).missed
    assert known.asked == ["100", "100 after 100", "100 after 200"]  # the last is known ground
    for again in range(3):
        known.server.builds_ += many(3, begin=561 + 10 * again, prefix=f"more{again}-")
        assert not known.walk(570 + 10 * again).missed
        assert len(known.asked) <= 2
    assert all_counted(known.history) == {"success": 1109}


def test_the_newest_minutes_are_read_again_for_ids_are_given_before_they_are_shown() -> None:
    known = reader(old(50))
    known.server.builds_ += many(8, begin=10, prefix="new")
    known.walk(60)
    late = build("late", at=5)
    known.server.builds_.append(late)
    known.walk(120)
    assert known.asked == ["20"]
    assert late.id in known.history.rows
    assert all_counted(known.history) == {"success": 9}


def test_a_build_among_known_ones_is_met() -> None:
    known = reader([*old(50), *many(3, begin=-60, step=20)])
    known.server.builds_.append(build("between", at=-30))
    known.walk(60)
    assert "between" in known.history.rows


@pytest.mark.parametrize(("behind", "page"), [(1, "5"), (3, "20"), (17, "20"), (18, "100"), (90, "100")])
def test_the_first_page_is_large_enough_for_the_oldest_that_is_unfinished(behind: int, page: str) -> None:
    running = build("running", EXECUTING, at=-OVERLAP - 5000)
    newer = many(behind, begin=-OVERLAP - 4000, prefix="newer")
    known = reader([*many(20, begin=-9000), running, *newer])
    known.server.builds_.remove(running)
    known.server.builds_.append(moved(running, SUCCESS))
    known.walk(300)
    assert known.asked == [page]
    assert not known.history.unfinished


def test_the_mark_is_the_newest_build_that_was_met_and_never_goes_back() -> None:
    known = reader([*old(5), build("newest", at=-50)])
    assert known.history.mark == NOW - 50
    known.server.builds_ = old(5)
    assert known.walk(900).mark == NOW - 50


def test_where_pages_are_not_newest_first_every_page_is_read() -> None:
    oldest_first = many(250, begin=-30_000, step=100)
    known = Reader(Server(oldest_first, ordered=False), HUGE)
    assert not known.walk().ordered
    assert Reader(Server(oldest_first[::-1], ordered=False), HUGE).walk().ordered
    new = build("new", at=70)
    known.server.builds_.append(new)
    walked = known.walk(120, short=False)
    assert known.asked == ["100", "100 after 100", "100 after 200"]
    assert (walked.missed, new.id in known.history.rows) == (False, True)


def test_a_little_disorder_is_none() -> None:
    assert Reader(Server([build("a"), build("b", at=50), build("c", at=-10)], ordered=False)).walk().ordered


def test_without_short_reads_ten_pages_are_the_end_and_nothing_is_said_to_be_missed() -> None:
    known = Reader(Server(old(1500), ordered=False), HUGE)
    known.walk(short=False)
    assert not known.walk(60, short=False).missed
    assert len(known.asked) == PAGES


def test_pages_that_lead_in_a_circle_are_refused() -> None:
    circle = Server(old(500), cursors={"200": "100"})
    with pytest.raises(BadPayload, match="circle"):
        Reader(circle, HUGE).walk()
    assert len(circle.asked) == 3


def test_what_is_rejected_is_told() -> None:
    rejected = Rejected("no_id", "")
    assert Reader(Server(old(5), rejected=(rejected,))).walk().rejected == (rejected,)


# Builds that no page shows


def strays(count: int, *, singles: bool = True) -> Reader:
    """One that knows of so many running builds, behind more than a page of others."""
    running = [build(f"s{n}", EXECUTING, at=-9000 - n) for n in range(count)]
    return reader([*running, *many(120, begin=-8000, prefix="newer")], HUGE, singles=singles)


def test_a_few_that_run_are_asked_one_by_one() -> None:
    known = strays(SINGLES)
    known.server.builds_ = [moved(one, SUCCESS) if one.id == "s1" else one for one in known.server.builds_]
    known.walk(60)
    assert sorted(known.asked) == ["100", "s0", "s1", "s2"]
    assert [one.id for one in known.history.unfinished] == ["s2", "s0"]
    assert all_counted(known.history) == {"success": 1}


def test_many_are_met_by_further_pages() -> None:
    known = strays(SINGLES + 1)
    known.walk(60)
    assert known.asked == ["100", "100 after 100"]


def test_without_a_right_to_single_builds_one_is_met_by_further_pages() -> None:
    known = strays(1, singles=False)
    known.walk(60)
    assert known.asked == ["100", "100 after 100"]


def test_one_that_is_no_more_is_dropped_and_not_counted() -> None:
    known = strays(1)
    known.server.builds_ = [one for one in known.server.builds_ if one.id != "s0"]
    walked = known.walk(60)
    assert known.asked == ["100", "s0"]
    assert walked.gone == {"s0"}
    assert "s0" not in known.history.rows
    assert all_counted(known.history) == {}


def test_many_that_are_no_more_are_looked_for_on_every_page_and_then_dropped_one_by_one() -> None:
    known = strays(SINGLES + 2)
    known.server.builds_ = [one for one in known.server.builds_ if one.outcome is not EXECUTING]
    known.walk(60)
    assert len(known.asked) == 2 + SINGLES
    known.walk(120)
    assert not known.history.unfinished


def test_the_jobs_of_one_run_are_asked_together() -> None:
    jobs = [build(f"j{n}", EXECUTING, at=-9000 + n, run="pipeline", name=f"j{n}") for n in range(6)]
    known = reader([*jobs, *many(120, begin=-8000, prefix="newer")], HUGE)
    known.server.builds_ = [moved(one, SUCCESS) if one.run == "pipeline" else one for one in known.server.builds_]
    known.walk(60)
    assert known.asked == ["100", "run pipeline"]
    assert not known.history.unfinished


def test_a_job_that_its_run_does_not_show_is_asked_itself() -> None:
    running = build("long", EXECUTING, at=-9000, run="pipeline", name="long")
    others = [build(f"j{n}", at=-8990 + n, run="pipeline", name=f"j{n}") for n in range(6)]
    known = reader([running, *others, *many(120, begin=-8000, prefix="newer")], HUGE)
    known.server.run_page = 2
    walked = known.walk(60)
    assert known.asked == ["100", "run pipeline", "long"]
    assert {one.id for one, _ in walked.sights} >= {"j4", "j5", "long"}


def test_another_failure_than_not_found_takes_nothing_in() -> None:
    known = strays(1)
    reading = walk(known.server, WEB, known.history, HUGE, NOW + 60)
    next(reading)
    reading.send(Answer(200, b""))
    with pytest.raises(Unreachable):
        reading.throw(Unreachable("gone away"))


# Runs without a status of their own


def commits(*sizes: int) -> list[Build]:
    """So many builds of each of some commits."""
    return [
        build(f"c{place}-{n}", at=-9000 + 100 * place + n * 0.01, run=f"c{place}:main", name=f"j{n}")
        for place, size in enumerate(sizes)
        for n in range(size)
    ]


def test_a_run_that_the_first_walk_cut_in_two_is_read_whole() -> None:
    server = Server(commits(60, 60, 60), with_runs=True)
    known = Reader(server, replace(RULES, builds=50))
    walked = known.walk()
    assert known.asked == ["100", "run c1:main"]
    assert walked.whole == {"c1:main", "c2:main"}
    assert {run.id for run, _seen_at in walked.runs} == {"c1:main", "c2:main"}


def test_runs_that_pages_show_to_their_creation_are_whole() -> None:
    server = Server(commits(3, 3), with_runs=True)
    known = Reader(server)
    assert known.walk().whole == {"c0:main", "c1:main"}
    assert known.asked == ["100"]
    server.builds_ += [build("c2-0", EXECUTING, at=50, run="c2:main", name="j0")]
    assert known.walk(60).whole >= {"c2:main"}
    assert known.asked == ["5"]


# Sweeps


def test_a_sweep_reads_a_largest_page_whatever_is_new() -> None:
    known = reader(old(150))
    known.walk(3600, sweep=True)
    assert known.asked == ["100"]


# Whatever happens between walks


@dataclass(frozen=True)
class Course:
    """When a build is created, shown (ids are given before they become visible) and ends; seconds after NOW."""

    created: float
    shown: float
    ended: float
    outcome: Outcome

    def at(self, number: int, now: float) -> Build | None:
        if now < self.shown:
            return None
        outcome = self.outcome if now >= self.ended else EXECUTING
        return build(f"b{number}", outcome, at=self.created, took=self.ended - self.created)


courses = st.builds(
    lambda created, hidden, took, outcome: Course(created, created + hidden, created + hidden + took, outcome),
    st.floats(1, 9000),
    st.sampled_from([0.0, 0.0, 0.0, 30.0, OVERLAP - 70]),
    st.one_of(st.floats(0, 120), st.floats(0, 6000)),
    st.sampled_from([SUCCESS, Outcome.FAILURE, Outcome.CANCELLATION]),
)


@given(
    arrivals=st.lists(courses, max_size=60),
    pauses=st.lists(st.one_of(st.floats(15, 120), st.floats(15, 3600)), max_size=15),
    before=st.integers(0, 150),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_every_build_is_counted_exactly_once_whatever_comes_between_two_walks(
    arrivals: list[Course],
    pauses: list[float],
    before: int,
    flags: tuple[bool, bool],
) -> None:
    singles, sweeps = flags
    begun = old(before)
    known = reader(begun, HUGE, singles=singles)
    assert not all_counted(known.history)
    now, swept = 0.0, 0.0
    for pause in (*pauses, 20_000.0, 60.0, 60.0):
        now += pause
        known.server.builds_ = begun + [one for n, course in enumerate(arrivals) if (one := course.at(n, now))]
        if sweeps and now - swept > 3600:
            assert not known.walk(now, sweep=True).missed
            swept = now
        else:
            assert not known.walk(now).missed
        assert not known.server.asked[PAGES + SINGLES + 2 :]
    right: dict[str, int] = {}
    for course in arrivals:
        right[course.outcome.value] = right.get(course.outcome.value, 0) + 1
    assert all_counted(known.history) == right
    assert not known.history.unfinished
