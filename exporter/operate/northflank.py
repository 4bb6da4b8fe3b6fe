"""Northflank's changing calls: abort as cancel, a build of the same commit as retry.

API pages: https://northflank.com/docs/v1/api/services/abort-service-build and …/start-service-build; jobs alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

import orjson

from exporter.build import FAILED, Build, Outcome, Target
from exporter.errors import Refused
from exporter.http.wire import Answer, Reading, Request, decode, identifier, inner, mapping, text
from exporter.operate.changes import Change, Found
from exporter.providers import Page
from exporter.providers.northflank.api import Northflank
from exporter.providers.pages import path

MOST_PAGES: Final = 10
"""Of 100 builds, in the search for those of a commit: the API knows no such list."""


@dataclass(frozen=True, slots=True)
class NorthflankChanges:
    """What can be done at one Northflank source."""

    provider: Northflank

    words: ClassVar[Mapping[str, frozenset[Outcome]]] = MappingProxyType(
        {
            "running": frozenset({Outcome.EXECUTING}),
            "failed": FAILED,
            "canceled": frozenset({Outcome.CANCELLATION}),
        }
    )

    def of_commit(self, target: Target, sha: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """Give those of the newest 1,000 builds that are of the commit."""
        found: list[Build] = []
        cursor = None
        for _ in range(MOST_PAGES):
            page = yield from self.provider.builds(target, 100, cursor, scope)
            found += (build for build in page.builds if build.sha.startswith(sha))
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
        return Page(tuple(found), cursor)

    def cancel(self, target: Target, found: Found) -> Change:
        """Give the abortion of a build; it answers `{data: {}}`."""
        return Change(Request("abort", self.provider.builds_path(target) + path(found.build.id)), "DELETE")

    def retry(self, target: Target, found: Found) -> Change:
        """Give the start of another build `{sha, branch?, pullRequestId?}`; it answers `{data: BUILD}`."""
        if not found.build.sha:
            raise Refused(f"build {found.build.id} bears no commit: there is nothing to build again")
        pull_request = found.record.get("pullRequestId")
        wanted: dict[str, str | int | None] = {
            "sha": found.build.sha,
            "branch": text(found.record, "branch"),
            "pullRequestId": pull_request if isinstance(pull_request, int) else None,
        }
        body = orjson.dumps({key: value for key, value in wanted.items() if value is not None})
        return Change(Request("start", self.provider.builds_path(target)), "POST", body)

    def changed(self, answer: Answer) -> Build | None:
        """Give the build that was started; an abortion tells of none."""
        record = inner(mapping(decode(answer), "the answer"), "data")
        if identifier(record.get("id")) is None:
            return None
        builds = self.provider.told(record).builds
        return builds[0] if builds else None

    def found(self, build: Build, record: Mapping[str, Any]) -> Found:
        """Give the build with `message` and `branch`; a record bears no address of a page."""
        return Found(build, record, text(record, "message"), None, text(record, "branch"))

    def reading_right(self, target: Target) -> str:
        """Give the permissions of the token's role."""
        if target.kind == "job":
            return self.changing_right(target)
        return f"the permission Project > {_part(target)} > General > Read"

    def changing_right(self, target: Target) -> str:
        """Give the permissions of the token's role."""
        return f"the permission Project > {_part(target)} > Deployment > Deploy Build"


def _part(target: Target) -> str:
    return "Jobs" if target.kind == "job" else "Services"
