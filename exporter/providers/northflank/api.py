"""Northflank: services and jobs with their builds.

API pages: https://northflank.com/docs/v1/api/services/list-service-builds and …/jobs/list-job-builds.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from exporter.build import Build, Outcome, Target
from exporter.errors import NotFound, RateLimited, SourceError, Unauthorized
from exporter.http.wire import (
    Answer,
    Reading,
    Request,
    decode,
    flag,
    identifier,
    inner,
    mapping,
    sequence,
    text,
)
from exporter.providers.contract import (
    OTHER_EVENT,
    BuildsAreRuns,
    BuildStatus,
    Delivery,
    Discovery,
    LimitHeaders,
    Listed,
    Page,
    ServiceList,
    Tell,
    unheard,
)
from exporter.providers.globs import matches, unmatched
from exporter.providers.northflank.builds import EVENTS, OUTCOMES, agrees, as_announced, build_from, look_from
from exporter.providers.northflank.settings import NorthflankProject, NorthflankSource
from exporter.providers.pages import advanced, page_from, path, prefixed, walk

Part = Literal["services", "jobs"]

KINDS: Final[Mapping[Part, str]] = MappingProxyType({"services": "service", "jobs": "job"})

BUILDING_SERVICES: Final = frozenset({"combined", "build"})
"""The `serviceType`s that build; `deployment` runs an image."""

NOTIFICATION: Final = "x-northflank-notification-integration-"
"""What the names of a delivery's headers begin with."""

LONGEST_CURSOR: Final = 4000


