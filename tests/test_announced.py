"""Which targets need no asking, since deliveries tell of them, and when that ends."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from builds import NOW, RULES, build, moved, read, seen

from exporter.build import Outcome, Target
from exporter.config.secret import EnvToken
from exporter.exposition.self_metrics import Meters
from exporter.exposition.series_limit import Display
from exporter.history.window import Sight
from exporter.http.wire import Answer, Request
from exporter.polling.deliveries import HEARD, Result
from exporter.polling.list_status import heard
from exporter.polling.polls import SLOWEST, announced, questions, report
from exporter.polling.results import Intake
from exporter.polling.schedule import Question, pulse
from exporter.polling.state import Asked, Origin, Purse, Subject, budget_of, origin_of
from exporter.polling.walk import Walked
from exporter.polling.workers import Inline
from exporter.providers import Look
from exporter.providers.northflank import NorthflankSource
from exporter.settings.settings import Refresh
from exporter.store.codec import Packed

HOUR = 3600.0
WEB, API, OTHER = (
    Target("nf", "service", project, name) for project, name in (("p", "web"), ("p", "api"), ("q", "web"))
)
NIGHTLY = Target("nf", "job", "p", "nightly")
ALL = (WEB, API, OTHER, NIGHTLY)
IDLE = Look("success", Outcome.SUCCESS, NOW, 5)


class Nothing:
    """A connection that nobody uses."""

    def __call__(self, _request: Request, /) -> Answer:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


@pytest.fixture
def origin() -> Origin:
    """Four targets that were read a minute ago, and a source that has just delivered."""
    source = NorthflankSource(name="nf", provider="northflank", token=EnvToken("TOKEN"))
    made = origin_of(source, Nothing(), Inline(), Purse(budget_of(source, NOW)))
    for target in ALL:
        look = IDLE if target.kind == "service" else None
        made.subjects[target] = Subject(target, packed=Packed(read(build("a"))), asked=Asked(NOW - 60), look=look)
    made.discovery = Asked(NOW - 60)
    made.webhook.heard_at = NOW
    return made


def asked(origin: Origin, now: float = NOW) -> dict[object, Question]:
    return {question.key: question for question in questions(origin, Refresh(), now)}


def told(origin: Origin, now: float = NOW) -> set[Target]:
    return {target for target, subject in origin.subjects.items() if announced(origin, subject, now)}


def tell(origin: Origin, *targets: Target) -> None:
    for target in targets:
        origin.subjects[target].announced = origin.webhook.projects[target.project] = True


def test_a_target_is_told_of_by_its_last_conclusion_and_others_of_its_project_until_theirs(origin: Origin) -> None:
    assert told(origin) == set()
    tell(origin, WEB)
    assert told(origin) == {WEB, API, NIGHTLY}
    origin.subjects[API].announced = False
    assert told(origin) == {WEB, NIGHTLY}


def test_what_was_never_read_is_read(origin: Origin) -> None:
    tell(origin, *ALL)
    origin.subjects[WEB].asked = Asked()
    assert WEB not in told(origin)
    assert asked(origin)[WEB].first


def test_silence_brings_polling_back(origin: Origin) -> None:
    tell(origin, *ALL)
    assert told(origin, NOW + HEARD) == set(ALL)
    assert told(origin, NOW + HEARD + 1) == set()


def test_what_is_told_of_is_only_swept(origin: Origin) -> None:
    before = asked(origin)
    assert before[NIGHTLY].steady
    tell(origin, WEB, API, NIGHTLY)
    after = asked(origin)
    for target in (WEB, API, NIGHTLY):
        assert not after[target].steady
        assert after[target].forced_at == NOW - 60 + SLOWEST
    assert ("nf", "list", "q") in after
    assert ("nf", "list", "p") not in after


def test_what_a_delivery_hints_at_is_read_at_once(origin: Origin) -> None:
    tell(origin, WEB)
    origin.subjects[WEB].wanted_at = NOW
    assert asked(origin)[WEB].forced_at == NOW


def test_a_build_that_may_have_ended_unheard_makes_its_target_be_read_soon(origin: Origin) -> None:
    tell(origin, WEB)
    subject = origin.subjects[WEB]
    subject.history = read(build("a", took=100), build("b", Outcome.EXECUTING))
    subject.pulse = pulse(subject.history, NOW)
    assert asked(origin, NOW + 300)[WEB].forced_at == NOW - 60 + SLOWEST
    assert asked(origin, NOW + 301)[WEB].forced_at == NOW - 60 + Refresh().idle_ttl


def test_discovery_is_hourly_where_everything_is_told_of_and_looks_for_strangers(origin: Origin) -> None:
    discovery = ("nf", "discovery")
    tell(origin, WEB, API)
    assert asked(origin)[discovery].forced_at == NOW - 60 + Refresh().discovery
    tell(origin, *ALL)
    assert asked(origin)[discovery].forced_at == NOW - 60 + HOUR
    origin.webhook.discover_at = NOW
    assert asked(origin)[discovery].forced_at == NOW


@pytest.mark.parametrize(
    ("look", "known"),
    [
        (Look("success", Outcome.SUCCESS, NOW + 61, 5), True),
        (Look("success", Outcome.SUCCESS, None, 5), True),
        (Look("success", Outcome.SUCCESS, NOW + 600, 5), False),
        (Look("failure", Outcome.FAILURE, NOW + 61, 5), False),
        (Look("building", Outcome.EXECUTING, NOW + 61, 3), False),
    ],
)
def test_a_look_tells_nothing_where_a_delivery_told_the_same(look: Look, *, known: bool) -> None:
    assert heard(look, read(build("a", took=60))) is known


def test_a_look_at_a_running_build_tells_nothing_where_one_is_known() -> None:
    running = Look("uploading", Outcome.EXECUTING, NOW, 4)
    assert heard(running, read(build("a", Outcome.EXECUTING)))
    assert not heard(running, replace(read(), baseline=NOW))


# What is taken in


@pytest.fixture
def intake() -> Intake:
    return Intake(Refresh(), RULES, Display(RULES, frozenset(), 1000), Meters(), lambda: 0.0)


def deliver(intake: Intake, origin: Origin, at: float, event: str = "build:success", **record: object) -> Result:
    data = {"build": record, "service": {"id": "web"}, "project": {"id": "p"}}
    return intake.delivered(origin, {}, orjson.dumps({"event": event, "data": data}), at)


def walked(*sights: Sight) -> Walked:
    return Walked(sights, frozenset(), (), mark=NOW, missed=False, ordered=True)


def under_way(origin: Origin) -> Subject:
    """A service whose build `b` is known to wait."""
    subject = origin.subjects[WEB]
    subject.history = read(build("a"), build("b", Outcome.PENDING, at=1), now=NOW + 2)
    return subject


def end(at: float) -> dict[str, Any]:
    return {"id": "b", "status": "SUCCESS", "concluded": True, "createdAt": NOW + 1, "buildConcludedAt": NOW + at}


def test_a_conclusion_told_in_time_announces_its_target_and_one_that_only_a_read_finds_ends_that(
    origin: Origin, intake: Intake
) -> None:
    subject = under_way(origin)
    assert deliver(intake, origin, NOW + 70, **end(65)) is Result.APPLIED
    assert told(origin, NOW + 70) == {WEB, API, NIGHTLY}
    lost = build("c", at=100, took=60)
    intake.read(origin, subject, walked(*seen(lost, at=NOW + 900)), sweep=False, now=NOW + 900)
    assert told(origin, NOW + 900) == set()


def test_a_conclusion_told_late_announces_nothing(origin: Origin, intake: Intake) -> None:
    under_way(origin)
    assert deliver(intake, origin, NOW + 700, **end(65)) is Result.APPLIED
    assert told(origin, NOW + 700) == set()


def test_a_late_delivery_does_not_hide_what_a_read_before_it_saw(origin: Origin, intake: Intake) -> None:
    subject = under_way(origin)
    start: dict[str, Any] = {"id": "b", "status": "STARTING", "concluded": False, "createdAt": NOW + 1}
    assert deliver(intake, origin, NOW + 90, "build:start", **start) is Result.APPLIED
    ended = moved(build("b", at=1), Outcome.SUCCESS)
    intake.read(origin, subject, walked(*seen(ended, at=NOW + 80)), sweep=False, now=NOW + 80)
    assert subject.history.rows["b"].build.concluded


def test_a_hint_that_comes_while_a_read_is_under_way_is_read_again(origin: Origin, intake: Intake) -> None:
    subject = under_way(origin)
    assert deliver(intake, origin, NOW + 90, id="b") is Result.DUE
    intake.read(origin, subject, walked(*seen(build("a"), at=NOW + 80)), sweep=False, now=NOW + 80)
    assert subject.wanted_at == NOW + 90
    intake.read(origin, subject, walked(*seen(build("a"), at=NOW + 95)), sweep=False, now=NOW + 95)
    assert subject.wanted_at != NOW + 90


def test_a_list_that_shows_what_was_told_asks_for_no_read(origin: Origin, intake: Intake) -> None:
    subject = under_way(origin)
    deliver(intake, origin, NOW + 70, **end(65))
    looks = {WEB: Look("success", Outcome.SUCCESS, NOW + 66, 5), API: IDLE}
    intake.looked(origin, "p", looks, NOW + 80)
    assert subject.wanted_at is None
    intake.looked(origin, "p", looks | {WEB: Look("failure", Outcome.FAILURE, NOW + 600, 5)}, NOW + 610)
    assert subject.wanted_at == NOW + 610


def test_a_report_tells_what_failed_and_what_the_reading_comes_to(origin: Origin) -> None:
    origin.errors, origin.notes = ('project "r": not found',), ("sources.nf.projects: nothing matches",)
    origin.subjects[NIGHTLY].error = "the token may not read it"
    origin.discovery_cost = 3
    told = report(origin, Refresh(), NOW)
    assert told.errors == ('project "r": not found', "nf/job/p/nightly: the token may not read it")
    assert told.notes == origin.notes
    assert told.status.name == "nf"
    assert told.requests_an_hour >= 3 * HOUR / Refresh().discovery
