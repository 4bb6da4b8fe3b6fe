"""Reads of one source for an operator: its targets, builds of a scope or a commit, one build, its log."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol

from exporter.build import Build, Target
from exporter.errors import BadPayload, Forbidden, NotFound, Refused, SourceError
from exporter.http.fetch import Fetch
from exporter.http.wire import Answer, Reading, Request, T, decode, identifier, inner
from exporter.operate.address import unknown_target
from exporter.operate.operations import operations_of
from exporter.operate.scope import scope_of, scope_words
from exporter.providers import Discovery, Page, Provider, provider_of
from exporter.providers.operations import BuildDetails, FailedRun
from exporter.settings.settings import Source

SHA: Final = re.compile(r"[0-9a-f]{7,64}")
PAGES: Final = 10
"""The most pages of 100 builds that are read to find the builds of a scope."""


class Connection(Protocol):
    """A connection to a source's server."""

    def __call__(self, request: Request, *, method: str = "GET", body: bytes | None = None) -> Answer:
        """The answer to one request. Raises `SourceError`."""

    def close(self) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True)
class BuildList:
    """The builds that were asked for."""

    builds: tuple[BuildDetails, ...]
    incomplete: bool = False
    """Whether the search ended before there were as many as wanted, because too many builds were read."""


def operator_for(source: Source, timeout: float) -> "Operator":
    """An operator at a source; each request takes at most `timeout` seconds."""
    provider = provider_of(source)
    connect = partial(
        Fetch,
        source=source.name,
        url=source.url,
        headers=lambda: provider.headers(source.token.read()),
        observe=lambda _: None,
        timeout=timeout,
        ca_file=source.tls.ca_file,
        insecure_skip_verify=source.tls.insecure_skip_verify,
    )
    return Operator(source, connect)


