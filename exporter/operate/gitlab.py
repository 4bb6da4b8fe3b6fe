"""GitLab's changing calls, the same for the jobs of API v4 and the builds of v3, and the builds of a commit.

API pages: https://docs.gitlab.com/api/jobs/ and https://docs.gitlab.com/api/pipelines/; of v3, `doc/api/builds.md` of
GitLab 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from exporter.build import Build, Outcome, Target
from exporter.errors import BadPayload
from exporter.http.wire import Answer, Reading, Request, decode, identifier, mapping, sequence, text
from exporter.operate.changes import Change, Found
from exporter.providers import Page
from exporter.providers.gitlab.api import GitLab
from exporter.providers.pages import path

WHOLE_SHA: Final = frozenset({40, 64})
"""Characters of a sha that is not cut."""
MOST_PAGES: Final = 10


@dataclass(frozen=True, slots=True)
class GitLabChanges:
    """What can be done at one GitLab source."""

    provider: GitLab

    words: ClassVar[Mapping[str, frozenset[Outcome]]] = MappingProxyType({})

    def of_commit(self, target: Target, sha: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """Give the builds of a commit; v4 knows no such list, and is asked for the commit's pipelines first."""
        if self.provider.source.api == "v3":
            where = self.provider.of_project(target, "repository", "commits", sha, "builds")
            return (yield from self._walk(where, scope, limit))
        if len(sha) not in WHOLE_SHA:
            sha = yield from self._whole(target, sha)
        asked = (("sha", sha), ("order_by", "id"), ("sort", "desc"), ("per_page", "100"))
        answer = yield Request("pipelines", self.provider.of_project(target, "pipelines"), asked)
        records = [record for record in sequence(decode(answer), "the pipelines") if isinstance(record, dict)]
        found: list[Build] = []
        for run in filter(None, (identifier(record.get("id")) for record in records)):
            where = self.provider.of_project(target, "pipelines", run, "jobs")
            page = yield from self._walk(where, scope, limit, (("include_retried", "true"),))
            found += page.builds
            if len(found) >= limit:
                break
        return Page(tuple(sorted(found, key=lambda build: (build.created_at, build.id), reverse=True)))

    def cancel(self, target: Target, found: Found) -> Change:
        """Give the cancellation of a build; it answers the build."""
        return Change(Request("cancel", self.provider.builds_path(target) + path(found.build.id, "cancel")), "POST")

    def retry(self, target: Target, found: Found) -> Change:
        """Give another attempt at a build, in the same pipeline; it answers the new build."""
        return Change(Request("retry", self.provider.builds_path(target) + path(found.build.id, "retry")), "POST")

    def changed(self, answer: Answer) -> Build | None:
        """Give the build that the answer is."""
        builds = self.provider.told(answer).builds
        return builds[0] if builds else None

    def found(self, build: Build, record: Mapping[str, Any]) -> Found:
        """Give the build with `failure_reason` and `web_url`, which v3 does not have, and with `ref`."""
        url = text(record, "web_url") or ""
        page = url if url.startswith(("https://", "http://")) else None
        return Found(build, record, text(record, "failure_reason"), page, text(record, "ref"))

    def reading_right(self, target: Target) -> str:  # noqa: ARG002  # it is the same for each
        """Give the scope of the token, and the role of its user."""
        return "the scope read_api, the role Reporter or a higher one in the project, and CI/CD enabled there"

    def changing_right(self, target: Target) -> str:  # noqa: ARG002  # it is the same for each
        """Give the scope of the token, and the role of its user."""
        return "the scope api (read_api only reads) and the role Developer or a higher one in the project"

    def _whole(self, target: Target, sha: str) -> Reading[str]:
        """Give the whole sha of one that is cut: the list of pipelines takes no other."""
        answer = yield Request("commit", self.provider.of_project(target, "repository", "commits", sha))
        whole = text(mapping(decode(answer), "the commit"), "id")
        if whole is None:
            raise BadPayload("answered a commit without an id")
        return whole

    def _walk(
        self, where: str, scope: tuple[str, ...], limit: int, more: tuple[tuple[str, str], ...] = ()
    ) -> Reading[Page]:
        """Give a list page by page, until it has `limit` builds or ends."""
        first = (("per_page", "100"), *more, *(("scope[]", status) for status in scope))
        found: list[Build] = []
        cursor = None
        for _ in range(MOST_PAGES):
            params = first if cursor is None else tuple(parse_qsl(cursor, keep_blank_values=True))
            page = yield from self.provider.page(Request("builds", where, params), cursor)
            found += page.builds
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
        return Page(tuple(found), cursor)
