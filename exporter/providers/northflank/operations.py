"""Operations at Northflank: abort as cancel, a new build of the same commit as retry.

API pages: https://northflank.com/docs/v1/api/services/abort-service-build and …/start-service-build; jobs alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

import orjson

from exporter.build import FAILED, Build, Outcome, Target
from exporter.errors import Refused
from exporter.http.wire import Answer, Reading, Request, decode, identifier, inner, mapping, text
from exporter.providers import Page
from exporter.providers.northflank.api import Northflank
from exporter.providers.operations import BuildDetails, Change, FailedRun, Reference
from exporter.providers.pages import path

PAGES: Final = 10
"""The most pages of 100 builds that a search reads: the API cannot filter."""


@dataclass(frozen=True, slots=True)
class NorthflankOperations:
    """The operations of one Northflank source."""

    provider: Northflank

    scope_words: ClassVar[Mapping[str, frozenset[Outcome]]] = MappingProxyType(
        {
            "running": frozenset({Outcome.EXECUTING}),
            "failed": FAILED,
            "canceled": frozenset({Outcome.CANCELLATION}),
        }
    )

    def reference(self, url: str) -> Reference | None:  # noqa: ARG002  # no URL is one
        """None: the addresses of Northflank's pages are not documented."""
        return None

    def builds_of_commit(self, target: Target, sha: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:
        """The builds of the commit among the newest 1,000."""
        return (yield from self._search(target, lambda build: build.sha.startswith(sha), scope, limit))

    def builds_of_run(self, target: Target, run: str, scope: tuple[str, ...], limit: int) -> Reading[Page]:  # noqa: ARG002  # it is one build
        """The build: it is its own run."""
        return (yield from self.provider.build(target, run))

    def last_failed_run(self, target: Target, branch: str) -> Reading[FailedRun | None]:
        """The newest failed build among the newest 1,000: each build is its own run."""

        def failed(build: Build) -> bool:
            return build.outcome in FAILED and branch in {"", build.branch}

        page = yield from self._search(target, failed, (), 1)
        return FailedRun(page.builds[0].run, page.builds[:1]) if page.builds else None

    def check_has_logs(self, target: Target) -> None:
        """Raise `Refused`: the API pages describe no call for logs."""
        raise Refused(f"{target.address}: logs of Northflank builds cannot be read here; open the build in Northflank")

    def log(self, target: Target, build_id: str) -> Reading[bytes]:  # noqa: ARG002  # there is none
        """Raise `Refused`."""
        yield from ()
        self.check_has_logs(target)
        return b""

    def log_lines(self, log: bytes, *, ended: bool) -> list[str]:  # noqa: ARG002  # there is no log
        """The lines as they are."""
        return log.decode(errors="replace").splitlines()

    def cancel(self, target: Target, details: BuildDetails) -> Change:
        """The request that aborts a build; its answer is `{data: {}}`."""
        return Change(Request("abort", self.provider.builds_path(target) + path(details.build.id)), "DELETE")

    def retry(self, target: Target, details: BuildDetails) -> Change:
        """The request that starts another build, `{sha, branch?, pullRequestId?}`; its answer is `{data: BUILD}`."""
        if not details.build.sha:
            raise Refused(f"build {details.build.id} has no commit, so it cannot be built again")
        pull_request = details.record.get("pullRequestId")
        wanted: dict[str, str | int | None] = {
            "sha": details.build.sha,
            "branch": text(details.record, "branch"),
            "pullRequestId": pull_request if isinstance(pull_request, int) else None,
        }
        body = orjson.dumps({key: value for key, value in wanted.items() if value is not None})
        return Change(Request("start", self.provider.builds_path(target)), "POST", body)

    def changed_build(self, answer: Answer) -> Build | None:
        """The build that was started; the answer to an abort has none."""
        record = inner(mapping(decode(answer), "the answer"), "data")
        if identifier(record.get("id")) is None:
            return None
        builds = self.provider.told(record).builds
        return builds[0] if builds else None

    def details(self, build: Build, record: Mapping[str, Any]) -> BuildDetails:
        """The build with `message` and `branch`; a record has no URL."""
        return BuildDetails(build, record, text(record, "message"), None, text(record, "branch"))

    def read_permission(self, target: Target) -> str:
        """The permissions of the token's role."""
        if target.kind == "job":
            return self.change_permission(target)
        return f"the permission Project > {_section(target)} > General > Read"

    def change_permission(self, target: Target) -> str:
        """The permissions of the token's role."""
        return f"the permission Project > {_section(target)} > Deployment > Deploy Build"

    def _search(
        self, target: Target, wanted: Callable[[Build], bool], scope: tuple[str, ...], limit: int
    ) -> Reading[Page]:
        """The wanted builds, until there are `limit` of them, the list ends, or 1,000 builds were read."""
        found: list[Build] = []
        cursor = None
        for _ in range(PAGES):
            page = yield from self.provider.builds(target, 100, cursor, scope)
            found += filter(wanted, page.builds)
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
        return Page(tuple(found), cursor)


def _section(target: Target) -> str:
    return "Jobs" if target.kind == "job" else "Services"


OPERATIONS: Final = NorthflankOperations
"""The provider's operations, by the name that every provider's module has."""
