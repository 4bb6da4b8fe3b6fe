"""GitLab's statuses and failure reasons as outcomes. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exporter.build import Outcome
from exporter.http.wire import flag, text

OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "created": Outcome.WAITING,
        "manual": Outcome.WAITING,
        "scheduled": Outcome.WAITING,
        "waiting_for_resource": Outcome.PENDING,
        "preparing": Outcome.PENDING,
        "waiting_for_callback": Outcome.PENDING,
        "pending": Outcome.PENDING,
        "running": Outcome.EXECUTING,
        "canceling": Outcome.EXECUTING,
        "success": Outcome.SUCCESS,
        "failed": Outcome.FAILURE,
        "canceled": Outcome.CANCELLATION,
        "skipped": Outcome.SKIP,
    }
)
"""Of both APIs; a word that neither documents is unknown. `failed` is told apart further by `failure_of`."""

V3_STATUSES: Final = ("pending", "running", "success", "failed", "canceled", "skipped")

FAILURES_OF_THE_SYSTEM: Final = frozenset(
    {
        # The server, its scheduler or its records.
        "api_failure",
        "data_integrity_failure",
        "job_router_failure",
        "scheduler_failure",
        "stale_schedule",
        "unmet_prerequisites",
        # The runner, what it reaches for, or that it was never there.
        "duo_workflow_connection_failure",
        "no_matching_runner",
        "no_updates_canceling",
        "no_updates_running",
        "runner_external_dependency_failure",
        "runner_interrupted",
        "runner_system_failure",
        "runner_unsupported",
        "stuck_or_timeout_failure",
        "stuck_pending_no_matching_runners",
        "stuck_pending_with_matching_runners",
        # The account: its minutes are used up.
        "ci_quota_exceeded",
    }
)
"""The `failure_reason`s that no commit can mend and nobody chose, of GitLab's `Ci::CommitStatus` up to version 19.

Not among them is what the pipeline's configuration brings about (`script_failure`, `runner_configuration_error`,
`missing_dependency_failure`, `trace_size_exceeded`, the `bridge` and `downstream` ones, the `reached_` limits), what a
rule or a person decided (`archived_failure`, `forward_deployment_failure`, `failed_outdated_deployment_job`,
`user_blocked`, `builds_disabled`, `deployment_rejected`, `protected_environment_failure`, `ip_restriction_failure`),
and `unknown_failure`, which servers also give to scripts that failed.
"""


def failure_of(record: Mapping[str, object]) -> Outcome:
    """The outcome of a failed job, by its `failure_reason` and `allow_failure`."""
    # A job that may fail never makes its run a failed one, whatever it failed of: that wins.
    if flag(record, "allow_failure"):
        return Outcome.ALLOWED_FAILURE
    reason = text(record, "failure_reason") or ""
    if reason in FAILURES_OF_THE_SYSTEM:
        return Outcome.ERROR
    # job_execution_timeout, job_execution_server_timeout, server_timeout_running, server_timeout_canceling, and what
    # comes next; a token expires only in a job that ran longer than it may.
    if "timeout" in reason or reason == "job_token_expired":
        return Outcome.TIMEOUT
    return Outcome.FAILURE
