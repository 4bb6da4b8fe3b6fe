"""What an operator asks of one source: builds of a scope or a commit, one build, and its end."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Protocol

from exporter.build import Build, Target
from exporter.errors import (
    BadPayload,
    Forbidden,
    NotFound,
    RateLimited,
    Refused,
    SourceError,
    Unreachable,
)
from exporter.http.wire import Answer, Reading, Request, T, decode, identifier, inner
from exporter.operate.address import unknown_target
from exporter.operate.changes import Changes, Found
from exporter.operate.gitlab import GitLabChanges
from exporter.operate.northflank import NorthflankChanges
from exporter.operate.scope import scope_of
from exporter.polling.state import fetch_of
from exporter.polling.workers import Flight, drive
from exporter.providers import Discovery, Provider, provider_of
from exporter.settings.settings import Source

CHANGES: Final[Mapping[str, Callable[[Any], Changes]]] = MappingProxyType(
    {"northflank": NorthflankChanges, "gitlab": GitLabChanges}
)
"""From the configuration's word to what changes something at a source of that provider."""

SHA: Final = re.compile(r"[0-9a-f]{7,64}")
MOST_PAGES: Final = 10
"""Of 100 builds, in a list that is sifted."""
SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 30.0
"""Seconds between two looks at a build that is waited for."""
PAUSE_UNTOLD = 60.0
"""Seconds to leave a provider alone that says "too many" and not for how long."""
UNSEEN = 3
"""Looks at a new build that may find nothing: ids are given before they become visible."""


class Connection(Protocol):
    """What answers requests, or raises a `SourceError`."""

    def __call__(self, request: Request, *, method: str = "GET", body: bytes | None = None) -> Answer:
        """Answer one request."""

    def close(self) -> None:
        """Let go of what is open."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A list of builds as it was asked for."""

    found: tuple[Found, ...]
    more: bool = False
    """Whether it was given up before its end with fewer builds than were wanted."""


def opened(source: Source, timeout: float) -> "Operator":
    """The operator's hand at a source; each request takes at most `timeout` seconds."""
    return Operator(source, partial(fetch_of, source, lambda _: None, timeout, time.time))