@dataclass(frozen=True, slots=True)
class Northflank(BuildsAreRuns):
    """One Northflank source."""

    source: NorthflankSource

    title: ClassVar[str] = "Northflank"
    vocabulary: ClassVar[tuple[tuple[str, Outcome], ...]] = tuple(OUTCOMES.items())
    ordered: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = tuple(KINDS.values())

    limit_headers: ClassVar[LimitHeaders] = LimitHeaders("x-ratelimit-", 3600.0, documented=1000.0)
    secret_header: ClassVar[str] = f"{NOTIFICATION}token"

    def headers(self, token: str) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def builds(
        self, target: Target, size: int, cursor: str | None = None, scope: tuple[str, ...] = ()
    ) -> Reading[Page]:
        """One page of `{data: {builds: [BUILD]}, pagination: {hasNextPage, cursor?}}`.

        The API has no scope: the page's builds are filtered here, by the provider's status or our outcome.
        """
        answer = yield self._list("builds", self.builds_path(target), size, cursor)
        records, after = _entries(answer, "builds", cursor)
        page = page_from(records, "createdAt", build_from, after)
        if not scope:
            return page
        words = {word.lower() for word in scope}
        kept = tuple(build for build in page.builds if build.status in words or build.outcome in words)
        return Page(kept, page.cursor, page.rejected)

    def build(self, target: Target, build_id: str) -> Reading[Page]:
        """One build, `{data: BUILD}`; for a job this takes the permission to deploy, `Forbidden` without it."""
        answer = yield Request("build", self.builds_path(target) + path(build_id))
        return self.told(mapping(mapping(decode(answer), "the answer").get("data"), '"data"'))

    def told(self, record: Mapping[str, object]) -> Page:
        """The build of one record."""
        return page_from([record], "createdAt", build_from)

    def single(self, target: Target) -> bool:
        """Whether it is a service: for a job, one build takes the permission to deploy."""
        return target.kind == "service"

    def list_of(self, target: Target) -> str | None:
        """The project of a service, whose list of services has their build status; None for a job."""
        return target.project if target.kind == "service" else None

    def statuses(self, name: str) -> Reading[Mapping[Target, BuildStatus | None]]:
        """The newest build of each wanted service in the service list of the project of that name."""
        listed = yield from self.services(name)
        return {entry.target: entry.look for entry in listed.services if entry.target}

    def page_of(self, target: Target, build: Build | None = None) -> str | None:  # noqa: ARG002  # the same for all
        """None: the addresses of Northflank's pages are not documented."""
        return None

    def builds_of(self, target: Target, run_id: str, cursor: str | None = None) -> Reading[Page]:  # noqa: ARG002  # it is one
        """The build: it is its own run."""
        return (yield from self.build(target, run_id))

    def services(self, project: str) -> Reading[ServiceList]:
        """A project's services; one request for up to 100 of them shows which build status changed, and when.

        `{data: {services: [{id, name?, serviceType, status?: {build?: {status, lastTransitionTime}}}]}, pagination}`
        """
        return ServiceList((yield from self._listed(project, "services")))

    def discover(self, listed: Collection[str] = (), tell: Tell = unheard) -> Reading[Discovery]:
        """Every wanted service that builds, and every wanted job; a project that fails is a fault of its own.

        An excluding pattern of the source applies to projects by id or name, and to services and jobs by id, name or
        `PROJECT/ID`. `Unauthorized` and `RateLimited` would meet every further request too: they end the discovery.
        """
        targets: dict[Target, None] = {}
        statuses: dict[Target, BuildStatus | None] = {}
        faults: list[SourceError] = []
        notes: list[str] = []
        for project in (yield from self._projects()):
            for part in KINDS:
                if not self._patterns(project, part) or (part == "services" and project in listed):
                    continue
                try:
                    entries = yield from self._listed(project, part)
                except (Unauthorized, RateLimited):
                    raise
                except NotFound as error:
                    faults.append(prefixed(error, f'project "{project}"'))
                    break
                except SourceError as error:
                    faults.append(prefixed(error, f'project "{project}": {part}'))
                    continue
                wanted = {entry.target: entry.look for entry in entries if entry.target}
                tell(wanted)
                targets.update(dict.fromkeys(wanted))
                statuses.update(wanted if part == "services" else {})
                notes += self._notes(project, part, entries)
        return Discovery(tuple(targets), tuple(faults), tuple(dict.fromkeys(notes)), statuses)

    def event(self, headers: Mapping[str, str], body: object) -> Delivery:
        """The content of a notification: `{event, data: {build: BUILD, service|job: {id}, project: {id}}}`.

        It has no build, and the target must be read, where the event and the build disagree on whether it ended, or
        how.
        Page: https://northflank.com/docs/v1/application/notifications/webhook-notifications.
        """
        fields = body if isinstance(body, dict) else {}
        words = (headers.get(f"{NOTIFICATION}event-type"), text(fields, "event"))
        event = next((word for word in words if word in EVENTS), None)
        if event is None:
            return Delivery(OTHER_EVENT)
        data = inner(fields, "data")
        record = inner(data, "build")
        builds = tuple(as_announced(build, event) for build in page_from([record], "createdAt", build_from).builds)
        return Delivery(
            event=event,
            targets=self._named(data),
            builds=tuple(build for build in builds if agrees(build, event)),
            complete=text(record, "status") is not None
            or any(build.outcome is not Outcome.UNKNOWN for build in builds),
            whole=text(record, "branch") is not None or record.get("pullRequestId") is not None,
            key=identifier(headers.get(f"{NOTIFICATION}event-id")) or "",
        )

    def _named(self, data: Mapping[str, object]) -> tuple[Target, ...]:
        project = identifier(inner(data, "project").get("id"))
        names = {kind: identifier(inner(data, kind).get("id")) for kind in KINDS.values()}
        found = ((kind, name) for kind, name in names.items() if name is not None)
        return tuple(Target(self.source.name, kind, project, name) for kind, name in found) if project else ()

    def _projects(self) -> Reading[list[str]]:
        if self.source.projects is not None:
            named = (project.id for project in self.source.projects)
            return [project for project in named if not matches([project], self.source.exclude)]
        records = yield from walk(
            lambda cursor: self._list("projects", self._root(), 100, cursor),
            lambda answer, cursor: _entries(answer, "projects", cursor),
        )
        known = [names for names in map(_names, records) if names]
        return [names[0] for names in known if not matches(names, self.source.exclude)]

    def _listed(self, project: str, part: Part) -> Reading[tuple[Listed, ...]]:
        records = yield from walk(
            lambda cursor: self._list(part, self._root() + path(project, part), 100, cursor),
            lambda answer, cursor: _entries(answer, part, cursor),
        )
        return tuple(self._entry(project, part, record, names) for record in records if (names := _names(record)))

    def _entry(self, project: str, part: Part, record: object, names: tuple[str, str]) -> Listed:
        fields = mapping(record, "an entry")
        builds = part == "jobs" or (text(fields, "serviceType") or "").lower() in BUILDING_SERVICES
        wanted = builds and matches(names, self._patterns(project, part))
        excluded = matches(names, self._wish(project).exclude) or matches(
            (*names, f"{project}/{names[0]}"), self.source.exclude
        )
        target = Target(self.source.name, KINDS[part], project, names[0]) if wanted and not excluded else None
        return Listed(*names, builds, target, look_from(inner(inner(fields, "status"), "build")))

    def _wish(self, project: str) -> NorthflankProject:
        if self.source.projects is None:
            return NorthflankProject(id=project)
        configured = (entry for entry in self.source.projects if entry.id == project)
        return next(configured, NorthflankProject(id=project, services=(), jobs=()))

    def _patterns(self, project: str, part: Part) -> tuple[str, ...]:
        wish = self._wish(project)
        return wish.services if part == "services" else wish.jobs

    def _notes(self, project: str, part: Part, listed: tuple[Listed, ...]) -> list[str]:
        key = f"sources.{self.source.name}.projects.{project}.{part}"
        notes = []
        for pattern in self._patterns(project, part):
            matching = [entry for entry in listed if matches((entry.id, entry.name), [pattern])]
            if pattern == "*" or any(entry.builds for entry in matching):
                continue
            if matching:
                notes.append(f'{key}: "{pattern}" matches only what does not build (serviceType deployment)')
            else:
                notes.append(unmatched(key, pattern, (entry.id for entry in listed if entry.builds)))
        return notes

    def _root(self) -> str:
        return path("v1", "teams", self.source.team, "projects") if self.source.team else path("v1", "projects")

    def builds_path(self, target: Target) -> str:
        """The path of the target's builds."""
        return self._root() + path(target.project, f"{target.kind}s", target.name, "build")

    def _list(self, operation: str, where: str, size: int, cursor: str | None) -> Request:
        after = () if cursor is None else (("cursor", cursor),)
        return Request(operation, where, (("per_page", str(size)), *after))


def _entries(answer: Answer, key: str, asked: str | None) -> tuple[list[object], str | None]:
    body = mapping(decode(answer), "the answer")
    entries = sequence(mapping(body.get("data"), '"data"').get(key), f'"data.{key}"')
    pagination = inner(body, "pagination")
    cursor = identifier(pagination.get("cursor"), LONGEST_CURSOR) if flag(pagination, "hasNextPage") else None
    return entries, advanced(cursor, asked)


def _names(record: object) -> tuple[str, str] | None:
    if not isinstance(record, dict) or (found := identifier(record.get("id"))) is None:
        return None
    return found, text(record, "name") or found
