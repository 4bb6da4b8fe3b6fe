"""Runs: what a person calls one build. A pipeline is decided as a whole, or a green lint hides a red test. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from exporter.build import FAILED, Build, Outcome


class Run(NamedTuple):
    """The builds of one run, and what they come to."""

    id: str
    created_at: float
    """When its first build was created."""
    failed: bool
    """One of its builds, each taken by its newest attempt, ended in failure, error or timeout."""
    succeeded: bool
    """It has not failed, none of its builds is unfinished, and one succeeded."""
    decided_at: float | None
    """Failed: when the first of them did. Succeeded: when the last build ended. None where nobody tells."""
    failure: Build | None
    """The newest build that failed."""

    @property
    def decided(self) -> bool:
        """Whether it failed or succeeded; it may also be under way, or all cancelled."""
        return self.failed or self.succeeded


def age_key(build: Build) -> tuple[float, int, str]:
    """Orders builds from the oldest to the newest; numeric ids of one instant by their number."""
    return build.created_at, len(build.id), build.id


def runs(builds: Iterable[Build]) -> list[Run]:
    """The runs that the builds belong to, oldest first."""
    found = [_run(run, members) for run, members in _members(builds).items()]
    found.sort(key=lambda run: (run.created_at, len(run.id), run.id))
    return found


def newest_runs(builds: Iterable[Build]) -> Iterator[tuple[Run, list[Build]]]:
    """The same runs from the newest on, each with its builds, and made when its turn comes."""
    by_run = _members(builds)
    created = {run: min([build.created_at for build in members]) for run, members in by_run.items()}
    for run in sorted(by_run, key=lambda run: (created[run], len(run), run), reverse=True):
        yield _run(run, by_run[run]), by_run[run]


def _members(builds: Iterable[Build]) -> dict[str, list[Build]]:
    by_run: dict[str, list[Build]] = {}
    for build in builds:
        by_run.setdefault(build.run, []).append(build)
    return by_run


def _run(run: str, builds: list[Build]) -> Run:
    if len(builds) == 1:
        return _of_one(run, builds[0])
    attempts = {build.name: build for build in sorted(builds, key=age_key)}
    newest = list(attempts.values())
    failures = [build for build in newest if build.concluded and build.outcome in FAILED]
    successes = [build for build in newest if build.outcome is Outcome.SUCCESS]
    succeeded = bool(successes) and not failures and not any(build.unfinished for build in newest)
    ends = [build.concluded_at for build in (failures or successes) if build.concluded_at is not None]
    decided_at = None
    if ends and failures:
        decided_at = min(ends)
    elif ends and succeeded:
        decided_at = max(ends)
    return Run(
        id=run,
        created_at=min(build.created_at for build in builds),
        failed=bool(failures),
        succeeded=succeeded,
        decided_at=decided_at,
        failure=max(failures, key=age_key) if failures else None,
    )


def _of_one(run: str, build: Build) -> Run:
    failed = build.concluded and build.outcome in FAILED
    succeeded = build.outcome is Outcome.SUCCESS and not build.unfinished
    decided_at = build.concluded_at if failed or succeeded else None
    return Run(run, build.created_at, failed, succeeded, decided_at, build if failed else None)
