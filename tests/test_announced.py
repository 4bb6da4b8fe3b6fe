"""Which targets need no asking, since deliveries tell of them, and when that ends."""

from dataclasses import replace

import pytest
from builds import NOW, build, read

from exporter.build import Outcome, Target
from exporter.cadence import Question, pulse
from exporter.deliveries import HEARD
from exporter.looks import heard
from exporter.providers import Look
from exporter.readers import Inline
from exporter.settings import EnvToken, NorthflankSource, Refresh
from exporter.source import SLOWEST, Asked, Origin, Purse, Subject, announced, budget_of, origin_of, questions
from exporter.wire import Answer, Request

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
        made.subjects[target] = Subject(target, history=read(build("a")), asked=Asked(NOW - 60), look=look)
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
