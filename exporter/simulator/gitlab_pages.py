"""Pages of GitLab's lists: by number (offset) and by the last record seen (keyset)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from exporter.simulator.message import Answer, Request, json_answer
from exporter.simulator.plan import Plan
from exporter.simulator.world import GitLabProject

PAGE = 20
NO_KEYSET = json_answer({"error": "Keyset pagination is not yet available for this type of request"}, 405)


def offset_page(request: Request, rows: Iterable[Any], show: Callable[[Any], Any], url: str) -> Answer:
    """A page by its number. The total is told of what is counted already: the jobs list of GitLab bears none."""
    number, size = request.number("page", 1), request.page_size(PAGE)
    page = list(islice(rows, (number - 1) * size, number * size + 1))
    more = len(page) > size
    links = [_link(request, url, "first", {"page": "1", "per_page": str(size)})]
    if number > 1:
        links.insert(0, _link(request, url, "prev", {"page": str(number - 1), "per_page": str(size)}))
    if more:
        links.insert(0, _link(request, url, "next", {"page": str(number + 1), "per_page": str(size)}))
    headers = {
        "x-page": str(number),
        "x-per-page": str(size),
        "x-next-page": str(number + 1) if more else "",
        "x-prev-page": str(number - 1) if number > 1 else "",
        "link": ", ".join(links),
    }
    if isinstance(rows, Sequence):
        headers |= {"x-total": str(len(rows)), "x-total-pages": str(max(1, -(-len(rows) // size)))}
    return json_answer([show(row) for row in page[:size]], headers=headers)


def jobs_after(request: Request) -> int | None:
    """Below which number a page of jobs begins that is asked for by keyset."""
    cursor = request.first("cursor")
    return int(cursor) if request.first("pagination") == "keyset" and cursor.isdecimal() else None


def keyset_page_of_jobs(request: Request, plans: Iterable[Plan], show: Callable[[Plan], Any], url: str) -> Answer:
    """A page of jobs after the last one that was seen; descending only."""
    if request.first("order_by", "id") != "id" or request.first("sort", "desc") != "desc":
        return NO_KEYSET
    page, headers = _keyset_page(request, plans, url, lambda plan: {"cursor": str(plan.number)})
    return json_answer([show(plan) for plan in page], headers=headers)


def keyset_page_of_projects(
    request: Request, projects: Iterable[GitLabProject], show: Callable[[GitLabProject], Any], url: str
) -> Answer:
    """A page of projects (in the order asked for) after the last one that was seen."""
    if request.first("order_by", "created_at") != "id":
        return NO_KEYSET
    ascending = request.first("sort", "desc") == "asc"
    name = "id_after" if ascending else "id_before"
    seen = request.number(name, 0)
    rest = (one for one in projects if not seen or (one.id > seen if ascending else one.id < seen))
    page, headers = _keyset_page(request, rest, url, lambda project: {name: str(project.id)})
    return json_answer([show(project) for project in page], headers=headers)


def _keyset_page(
    request: Request, rows: Iterable[Any], url: str, after: Callable[[Any], Mapping[str, str]]
) -> tuple[list[Any], dict[str, str]]:
    size = request.page_size(PAGE)
    page = list(islice(rows, size + 1))
    headers = {"x-per-page": str(size)}
    if len(page) > size:
        page.pop()
        headers["link"] = _link(request, url, "next", {**after(page[-1]), "per_page": str(size)})
    return page, headers


def _link(request: Request, url: str, relation: str, change: Mapping[str, str]) -> str:
    query = {**request.query, **{name: [value] for name, value in change.items()}}
    return f'<{url}{request.path}?{urlencode(query, doseq=True)}>; rel="{relation}"'
