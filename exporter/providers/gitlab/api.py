"""GitLab: the jobs of projects through API v4, and the builds of servers so old that they only speak v3.

API pages: https://docs.gitlab.com/api/jobs/ and https://docs.gitlab.com/api/groups/#list-projects;
of v3, `doc/api/builds.md` of GitLab 8.
"""

import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from exporter.build import CONCLUDED, Build, Outcome, Target
from exporter.errors import BadPayload, NotFound, RateLimited, SourceError, Unauthorized
from exporter.http.wire import (
    Answer,
    Reading,
    Request,
    decode,
    flag,
    identifier,
    inner,
    instant,
    mapping,
    sequence,
    text,
)
from exporter.providers.contract import (
    OTHER_EVENT,
    Delivery,
    Discovery,
    LimitHeaders,
    Look,
    Page,
    Rejected,
    Tell,
    unheard,
)
from exporter.providers.gitlab.hooks import hooked, key_of
from exporter.providers.gitlab.links import page_of
from exporter.providers.gitlab.outcomes import OUTCOMES, V3_STATUSES, failure_of
from exporter.providers.gitlab.settings import GitLabSource
from exporter.providers.globs import matches
from exporter.providers.pages import about, advanced, in_order, page_from, path, walk

_LINK: Final = re.compile(r'<([^<>]*)>[^<]*?;\s*rel="?next\b')


