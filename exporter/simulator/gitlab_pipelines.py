"""GitLab's lists of pipelines: which of a project's pipelines fit a question, and in which order. Pure.

After `lib/api/ci/pipelines.rb` and `app/finders/ci/pipelines_finder.rb`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.simulator.pipeline import CHILD, Builds, Pipeline

STATUSES = frozenset({
    "created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "success", "failed",
    "canceling", "canceled", "skipped", "manual", "scheduled",
})  # fmt: skip
SOURCES = frozenset({
    "push", "web", "trigger", "schedule", "api", "external", "pipeline", "chat", "webide", "merge_request_event",
    "external_pull_request_event", "parent_pipeline", "ondemand_dast_scan", "ondemand_dast_validation",
    "security_orchestration_policy", "container_registry_push",
})  # fmt: skip
VALUES: Mapping[str, frozenset[str]] = {
    "status": STATUSES,
    "source": SOURCES,
    "scope": frozenset({"running", "pending", "finished", "branches", "tags"}),
    "order_by": frozenset({"id", "status", "ref", "updated_at", "user_id"}),
    "sort": frozenset({"asc", "desc"}),
}
"""What each parameter may be."""
FINISHED = frozenset({"success", "failed", "canceled"})


class Invalid(ValueError):
    """A parameter is none of those that GitLab takes; the text is what it says."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pipelines are asked for; what is empty or None does not matter. Moments are epoch seconds."""

    status: str = ""
    source: str = ""
    """Only `parent_pipeline` gives children, and nothing else does."""
    scope: str = ""
    ref: str = ""
    sha: str = ""
    updated_after: float | None = None
    updated_before: float | None = None
    order_by: str = "id"
    sort: str = "desc"

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Filter":
        """From the parameters of a request. Raises Invalid."""
        for name, values in VALUES.items():
            if given.get(name) and given[name] not in values:
                raise Invalid(f"{name} does not have a valid value")
        words = ("status", "source", "scope", "ref", "sha", "order_by", "sort")
        named: dict[str, Any] = {name: given[name] for name in words if given.get(name)}
        for name in ("updated_after", "updated_before"):
            named[name] = moment(given[name], name) if given.get(name) else None
        return cls(**named)

    def fits(self, pipeline: Pipeline, now: float) -> bool:
        """Whether it is one of those asked for, as it stands at `now`."""
        status, since = pipeline.at(now)
        wanted = {"running": ("running",), "pending": ("pending",), "finished": FINISHED}.get(self.scope)
        return (
            (pipeline.source == self.source if self.source else pipeline.source != CHILD)
            and self.status in ("", status)
            and self.ref in ("", pipeline.head.ref)
            and self.sha in ("", pipeline.head.sha)
            and (self.updated_after is None or since >= self.updated_after)
            and (self.updated_before is None or since <= self.updated_before)
            and (wanted is None or status in wanted)
            and (self.scope != "tags" or pipeline.head.tag)
        )


def moment(text: str, name: str) -> float:
    """Epoch seconds of an ISO 8601 time. Raises Invalid."""
    for spelled in (text, text.replace(" ", "+")):  # a plus that was not encoded comes as a space
        with contextlib.suppress(ValueError):
            when = datetime.fromisoformat(spelled)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    raise Invalid(f"{name} is invalid")


def listed(builds: Builds, asked: Filter, now: float) -> Iterable[Pipeline]:
    """The pipelines that fit, in the order asked for."""
    if asked.order_by == "updated_at" or asked.updated_after is not None:
        moved = builds.updated(now, asked.updated_after or 0.0)
    else:
        moved = builds.pipelines(now)
    fitting: Iterator[Pipeline] = (pipeline for pipeline in moved if asked.fits(pipeline, now))
    if asked.scope in ("branches", "tags"):
        fitting = _newest_of_refs(builds, sorted(fitting, key=_number, reverse=True), asked, now)
    return _ordered(fitting, asked, now)


def _ordered(fitting: Iterator[Pipeline], asked: Filter, now: float) -> Iterable[Pipeline]:
    """What comes in the wanted order already is read no further than needed."""
    comes_by = "id" if asked.order_by != "updated_at" and asked.updated_after is None else "updated_at"
    if asked.sort == "desc" and asked.order_by == comes_by and asked.scope not in ("branches", "tags"):
        return fitting
    by: dict[str, Callable[[Pipeline], Any]] = {
        "id": _number,
        "status": lambda one: one.at(now).status,
        "ref": lambda one: one.head.ref,
        "updated_at": lambda one: (one.at(now).since, one.number),
    }
    return sorted(fitting, key=by.get(asked.order_by, _number), reverse=asked.sort == "desc")


def _number(pipeline: Pipeline) -> int:
    return pipeline.number


def _newest_of_refs(builds: Builds, fitting: Iterable[Pipeline], asked: Filter, now: float) -> Iterator[Pipeline]:
    """The newest of each tag, or of each branch that is still there."""
    seen: set[str] = set()
    for one in fitting:
        branch = one.head.branch
        there = one.head.tag if asked.scope == "tags" else branch is not None and builds.branch(branch, now)
        if there and one.head.ref not in seen:
            seen.add(one.head.ref)
            yield one
