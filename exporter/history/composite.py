"""The status of a GitLab pipeline, made of those of its jobs: for v3, and for some of its jobs. Pure."""

from collections.abc import Iterable

from exporter.build import Build, Outcome

MANUAL = "manual"
"""GitLab's word for a job that waits for a person, and for a pipeline in which one is a gate."""

_ONLY: tuple[tuple[frozenset[str], Outcome], ...] = (
    (frozenset({"skipped"}), Outcome.SKIP),
    (frozenset({"success", "skipped"}), Outcome.SUCCESS),
    (frozenset({"created"}), Outcome.WAITING),
    (frozenset({"preparing"}), Outcome.PENDING),
    (frozenset({"canceled", "success", "skipped"}), Outcome.CANCELLATION),
    (frozenset({"pending", "created", "skipped"}), Outcome.PENDING),
)
"""The first whose words are all that there are."""
_ANY: tuple[tuple[frozenset[str], Outcome], ...] = (
    (frozenset({"running", "pending"}), Outcome.EXECUTING),
    (frozenset({"waiting_for_resource"}), Outcome.PENDING),
    (frozenset({"scheduled"}), Outcome.WAITING),
    (frozenset({"preparing"}), Outcome.PENDING),
    (frozenset({"created"}), Outcome.EXECUTING),
)
"""Then the first of which there is any."""
_TELLING = frozenset({"created", "preparing", "pending", "waiting_for_resource", "scheduled"})
"""Words of which several have one outcome."""
_WORDS = {
    Outcome.WAITING: "created",
    Outcome.SUCCESS: "success",
    Outcome.ALLOWED_FAILURE: "success",
    Outcome.FAILURE: "failed",
    Outcome.ERROR: "failed",
    Outcome.TIMEOUT: "failed",
    Outcome.CANCELLATION: "canceled",
    Outcome.SKIP: "skipped",
    Outcome.EXECUTING: "running",
    Outcome.UNKNOWN: "running",
}


def _word(build: Build) -> str:
    if build.status == MANUAL:
        return "skipped"
    if build.status in _TELLING:
        return build.status
    return _WORDS.get(build.outcome, "pending")


def composite(builds: Iterable[Build]) -> Outcome:
    """What GitLab makes of the newest attempts of a pipeline's jobs, in its own order (`Ci::Status::Composite`).

    Neither GitLab v3 nor a job by itself says whether a manual job is a gate or optional; each is taken for optional,
    so that what comes behind a gate leaves the pipeline running.
    """
    found = {_word(build) for build in builds}
    for words, outcome in _ONLY:
        if found <= words:
            return outcome
    for words, outcome in _ANY:
        if found & words:
            return outcome
    return Outcome.FAILURE
