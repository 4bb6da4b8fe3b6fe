"""Operations at GitLab, the same for the jobs of API v4 and the builds of v3.

API pages: https://docs.gitlab.com/api/jobs/ and https://docs.gitlab.com/api/pipelines/; of v3, `doc/api/builds.md` of
GitLab 8.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from exporter.build import FAILED, Build, Outcome, Target
from exporter.errors import BadPayload
from exporter.http.wire import Answer, Reading, Request, decode, identifier, mapping, sequence, text
from exporter.providers import Page
from exporter.providers.gitlab import references, trace
from exporter.providers.gitlab.api import GitLab
from exporter.providers.operations import BuildDetails, Change, FailedRun, Reference
from exporter.providers.pages import path

WHOLE_SHA: Final = frozenset({40, 64})
"""Characters of a sha that is not abbreviated."""
PAGES: Final = 10
"""The most pages of a list that are read."""
FAILED_JOBS: Final = 50
"""The newest failed jobs, among whose pipelines the last failed run is."""
CANDIDATES: Final = 5
"""The most pipelines that are looked at for the last failed run."""

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GitLabOperations:
    """The operations of one GitLab source."""

    provider: GitLab

    scope_words: ClassVar[Mapping[str, frozenset[Outcome]]] = MappingProxyType({})

    # Builds

    def reference(self, url: str) -> Reference | None:
        """The project, and the job, pipeline or commit, in the URL of a page of this server."""
        return references.reference(self.provider.source, url)

    def builds_of_commit(self, target: Target, sha: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """The builds of a commit. v4 has no such list: the jobs are read by the commit's pipelines."""
        if self._v3:
            where = self.provider.of_project(target, "repository", "commits", sha, "builds")
            return (yield from self._walk(where, scope, limit))
        if len(sha) not in WHOLE_SHA:
            sha = yield from self._whole(target, sha)
        found: list[Build] = []
        for run in (yield from self._pipelines(target, ("sha", sha), ("per_page", "100"))):
            page = yield from self.builds_of_run(target, run, scope, limit)
            found += page.builds
            if len(found) >= limit:
                break
        return Page(tuple(sorted(found, key=lambda build: (build.created_at, build.id), reverse=True)))

    def builds_of_run(self, target: Target, run: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """The jobs of a pipeline, also those that were retried. v3 has no pipelines: a run there is a commit's."""
        if self._v3:
            sha, colon, _ref = run.partition(":")
            if not colon:  # a build without a commit is its own run
                return (yield from self.provider.build(target, run))
            return (yield from self.builds_of_commit(target, sha, scope, limit))
        where = self.provider.of_project(target, "pipelines", run, "jobs")
        return (yield from self._walk(where, scope, limit, (("include_retried", "true"),)))

    def last_failed_run(self, target: Target, branch: str) -> Reading[FailedRun | None]:
        """The newest pipeline with a failed job, even while it runs, or that is failed without one."""
        listed = yield from self._walk(self.provider.builds_path(target), ("failed",), FAILED_JOBS, size=FAILED_JOBS)
        broken = [build for build in listed.builds if build.outcome in FAILED and branch in {"", build.branch}]
        runs = dict.fromkeys(build.run for build in broken)
        if self._v3:
            return (yield from self._first_failed(target, runs))
        of_branch: Params = (("ref", branch),) if branch else ()
        failed = yield from self._pipelines(target, *of_branch, ("per_page", "1"), status="failed")
        newest_first = sorted({*filter(_is_number, runs), *failed}, key=int, reverse=True)
        return (yield from self._first_failed(target, newest_first, failed))

    def _first_failed(
        self, target: Target, runs: Iterable[str], failed: Iterable[str] = ()
    ) -> Reading[FailedRun | None]:
        """The first of the runs whose newest attempts failed, or that is among those that are `failed` as a whole."""
        for run in list(runs)[:CANDIDATES]:
            page = yield from self.builds_of_run(target, run, (), 100 * PAGES)
            of_run = [build for build in page.builds if build.run == run]
            newest = {(b.stage, b.name): b for b in sorted(of_run, key=lambda b: (b.created_at, b.id))}
            broken = tuple(b for b in page.builds if newest.get((b.stage, b.name)) is b and b.outcome in FAILED)
            if broken or run in failed:
                return FailedRun(run, broken, self.provider.page_of_run(target, run))
        return None

    # Logs

    def check_has_logs(self, target: Target) -> None:
        """Return: every job has a log."""

    def log(self, target: Target, build_id: str) -> Reading[bytes]:
        """The log as text; empty if the job has written nothing, or if its log was erased."""
        answer = yield Request("log", self.provider.builds_path(target) + path(build_id, "trace"))
        return answer.body

    def log_lines(self, log: bytes, *, ended: bool) -> list[str]:
        """The lines without the runner's markers and time stamps."""
        return trace.log_lines(log, ended=ended)

    # Changes

    def cancel(self, target: Target, details: BuildDetails) -> Change:
        """The request that cancels a job; its answer is the job."""
        return Change(Request("cancel", self.provider.builds_path(target) + path(details.build.id, "cancel")), "POST")

    def retry(self, target: Target, details: BuildDetails) -> Change:
        """The request for another attempt at a job, in the same pipeline; its answer is the new job."""
        return Change(Request("retry", self.provider.builds_path(target) + path(details.build.id, "retry")), "POST")

    def changed_build(self, answer: Answer) -> Build | None:
        """The job in the answer."""
        builds = self.provider.told(answer).builds
        return builds[0] if builds else None

    def details(self, build: Build, record: Mapping[str, Any]) -> BuildDetails:
        """The build with `ref` and, of v4, with `failure_reason`, `web_url` and the id of its pipeline."""
        return BuildDetails(
            build,
            record,
            message=text(record, "failure_reason"),
            url=_web_page(text(record, "web_url")),
            ref=text(record, "ref"),
            pipeline=None if self._v3 or build.run == build.id else build.run,
            starts=True,
        )

    def read_permission(self, target: Target) -> str:  # noqa: ARG002  # it is the same for each
        """The scope of the token, and the role of its user."""
        return "the scope read_api, the role Reporter or a higher one in the project, and CI/CD enabled there"

    def change_permission(self, target: Target) -> str:  # noqa: ARG002  # it is the same for each
        """The scope of the token, and the role of its user."""
        return "the scope api (read_api only reads) and the role Developer or a higher one in the project"

    # Requests

    @property
    def _v3(self) -> bool:
        return self.provider.source.api == "v3"

    def _whole(self, target: Target, sha: str) -> Reading[str]:
        """The whole sha of an abbreviated one: the list of pipelines accepts no other."""
        answer = yield Request("commit", self.provider.of_project(target, "repository", "commits", sha))
        whole = text(mapping(decode(answer), "the commit"), "id")
        if whole is None:
            raise BadPayload("answered a commit without an id")
        return whole

    def _pipelines(self, target: Target, *params: tuple[str, str], status: str = "") -> Reading[list[str]]:
        """The ids of one page of pipelines, the newest first; of those with a status, if one is given."""
        of_status: Params = (("status", status),) if status else ()
        asked = (*of_status, *params, ("order_by", "id"), ("sort", "desc"))
        answer = yield Request("pipelines", self.provider.of_project(target, "pipelines"), asked)
        records = [record for record in sequence(decode(answer), "the pipelines") if isinstance(record, dict)]
        found = (identifier(one.get("id")) for one in records if status in {"", text(one, "status")})
        return [run for run in found if run is not None and _is_number(run)]

    def _walk(
        self, where: str, scope: tuple[str, ...], limit: int, more: Params = (), *, size: int = 100
    ) -> Reading[Page]:
        """A list page by page, until there are `limit` builds, the list ends, or ten pages were read."""
        first = (("per_page", str(size)), *more, *(("scope[]", status) for status in scope))
        found: list[Build] = []
        cursor = None
        for _ in range(PAGES):
            params = first if cursor is None else tuple(parse_qsl(cursor, keep_blank_values=True))
            page = yield from self.provider.page(Request("builds", where, params), cursor)
            found += page.builds
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
        return Page(tuple(found), cursor)


def _is_number(run: str) -> bool:
    return run.isascii() and run.isdecimal()


def _web_page(url: str | None) -> str | None:
    return url if url and url.startswith(("https://", "http://")) else None


OPERATIONS: Final = GitLabOperations
"""The provider's operations, by the name that every provider's module has."""
