"""A history that was packed is the one that is unpacked."""

import gc

from builds import NOW, RULES, build, many, read, read_again
from hypothesis import given
from hypothesis import strategies as st

from exporter.build import Build, Outcome
from exporter.history.window import History, Rules, fold
from exporter.store.codec import NOTHING, Packed

SHAS = st.text("0123456789abcdef", min_size=40, max_size=40)
BUILDS = st.builds(
    build,
    st.text(min_size=1, max_size=20),
    st.sampled_from(Outcome),
    at=st.integers(0, 1000),
    branch=st.sampled_from([None, "main", "release/1", "x"]),
    sha=SHAS | st.text(max_size=8),
    run=st.sampled_from(["", "7"]),
)


@given(st.lists(BUILDS, max_size=12, unique_by=lambda one: one.id))
def test_what_is_packed_comes_back_as_it_was(builds: list[Build]) -> None:
    history = read(*builds)
    assert Packed(read(*builds)).history == history
    assert Packed(history).unfinished == tuple(history.unfinished)
    assert Packed(history).empty == (not builds)


@given(st.lists(SHAS, max_size=12))
def test_shas_are_packed_to_half(shas: list[str]) -> None:
    builds = [build(f"b{place}", sha=sha) for place, sha in enumerate(shas)]
    assert Packed(read(*builds)).history == read(*builds)


def cut() -> History:
    rules = Rules(builds=3, histograms=("conclude", "queue", "run"))
    return fold(read_again(read(*many(150, step=20), rules=rules), *many(160, step=20), rules=rules), rules, NOW)


def test_what_was_cut_and_folded_comes_back_as_well() -> None:
    assert cut().past
    assert Packed(cut()).history == cut()


def test_those_who_look_at_the_same_time_share_one() -> None:
    packed = Packed(read(build("a"), rules=RULES))
    gc.collect()
    history = packed.history
    assert packed.history is history


def test_of_what_was_never_read_nothing_is_known() -> None:
    assert NOTHING.history == History()
    assert NOTHING.baseline is None
