"""The changing calls: each is sent once, on a connection of its own, and never again, whatever becomes of it."""

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
from exporter.operate.changes import Change, Found
from exporter.operate.operator import Operator, records_in, without

COMMAND = "ci-build-exporter builds"


def cancelable(found: Found) -> None:
    """Raise `Refused` where the build has ended."""
    if found.build.concluded:
        raise Refused(f"build {found.build.id} has ended ({found.build.status}): there is nothing to cancel")


def retryable(found: Found) -> None:
    """Raise `Refused` where the build has not ended."""
    if not found.build.concluded:
        raise Refused(f"build {found.build.id} has not ended ({found.build.status}): cancel it first, or wait")


def cancel(operator: Operator, target: Target, found: Found) -> Found | None:
    """The build, cancelled; None where the provider has agreed and the build could not be read again."""
    cancelable(found)
    change = operator.changes.cancel(target, found)
    answer = _sent(operator, target, found, change, f"show {target.address} {found.build.id}")
    told = _told(operator, answer)
    if told is None:
        try:
            return operator.single(target, found.build.id)
        except SourceError:
            return None
    if told[0].concluded and told[0].outcome is not Outcome.CANCELLATION:
        raise Refused(f"build {found.build.id} had ended before it was cancelled: {told[0].status}")
    return operator.found(*told)


def retry(operator: Operator, target: Target, found: Found) -> Found:
    """The new build of the same commit."""
    retryable(found)
    look = f"list {target.address}" + (f" --commit {found.build.sha}" if found.build.sha else "")
    answer = _sent(operator, target, found, operator.changes.retry(target, found), look)
    told = _told(operator, answer)
    if told is None:
        raise OutcomeUnknown(f"the provider agreed, but did not tell the new build; to look: {COMMAND} {look}")
    return operator.found(*told)


def _sent(operator: Operator, target: Target, found: Found, change: Change, look: str) -> Answer:
    """Send a change, once. `look` is the command that shows what became of it where that is not known."""
    # Not the connection that is kept: while a person thought it may have died, which would be known too late.
    fetch = operator.connect()
    try:
        return fetch(change.request, method=change.method, body=change.body)
    except SourceError as error:
        if surely_not(error):
            raise _refused(operator, target, found, error) from error
        raise _unknown(change, str(error), look) from error
    except KeyboardInterrupt:
        raise _unknown(change, "interrupted", look) from None
    finally:
        fetch.close()


def surely_not(error: SourceError) -> bool:
    """Whether the provider surely did nothing: it refused, or was never reached."""
    if error.status is None:
        return error.unsent or not isinstance(error, (Unreachable, BadPayload))
    refused = HTTPStatus.MULTIPLE_CHOICES <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return refused and error.status != HTTPStatus.REQUEST_TIMEOUT


def _unknown(change: Change, said: str, look: str) -> OutcomeUnknown:
    what = change.request.operation
    return OutcomeUnknown(
        f"{said}: whether the {what} was done is not known, and it was not sent again; to look: {COMMAND} {look}"
    )


def _refused(operator: Operator, target: Target, found: Found, error: SourceError) -> Exception:
    """Why the provider refused, as well as it can be told."""
    said = str(error)
    if isinstance(error, (Unauthorized, RateLimited)) or error.status is None:
        return Refused(f"{said}; nothing was changed")
    ended = None
    with suppress(SourceError):  # else what it said at first is all that there is to tell
        ended = operator.single(target, found.build.id).build
    if ended is not None and ended.concluded and not found.build.concluded:
        return Refused(f"build {found.build.id} has ended meanwhile ({ended.status}): there is nothing to cancel")
    own = said.partition(": the token")[0]
    if "retryable" in said:
        return Refused(f"{own}: it was retried before, or is of a kind that may not be; nothing was changed")
    if "cancelable" in said:
        return Refused(f"{own}: it is of a kind that may not be; nothing was changed")
    if isinstance(error, Forbidden):
        return without(error, operator.changes.changing_right(target))
    return Refused(f"{said}; nothing was changed")


def _told(operator: Operator, answer: Answer) -> tuple[Build, dict[str, Mapping[str, Any]]] | None:
    """The build that the answer to a change tells of, if any; the change was made, whatever it looks like."""
    try:
        build = operator.changes.changed(answer)
    except BadPayload:
        return None
    return (build, records_in(answer)) if build else None
