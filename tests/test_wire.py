import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import BadPayload
from exporter.http.wire import Answer, decode, flag, identifier, inner, instant, mapping, number, sequence, text

SECRET = "hunter2"


def said(body: bytes, content_type: str | None = "application/json") -> str:
    with pytest.raises(BadPayload) as raised:
        decode(Answer(200, body, {} if content_type is None else {"content-type": content_type}))
    return str(raised.value)


def test_json_is_decoded() -> None:
    assert decode(Answer(200, b'{"a":[1,null]}')) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("body", "content_type", "line"),
    [
        (b"<html>hunter2</html>", "text/html; charset=utf-8", "answered HTML instead of JSON (text/html)"),
        (b"\n<!doctype html>hunter2", None, "answered HTML instead of JSON (no content type)"),
        (b"<p>hunter2", "text/\nhtml", "answered HTML instead of JSON (no content type)"),
        (b"Retry later", "text/plain", "answered text/plain instead of JSON"),
        (b"hunter2", "x" * 300, "answered broken JSON at byte 0 of 7"),
        (b'{"a": "hunter2", b', "application/json", "answered broken JSON at byte 17 of 18"),
        ('{"é": "hunter2", b'.encode(), "application/json", "answered broken JSON at byte 18 of 19"),
        (b'{"a": "hunter2"', None, "answered broken JSON at byte 15 of 15"),
        (b'{"a": "\\ud83d hunter2"', None, "answered broken JSON at byte 7 of 22"),
        (b'"\\ud83d' + b"[" * 9, None, "answered broken JSON at byte 1 of 16"),
        (b'["\\ud83d",' + b"[" * 90_000, None, "answered broken JSON at byte 2 of 90010"),
        (b'"\xff hunter2"', None, "answered broken JSON at byte 0 of 11"),
        (b"", None, "answered 200 with an empty body instead of JSON"),
        (b" \r\n", None, "answered 200 with an empty body instead of JSON"),
    ],
)
def test_what_is_no_json_is_named_in_one_line_that_shows_nothing_of_it(
    body: bytes, content_type: str | None, line: str
) -> None:
    assert said(body, content_type) == line
    assert SECRET not in line


def test_half_an_emoji_does_not_hide_the_answer() -> None:
    assert decode(Answer(200, b'{"message":"\\uD83D","id":"b"}')) == {"message": "\ud83d", "id": "b"}


@given(st.binary())
def test_any_bytes_are_json_or_a_bad_payload(body: bytes) -> None:
    try:
        decode(Answer(200, body))
    except BadPayload as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "a string"),
        (True, "a truth value"),
        (None, "nothing"),
        (1, "a number"),
        (1.5, "a number"),
    ],
)
def test_a_wrong_shape_is_named(value: object, kind: str) -> None:
    with pytest.raises(BadPayload, match=f'^answered {kind} instead of an object for "data"$'):
        mapping(value, '"data"')
    with pytest.raises(BadPayload, match=f'^answered {kind} instead of an array for "data"$'):
        sequence(value, '"data"')


def test_objects_and_arrays_pass_and_are_told_apart() -> None:
    assert mapping({"a": 1}, "it") == {"a": 1}
    assert sequence([1], "it") == [1]
    with pytest.raises(BadPayload, match=r"^answered an array instead of an object for it$"):
        mapping([], "it")
    with pytest.raises(BadPayload, match=r"^answered an object instead of an array for it$"):
        sequence({}, "it")


def test_null_and_the_wrong_type_read_as_absent() -> None:
    records: list[dict[str, object]] = [{"key": None}, {"key": [1]}, {}]
    for record in records:
        assert (text(record, "key"), number(record, "key"), flag(record, "key"), inner(record, "key")) == (
            None,
            None,
            None,
            {},
        )
    assert text({}, "key") is None
    assert inner({"key": {"a": 1}}, "key") == {"a": 1}


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("main", "main"),
        ("", None),
        (7, None),
        ("x" * 251, "x" * 250),
        ("brännch", "brännch"),
        ("half \ud83d of", "half ? of"),
    ],
)
def test_a_text_is_fit_for_a_label(value: object, seen: str | None) -> None:
    assert text({"key": value}, "key") == seen


@pytest.mark.parametrize(
    ("value", "seen"),
    [(1, 1.0), (1.5, 1.5), (True, None), ("1", None), (math.inf, None), (math.nan, None), (10**400, None)],
)
def test_a_number_is_finite_and_no_truth_value(value: object, seen: float | None) -> None:
    assert number({"key": value}, "key") == seen


@pytest.mark.parametrize(("value", "seen"), [(True, True), (False, False), (1, None), ("true", None)])
def test_a_flag_is_a_truth_value_only(value: object, seen: bool | None) -> None:  # noqa: FBT001 - it is the value
    assert flag({"key": value}, "key") is seen


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2023-04-05T06:07:08.250Z", 1680674828.25),
        ("2023-04-05T08:07:08.250+02:00", 1680674828.25),
        ("2023-04-05T06:07:08.250000999Z", 1680674828.25),
        ("2023-04-05 06:07:08 UTC", 1680674828.0),
        ("2023-04-05 04:07:08 -0200", 1680674828.0),
        ("2023-04-05 08:07:08 +0200", 1680674828.0),
        ("2023-04-05T06:07:08", 1680674828.0),
        (1680674828, 1680674828.0),
        (1680674828.25, 1680674828.25),
        (1680674828250, 1680674828.25),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2023-04-31T06:07:08Z", None),
        ("1680674828", None),
        ("yesterday", None),
        ("", None),
        (0, None),
        (-1, None),
        (1e15, None),
        (math.nan, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_an_instant_is_utc_seconds_whatever_it_is_written_as(value: object, seconds: float | None) -> None:
    assert instant(value) == seconds


@given(st.one_of(st.text(), st.integers(), st.floats(), st.datetimes(timezones=st.timezones()).map(str)))
def test_any_instant_is_absent_or_within_range(value: object) -> None:
    seconds = instant(value)
    assert seconds is None or 0 < seconds < 1e11


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (6995103065, "6995103065"),
        (0, "0"),
        ("joyful-otter-1", "joyful-otter-1"),
        ("é", "é"),
        (True, None),
        (-1, None),
        (1 << 64, None),
        (1.0, None),
        (None, None),
        ("", None),
        (".", None),
        ("..", None),
        ("half \ud83d", None),
        ("x" * 251, None),
    ],
)
def test_an_identifier_is_whole_or_none(value: object, seen: str | None) -> None:
    assert identifier(value) == seen


def test_an_identifier_may_be_longer_where_it_is_no_label() -> None:
    assert identifier("x" * 251, longest=300) == "x" * 251
