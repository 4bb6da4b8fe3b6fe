"""How fast the data of a target grows old: from how it builds to the delay that must be expected to have accrued."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
from builds import DAY, NOW, build, read
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Outcome
from exporter.history.window import History
from exporter.polling.hazard import (
    BURST,
    PRIOR,
    SOONEST,
    USUAL,
    Pulse,
    accrued,
    arrival_rate,
    overdue,
    pulse,
    quiet_pause,
    together,
)

# How a target builds


def test_a_target_of_which_nothing_is_known_has_the_prior_alone() -> None:
    known = pulse(History(), NOW)
    assert (known.burst, known.day, known.unfinished, known.durations, known.usual) == (0, 0, (), (), USUAL)
    assert 0 < accrued(known, NOW - 3600, NOW) <= PRIOR * 3600**2 / 2


def test_the_pulse_of_a_target_tells_its_runs_its_unfinished_builds_and_what_the_others_took() -> None:
    history = read(
        build("old", at=-600, took=100),
        build("quick", at=-500, took=20),
        build("slow", at=-400, took=300),
        build("usual", at=-300, took=60),
        build("now", Outcome.EXECUTING, at=-10),
        build("asleep", Outcome.WAITING, at=-5),
    )
    known = pulse(history, NOW)
    assert list(known.unfinished) == [NOW - 10]
    assert list(known.durations) == [20, 60, 100, 300]
    assert known.usual == 60
    assert known.at == NOW


def test_where_nothing_runs_only_the_usual_time_is_kept() -> None:
    known = pulse(read(build("a", took=40), build("b", at=1, took=50)), NOW)
    assert (known.durations, known.usual) == ((), 40)


def test_a_run_of_many_builds_is_one_arrival() -> None:
    jobs = [build(f"job-{place}", run="pipeline", at=-100 + place) for place in range(12)]
    assert pulse(read(*jobs), NOW).burst == pytest.approx(pulse(read(build("one", at=-100)), NOW).burst)


def test_a_build_of_the_future_counts_as_one_of_now() -> None:
    assert pulse(read(build("a", at=3600)), NOW).burst == pulse(read(build("a")), NOW).burst


def test_builds_of_the_last_minutes_make_more_haste_than_those_of_yesterday() -> None:
    fresh, stale = (pulse(read(*(build(f"b{n}", at=-ago) for n in range(5))), NOW) for ago in (60, DAY))
    nothing = pulse(History(), NOW)
    rates = [accrued(known, NOW - 300, NOW) for known in (fresh, stale, nothing)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3


def test_haste_wears_off() -> None:
    known = pulse(read(*(build(f"b{n}", at=-60) for n in range(5))), NOW)
    assert accrued(known, NOW + 3600, NOW + 3900) < accrued(known, NOW, NOW + 300)


# The delay that has accrued


def test_nothing_has_accrued_at_the_moment_of_asking() -> None:
    known = pulse(read(build("a"), build("b", Outcome.EXECUTING)), NOW)
    assert accrued(known, NOW, NOW) == 0


def test_what_was_never_asked_comes_before_all() -> None:
    assert accrued(Pulse(), -inf, NOW) == inf
    assert accrued(pulse(read(build("b", Outcome.EXECUTING)), NOW), -inf, NOW) == inf


def test_a_build_that_runs_as_long_as_the_earlier_ones_did_must_be_expected_to_have_ended() -> None:
    assert overdue((100.0,) * 9, 10.0, 90.0) < 10
    assert overdue((100.0,) * 9, 10.0, 200.0) > 90


def test_a_build_that_has_outrun_all_others_is_expected_to_go_on_about_as_long_again() -> None:
    short, long = overdue((10.0,), 100.0, 160.0), overdue((10.0,), 1000.0, 1060.0)
    assert 0 < long < short < 60


def test_where_no_build_has_ended_yet_the_usual_time_is_expected() -> None:
    assert overdue((), 1.0, 61.0) == pytest.approx(overdue((), 1000.0, 1060.0))
    assert 0 < overdue((), 0.0, SOONEST) < SOONEST / 2


def test_a_build_that_began_after_the_asking_is_overdue_by_no_more_than_its_age() -> None:
    assert overdue((1.0, 2.0), -50.0, 10.0) <= 10


ages = st.floats(0, 7200)


@given(
    durations=st.lists(st.floats(0.0, 20_000), max_size=12).map(sorted),
    running=st.lists(st.floats(-3600, 100), max_size=3),
    ended=st.lists(st.floats(-DAY, 0), max_size=6),
    asked=ages,
    waits=st.lists(st.floats(0, 2 * BURST), min_size=2, max_size=6).map(sorted),
)
def test_the_delay_that_has_accrued_grows_with_time_until_a_burst_is_forgotten(
    durations: list[float], running: list[float], ended: list[float], asked: float, waits: list[float]
) -> None:
    builds = [build(f"e{place}", at=at) for place, at in enumerate(ended)]
    known = pulse(read(*builds), NOW) if builds else Pulse(at=NOW)
    known = replace(known, unfinished=tuple(NOW + at for at in running), durations=tuple(durations))
    grown = [accrued(known, NOW + asked, NOW + asked + wait) for wait in waits]
    for shorter, longer in pairwise(grown):
        assert 0 <= shorter <= longer * (1 + 1e-9) + 1e-6
    assert grown[-1] < inf


@given(
    durations=st.lists(st.floats(0.0, 20_000), max_size=12).map(sorted),
    before=st.floats(-1e4, 1e5),
    wait=st.floats(0, 1e5),
)
def test_no_build_is_overdue_for_longer_than_nobody_has_asked(
    durations: list[float], before: float, wait: float
) -> None:
    late = overdue(durations, before, before + wait)
    assert -1e-6 <= late <= wait * (1 + 1e-9) + 1e-6 or before < 0


def test_a_build_of_the_far_future_is_expected_to_have_ended_for_no_time_at_all() -> None:
    assert accrued(pulse(read(build("b", Outcome.EXECUTING, at=1e9)), NOW), NOW, NOW + 60) < 1


@given(burst=st.floats(0, 0.1), usual=st.floats(0, 7200), worth=st.floats(0.01, 1e6), asked=st.floats(0, 7200))
def test_the_pause_of_a_quiet_target_is_that_after_which_the_delay_has_accrued(
    burst: float, usual: float, worth: float, asked: float
) -> None:
    known = Pulse(at=NOW, burst=burst, day=burst / 10, usual=usual)
    now = NOW + asked
    pause = quiet_pause(arrival_rate(known, now), usual, worth)
    assert accrued(known, now - pause, now) == pytest.approx(worth, rel=1e-4)


def test_what_one_request_shows_accrues_as_its_targets_do() -> None:
    known = [
        pulse(read(build("a", at=-60, took=50)), NOW),
        pulse(read(build("b", at=-600, took=50)), NOW - 300),
        pulse(read(build("c", at=-100, took=900)), NOW),
        pulse(read(build("d", at=-300, took=50), build("e", Outcome.EXECUTING, at=-20)), NOW),
    ]
    one = together(known, NOW)
    assert len(one) == 3
    assert sum(part.targets for part in one) == 4
    for pause in (10, 100, 1000):
        apart = sum(accrued(part, NOW, NOW + pause) for part in known)
        assert sum(accrued(part, NOW, NOW + pause) for part in one) == pytest.approx(apart)
