"""The records: a target of a source, a build of a target, and the words for how a build stands."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How a build stands, in OpenTelemetry's words for CI/CD (`cicd.pipeline.run.state`, `cicd.pipeline.result`)."""

    WAITING = "waiting"
    """On a person, a clock or an earlier stage: neither unfinished nor concluded."""
    PENDING = "pending"
    EXECUTING = "executing"
    SUCCESS = "success"
    FAILURE = "failure"
    ALLOWED_FAILURE = "allowed_failure"
    ERROR = "error"
    """The system failed, not the build."""
    TIMEOUT = "timeout"
    CANCELLATION = "cancellation"
    SKIP = "skip"
    UNKNOWN = "unknown"
    """The provider used a word that this exporter does not know."""


UNFINISHED = frozenset({Outcome.PENDING, Outcome.EXECUTING})
"""Somebody or something is working on it, or about to."""

DORMANT = frozenset({Outcome.WAITING, Outcome.SKIP})
"""Nothing happens to it now, but it can come to life."""

FAILED = frozenset({Outcome.FAILURE, Outcome.ERROR, Outcome.TIMEOUT})
"""A build that ends so makes its run a failed one."""

CONCLUDED = (
    Outcome.SUCCESS,
    Outcome.FAILURE,
    Outcome.ALLOWED_FAILURE,
    Outcome.ERROR,
    Outcome.TIMEOUT,
    Outcome.CANCELLATION,
    Outcome.SKIP,
    Outcome.UNKNOWN,
)
"""The outcomes with which a build can end, in the order in which they are shown."""


PARENT_PIPELINE = "parent_pipeline"
"""The trigger of GitLab's child pipelines."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What builds: a service or a job of Northflank, a project of GitLab."""

    source: str
    """The name of the source in the configuration."""
    kind: str
    """`service`, `job` or `project`."""
    project: str
    """Northflank: the project's id. GitLab: the project's path (v3: as configured)."""
    name: str
    """Northflank: the id of the service or job. GitLab: the same as `project`."""
    handle: str = field(default="", compare=False)
    """How the provider's API calls it, where that is not `name`: a GitLab project's number."""

    @property
    def address(self) -> str:
        """As the commands write it: `northflank/service/shop/web`, `gitlab/project/shop/web`."""
        parts = (self.source, self.kind, self.project)
        return "/".join(parts if self.kind == "project" else (*parts, self.name))


class Build(NamedTuple):
    """One build as the provider told it last. Times are UTC in float seconds since the epoch; None is absent.

    Made hundreds of times a read, and a tuple is made in a fifth of the time that a frozen dataclass takes.
    """

    id: str
    run: str
    """What a person calls one build. Northflank: `id`. GitLab v4: the pipeline's id; v3: the sha and the ref."""
    status: str
    """The provider's own word, lower-cased; `unknown` where it gave none."""
    outcome: Outcome
    concluded: bool
    """Whether it ended. `outcome` tells, but for an unknown one, where the record does."""
    created_at: float
    started_at: float | None = None
    concluded_at: float | None = None
    """Never before `created_at`: an end that is, is dropped by the adapter and counted as rejected."""
    branch: str | None = None
    """None for tags, for pull-request builds (a fork's `main` is not ours), and where the provider names none."""
    sha: str = ""
    name: str = ""
    """GitLab: the job's name. Northflank builds have none."""
    stage: str = ""
    """GitLab: the job's stage."""
    trigger: str = ""
    """What started its run, in GitLab's words: `push`, `schedule`, `web`, …; Northflank: `pull_request` or `push`."""
    ref_kind: str = "branch"
    """`branch`, `tag` or `merge_request` (a pull request too)."""
    reason: str = ""
    """Why it failed, in the provider's words; empty where it did not or the provider does not say."""
    coverage: float | None = None
    """Test coverage, 0 to 1, where GitLab measured it."""

    @property
    def unfinished(self) -> bool:
        """Pending or executing, and not ended by some other word of the record."""
        return not self.concluded and self.outcome in UNFINISHED

    @property
    def latency(self) -> float | None:
        """Seconds from creation to conclusion."""
        return None if self.concluded_at is None else self.concluded_at - self.created_at

    @property
    def running(self) -> float | None:
        """Seconds from start to conclusion."""
        return None if self.concluded_at is None or self.started_at is None else self.concluded_at - self.started_at


class Run(NamedTuple):
    """What a person calls one build, as the provider last reported it. Times are UTC in float seconds since the epoch.

    GitLab v4: a pipeline. GitLab v3: the builds of one sha and ref, which have no status of their own. A Northflank
    build is its own run and has no such record.
    """

    id: str
    status: str
    """The provider's own word, lower-cased; empty where the provider has no status for runs (GitLab v3)."""
    outcome: Outcome
    created_at: float
    updated_at: float | None = None
    """When its status last changed, where the provider says so."""
    branch: str | None = None
    """None for tags and merge requests, as in `Build`."""
    ref_kind: str = "branch"
    """As in `Build`."""
    trigger: str = ""
    """As in `Build`. `parent_pipeline`: a child pipeline, whose builds belong to its parent's run."""
    sha: str = ""
    ref: str = ""
    """The ref as the provider names it, also of tags and merge requests; the parent of a child has the same."""
    parent: str = ""
    """The id of a child pipeline's parent, where the provider named it."""

    @property
    def child(self) -> bool:
        """Whether it is a child pipeline, and no run of its own."""
        return self.trigger == PARENT_PIPELINE
