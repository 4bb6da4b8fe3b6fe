"""Which targets are hardly polled, since deliveries report their builds, and when that ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from threading import RLock
from typing import Any

import orjson
import pytest
from builds import NOW, build, read

from exporter.build import Outcome, Target
from exporter.config.secret import EnvToken
from exporter.exposition.self_metrics import SelfMetrics
from exporter.exposition.series_limit import SeriesLimit
from exporter.history.window import History, Rules
from exporter.http.wire import Answer, Request
from exporter.polling.candidates import SLOWEST, announced, candidates
from exporter.polling.deliveries import HEARD, Result
from exporter.polling.list_status import heard
from exporter.polling.polls import EVERYTHING, Asked, Discover, Poll, PollList, PollTarget
from exporter.polling.report import reports
from exporter.polling.results import Times
from exporter.polling.schedule import Candidate
from exporter.polling.state import (
    Budget,
    DiscoveryState,
    Health,
    Polling,
    Source,
    SourceReader,
    SourceState,
    TargetState,
    bucket_of,
    digest,
)
from exporter.polling.workers import InlinePool
from exporter.providers import BuildStatus
from exporter.providers.northflank import NorthflankSource
from exporter.reading import Reading, delivered, perform, submit
from exporter.settings.settings import Refresh
from exporter.simulator.loopback import Clock
from exporter.store.memory import MemoryStore

HOUR = 3600.0
WEB, API, OTHER = (
    Target("nf", "service", project, name) for project, name in (("p", "web"), ("p", "api"), ("q", "web"))
)
NIGHTLY = Target("nf", "job", "p", "nightly")
ALL = (WEB, API, OTHER, NIGHTLY)
IDLE = BuildStatus("success", Outcome.SUCCESS, NOW, 5)


class Answers:
    """A connection on which every request for builds has the answer that was set."""

    def __init__(self) -> None:
        self.builds: list[dict[str, Any]] = []

    def __call__(self, request: Request, /) -> Answer:
        assert request.operation == "builds"
        return Answer(200, orjson.dumps({"data": {"builds": self.builds}, "pagination": {"hasNextPage": False}}))

    def close(self) -> None:
        raise AssertionError


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def source(answers: Answers) -> Source:
    """Four targets that were read a minute ago, and a source that has just delivered."""
    settings = NorthflankSource(name="nf", provider="northflank", token=EnvToken("TOKEN"))
    reader = SourceReader(settings, InlinePool())
    reader.connection = answers
    state = SourceState(discovery=DiscoveryState(asked=Asked(NOW - 60), tried=True))
    state.webhook.heard_at = NOW
    made = Source(reader, state, Budget(bucket_of(settings, NOW)))
    for target in ALL:
        status = IDLE if target.kind == "service" else None
        made.targets[target] = TargetState(target, polling=Polling(asked=Asked(NOW - 60), status=status))
        known(made, target, read(build("a")))
    return made


def known(source: Source, target: Target, history: History, now: float = NOW) -> None:
    """Let that be what is known of the target."""
    source.targets[target].digest = digest(history, now)


def polling(source: Source, target: Target, **changed: Any) -> None:
    state = source.targets[target]
    state.polling = replace(state.polling, **changed)


def possible(source: Source, now: float = NOW) -> dict[Poll, Candidate]:
    return {candidate.poll: candidate for candidate in candidates(source, Refresh(), now)}


def told(source: Source, now: float = NOW) -> set[Target]:
    return {target for target, state in source.targets.items() if announced(source, state, now)}


def tell(source: Source, *targets: Target) -> None:
    for target in targets:
        polling(source, target, announced=True)
        source.state.webhook.projects[target.project] = True


def test_a_target_is_told_of_by_its_last_conclusion_and_others_of_its_project_until_theirs(source: Source) -> None:
    assert told(source) == set()
    tell(source, WEB)
    assert told(source) == {WEB, API, NIGHTLY}
    polling(source, API, announced=False)
    assert told(source) == {WEB, NIGHTLY}


def test_what_was_never_read_is_read(source: Source) -> None:
    tell(source, *ALL)
    polling(source, WEB, asked=Asked())
    assert WEB not in told(source)
    assert possible(source)[PollTarget(WEB)].first


def test_silence_brings_polling_back(source: Source) -> None:
    tell(source, *ALL)
    assert told(source, NOW + HEARD) == set(ALL)
    assert told(source, NOW + HEARD + 1) == set()


def test_what_is_told_of_is_only_swept(source: Source) -> None:
    before = possible(source)
    assert before[PollTarget(NIGHTLY)].steady
    tell(source, WEB, API, NIGHTLY)
    after = possible(source)
    for target in (WEB, API, NIGHTLY):
        assert not after[PollTarget(target)].steady
        assert after[PollTarget(target)].longest == SLOWEST
        assert after[PollTarget(target)].forced_at is None
    assert PollList("nf", "q") in after
    assert PollList("nf", "p") not in after


def test_what_a_delivery_hints_at_is_read_at_once(source: Source) -> None:
    tell(source, WEB)
    polling(source, WEB, wanted_at=NOW)
    assert possible(source)[PollTarget(WEB)].forced_at == NOW


def test_a_build_that_may_have_ended_unheard_makes_its_target_be_read_soon(source: Source) -> None:
    tell(source, WEB)
    known(source, WEB, read(build("a", took=100), build("b", Outcome.EXECUTING)))
    assert possible(source)[PollTarget(WEB)].forced_at == NOW + 300
    known(source, WEB, read(build("a", took=10), build("b", Outcome.EXECUTING)))
    assert possible(source)[PollTarget(WEB)].forced_at == NOW - 60 + Refresh().idle_ttl


def test_discovery_is_hourly_where_everything_is_told_of_and_looks_for_strangers(source: Source) -> None:
    discovery = Discover("nf")
    tell(source, WEB, API)
    assert possible(source)[discovery].longest == Refresh().discovery
    tell(source, *ALL)
    assert possible(source)[discovery].longest == HOUR
    source.state.webhook.discover_at = NOW
    assert possible(source)[discovery].forced_at == NOW


@pytest.mark.parametrize(
    ("status", "known"),
    [
        (BuildStatus("success", Outcome.SUCCESS, NOW + 61, 5), True),
        (BuildStatus("success", Outcome.SUCCESS, None, 5), True),
        (BuildStatus("success", Outcome.SUCCESS, NOW + 600, 5), False),
        (BuildStatus("failure", Outcome.FAILURE, NOW + 61, 5), False),
        (BuildStatus("building", Outcome.EXECUTING, NOW + 61, 3), False),
    ],
)
def test_a_list_says_nothing_new_where_a_delivery_reported_the_same(status: BuildStatus, *, known: bool) -> None:
    assert heard(status, read(build("a", took=60))) is known


def test_a_list_that_shows_a_running_build_says_nothing_new_where_one_is_known() -> None:
    running = BuildStatus("uploading", Outcome.EXECUTING, NOW, 4)
    assert heard(running, read(build("a", Outcome.EXECUTING)))
    assert not heard(running, replace(read(), baseline=NOW))


# What deliveries and reads change


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW + 2)


@pytest.fixture
def reading(source: Source, clock: Clock) -> Reading:
    """The reading of the source, of which everything is known that its targets' digests were made of."""
    made = Reading(
        MemoryStore(), SelfMetrics(), clock, RLock(), lambda: Times(clock.now, Refresh(), chance=lambda: 0.0), perform
    )
    made.shown = SeriesLimit(Rules(), frozenset(), 1000)
    made.sources["nf"] = source
    history = read(build("a"), build("b", Outcome.PENDING, at=1), now=NOW + 2)
    made.store.update(WEB, lambda _none: history)
    known(source, WEB, history, NOW + 2)
    return made


