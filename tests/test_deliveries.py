"""What a delivery adds to what is known: builds move forward only, and each conclusion counts once."""

from math import inf

import pytest
from builds import NOW, RULES, all_counted, build, moved, pipeline, read, read_again, seen
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Build, Outcome, Run
from exporter.history.statistics import statistics
from exporter.history.window import History, merge
from exporter.polling.deliveries import PROMPT, overdue_at, timely, told, untold
from exporter.polling.hazard import pulse
from exporter.providers import Delivery

LIFE = (Outcome.WAITING, Outcome.PENDING, Outcome.EXECUTING, Outcome.SUCCESS)
"""In the order in which a build takes them."""


def delivery(*builds: Build, complete: bool = True, whole: bool = True) -> Delivery:
    return Delivery("job", builds=builds, complete=complete, whole=whole)


def after(history: History, one: Delivery, now: float = NOW) -> History:
    return merge(history, told(history, one, now).sights, RULES, now)


def known(history: History, build_id: str = "b") -> Build:
    return history.rows[build_id].build


@pytest.mark.parametrize("before", LIFE)
@pytest.mark.parametrize("says", LIFE)
def test_a_build_moves_forward_and_never_back(before: Outcome, says: Outcome) -> None:
    history = read(build("b", before))
    news = told(history, delivery(build("b", says)), NOW + 5)
    forward = LIFE.index(says) > LIFE.index(before)
    assert bool(news.sights) is forward
    assert known(after(history, delivery(build("b", says)), NOW + 5)).outcome is (says if forward else before)
    assert not news.due


@pytest.mark.parametrize("says", [Outcome.FAILURE, Outcome.CANCELLATION, Outcome.SUCCESS])
def test_what_has_ended_stays_as_it_ended(says: Outcome) -> None:
    history = read(build("a"), build("b", Outcome.EXECUTING))
    ended = after(history, delivery(build("b", Outcome.SUCCESS)), NOW + 60)
    assert after(ended, delivery(build("b", says)), NOW + 90) == ended
    assert all_counted(ended) == {"success": 1}


def test_a_skipped_build_that_seems_to_come_to_life_is_read() -> None:
    news = told(read(build("b", Outcome.SKIP)), delivery(build("b", Outcome.PENDING)), NOW)
    assert (news.sights, news.due) == ((), True)


def test_a_delivery_is_newer_than_what_it_moves_though_the_clock_went_back() -> None:
    history = read(build("b", Outcome.EXECUTING), now=NOW + 100)
    assert known(after(history, delivery(build("b", took=5)), NOW + 50)).concluded


def test_what_never_changes_stays_as_it_was_read() -> None:
    before = build("b", Outcome.PENDING, branch="main", at=0.5)._replace(created_at=NOW + 0.5)
    says = build("b", branch="other", at=0, took=30, started=0, sha="x")._replace(created_at=NOW)
    build_now = known(after(read(before), delivery(says), NOW + 31))
    assert (build_now.created_at, build_now.branch, build_now.sha) == (NOW + 0.5, "main", "sha-b")
    # Told in whole seconds, it seems to have started before it was created.
    assert (build_now.started_at, build_now.concluded_at) == (NOW + 0.5, NOW + 30)


def test_an_end_without_its_time_is_counted_and_read() -> None:
    history = read(build("a"), build("b", Outcome.EXECUTING))
    one = delivery(build("b")._replace(concluded_at=None))
    assert told(history, one, NOW).due
    assert all_counted(after(history, one)) == {"success": 1}
    assert not told(read(build("a")), delivery(build("c", Outcome.SKIP, at=1, concluded=False)), NOW).due


def test_a_new_build_is_taken_where_all_of_it_is_told() -> None:
    history = read(build("a"))
    assert known(after(history, delivery(build("b", at=9)), NOW + 70)).outcome is Outcome.SUCCESS
    for unclear in (delivery(build("b", at=9), complete=False), delivery(build("b", at=9), whole=False)):
        news = told(history, unclear, NOW)
        assert (news.sights, news.due) == ((), True)


def test_a_new_job_of_a_known_pipeline_is_of_its_branch() -> None:
    history = read(build("a", branch=None, run="9"))
    one = delivery(build("b", Outcome.PENDING, at=9, branch="main", run="9"), whole=False)
    assert known(after(history, one)).branch is None


def test_nothing_told_is_read() -> None:
    assert told(read(build("a")), delivery(), NOW).due


@pytest.mark.parametrize(("outcome", "due"), [(Outcome.SUCCESS, False), (Outcome.EXECUTING, True)])
def test_a_build_older_than_what_is_known_counts_nothing(outcome: Outcome, *, due: bool) -> None:
    news = told(read(build("a")), delivery(build("b", outcome, at=-50)), NOW)
    assert (news.sights, news.due, news.prompt) == ((), due, None)


