"""What is shown of pipelines, held against a small GitLab of its own over random lives, reads and restarts."""

from dataclasses import dataclass, field
from random import Random

from builds import NOW, RULES, all_counted, runs_counted
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import Job, Pipeline, Server

from exporter.history.statistics import Sequel, statistics
from exporter.history.window import History, contested, merge


@dataclass(slots=True)
class Truth:
    """What a run has come to, by what was the case at each step."""

    succeeded: bool | None = None
    ever_failed: bool = False


@dataclass(slots=True)
class Reader:
    """Who reads the server, and what it remembers; all of it is lost at a restart."""

    server: Server
    chance: Random
    history: History = field(default_factory=History)
    concluded_before: set[int] = field(default_factory=set)
    """Attempts that had concluded when the first read began."""

    def read(self, *, whole: bool) -> None:
        """Read pipelines and jobs: all of them, or some."""
        server, chance, now = self.server, self.chance, self.server.now
        pipelines = server.pipelines
        if self.history.begun_at is None:
            self.concluded_before = {job.id for one in pipelines for job in one.jobs if _concluded(job)}
        told = pipelines if whole or chance.random() < 0.5 else pipelines[-2:]
        jobs = sorted(((job, one) for one in pipelines for job in one.jobs), key=lambda pair: -pair[0].id)
        if not whole:
            jobs = jobs[: chance.choice([0, 2, 5, 9])]
            told = list({one.id: one for one in (*told, *(one for _job, one in jobs))}.values())
        complete = {f"p{one.id}" for one in told if all((job, one) in jobs for job in one.jobs)}
        self._merge([(server.build(one, job), now) for job, one in jobs], told, complete, now)
        for root in contested(self.history):
            gone = {f"p{one.id}" for one in pipelines if one.replaced and one.parent and f"p{one.parent.id}" == root}
            self.history = merge(self.history, (), RULES, now, replaced=gone, bridged={root})

    def deliver(self) -> None:
        """One job is told of by itself."""
        jobs = [(job, one) for one in self.server.pipelines for job in one.jobs]
        if jobs and self.history.begun_at is not None:
            job, one = self.chance.choice(jobs[-6:])
            self._merge([(self.server.build(one, job), self.server.now)], [], set(), self.server.now)

    def _merge(self, builds: list, pipelines: list[Pipeline], whole: set[str], now: float) -> None:  # type: ignore[type-arg]
        named = self.chance.random() < 0.5
        runs = [(self.server.run(one, named=named), now) for one in pipelines]
        self.history = merge(self.history, builds, RULES, now, runs=runs, whole=whole)

    @property
    def sequel(self) -> Sequel:
        return next((one.sequel for one in statistics(self.history, RULES) if one.group == ("main",)), Sequel())


def _concluded(job: Job) -> bool:
    return job.status in {"success", "failed", "canceled", "skipped"}


def children(server: Server, root: Pipeline) -> list[Pipeline]:
    return [one for one in server.pipelines if one.parent is root and not one.replaced]


def is_failed(server: Server, root: Pipeline) -> bool:
    """GitLab says failed, of the run or of a child that counts."""
    return any(one.status == "failed" for one in (root, *children(server, root)))


def note(server: Server, truths: dict[int, Truth]) -> None:
    """Take down what each run has come to by now."""
    for root in server.pipelines:
        if root.parent is not None:
            continue
        truth = truths.setdefault(root.id, Truth())
        of_run = [root, *children(server, root)]
        failing = [job for one in of_run for job in one.current if job.status == "failed" and not job.allow_failure]
        if failing or is_failed(server, root):
            truth.succeeded, truth.ever_failed = False, True
        elif all(one.status in {"success", "skipped", "manual"} for one in of_run) and root.status != "skipped":
            truth.succeeded = True


def restores(server: Server, truths: dict[int, Truth]) -> int:
    """How often a run that ended well followed one that failed at any time."""
    count, broken = 0, False
    for root in server.pipelines:
        truth = truths.get(root.id)
        if root.parent is None and truth is not None:
            count += broken and truth.succeeded is not False
            broken = truth.ever_failed or (broken and truth.succeeded is None)
    return count


def check(reader: Reader, truths: dict[int, Truth]) -> None:
    """After a read of all there is."""
    server = reader.server
    rows = reader.history.runs
    newest_decided = None
    for root in server.pipelines:
        if root.parent is not None:
            continue
        row = rows[f"p{root.id}"]
        if is_failed(server, root):
            assert row.succeeded is False, "GitLab says failed"
        of_run = [root, *children(server, root)]
        if all(one.status == "success" for one in of_run):
            assert row.succeeded is True, "GitLab says success"
        if row.succeeded:
            assert not is_failed(server, root)
        newest_decided = row if row.succeeded is not None else newest_decided
    assert reader.sequel.success == (newest_decided.succeeded if newest_decided else None)
    assert reader.sequel.restores <= restores(server, truths)


def check_counts(reader: Reader) -> None:
    """Each attempt and each run once."""
    begun_at = reader.history.begun_at or 0.0
    jobs = [job for one in reader.server.pipelines for job in one.jobs]
    sure = [job for job in jobs if job.ended_at is not None and job.ended_at > begun_at and not job.ever_skipped]
    possible = [job for job in jobs if _concluded(job) or job.ever_skipped]
    number = sum(all_counted(reader.history).values())
    assert len([job for job in sure if _concluded(job)]) <= number
    assert number <= len([job for job in possible if job.ever_skipped or job.id not in reader.concluded_before])
    roots = [one for one in reader.server.pipelines if one.parent is None]
    settled = [
        one
        for one in roots
        if one.created_at > begun_at and one.status in {"success", "failed"} and not children(reader.server, one)
    ]
    assert len(settled) <= sum(runs_counted(reader.history).values()) <= len(roots)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_never_green_while_gitlab_says_failed_and_no_restore_that_did_not_happen(seed: int) -> None:
    chance = Random(seed)
    server = Server(chance, NOW)
    reader = Reader(server, chance)
    truths: dict[int, Truth] = {}
    for _ in range(chance.randint(5, 60)):
        server.step()
        note(server, truths)
        happens = chance.random()
        if happens < 0.25:
            reader.read(whole=True)
            check(reader, truths)
        elif happens < 0.45:
            reader.read(whole=False)
        elif happens < 0.6:
            reader.deliver()
        elif happens < 0.62:
            reader = Reader(server, chance)
    reader.read(whole=True)
    check(reader, truths)
    check_counts(reader)