def deliver(reading: Reading, clock: Clock, at: float, event: str = "build:success", **record: object) -> Result:
    """Let a delivery about `web` come so many seconds after NOW."""
    clock.now = NOW + at
    data = {"build": record, "service": {"id": "web"}, "project": {"id": "p"}}
    return delivered(reading, reading.sources["nf"], {}, orjson.dumps({"event": event, "data": data}))


def poll(reading: Reading, clock: Clock, at: float, *polls: Poll) -> None:
    """Make the polls so many seconds after NOW."""
    clock.now = NOW + at
    with reading.lock:
        jobs = reading.jobs([Candidate(one, 0.0, 0.0, asked_at=NOW) for one in polls], EVERYTHING)
    submit(jobs)


def iso(at: float) -> str:
    return datetime.fromtimestamp(NOW + at, UTC).isoformat()


def record(name: str, at: float, ended: float | None, status: str = "SUCCESS") -> dict[str, Any]:
    """A build as the provider's list of builds shows it."""
    end = {} if ended is None else {"buildConcludedAt": iso(ended)}
    return {"id": name, "status": status, "concluded": ended is not None, "createdAt": iso(at), **end}


def end(at: float) -> dict[str, Any]:
    return {"id": "b", "status": "SUCCESS", "concluded": True, "createdAt": NOW + 1, "buildConcludedAt": NOW + at}