@dataclass(frozen=True, slots=True)
class GitLab:
    """One GitLab source."""

    source: GitLabSource

    kinds: ClassVar[tuple[str, ...]] = ("project",)

    @property
    def title(self) -> str:
        """`GitLab`; of an old server `GitLab, API v3`."""
        return "GitLab, API v3" if self.source.api == "v3" else "GitLab"

    @property
    def vocabulary(self) -> tuple[tuple[str, Outcome], ...]:
        """Every documented status of the configured API with its outcomes; v3 does not tell failures apart."""
        if self.source.api == "v3":
            return tuple((status, OUTCOMES[status]) for status in V3_STATUSES)
        kinds_of_failure = (Outcome.ALLOWED_FAILURE, Outcome.ERROR, Outcome.TIMEOUT)
        return (*OUTCOMES.items(), *(("failed", outcome) for outcome in kinds_of_failure))

    limit_headers: ClassVar[LimitHeaders] = LimitHeaders("ratelimit-", 60.0)
    secret_header: ClassVar[str] = "x-gitlab-token"  # noqa: S105  # a name, not a token

    @property
    def ordered(self) -> bool:
        """By descending id."""
        return True

    def headers(self, token: str) -> dict[str, str]:
        """Give the headers that every request bears."""
        return {"PRIVATE-TOKEN": token, "Accept": "application/json"}

    def builds(
        self, target: Target, size: int, cursor: str | None = None, scope: tuple[str, ...] = ()
    ) -> Reading[Page]:
        """Give one page of `[JOB]`; `size` and `scope` count for the first page, the cursor holds them for the next.

        A keyset page may change its size on the way; an offset page must not, or builds would be passed over.
        """
        if cursor is not None:
            params = tuple(parse_qsl(cursor, keep_blank_values=True))
            if "page" not in dict(params):
                params = (*((key, value) for key, value in params if key != "per_page"), ("per_page", str(size)))
        elif self.source.api == "v3":
            params = (("per_page", str(size)), *_scope(scope))
        else:
            keyset = (("pagination", "keyset"), ("order_by", "id"), ("sort", "desc"))
            params = (("per_page", str(size)), *keyset, *_scope(scope))
        return (yield from self.page(Request("builds", self.builds_path(target), params), cursor))

    def page(self, request: Request, cursor: str | None = None) -> Reading[Page]:
        """Give the page of `[JOB]` that a request asks for; the cursor that it is asked by must not come again."""
        answer = yield from self._ask(request)
        after = advanced(_cursor(answer, request), cursor)
        return page_from(sequence(decode(answer), "the builds"), "created_at", self._build_from, after)

    def single(self, target: Target) -> bool:  # noqa: ARG002  # it holds for each
        """Give a job by itself: that takes no more than the list does."""
        return True

    def list_of(self, target: Target) -> str | None:  # noqa: ARG002  # it holds for each
        """Nothing lists the jobs of several projects."""
        return None

    def looks(self, name: str) -> Reading[Mapping[Target, Look | None]]:  # noqa: ARG002  # there is none
        """Give nothing: no list tells."""
        yield from ()
        return {}

    def build(self, target: Target, build_id: str) -> Reading[Page]:
        """Give one job, v3: one build."""
        answer = yield from self._ask(Request("build", self.builds_path(target) + path(build_id)))
        return self.told(answer)

    def told(self, answer: Answer) -> Page:
        """Give the one job that an answer tells, v3: the one build."""
        return page_from([mapping(decode(answer), "the build")], "created_at", self._build_from)

    def page_of(self, target: Target, build: Build | None = None) -> str | None:
        """Give the page of a job, or of the project."""
        return page_of(self.source, target, build)

    def run(self, target: Target, build: Build) -> Reading[Page]:
        """Give the jobs of a pipeline, retried ones too; at most 100 of them. v3 knows none: the build alone."""
        if self.source.api == "v3" or not build.run.isdecimal():
            return (yield from self.build(target, build.id))
        where = self.of_project(target, "pipelines", build.run, "jobs")
        answer = yield from self._ask(Request("build", where, (("per_page", "100"), ("include_retried", "true"))))
        return page_from(sequence(decode(answer), "the answer"), "created_at", self._build_from)

    def moved(self, target: Target, since: float) -> Reading[Mapping[str, float]]:
        """Give when each pipeline was updated that was since, at most 100; v3 knows none."""
        if self.source.api == "v3":
            yield from ()
            return {}
        after = datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")
        asked = (("per_page", "100"), ("order_by", "updated_at"), ("updated_after", after))
        answer = yield from self._ask(Request("pipelines", self.of_project(target, "pipelines"), asked))
        records = [record for record in sequence(decode(answer), "the answer") if isinstance(record, dict)]
        updated = ((identifier(record.get("id")), instant(record.get("updated_at"))) for record in records)
        return {run: at for run, at in updated if run is not None and at is not None}

    def discover(self, listed: Collection[str] = (), tell: Tell = unheard) -> Reading[Discovery]:  # noqa: ARG002  # no lists
        """Give the configured projects, and of v4 those of the configured groups that build.

        A v3 server, and a v4 project written as a path, is not asked. A project or a group that fails is a fault of its
        own; `Unauthorized` and `RateLimited` would meet every further request too: they end the discovery.
        """
        targets: dict[Target, None] = {}
        faults: list[SourceError] = []
        notes: list[str] = []

        def found(some: Iterable[Target]) -> None:
            wanted = dict.fromkeys(target for target in some if not matches([target.project], self.source.exclude))
            targets.update(wanted)
            tell(wanted)

        for project in self.source.projects:
            try:
                found([(yield from self._project(project))])
            except (Unauthorized, RateLimited):
                raise
            except SourceError as error:
                faults.append(about(error, f"project {_shown(project)}"))
        for group in self.source.groups:
            try:
                number = yield from self._group(group, found)
            except (Unauthorized, RateLimited):
                raise
            except SourceError as error:
                faults.append(about(error, f"group {_shown(group)}"))
                continue
            if not number:
                notes.append(f"sources.{self.source.name}.groups: {_shown(group)} has no project that builds")
        return Discovery(tuple(targets), tuple(faults), tuple(notes))

    def event(self, headers: Mapping[str, str], body: object) -> Delivery:
        """Give what a Job Hook (of old servers a Build Hook) or a Pipeline Hook tells.

        A Job Hook tells neither the other jobs of its pipeline nor whether that is a merge request's, whose ref is no
        branch. A Pipeline Hook tells both, but for old servers; those that speak v3 know no such pipelines.
        """
        fields = body if isinstance(body, dict) else {}
        told = hooked(fields, urlsplit(self.source.url).path)
        if told is None:
            return Delivery(OTHER_EVENT)
        names = ((name, told.number or "") for name in (told.path, told.number) if name is not None)
        page = page_from(list(told.records), "created_at", self._build_from)
        return Delivery(
            event=told.event,
            targets=tuple(Target(self.source.name, "project", name, name, handle) for name, handle in names),
            builds=page.builds if len(page.builds) == len(told.records) else (),
            complete=told.complete,
            whole=told.event == "pipeline" and (told.settled or self.source.api == "v3"),
            key=key_of(headers, told),
        )

    def _project(self, project: str | int) -> Reading[Target]:
        written = str(project)
        # A project's path has a `/`: digits alone are its number, also where they are quoted.
        if self.source.api == "v3" or not written.isdecimal():
            return Target(self.source.name, "project", written, written)
        answer = yield from self._ask(Request("project", path("api", "v4", "projects", written)))
        name = _path_of(mapping(decode(answer), "the project"))
        if name is None:
            raise BadPayload('answered no "path_with_namespace"')
        return Target(self.source.name, "project", name, name, handle=written)

    def _group(self, group: str | int, found: Callable[[Iterable[Target]], None]) -> Reading[int]:
        """Tell `found` of the projects of each page that build; gives how many those are."""
        first = (
            ("include_subgroups", "true"),
            ("with_shared", "false"),
            ("archived", "false"),
            ("order_by", "id"),
            ("per_page", "100"),
        )

        def request(cursor: str | None) -> Request:
            params = first if cursor is None else tuple(parse_qsl(cursor, keep_blank_values=True))
            return Request("groups", path("api", "v4", "groups", str(group), "projects"), params)

        def read(answer: Answer, cursor: str | None) -> tuple[list[Target], str | None]:
            records = sequence(decode(answer), "the projects")
            targets = [target for record in records if (target := self._listed(record))]
            found(targets)
            return targets, _cursor(answer, request(cursor))

        return len((yield from walk(request, read)))

    def _listed(self, record: object) -> Target | None:
        if not isinstance(record, dict) or flag(record, "archived") or flag(record, "jobs_enabled") is False:
            return None
        name, handle = _path_of(record), identifier(record.get("id"))
        if text(record, "builds_access_level") == "disabled" or name is None or handle is None:
            return None
        return Target(self.source.name, "project", name, name, handle)

    def _ask(self, request: Request) -> Generator[Request, Answer, Answer]:
        try:
            return (yield request)
        except NotFound as error:
            if self.source.api != "v3" or error.status != HTTPStatus.GONE:
                raise
            place = self.source.api_place
            raise NotFound(
                f'the server no longer speaks API v3: write "api: v4" at {place}', status=error.status
            ) from error

    def builds_path(self, target: Target) -> str:
        """Give where the target's jobs are, v3: its builds."""
        return self.of_project(target, "builds" if self.source.api == "v3" else "jobs")

    def of_project(self, target: Target, *parts: str) -> str:
        """Give where a part of the target's project is."""
        return path("api", self.source.api, "projects", target.handle or target.name, *parts)

    def _build_from(
        self, record: Mapping[str, object], build_id: str, created_at: float
    ) -> tuple[Build, tuple[Rejected, ...]]:
        status = (text(record, "status") or "unknown").lower()
        outcome = failure_of(record) if status == "failed" else OUTCOMES.get(status, Outcome.UNKNOWN)
        ended_at = instant(record.get("finished_at"))
        concluded = ended_at is not None if outcome is Outcome.UNKNOWN else outcome in CONCLUDED
        started_at = instant(record.get("started_at"))
        started_at, ended_at, dropped = in_order(build_id, created_at, started_at, ended_at if concluded else None)
        pipeline = inner(record, "pipeline")
        sha = text(inner(record, "commit"), "id") or text(pipeline, "sha") or ""
        build = Build(
            id=build_id,
            run=self._run(pipeline, sha, text(record, "ref")) or build_id,
            status=status,
            outcome=outcome,
            concluded=concluded,
            created_at=created_at,
            started_at=started_at,
            concluded_at=ended_at,
            branch=_branch(record, pipeline),
            sha=sha,
            name=text(record, "name") or "",
            stage=text(record, "stage") or "",
        )
        return build, dropped

    def _run(self, pipeline: Mapping[str, object], sha: str, ref: str | None) -> str | None:
        pipeline_id = identifier(pipeline.get("id")) if self.source.api == "v4" else None
        return pipeline_id or (f"{sha}:{ref or ''}" if sha else None)


def _branch(record: Mapping[str, object], pipeline: Mapping[str, object]) -> str | None:
    ref = text(record, "ref")
    of_request = text(pipeline, "source") in {"merge_request_event", "external_pull_request_event"}
    if ref is None or flag(record, "tag") or of_request or ref.startswith("refs/merge-requests/"):
        return None
    return ref


def _cursor(answer: Answer, asked: Request) -> str | None:
    """Give the query of the next page; a `Link`'s host and path are what the server believes of itself: not used."""
    link = _LINK.search(answer.headers.get("link", ""))
    query = _query(link[1]) if link else ""
    if query:
        return query
    page = answer.headers.get("x-next-page", "").strip()
    if not (page.isascii() and page.isdigit()):
        return None
    return urlencode([*(param for param in asked.params if param[0] != "page"), ("page", page)])


def _query(link: str) -> str:
    try:
        return urlsplit(link).query
    except ValueError:
        return ""


def _scope(scope: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(("scope[]", status) for status in scope)


def _path_of(project: Mapping[str, object]) -> str | None:
    name = project.get("path_with_namespace")
    return identifier(name) if isinstance(name, str) else None


def _shown(name: str | int) -> str:
    return f'"{name}"' if isinstance(name, str) else str(name)
