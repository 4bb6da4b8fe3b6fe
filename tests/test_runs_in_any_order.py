"""Runs whose observations come in any order and number: what is known of them in the end is the same."""

from builds import DAY, NOW, RULES, build, pipeline, read, runs_counted
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Outcome
from exporter.history.statistics import statistics
from exporter.history.window import History, Observation, RunObservation, RunRow, merge

Observations = tuple[list[Observation], list[RunObservation]]

MOVED_AT = 50.0, 60.5, 300.0, 900.0
LIVES = [
    ("running", "failed", "running", "success"),
    ("running", "success", "running", "canceled"),
    ("success", "running", "failed", "running"),
    ("pending", "canceled", "running", "success"),
    ("running", "failed", "running", "failed"),
    ("skipped", "running", "success", "failed"),
]
"""What the status of each pipeline moved to at those times."""


@st.composite
def any_observations(draw: st.DrawFn) -> Observations:
    """Pipelines and jobs as a provider may tell of them, at any moment and in any order.

    What never changes of one (when it was created, whose child it is) is always told alike.
    """
    builds: list[Observation] = []
    runs: list[RunObservation] = []
    for _ in range(draw(st.integers(0, 12))):
        number = draw(st.integers(0, 5))
        state = draw(st.integers(0, 3))
        status = LIVES[number][state]
        run = pipeline(f"{number}", status, at=number * 5.0, moved=MOVED_AT[state], sha=f"s{number % 2}")
        if number > 3:
            run = run._replace(trigger="parent_pipeline", parent=f"{number % 2}" if number > 4 else "")
        runs.append((run, (run.updated_at or 0.0) + draw(st.sampled_from([0, 1, 400]))))
    for _ in range(draw(st.integers(0, 20))):
        number = draw(st.integers(0, 30))
        outcome = draw(st.sampled_from(list(Outcome)))
        one = build(f"{number}", outcome, run=f"{number % 6}", at=number, took=20.0, name=f"j{number % 3}")
        builds.append((one, NOW + draw(st.integers(0, 3))))
    return builds, runs


BEFORE = read(build("base", at=-DAY))


def known(history: History) -> tuple[object, ...]:
    return history.rows, history.runs, history.totals, history.run_totals, history.past, history.names, history.cut_at


@given(any_observations(), st.randoms(use_true_random=False))
def test_the_order_of_observations_changes_nothing(found: Observations, chance: object) -> None:
    builds, runs = found
    mixed, mixed_runs = list(builds), list(runs)
    chance.shuffle(mixed)  # type: ignore[attr-defined]  # Hypothesis' Random
    chance.shuffle(mixed_runs)  # type: ignore[attr-defined]
    one = merge(BEFORE, builds, RULES, NOW + 999, runs=runs)
    assert known(merge(BEFORE, mixed, RULES, NOW + 999, runs=mixed_runs)) == known(one)
    assert known(merge(one, builds, RULES, NOW + 999, runs=runs)) == known(one)


def by_id(history: History) -> list[RunRow]:
    """The runs without what depends on what was seen first: whether they were counted, and by what they failed."""
    rows = [row._replace(counted=0) for _id, row in sorted(history.runs.items())]
    return [row._replace(outcome=Outcome.FAILURE) if row.succeeded is False else row for row in rows]


@given(any_observations(), any_observations())
def test_two_merges_with_runs_commute(one: Observations, two: Observations) -> None:
    def both(first: Observations, then: Observations) -> History:
        history = merge(BEFORE, first[0], RULES, NOW + 999, runs=first[1])
        return merge(history, then[0], RULES, NOW + 999, runs=then[1])

    forth, back = both(one, two), both(two, one)
    assert forth.rows == back.rows
    assert by_id(forth) == by_id(back)
    assert sum(runs_counted(forth).values()) <= sum(row.counted for row in forth.runs.values())
    assert [found.sequel for found in statistics(forth, RULES)] == [found.sequel for found in statistics(back, RULES)]