A = record("a", 0, 60)


def test_a_conclusion_told_in_time_announces_its_target_and_one_that_only_a_read_finds_ends_that(
    reading: Reading, source: Source, answers: Answers, clock: Clock
) -> None:
    assert deliver(reading, clock, 70, **end(65)) is Result.APPLIED
    assert told(source, NOW + 70) == {WEB, API, NIGHTLY}
    answers.builds = [record("c", 100, 160), record("b", 1, 65), A]
    poll(reading, clock, 900, PollTarget(WEB))
    assert told(source, NOW + 900) == set()


def test_a_conclusion_told_late_announces_nothing(reading: Reading, source: Source, clock: Clock) -> None:
    assert deliver(reading, clock, 700, **end(65)) is Result.APPLIED
    assert told(source, NOW + 700) == set()


def test_a_late_delivery_does_not_hide_what_a_read_saw(reading: Reading, answers: Answers, clock: Clock) -> None:
    answers.builds = [record("b", 1, 65), A]
    poll(reading, clock, 80, PollTarget(WEB))
    start: dict[str, Any] = {"id": "b", "status": "STARTING", "concluded": False, "createdAt": NOW + 1}
    deliver(reading, clock, 90, "build:start", **start)
    assert reading.store.read(WEB).rows["b"].build.concluded


def test_a_hint_that_comes_while_a_read_is_in_flight_is_read_again(
    reading: Reading, source: Source, answers: Answers, clock: Clock
) -> None:
    answers.builds = [record("b", 1, None, "PENDING"), A]
    hints: list[Result] = []

    def fetch(request: Request, /) -> Answer:
        if not hints:
            hints.append(deliver(reading, clock, 90, id="b"))
        return answers(request)

    source.reader.connection = Hooked(fetch)
    poll(reading, clock, 80, PollTarget(WEB))
    assert hints == [Result.DUE]
    assert source.targets[WEB].polling.wanted_at == NOW + 90
    poll(reading, clock, 95, PollTarget(WEB))
    assert source.targets[WEB].polling.wanted_at != NOW + 90


class Hooked:
    """A connection made of a function."""

    def __init__(self, fetch: Callable[[Request], Answer]) -> None:
        self._fetch = fetch

    def __call__(self, request: Request, /) -> Answer:
        return self._fetch(request)

    def close(self) -> None:
        raise AssertionError


def test_a_list_that_shows_what_was_told_asks_for_no_read(reading: Reading, source: Source, clock: Clock) -> None:
    deliver(reading, clock, 70, **end(65))

    def listed(status: str, at: float) -> Callable[[Request], Answer]:
        build = {"status": status, "lastTransitionTime": iso(at)}
        services = [
            {"id": "web", "serviceType": "combined", "status": {"build": build}},
            {"id": "api", "serviceType": "combined", "status": {"build": {"status": "SUCCESS"}}},
        ]
        body = orjson.dumps({"data": {"services": services}, "pagination": {"hasNextPage": False}})
        return lambda _request: Answer(200, body)

    source.reader.connection = Hooked(listed("SUCCESS", 66))
    clock.now = NOW + 80
    poll(reading, clock, 80, PollList("nf", "p"))
    assert source.targets[WEB].polling.wanted_at is None
    reads: list[str] = []

    def fetch(request: Request, /) -> Answer:
        reads.append(request.operation)
        return listed("FAILURE", 600)(request)

    source.reader.connection = Hooked(fetch)
    poll(reading, clock, 610, PollList("nf", "p"))
    assert source.targets[WEB].polling.due_at == NOW + 610


def test_a_report_tells_what_failed_and_what_the_reading_comes_to(source: Source) -> None:
    discovery = source.state.discovery
    source.state.discovery = replace(
        discovery, errors=('project "r": not found',), notes=("sources.nf.projects: nothing matches",), requests=3
    )
    for state in source.targets.values():
        state.health = Health(up=True)
    source.targets[NIGHTLY].health = Health(up=False, error="the token may not read it")
    (found,) = reports([source], source.budget.bucket, Refresh(), NOW)
    assert found.errors == ('project "r": not found', "nf/job/p/nightly: the token may not read it")
    assert found.notes == ("sources.nf.projects: nothing matches",)
    assert found.source == "nf"
    assert found.requests_an_hour >= 3 * HOUR / Refresh().discovery
