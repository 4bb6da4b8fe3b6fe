"""GitLab: the jobs and pipelines of projects through API v4, and the builds of servers that only speak v3.

API pages: https://docs.gitlab.com/api/jobs/, https://docs.gitlab.com/api/pipelines/ and
https://docs.gitlab.com/api/branches/; of v3, `doc/api/builds.md` of GitLab 8.
"""

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from exporter.build import Build, Outcome, Target
from exporter.errors import NotFound
from exporter.http.wire import Answer, Reading, Request, decode, identifier, instant, mapping, sequence
from exporter.providers.contract import (
    OTHER_EVENT,
    About,
    BuildStatus,
    Changes,
    Delivery,
    Discovery,
    LimitHeaders,
    Page,
    Tell,
    unheard,
)
from exporter.providers.gitlab.calls import Params, ask, iso, next_page, of_project, params_of
from exporter.providers.gitlab.discovery import about_project, discovered
from exporter.providers.gitlab.graphql import changed_pipelines
from exporter.providers.gitlab.hooks import hooked, key_of
from exporter.providers.gitlab.jobs import page_of_jobs
from exporter.providers.gitlab.links import page_of, page_of_run
from exporter.providers.gitlab.outcomes import OUTCOMES, V3_STATUSES
from exporter.providers.gitlab.pipelines import bridges_from, page_of_runs, run_from
from exporter.providers.gitlab.settings import GitLabSource
from exporter.providers.pages import advanced, path, walk