def test_a_read_that_began_before_a_delivery_takes_nothing_back_and_may_go_on() -> None:
    pending = build("b", Outcome.PENDING)
    history = after(read(pending), delivery(moved(pending, Outcome.EXECUTING)), NOW + 20)
    late = merge(history, timely(history, seen(pending, at=NOW + 10)), RULES, NOW + 21)
    assert known(late).outcome is Outcome.EXECUTING
    # The delivery was late, and the build had ended when the read began.
    ended = merge(history, timely(history, seen(moved(pending, Outcome.SUCCESS, 5), at=NOW + 10)), RULES, NOW + 21)
    assert known(ended).outcome is Outcome.SUCCESS


@pytest.mark.parametrize(("late", "prompt"), [(0, True), (PROMPT, True), (PROMPT + 1, False)])
def test_conclusions_are_told_in_time_or_not(late: float, *, prompt: bool) -> None:
    history = read(build("a"), build("b", Outcome.EXECUTING))
    assert told(history, delivery(build("b")), NOW + 60 + late).prompt is prompt
    assert told(history, delivery(moved(build("b"), Outcome.EXECUTING)), NOW + 60 + late).prompt is None


def test_a_conclusion_that_a_read_found_first_was_told_all_the_same_if_it_is_soon() -> None:
    history = read(build("b"), now=NOW + 61)
    assert told(history, delivery(build("b")), NOW + 65).prompt is True
    assert told(history, delivery(build("b")), NOW + 600).prompt is None


def test_a_read_that_finds_an_old_conclusion_finds_what_nobody_told() -> None:
    history = read(build("b", Outcome.EXECUTING))
    assert not untold(history, read_again(history, build("b"), now=NOW + 90), NOW + 90)
    assert untold(history, read_again(history, build("b"), now=NOW + 900), NOW + 900)
    heard = after(history, delivery(build("b")), NOW + 61)
    assert not untold(heard, read_again(heard, build("b"), now=NOW + 900), NOW + 900)
    assert not untold(history, read_again(history, build("c", Outcome.SKIP, at=1), now=NOW + 900), NOW + 900)


def test_a_build_is_overdue_past_thrice_the_usual_and_the_longest() -> None:
    under_way = build("b", Outcome.EXECUTING)
    for others, limit in (((), 540), ((60, 60, 60), 180), ((60, 60, 400), 400)):
        past = [build(f"p{place}", at=-1000 - place, took=took) for place, took in enumerate(others)]
        now = pulse(read(under_way, *past), NOW)
        assert overdue_at(now) == NOW + limit
    assert overdue_at(pulse(read(build("b")), NOW)) == inf


# Runs


def hook(run: Run, *builds: Build) -> Delivery:
    """The delivery of a pipeline with all its builds."""
    return Delivery("pipeline", builds=builds, complete=True, whole=True, runs=(run,))


def heard(history: History, one: Delivery, now: float) -> History:
    return told(history, one, now).applied(history, RULES, now)


def success(history: History) -> bool | None:
    """Whether the newest decided run of main succeeded."""
    return statistics(history, RULES)[0].sequel.success


def broken() -> History:
    """One whose first pipeline failed, and whose second is under way."""
    first = build("a", Outcome.FAILURE, run="1", name="test")
    second = build("b", Outcome.EXECUTING, at=100, run="2", name="test")
    runs = (pipeline("1", "failed"), pipeline("2", "running", at=100, moved=5))
    return read(first, second, runs=runs, now=NOW + 110)


def test_a_cancelled_pipeline_is_no_success() -> None:
    lint = build("c", at=100, run="2", name="lint")
    test = build("b", Outcome.CANCELLATION, at=100, run="2", name="test")
    after_it = heard(broken(), hook(pipeline("2", "canceled", at=100), lint, test), NOW + 165)
    assert success(after_it) is False
    assert after_it.runs["2"].outcome is Outcome.CANCELLATION


def test_a_pipeline_of_an_api_without_its_status_is_judged_by_all_of_its_builds() -> None:
    first = build("a", Outcome.FAILURE, run="s1:main", name="test")
    history = read(first, runs=[pipeline("s1:main", "")], now=NOW + 70)
    for outcome, action_for in ((Outcome.CANCELLATION, False), (Outcome.SUCCESS, True)):
        builds = build("b", at=100, run="s2:main", name="lint"), build("c", outcome, at=100, run="s2:main", name="test")
        one = hook(pipeline("s2:main", "", at=100), *builds)
        assert success(heard(history, one, NOW + 170)) is action_for