class Operator:
    """What can be asked and done at one source. `connect` opens a connection; `clock` and `sleep` are of seconds."""

    def __init__(
        self,
        source: Source,
        connect: Callable[[], Connection],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.provider: Provider = provider_of(source)
        self.changes = CHANGES[source.provider](self.provider)
        self.connect = connect
        self._fetch = connect()
        self._clock = clock
        self._sleep = sleep

    def close(self) -> None:
        """Let go of the connection."""
        self._fetch.close()

    # What is asked

    def targets(self) -> Discovery:
        """What discovery finds."""
        return self._driven(self.provider.discover(), {})

    def builds(self, target: Target, *, scope: tuple[str, ...] = (), commit: str = "", limit: int = 20) -> Seen:
        """The newest builds, of a scope and of a commit where they are given."""
        if commit and not SHA.fullmatch(commit := commit.lower()):
            raise Refused(f'"{commit}" is no commit: give the sha, or 7 characters of its beginning at least')
        wanted = scope_of(self.provider, self.changes.words, scope)
        records: dict[str, Mapping[str, Any]] = {}
        found: list[Build] = []
        cursor = None
        try:
            if commit:
                page = self._driven(self.changes.of_commit(target, commit, wanted.asked, limit), records)
                found += filter(wanted.holds, page.builds)
                cursor = page.cursor
            for _ in range(0 if commit else MOST_PAGES):
                size = 100 if scope else min(100, limit - len(found))
                page = self._driven(self.provider.builds(target, size, cursor, wanted.asked), records)
                found += filter(wanted.holds, page.builds)
                cursor = page.cursor
                if cursor is None or len(found) >= limit:
                    break
        except NotFound as error:
            raise self._not_found(target, error, f"has no commit {commit}" if commit else "") from error
        except Forbidden as error:
            raise without(error, self.changes.reading_right(target)) from error
        given_up = cursor is not None and len(found) < limit
        return Seen(tuple(self.found(build, records) for build in found[:limit]), more=given_up)

    def build(self, target: Target, build_id: str) -> Found:
        """One build. Raises `Refused` where there is none of that id."""
        if identifier(build_id) is None:
            raise Refused(f'"{build_id}" can be no id of a build')
        try:
            return self.single(target, build_id)
        except NotFound as error:
            raise self._not_found(target, error, f"has no build {build_id}") from error
        except Forbidden as error:
            if self.provider.single(target):
                raise without(error, self.changes.reading_right(target)) from error
        # One build of this target takes more than a right to read; the list does not.
        seen = self.builds(target, limit=100 * MOST_PAGES)
        for found in seen.found:
            if found.build.id == build_id:
                return found
        raise Refused(f"{target.address} has no build {build_id} among its newest {len(seen.found)}")

    def wait(
        self,
        target: Target,
        build_id: str,
        *,
        seconds: float,
        told: Callable[[Build | None, str], None] = lambda _build, _fault: None,
    ) -> Found | None:
        """The build once it has concluded; None where it has not within `seconds`.

        `told` is called after each look, with the build or with what went wrong: neither an allowance that is used up
        nor a provider that is away ends the waiting.
        """
        begun, unseen = self._clock(), 0
        while True:
            pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, (self._clock() - begun) / 20))
            try:
                found = self._single_or_listed(target, build_id)
                told(found.build, "")
                if found.build.concluded:
                    return found
            except RateLimited as error:
                pause = PAUSE_UNTOLD if error.retry_after is None else max(SHORTEST_PAUSE, error.retry_after)
                told(None, f"the allowance is used up: asking again in {pause:.0f} s")
            except NotFound as error:
                unseen += 1
                if unseen > UNSEEN:
                    raise Refused(f"build {build_id} is not to be found: {error}") from error
            except (Unreachable, BadPayload) as error:
                told(None, str(error))
            left = begun + seconds - self._clock()
            if left <= 0:
                return None
            self._sleep(min(pause, left))
            if pause > left:
                return None

    def _single_or_listed(self, target: Target, build_id: str) -> Found:
        try:
            return self.single(target, build_id)
        except Forbidden:
            if self.provider.single(target):
                raise
            return self.build(target, build_id)

    def single(self, target: Target, build_id: str) -> Found:
        """One build as the provider's call for one gives it."""
        records: dict[str, Mapping[str, Any]] = {}
        page = self._driven(self.provider.build(target, build_id), records)
        if not page.builds:
            raise BadPayload(f"answered a build that makes no sense ({page.rejected[0].reason})")
        return self.found(page.builds[0], records)

    # How it is asked

    def found(self, build: Build, records: Mapping[str, Mapping[str, Any]]) -> Found:
        """The build with what the record of its id says beyond it."""
        return self.changes.found(build, records.get(build.id, {}))

    def _driven(self, reading: Reading[T], records: dict[str, Mapping[str, Any]]) -> T:
        """What the reading gives; the records in its answers are added to `records`, by id."""

        def fetched(request: Request) -> Answer:
            answer = self._fetch(request)
            records.update(records_in(answer))
            return answer

        return drive(reading, fetched, nullcontext(), Flight())

    def _not_found(self, target: Target, error: NotFound, else_said: str) -> Exception:
        """What is not there: the target, or what is asked of it."""
        if error.status == HTTPStatus.GONE or (error.status or 404) < HTTPStatus.BAD_REQUEST:
            return error
        try:
            self._driven(self.provider.builds(target, 1), {})
        except NotFound:
            return unknown_target(target, self._addresses())
        except SourceError:
            return error
        return Refused(f"{target.address} {else_said}") if else_said else error

    def _addresses(self) -> list[str]:
        try:
            return [target.address for target in self.targets().targets]
        except SourceError:
            return []


def without(error: Forbidden, right: str) -> Forbidden:
    """The same refusal, with the right that the token lacks."""
    said = str(error).partition(": the token")[0]
    return Forbidden(f"{said}: the token needs {right}", status=error.status)


def records_in(answer: Answer) -> dict[str, Mapping[str, Any]]:
    """The records of builds in an answer, by id, whichever provider's it is; none where it makes no sense."""
    try:
        told = decode(answer)
    except BadPayload:
        return {}
    if isinstance(told, dict):
        data = inner(told, "data")
        told = data.get("builds", [data]) if data else [told]
    records = told if isinstance(told, list) else []
    return {
        build_id: record
        for record in records
        if isinstance(record, dict) and (build_id := identifier(record.get("id"))) is not None
    }