class Operator:
    """Reads at one source. `connect` opens a connection; `clock` and `sleep` count seconds."""

    def __init__(
        self,
        source: Source,
        connect: Callable[[], Connection],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.provider: Provider = provider_of(source)
        self.operations = operations_of(source)
        self.connect = connect
        self.clock = clock
        self.sleep = sleep
        self._fetch = connect()

    def close(self) -> None:
        """Close the connection."""
        self._fetch.close()

    def targets(self) -> Discovery:
        """The targets that discovery finds."""
        return self.driven(self.provider.discover())

    def scope_words(self) -> list[str]:
        """The words that a scope may have."""
        return scope_words(self.provider, self.operations.scope_words)

    # Lists

    def builds(  # noqa: PLR0913  # a filter each
        self,
        target: Target,
        *,
        scope: tuple[str, ...] = (),
        commit: str = "",
        run: str = "",
        branch: str = "",
        limit: int = 20,
    ) -> BuildList:
        """The newest builds: of a scope, of a commit or else a run, and of a branch, where these are not empty."""
        if commit and not SHA.fullmatch(commit := commit.lower()):
            raise Refused(f'"{commit}" is not a commit: write its sha, or at least the first 7 characters of it')
        wanted = scope_of(self.provider, self.operations.scope_words, scope)
        records: dict[str, Mapping[str, Any]] = {}

        def holds(build: Build) -> bool:
            return wanted.holds(build) and branch in {"", build.branch}

        what = f"commit {commit}" if commit else f"pipeline {run}" if run else ""
        try:
            if commit:
                page = self.driven(self.operations.builds_of_commit(target, commit, wanted.requested, limit), records)
            elif run:
                page = self.driven(self.operations.builds_of_run(target, run, wanted.requested, limit), records)
            else:
                filtered = bool(scope or branch)
                page = self._newest(target, wanted.requested, limit, records, holds if filtered else None)
        except NotFound as error:
            raise self._not_found(target, error, what) from error
        except Forbidden as error:
            raise missing_permission(error, self.operations.read_permission(target)) from error
        found = [build for build in page.builds if holds(build)]
        details = tuple(self.details(build, records) for build in found[:limit])
        return BuildList(details, incomplete=page.cursor is not None and len(found) < limit)

    def _newest(
        self,
        target: Target,
        statuses: tuple[str, ...],
        limit: int,
        records: dict[str, Mapping[str, Any]],
        holds: Callable[[Build], bool] | None,
    ) -> Page:
        """The newest builds that hold (None: all do), with a cursor if the search ended before the list did."""
        found: list[Build] = []
        cursor = None
        for _ in range(PAGES):
            size = 100 if holds else min(100, limit - len(found))
            page = self.driven(self.provider.builds(target, size, cursor, statuses), records)
            found += filter(holds, page.builds) if holds else page.builds
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
        return Page(tuple(found), cursor)

    def last_failed_run(self, target: Target, branch: str = "") -> tuple[FailedRun, BuildList] | None:
        """The newest run that is failed now, and the builds that made it fail; None if there is none."""
        records: dict[str, Mapping[str, Any]] = {}
        try:
            failed = self.driven(self.operations.last_failed_run(target, branch), records)
        except NotFound as error:
            raise self._not_found(target, error, "") from error
        except Forbidden as error:
            raise missing_permission(error, self.operations.read_permission(target)) from error
        if failed is None:
            return None
        return failed, BuildList(tuple(self.details(build, records) for build in failed.builds))

    # One build

    def build(self, target: Target, build_id: str) -> BuildDetails:
        """One build. Raises `Refused` if the target has no build with that id."""
        if identifier(build_id) is None:
            raise Refused(f'"{build_id}" cannot be the id of a build')
        try:
            return self.single(target, build_id)
        except NotFound as error:
            raise self._not_found(target, error, f"build {build_id}") from error
        except Forbidden as error:
            if self.provider.single(target):
                raise missing_permission(error, self.operations.read_permission(target)) from error
        # One build of this target takes more than the permission to read; the list does not.
        newest = self.builds(target, limit=100 * PAGES).builds
        for details in newest:
            if details.build.id == build_id:
                return details
        raise Refused(f"{target.address} has no build {build_id} among its newest {len(newest)}")

    def single(self, target: Target, build_id: str) -> BuildDetails:
        """One build, by the provider's call for a single build. Raises `SourceError`."""
        records: dict[str, Mapping[str, Any]] = {}
        page = self.driven(self.provider.build(target, build_id), records)
        if not page.builds:
            raise BadPayload(f"answered a build that makes no sense ({page.rejected[0].reason})")
        return self.details(page.builds[0], records)

    def single_or_listed(self, target: Target, build_id: str) -> BuildDetails:
        """One build, from the list if the token may only read that."""
        try:
            return self.single(target, build_id)
        except Forbidden:
            if self.provider.single(target):
                raise
            return self.build(target, build_id)

    def log(self, target: Target, build_id: str, *, ended: bool = True) -> list[str]:
        """The lines of a build's log. Raises `Refused` if the provider has no logs or no such build.

        If the build has not `ended`, a last line that can still grow is left out.
        """
        self.operations.check_has_logs(target)
        try:
            return self.operations.log_lines(self.driven(self.operations.log(target, build_id)), ended=ended)
        except NotFound as error:
            raise self._not_found(target, error, f"build {build_id}") from error
        except Forbidden as error:
            raise missing_permission(error, self.operations.read_permission(target)) from error

    # Requests

    def details(self, build: Build, records: Mapping[str, Mapping[str, Any]]) -> BuildDetails:
        """The build together with its record among these."""
        return self.operations.details(build, records.get(build.id, {}))

    def driven(self, reading: Reading[T], records: dict[str, Mapping[str, Any]] | None = None) -> T:
        """The result of a reading. The records of builds in the answers are added to `records`, by id."""
        step: Callable[[], Request] = partial(next, reading)
        while True:
            try:
                request = step()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                answer = self._fetch(request)
            except SourceError as error:
                step = partial(reading.throw, error)
                continue
            if records is not None:
                records.update(records_in(answer))
            step = partial(reading.send, answer)

    def _not_found(self, target: Target, error: NotFound, what: str) -> Exception:
        """The error for a missing target, or for a missing part of it (`what`)."""
        if error.status == HTTPStatus.GONE or (error.status or 404) < HTTPStatus.BAD_REQUEST:
            return error
        try:
            self.driven(self.provider.builds(target, 1))
        except NotFound:
            return unknown_target(target, self._addresses())
        except SourceError:
            return error
        return Refused(f"{target.address} has no {what}") if what else error

    def _addresses(self) -> list[str]:
        try:
            return [target.address for target in self.targets().targets]
        except SourceError:
            return []


def missing_permission(error: Forbidden, permission: str) -> Forbidden:
    """The same error, with the permission that the token needs."""
    said = str(error).partition(": the token")[0]
    return Forbidden(f"{said}: the token needs {permission}", status=error.status)


def records_in(answer: Answer) -> dict[str, Mapping[str, Any]]:
    """The records of builds in an answer of any provider, by id; empty for anything else."""
    try:
        value = decode(answer)
    except BadPayload:
        return {}
    if isinstance(value, dict):
        data = inner(value, "data")
        value = data.get("builds", [data]) if data else [value]
    records = value if isinstance(value, list) else []
    return {
        build_id: record
        for record in records
        if isinstance(record, dict) and (build_id := identifier(record.get("id"))) is not None
    }
