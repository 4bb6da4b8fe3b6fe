"""Northflank's records of builds, in lists and in notifications. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exporter.build import CONCLUDED, UNFINISHED, Build, Outcome
from exporter.http.wire import flag, instant, text
from exporter.providers.contract import BuildStatus, Rejected
from exporter.providers.pages import in_order

OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "queued": Outcome.PENDING,
        "pending": Outcome.PENDING,
        "unschedulable": Outcome.PENDING,
        "starting": Outcome.EXECUTING,
        "cloning": Outcome.EXECUTING,
        "building": Outcome.EXECUTING,
        "uploading": Outcome.EXECUTING,
        "in_progress": Outcome.EXECUTING,
        "success": Outcome.SUCCESS,
        "failure": Outcome.FAILURE,
        "crashed": Outcome.ERROR,
        "submission_failure": Outcome.ERROR,
        "aborted": Outcome.CANCELLATION,
    }
)
"""Both ages of the documentation; a word that is in neither is unknown."""

STEPS: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("queued", "pending", "unschedulable"), 0),
        "starting": 1,
        "cloning": 2,
        "building": 3,
        "in_progress": 3,
        "uploading": 4,
        **dict.fromkeys(("success", "failure", "crashed", "submission_failure", "aborted"), 5),
    }
)
"""How far a build has come."""

EVENTS: Final[Mapping[str, Outcome | None]] = MappingProxyType(
    {
        "build:start": None,
        "build:success": Outcome.SUCCESS,
        "build:failure": Outcome.FAILURE,
        "build:abort": Outcome.CANCELLATION,
    }
)
"""Of the notification integrations, each with the outcome that it announces."""


def look_from(status: Mapping[str, object]) -> BuildStatus | None:
    """The state of a service's newest build, `{status, lastTransitionTime}`; None without a status."""
    word = text(status, "status")
    if word is None:
        return None
    outcome = OUTCOMES.get(word.lower(), Outcome.UNKNOWN)
    return BuildStatus(word.lower(), outcome, instant(status.get("lastTransitionTime")), STEPS.get(word.lower(), 0))


def build_from(record: Mapping[str, object], build_id: str, created_at: float) -> tuple[Build, tuple[Rejected, ...]]:
    """The build of a record with its id and creation (UTC seconds), and what of it cannot be."""
    status = (text(record, "status") or "unknown").lower()
    ended_at = instant(record.get("buildConcludedAt"))
    outcome, concluded = _outcome(status, record, ended=ended_at is not None)
    if ended_at == created_at // 1:
        # The end has whole seconds, the creation milliseconds: here both are in the same second.
        ended_at = created_at
    _, ended_at, rejected = in_order(build_id, created_at, None, ended_at if concluded else None)
    of_request = record.get("pullRequestId") is not None
    build = Build(
        id=build_id,
        run=build_id,
        status=status,
        outcome=outcome,
        concluded=concluded,
        created_at=created_at,
        concluded_at=ended_at,
        branch=None if of_request else text(record, "branch"),
        sha=text(record, "sha") or "",
        trigger="pull_request" if of_request else "push",
        ref_kind="merge_request" if of_request else "branch",
    )
    return build, rejected


def _outcome(status: str, record: Mapping[str, object], *, ended: bool) -> tuple[Outcome, bool]:
    """The outcome, and whether the build ended: `concluded` decides, the status is the fallback.

    How a build ended is read from `success` where the status does not say, and where a success is denied.
    """
    outcome, concluded = OUTCOMES.get(status, Outcome.UNKNOWN), flag(record, "concluded")
    says_ended = ended if outcome is Outcome.UNKNOWN else outcome in CONCLUDED
    concluded = says_ended if concluded is None else concluded
    if not concluded:
        return (Outcome.EXECUTING if outcome in CONCLUDED and outcome is not Outcome.UNKNOWN else outcome), False
    success = flag(record, "success")
    if outcome in UNFINISHED or outcome is Outcome.UNKNOWN:
        return (Outcome.UNKNOWN if success is None else Outcome.SUCCESS if success else Outcome.FAILURE), True
    return (Outcome.FAILURE if outcome is Outcome.SUCCESS and success is False else outcome), True


def as_announced(build: Build, event: str) -> Build:
    """The build, with the outcome of the event where it ended and its record does not say how."""
    announced = EVENTS[event]
    silent = build.concluded and build.outcome is Outcome.UNKNOWN
    return build._replace(outcome=announced) if silent and announced is not None else build


def agrees(build: Build, event: str) -> bool:
    """Whether the build is as the event says: ended or not, and well or not."""
    announced = EVENTS[event]
    if announced is None:
        return True
    return build.concluded and (build.outcome is Outcome.SUCCESS) == (announced is Outcome.SUCCESS)