@dataclass(frozen=True, slots=True)
class GitLab:
    """One GitLab source."""

    source: GitLabSource

    kinds: ClassVar[tuple[str, ...]] = ("project",)
    limit_headers: ClassVar[LimitHeaders] = LimitHeaders("ratelimit-", 60.0, documented=600.0)
    secret_header: ClassVar[str] = "x-gitlab-token"  # noqa: S105  # a name, not a token
    ordered: ClassVar[bool] = True
    """By descending id."""

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

    @property
    def has_logs(self) -> bool:
        """Yes: of each job."""
        return True

    @property
    def lists_runs(self) -> bool:
        """Whether the API has pipelines: v3 has none."""
        return self.source.api == "v4"

    def headers(self, token: str) -> dict[str, str]:
        """The headers of every request."""
        return {"PRIVATE-TOKEN": token, "Accept": "application/json"}

    # Targets

    def discover(self, listed: Collection[str] = (), tell: Tell = unheard) -> Reading[Discovery]:  # noqa: ARG002  # no lists
        """The configured projects, those of groups that build, or all of the token: see `discovery`."""
        return (yield from discovered(self.source, tell))

    def about(self, target: Target) -> Reading[About | None]:
        """The project's record."""
        return (yield from about_project(self.source, target))

    def branch_exists(self, target: Target, branch: str) -> Reading[bool]:
        """Whether the project still has the branch: False only at `404 Branch Not Found`, else the error is raised."""
        try:
            yield from self._ask(Request("branch", self.of_project(target, "repository", "branches", branch)))
        except NotFound as error:
            if "branch not found" in error.said.lower():
                return False
            raise
        return True

    def list_of(self, target: Target) -> str | None:  # noqa: ARG002  # it holds for each
        """None: no list shows the jobs of several projects."""
        return None

    def statuses(self, name: str) -> Reading[Mapping[Target, BuildStatus | None]]:  # noqa: ARG002  # there is none
        """Nothing: there is no such list."""
        yield from ()
        return {}

    # Jobs

    def builds(
        self, target: Target, size: int, cursor: str | None = None, scope: tuple[str, ...] = ()
    ) -> Reading[Page]:
        """One page of `[JOB]`; `size` and `scope` are for the first page, the cursor holds them for the next.

        A keyset page may change its size on the way; an offset page must not, or builds would be passed over.
        """
        if cursor is not None:
            params = params_of(cursor)
            if "page" not in dict(params):
                params = (*((key, value) for key, value in params if key != "per_page"), ("per_page", str(size)))
        elif self.source.api == "v3":
            params = (("per_page", str(size)), *_scope(scope))
        else:
            keyset = (("pagination", "keyset"), ("order_by", "id"), ("sort", "desc"))
            params = (("per_page", str(size)), *keyset, *_scope(scope))
        return (yield from self.page(Request("builds", self.builds_path(target), params), cursor))

    def page(self, request: Request, cursor: str | None = None) -> Reading[Page]:
        """The page of `[JOB]` for a request; the cursor that it is asked by must not come again."""
        answer = yield from self._ask(request)
        after = advanced(next_page(answer, request), cursor)
        return page_of_jobs(sequence(decode(answer), "the builds"), self.source.api, after)

    def single(self, target: Target) -> bool:  # noqa: ARG002  # it holds for each
        """True: one job takes no more rights than the list."""
        return True

    def build(self, target: Target, build_id: str) -> Reading[Page]:
        """One job, v3: one build."""
        answer = yield from self._ask(Request("build", self.builds_path(target) + path(build_id)))
        return self.told(answer)

    def told(self, answer: Answer) -> Page:
        """The one job of an answer, v3: the one build."""
        return page_of_jobs([mapping(decode(answer), "the build")], self.source.api)

    def builds_of(self, target: Target, run_id: str, cursor: str | None = None) -> Reading[Page]:
        """One page of the jobs of a pipeline, retried ones too; v3: of the builds of a run's commit and ref."""
        if self.source.api == "v4":
            where = self.of_project(target, "pipelines", run_id, "jobs")
            first: Params = (("per_page", "100"), ("include_retried", "true"))
            return (yield from self.page(Request("builds", where, params_of(cursor) if cursor else first), cursor))
        sha = run_id.partition(":")[0]
        if sha == run_id:  # a build without a commit is its own run
            return (yield from self.build(target, run_id))
        where = self.of_project(target, "repository", "commits", sha, "builds")
        params = params_of(cursor) if cursor else (("per_page", "100"),)
        page = yield from self.page(Request("builds", where, params), cursor)
        return Page(
            tuple(build for build in page.builds if build.run == run_id),
            page.cursor,
            page.rejected,
            tuple(run for run in page.runs if run.id == run_id),
        )

    # Pipelines

    def runs(  # noqa: PLR0913  # which runs, and which page of them
        self,
        target: Target,
        *,
        updated_after: float | None,
        size: int,
        children: bool = False,
        ref: str | None = None,
        cursor: str | None = None,
    ) -> Reading[Page]:
        """One page of `[PIPELINE]`, of some 300 bytes each; `cursor` holds all but the target for the next page.

        Lists do not say whether a ref is a tag: such a run is taken for a branch's until its jobs are known.
        """
        if self.source.api == "v3":
            yield from ()
            return Page(())
        if cursor is not None:
            params = params_of(cursor)
        else:
            newest_first = updated_after is None or ref is not None
            params = (
                ("per_page", str(size)),
                ("order_by", "id" if newest_first else "updated_at"),
                ("sort", "desc"),
                *((("updated_after", iso(updated_after)),) if updated_after is not None and updated_after > 0 else ()),
                *((("source", "parent_pipeline"),) if children else ()),
                *((("ref", ref),) if ref is not None else ()),
            )
        request = Request("pipelines", self.of_project(target, "pipelines"), params)
        answer = yield from self._ask(request)
        after = advanced(next_page(answer, request), cursor)
        return page_of_runs(sequence(decode(answer), "the pipelines"), after)

    def bridges(self, target: Target, run_id: str) -> Reading[Mapping[str, bool]]:
        """The downstream pipelines of a pipeline's trigger jobs, without those of trigger jobs that were retried."""
        if self.source.api == "v3":
            yield from ()
            return {}
        where, first = self.of_project(target, "pipelines", run_id, "bridges"), (("per_page", "100"),)

        def request(cursor: str | None) -> Request:
            return Request("bridges", where, first if cursor is None else params_of(cursor))

        def read(answer: Answer, cursor: str | None) -> tuple[list[object], str | None]:
            return sequence(decode(answer), "the trigger jobs"), next_page(answer, request(cursor))

        return bridges_from((yield from walk(request, read)))

    def shows_changes(self, target: Target) -> bool:
        """Whether GraphQL can be asked for the project: it takes its number, and v3 servers have none of it."""
        return self.source.api == "v4" and target.handle.isdecimal()

    def changes(self, targets: Collection[Target], since: float) -> Reading[Mapping[Target, Changes]]:
        """The pipelines of up to a hundred projects that changed since then, by one GraphQL request."""
        return (yield from changed_pipelines(targets, since))

    # Pages of GitLab's own

    def page_of(self, target: Target, build: Build | None = None) -> str | None:
        """The page of a job, or of the project."""
        return page_of(self.source, target, build)

    def page_of_run(self, target: Target, run_id: str) -> str | None:
        """The page of a pipeline; v3: of a commit."""
        return page_of_run(self.source, target, run_id)

    # Deliveries

    def event(self, headers: Mapping[str, str], body: object) -> Delivery:
        """The content of a Job Hook (old servers: Build Hook) or a Pipeline Hook.

        A Job Hook has neither the other jobs of its pipeline nor whether that is a merge request's, whose ref is no
        branch; what it says of the pipeline's status lags behind, and is not used. A Pipeline Hook has all of it, but
        for old servers; those that speak v3 have no pipelines of merge requests.
        """
        fields = body if isinstance(body, dict) else {}
        told = hooked(fields, urlsplit(self.source.url).path)
        if told is None:
            return Delivery(OTHER_EVENT)
        names = ((name, told.number or "") for name in (told.path, told.number) if name is not None)
        page = page_of_jobs(list(told.records), self.source.api)
        readable = len(page.builds) == len(told.records)
        run_id, created_at = identifier(told.pipeline.get("id")), instant(told.pipeline.get("created_at"))
        runs = page.runs if readable else ()
        if self.source.api == "v4":
            dated = run_id is not None and created_at is not None
            run = run_from(told.pipeline, run_id or "", created_at or 0.0, parent=told.parent) if dated else None
            runs = () if run is None else (run,)
        return Delivery(
            event=told.event,
            targets=tuple(Target(self.source.name, "project", name, name, handle) for name, handle in names),
            builds=page.builds if readable else (),
            complete=told.complete,
            whole=told.event == "pipeline" and (told.settled or self.source.api == "v3"),
            key=key_of(headers, told),
            runs=runs,
        )

    # Paths

    def builds_path(self, target: Target) -> str:
        """The path of the target's jobs, v3: of its builds."""
        return self.of_project(target, "builds" if self.source.api == "v3" else "jobs")

    def of_project(self, target: Target, *parts: str) -> str:
        """The path of a part of the target's project."""
        return of_project(self.source, target, *parts)

    def _ask(self, request: Request) -> Generator[Request, Answer, Answer]:
        return (yield from ask(self.source, request))


def _scope(scope: tuple[str, ...]) -> Params:
    return tuple(("scope[]", status) for status in scope)
