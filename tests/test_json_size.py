"""What is decoded at once is bounded, whatever a server sends; the bound is found without decoding."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import BadPayload
from exporter.http.json_size import LARGEST_PAGE, MOST_VALUES, SMALL, check_size
from exporter.http.wire import Answer, decode, sequence

PADDING = "x" * SMALL

OVERSIZED = [
    pytest.param(b"[" + b",".join([b'{"id":1}'] * 200_000) + b"]", id="records"),
    pytest.param(b'{"data":{"builds":[' + b",".join([b'{"id":1}'] * 200_000) + b"]}}", id="records further in"),
    pytest.param(b"{" + b",".join(b'"%d":1' % n for n in range(200_000)) + b"}", id="keys"),
    pytest.param(b"[" * (SMALL + 1), id="depth"),
    pytest.param(b'["' + b'\\"' * SMALL + b'",' + b"1," * 500, id="after a long string"),
    pytest.param(orjson.dumps([PADDING, [[[0] * 100] * 30] * 70]), id="many lists, none of them long"),
]


@pytest.mark.parametrize("body", OVERSIZED)
def test_more_than_any_page_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload, match=r"records or more at once|more than 100,000 values"):
        decode(Answer(200, body))


def test_the_first_record_too_many_ends_it() -> None:
    begin, record = b'["' + PADDING.encode() + b'"', b',{"id":1}'
    check_size(begin + record * (LARGEST_PAGE - 1) + b"]")
    with pytest.raises(BadPayload, match="401 records or more at once; 400 are the most"):
        check_size(begin + record * LARGEST_PAGE + b"\xff not looked at")


def test_a_page_of_a_server_that_allows_some_more_is_taken() -> None:
    page = [{"id": number, "message": "x" * 4000, "punctuation": '[{,\\"}]' * 1000} for number in range(LARGEST_PAGE)]
    body = orjson.dumps(page)
    assert len(body) > SMALL
    assert sequence(decode(Answer(200, body)), "the builds") == page


def test_a_small_body_is_bounded_by_its_list() -> None:
    body = orjson.dumps([{"id": number} for number in range(LARGEST_PAGE + 1)])
    assert len(body) < SMALL
    with pytest.raises(BadPayload, match="401 records"):
        sequence(decode(Answer(200, body)), "the builds")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(alphabet='a[]{},"\\é\n'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='k,"\\]'), inner, max_size=4),
)


@given(value=JSON)
def test_what_is_small_enough_passes_however_it_is_nested(value: object) -> None:
    check_size(orjson.dumps([PADDING, value]))


@given(value=JSON, extra=st.integers(0, 50))
def test_what_is_too_long_is_refused_whatever_stands_before_it(value: object, extra: int) -> None:
    with pytest.raises(BadPayload):
        check_size(orjson.dumps([PADDING, value, [0] * (LARGEST_PAGE + 1 + extra)]))


def test_no_more_values_than_the_bound_are_looked_at() -> None:
    body = b'["' + PADDING.encode() + b'"' + b",[[],[]]" * (MOST_VALUES // 2) + b"]"
    with pytest.raises(BadPayload):
        check_size(body)
