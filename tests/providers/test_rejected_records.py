"""Records that cannot be used are counted each once, also those that have no id to tell them apart."""

from exporter.providers.gitlab.jobs import page_of_jobs
from exporter.providers.gitlab.pipelines import page_of_runs
from exporter.providers.northflank.builds import build_from
from exporter.providers.pages import page_from

BAD: list[object] = [
    None,
    None,
    7,
    "text",
    {"status": "failed"},
    {"status": "failed"},
    {"status": "success"},
    {"id": []},
]


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_each_record_without_an_id_is_told_apart() -> None:
    for page in (
        page_of_jobs(BAD, "v4"),
        page_of_jobs(BAD, "v3"),
        page_of_runs(BAD),
        page_from(BAD, "createdAt", build_from),
    ):
        assert len(set(page.rejected)) == len(page.rejected) == len(BAD)
        assert [one.reason for one in page.rejected] == ["not_an_object"] * 4 + ["no_id"] * 4


def test_the_next_read_meets_the_same_ones_whatever_else_is_on_the_page() -> None:
    good = {"id": 1, "created_at": "2026-01-01T00:00:00Z", "status": "success"}
    assert set(page_of_jobs([good, *reversed(BAD)], "v4").rejected) == set(page_of_jobs(BAD, "v4").rejected)


def test_what_cannot_be_written_down_is_counted_too() -> None:
    page = page_of_jobs([{"message": "\ud83d"}, {"a": deep(900)}, deep(900)], "v4")
    assert len(set(page.rejected)) == 3