def test_a_pipeline_moves_forward_by_what_is_delivered() -> None:
    passed = build("b", at=100, run="2", name="test")
    one = hook(pipeline("2", "success", at=100), passed)
    news = told(broken(), one, NOW + 165)
    assert (news.news, news.due) == (True, False)
    assert success(news.applied(broken(), RULES, NOW + 165)) is True
    assert news.applied(broken(), RULES, NOW + 165).runs["2"].whole
    assert success(broken()) is False


def test_a_late_or_repeated_delivery_takes_nothing_back() -> None:
    passed = build("b", at=100, run="2", name="test")
    done = heard(broken(), hook(pipeline("2", "success", at=100), passed), NOW + 165)
    again = told(done, hook(pipeline("2", "success", at=100), passed), NOW + 170)
    assert (again.news, again.due) == (False, False)
    late = told(done, hook(pipeline("2", "running", at=100, moved=None), passed), NOW + 170)
    assert (late.news, late.due) == (False, True)
    # It failed, was retried, and a read has shown both.
    retried = read(build("b", Outcome.EXECUTING, at=100, run="2"), runs=[pipeline("2", "running", at=100, moved=80)])
    late = told(retried, hook(pipeline("2", "failed", at=100)), NOW + 190)
    assert not late.runs


def test_a_pipeline_that_failed_and_now_passed_is_taken_and_read() -> None:
    failed = read(build("b", Outcome.FAILURE, at=100, run="2"), runs=[pipeline("2", "failed", at=100)], now=NOW + 170)
    retry = build("c", at=200, run="2")
    news = told(failed, hook(pipeline("2", "success", at=100, moved=160), retry), NOW + 265)
    assert (len(news.runs), news.due) == (1, True)
    assert not told(failed, hook(pipeline("2", "success", at=100), retry), NOW + 265).runs


def test_a_pipeline_older_than_what_is_known_is_read() -> None:
    news = told(broken(), hook(pipeline("0", "failed", at=-5000, moved=5150)), NOW + 160)
    assert (news.runs, news.due) == ((), True)


def test_a_delivery_without_the_reason_and_a_read_with_it_are_one_build() -> None:
    history = read(build("a"), build("b", Outcome.EXECUTING), now=NOW + 10)
    delivered = heard(history, delivery(build("b", Outcome.FAILURE)), NOW + 61)
    read_later = merge(delivered, timely(delivered, seen(build("b", Outcome.ERROR), at=NOW + 90)), RULES, NOW + 90)
    assert read_later.rows["b"].build.outcome is Outcome.ERROR
    assert sum(all_counted(read_later).values()) == 1
    assert heard(read_later, delivery(build("b", Outcome.FAILURE)), NOW + 95) == read_later


# Reads and deliveries in any order

steps = st.lists(
    st.tuples(st.sampled_from(["read", "deliver"]), st.integers(0, 3), st.integers(0, 400), st.integers(0, 120)),
    max_size=25,
)
"""What happens: a read or a delivery, of which build, as it stood when, and how many seconds until it comes in."""


def lives(place: int, at: int) -> Build | None:
    """How one of four builds stands `at` seconds after NOW."""
    ends = (Outcome.SUCCESS, Outcome.FAILURE, Outcome.CANCELLATION, Outcome.ERROR)[place]
    created = 10 + 40 * place
    if at < created:
        return None
    outcome = next((word for after, word in ((90, ends), (30, Outcome.EXECUTING)) if at - created >= after), None)
    return build(f"b{place}", outcome or Outcome.PENDING, at=created, took=90)


@given(steps)
def test_each_conclusion_counts_once_and_no_build_goes_back_whatever_comes_in_which_order(
    happened: list[tuple[str, int, int, int]],
) -> None:
    history = read(build("old", at=-5))
    places: dict[str, int] = {}
    for what, place, at, late in sorted(happened, key=lambda step: step[2] + step[3]):
        now = NOW + at + late
        one = lives(place, at)
        if what == "deliver":
            history = after(history, delivery(*[one] if one else []), now)
        else:
            page = [other for other in (lives(number, at) for number in range(4)) if other]
            history = merge(history, timely(history, seen(*page, at=NOW + at)), RULES, now)
        for row in history.rows.values():
            stands = 3 if row.build.concluded else 1 + (row.build.outcome is Outcome.EXECUTING)
            assert stands >= places.get(row.build.id, 0)
            places[row.build.id] = stands
    last = [other for other in (lives(number, 1000) for number in range(4)) if other]
    history = merge(history, timely(history, seen(*last, at=NOW + 1000)), RULES, NOW + 1000)
    history = read_again(history, now=NOW + 1001)
    assert all_counted(history) == {"success": 1, "failure": 1, "cancellation": 1, "error": 1}
