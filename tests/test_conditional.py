from collections.abc import Iterator

import pytest

from exporter.errors import BadPayload, Unreachable
from exporter.http.conditional import EtagCache
from exporter.http.wire import Answer, Request

LIST = Request("builds", "/v1/builds", (("per_page", "5"),))


class Server:
    """Answers what it is told to, in turn; takes down the tags that it was sent."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers: Iterator[Answer | Exception] = iter(answers)
        self.tags: list[str] = []
        self.closed = False

    def __call__(self, request: Request, /, *, tag: str = "") -> Answer:
        assert request.path
        self.tags.append(tag)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


def answer(body: bytes, tag: str = "", status: int = 200, asked_at: float = 0.0) -> Answer:
    return Answer(status, body, {"etag": tag} if tag else {}, asked_at)


def test_the_tag_of_an_answer_is_sent_with_the_next_request_like_it() -> None:
    server = Server(answer(b"old", 'W/"1"'), answer(b"new", 'W/"2"'), answer(b"newer"))
    ask = EtagCache(server)
    assert [ask(LIST).body for _ in range(3)] == [b"old", b"new", b"newer"]
    assert server.tags == ["", 'W/"1"', 'W/"2"']


def test_an_answer_without_change_is_the_last_one_at_a_new_time() -> None:
    server = Server(answer(b"old", '"1"', asked_at=1.0), Answer(304, b"", {"x-ratelimit-remaining": "7"}, 2.0))
    ask = EtagCache(server)
    ask(LIST)
    again = ask(LIST)
    assert (again.status, again.body, again.asked_at) == (200, b"old", 2.0)
    assert again.headers == {"etag": '"1"', "x-ratelimit-remaining": "7"}


def test_a_tag_holds_for_the_same_path_and_parameters_only() -> None:
    server = Server(answer(b"five", '"1"'), answer(b"twenty", '"2"'), answer(b"other", '"3"'))
    ask = EtagCache(server)
    ask(LIST)
    ask(Request("builds", LIST.path, (("per_page", "20"),)))
    ask(Request("builds", "/v1/others", LIST.params))
    assert server.tags == ["", "", ""]


def test_an_answer_that_no_longer_bears_a_tag_is_forgotten() -> None:
    server = Server(answer(b"old", '"1"'), answer(b"new"), answer(b"newer"))
    ask = EtagCache(server)
    for _ in range(3):
        ask(LIST)
    assert server.tags == ["", '"1"', ""]


def test_bodies_are_kept_within_a_bound() -> None:
    server = Server(
        answer(b"x" * 60, '"1"'), answer(b"y" * 60, '"2"'), answer(b"x" * 60, '"1"'), answer(b"z" * 200, '"3"')
    )
    ask = EtagCache(server, max_bytes=100)
    other = Request("builds", "/v1/others")
    for request in (LIST, other, LIST, other):
        ask(request)
    assert server.tags == ["", "", "", ""]


def test_a_refusal_keeps_what_was_known() -> None:
    server = Server(answer(b"old", '"1"'), Unreachable("gone"), Answer(304, b"", {}))
    ask = EtagCache(server)
    ask(LIST)
    with pytest.raises(Unreachable):
        ask(LIST)
    assert ask(LIST).body == b"old"


@pytest.mark.parametrize(
    "tag",
    ['\x0b"ab"', '"a\nb"', '"ab', "ab", "*", 'W/ab"', 'w/"ab"', '"a"b"', '"a b"', '"\x7f"', '"é€"', f'"{"x" * 2000}"'],
)
def test_a_tag_that_cannot_be_sent_back_is_no_tag(tag: str) -> None:
    server = Server(answer(b"old", tag), answer(b"new", tag))
    ask = EtagCache(server)
    assert [ask(LIST).body for _ in range(2)] == [b"old", b"new"]
    assert server.tags == ["", ""]


@pytest.mark.parametrize("tag", ['""', '"1"', 'W/"a\'!#b"', '"\xe9"'])
def test_any_tag_of_the_standard_is_sent_back(tag: str) -> None:
    server = Server(answer(b"old", tag), answer(b"new"))
    ask = EtagCache(server)
    ask(LIST)
    ask(LIST)
    assert server.tags == ["", tag]


def test_a_tag_that_is_refused_is_not_sent_again() -> None:
    server = Server(answer(b"old", '"1"'), BadPayload("answered 400", status=400), answer(b"new"))
    ask = EtagCache(server)
    ask(LIST)
    with pytest.raises(BadPayload):
        ask(LIST)
    assert ask(LIST).body == b"new"
    assert server.tags == ["", '"1"', ""]


def test_closing_it_closes_the_connection() -> None:
    server = Server()
    EtagCache(server).close()
    assert server.closed


def test_a_query_is_never_conditional_and_never_kept() -> None:
    server = Server(answer(b"a", '"1"'), answer(b"b", '"1"'))
    fetch = EtagCache(server)
    query = Request("graphql", "/api/graphql", query=b"{}")
    assert [fetch(query).body, fetch(query).body] == [b"a", b"b"]
    assert server.tags == ["", ""]
