"""Changes at a provider: each request is sent once, over a connection of its own, and never repeated."""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from exporter.build import Build, Outcome, Target
from exporter.errors import (
    BadPayload,
    Forbidden,
    OutcomeUnknown,
    RateLimited,
    Refused,
    SourceError,
    Unauthorized,
    Unreachable,
)
from exporter.http.wire import Answer
from exporter.operate.operator import Operator, missing_permission, records_in
from exporter.providers.operations import BuildDetails, Change

COMMAND = "ci-build-exporter builds"


def check_cancelable(details: BuildDetails) -> None:
    """Raise `Refused` if the build has ended."""
    if details.build.concluded:
        raise Refused(f"build {details.build.id} has ended ({details.build.status}): there is nothing to cancel")


def check_retryable(details: BuildDetails) -> None:
    """Raise `Refused` if the build has not ended."""
    if not details.build.concluded:
        raise Refused(f"build {details.build.id} has not ended ({details.build.status}): cancel it first, or wait")


def cancel(operator: Operator, target: Target, details: BuildDetails) -> BuildDetails | None:
    """Cancel a build. The build afterwards; None if the provider agreed, but the build could not be read again."""
    check_cancelable(details)
    change = operator.operations.cancel(target, details)
    answer = _sent(operator, target, details, change, f"show {target.address} {details.build.id}")
    changed = _changed_build(operator, answer)
    if changed is None:
        try:
            return operator.single(target, details.build.id)
        except SourceError:
            return None
    if changed[0].concluded and changed[0].outcome is not Outcome.CANCELLATION:
        raise Refused(f"build {details.build.id} had ended before it could be cancelled: {changed[0].status}")
    return operator.details(*changed)


def retry(operator: Operator, target: Target, details: BuildDetails) -> BuildDetails:
    """Build the same commit again. The new build."""
    check_retryable(details)
    check = f"list {target.address}" + (f" --commit {details.build.sha}" if details.build.sha else "")
    answer = _sent(operator, target, details, operator.operations.retry(target, details), check)
    changed = _changed_build(operator, answer)
    if changed is None:
        raise OutcomeUnknown(f"the provider agreed, but did not say which build is new; to see it: {COMMAND} {check}")
    return operator.details(*changed)


def _sent(operator: Operator, target: Target, details: BuildDetails, change: Change, check: str) -> Answer:
    """Send a change, once. `check` is the command that shows whether it was made, for errors that leave that open."""
    # A new connection: the kept one may have died while a person was thinking, and that would show only afterwards.
    fetch = operator.connect()
    try:
        return fetch(change.request, method=change.method, body=change.body)
    except SourceError as error:
        if _certainly_not_made(error):
            raise _refused(operator, target, details, error) from error
        raise _unknown(change, str(error), check) from error
    except KeyboardInterrupt:
        raise _unknown(change, "interrupted", check) from None
    finally:
        fetch.close()


def _certainly_not_made(error: SourceError) -> bool:
    """Whether the change was certainly not made: the provider refused it, or was never reached."""
    if error.status is None:
        return error.unsent or not isinstance(error, (Unreachable, BadPayload))
    refused = HTTPStatus.MULTIPLE_CHOICES <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return refused and error.status != HTTPStatus.REQUEST_TIMEOUT


def _unknown(change: Change, said: str, check: str) -> OutcomeUnknown:
    what = change.request.operation
    return OutcomeUnknown(
        f"{said}: it is not known whether the {what} was made, and it was not sent again; to see: {COMMAND} {check}"
    )


def _refused(operator: Operator, target: Target, details: BuildDetails, error: SourceError) -> Exception:
    """The error for a change that was not made, with the reason if it can be found out."""
    said = str(error)
    if isinstance(error, (Unauthorized, RateLimited)) or error.status is None:
        return Refused(f"{said}; nothing was changed")
    now = None
    with suppress(SourceError):  # else the first answer is all that is known
        now = operator.single(target, details.build.id).build
    if now is not None and now.concluded and not details.build.concluded:
        return Refused(f"build {details.build.id} has ended in the meantime ({now.status}): there is nothing to cancel")
    answered = said.partition(": the token")[0]
    if "retryable" in said:
        return Refused(f"{answered}: it was retried before, or cannot be retried; nothing was changed")
    if "cancelable" in said:
        return Refused(f"{answered}: it cannot be cancelled; nothing was changed")
    if isinstance(error, Forbidden):
        return missing_permission(error, operator.operations.change_permission(target))
    return Refused(f"{said}; nothing was changed")


def _changed_build(operator: Operator, answer: Answer) -> tuple[Build, dict[str, Mapping[str, Any]]] | None:
    """The build in the answer to a change, if it has one; the change was made in any case."""
    try:
        build = operator.operations.changed_build(answer)
    except BadPayload:
        return None
    return (build, records_in(answer)) if build else None
