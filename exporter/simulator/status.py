"""The status of a pipeline as GitLab makes it of its jobs. Pure.

The rules and their order are those of `lib/gitlab/ci/status/composite.rb`, and the changes of a pipeline's status those
of the state machine in `app/models/ci/pipeline.rb` (GitLab 17).
"""

from collections.abc import Iterable
from functools import lru_cache

COMPLETED = frozenset({"success", "failed", "canceled", "skipped"})
"""The next stage begins, or is skipped, once the stages before it have come to one of these."""
WARNED = "success with warnings"
"""What a failed or canceled job counts as where it may fail."""
IGNORED = "ignored"
"""What a manual job counts as where it may fail: an optional one."""

_PASSED = frozenset({"success", "skipped", WARNED, IGNORED})
_NOTHING_ELSE: tuple[tuple[str, frozenset[str]], ...] = (
    ("skipped", frozenset({"skipped", IGNORED})),
    ("success", _PASSED),
    ("created", frozenset({"created", WARNED, IGNORED})),
    ("preparing", frozenset({"preparing", WARNED, IGNORED})),
    ("canceled", frozenset({"canceled", *_PASSED})),
    ("pending", frozenset({"pending", "created", "skipped", WARNED, IGNORED})),
)
"""A status, and what the jobs must all be of for it; the first that fits holds."""
_ANY: tuple[tuple[str, frozenset[str]], ...] = (
    ("running", frozenset({"running", "pending"})),
    ("waiting_for_resource", frozenset({"waiting_for_resource"})),
    ("waiting_for_callback", frozenset({"waiting_for_callback"})),
    ("manual", frozenset({"manual"})),
    ("scheduled", frozenset({"scheduled"})),
    ("preparing", frozenset({"preparing"})),
    ("running", frozenset({"created"})),
    ("canceling", frozenset({"canceling"})),
)
"""A status, and of what one job at least must be for it; asked where none of the above fits."""


def counted_as(status: str, *, allow_failure: bool) -> str:
    """What a job of that status counts as in the status of its pipeline."""
    if allow_failure and status in ("failed", "canceled"):
        return WARNED
    return IGNORED if allow_failure and status == "manual" else status


@lru_cache(maxsize=1 << 12)
def composite(counted: frozenset[str]) -> str:
    """The status of jobs that count as these; `success` where there are none, as GitLab processes it."""
    if not counted:
        return "success"
    for status, only in _NOTHING_ELSE:
        if counted <= only:
            return status
    return next((status for status, some in _ANY if counted & some), "failed")


def composite_of_needs(counted: frozenset[str]) -> str:
    """The same for the jobs that a job `needs`: where one of them did not run, it is skipped."""
    return "skipped" if {"skipped", IGNORED} & counted else composite(counted)


def moved(status: str, jobs: str) -> str:
    """The status of a pipeline that was `status`, once its jobs come to `jobs`.

    What had ended is never pending again, it is running; and nothing goes back to created.
    """
    if jobs == "created" or (jobs == "pending" and status in ("pending", "running")):
        return status
    if jobs == "pending" and status in ("success", "failed", "canceling", "canceled"):
        return "running"
    return jobs


def statuses(jobs: Iterable[tuple[str, bool]]) -> str:
    """The composite status of `(status, allow_failure)` of the newest attempts."""
    return composite(frozenset(counted_as(status, allow_failure=allow_failure) for status, allow_failure in jobs))
