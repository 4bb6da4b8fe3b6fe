"""What really concluded, beside what was shown of it and when."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import takewhile

from exporter.collector import Collector
from exporter.history.records import AGAIN, COUNTED
from exporter.history.window import History
from exporter.simulator.history import History as Script
from exporter.simulator.plan import ENDED, Plan
from exporter.simulator.words import slug
from exporter.simulator.world import Entity, GitLabProject, World

Address = tuple[str, str]
"""The kind and name of a target; names are unique among those of a kind in the worlds here, projects by their path."""


@dataclass(frozen=True, slots=True, order=True)
class Conclusion:
    """The last word about a build."""

    at: float
    id: str
    status: str
    """The provider's, in lower case."""
    created: float


Truth = Mapping[Address, list[Conclusion]]


def truth_of(world: World, script: Script, since: float, until: float) -> Truth:
    """What is created from `since` on and concludes before `until`, in the order of time of its conclusion.

    Of GitLab also what is skipped for good.
    """
    subjects: list[Entity | GitLabProject] = [*world.gitlab]
    for project in world.northflank:
        subjects += [*project.services, *project.jobs]
    return {_address(subject): sorted(_conclusions(subject, script, since, until)) for subject in subjects}


def _address(subject: Entity | GitLabProject) -> Address:
    return ("project", subject.path) if isinstance(subject, GitLabProject) else (subject.kind, subject.id)


def _conclusions(subject: Entity | GitLabProject, script: Script, since: float, until: float) -> Iterable[Conclusion]:
    spelled: Callable[[int], str] = slug if isinstance(subject, Entity) else str
    for plan in takewhile(lambda plan: plan.created >= since, script.newest(subject, until)):
        at, word = plan.steps[-1]
        if _final(plan) and at < until:
            yield Conclusion(at, spelled(plan.number), word.lower(), plan.created)


def _final(plan: Plan) -> bool:
    return plan.steps[-1][1] in ENDED or plan.steps[-1][1] == "skipped"


class Watch:
    """Follows what a reader shows: the delay of each conclusion, and each build that is shown as concluded."""

    def __init__(self, truth: Truth) -> None:
        self._coming = {address: list(reversed(conclusions)) for address, conclusions in truth.items()}
        self._pending: dict[Address, dict[str, Conclusion]] = {address: {} for address in truth}
        self._next = [(line[-1].at, address) for address, line in self._coming.items() if line]
        self._next.sort()
        self.shown: list[tuple[Conclusion, float]] = []
        """Each conclusion with the delay, in seconds, after which it was shown."""

    def advance(self, now: float) -> None:
        """What has concluded by now is waited for."""
        while self._next and self._next[0][0] <= now:
            _, address = heappop(self._next)
            line = self._coming[address]
            while line and line[-1].at <= now:
                conclusion = line.pop()
                self._pending[address][conclusion.id] = conclusion
            if line:
                heappush(self._next, (line[-1].at, address))

    def look(self, address: Address, says: Callable[[str], str | None], now: float, gone: Collection[str] = ()) -> None:
        """Take down what is shown now; `says` gives the status with which a build concluded, None where it has not.

        `gone` are those whose conclusion moved the counters and pushed them out of the window at once.
        """
        pending = self._pending[address]
        shown = [
            conclusion
            for conclusion in pending.values()
            if says(conclusion.id) == conclusion.status or conclusion.id in gone
        ]
        for conclusion in shown:
            del pending[conclusion.id]
            self.shown.append((conclusion, now - conclusion.at))

    def forget_past(self, now: float) -> None:
        """What had concluded before the first read is nobody's delay."""
        self.advance(now)
        for pending in self._pending.values():
            pending.clear()
        self.shown.clear()

    def waiting(self, before: float) -> list[Conclusion]:
        """What concluded before that moment and was never shown."""
        lines = (pending.values() for pending in self._pending.values())
        return [conclusion for line in lines for conclusion in line if conclusion.at < before]

    @property
    def done(self) -> bool:
        """Whether everything has concluded and was shown."""
        return not self._next and not any(self._pending.values())

    def delays(self, begin: float, end: float, without: frozenset[str] = frozenset()) -> list[float]:
        """The delays of what concluded in a period, ascending; infinite where it was never shown; skips are none."""
        shown = [(conclusion, delay) for conclusion, delay in self.shown if conclusion.at >= begin]
        shown += [(conclusion, float("inf")) for conclusion in self.waiting(end) if conclusion.at >= begin]
        return sorted(
            delay
            for conclusion, delay in shown
            if conclusion.at < end and conclusion.status != "skipped" and conclusion.id not in without
        )


class Count:
    """Holds the exporter's counters against what was seen to conclude in its window, by build and outcome."""

    def __init__(self) -> None:
        self._versions: dict[Address, int] = {}
        self._before: dict[Address, dict[str, int]] = {}
        self._seen: dict[Address, dict[str, int]] = {}
        self._totals: dict[Address, int] = {}
        self._open: dict[Address, set[str]] = {}
        self._gone: dict[Address, set[str]] = {}
        self._baselines: dict[Address, float] = {}
        self._begun: dict[Address, float] = {}

    def changed(self, address: Address, history: History, now: float) -> set[str] | None:
        """Take down what is counted: None where nothing is new, else the builds that went before they were seen to end.

        Where many are built, one that ends late is older than the window, and is counted and cut in one step.
        """
        if history.baseline is None or self._versions.get(address) == history.version:
            return None
        self._versions[address] = history.version
        bits = {build_id: COUNTED for build_id, row in history.rows.items() if row.counted & COUNTED}
        again = {build_id for build_id, row in history.rows.items() if row.counted & AGAIN}
        if address not in self._before:
            self._before[address], self._seen[address] = bits, {}
            self._baselines[address], self._begun[address] = history.baseline, now
        seen = self._seen[address]
        seen.update({build_id: counted for build_id, counted in bits.items() if build_id not in again})
        self._totals[address] = sum(sum(outcomes.values()) for outcomes in history.totals.values())
        gone = self._open.get(address, set()) - history.rows.keys()
        self._open[address] = history.rows.keys() - bits.keys()
        self._gone.setdefault(address, set()).update(gone)
        return gone

    def sums(self, truth: Truth) -> tuple[int, int, int, int]:
        """How many builds concluded since the first read of their target; conclusions counted, twice, and missed.

        A skipped build that came back to life counts once, as skipped, if it was seen in between.
        """
        concluded = twice = missed = 0
        for address, conclusions in truth.items():
            before, seen = self._before.get(address, {}), self._seen.get(address, {})
            due = [
                conclusion
                for conclusion in conclusions
                if conclusion.at > self._begun.get(address, 0) and conclusion.created >= self._baselines.get(address, 0)
            ]
            noted = sum((bits & ~before.get(build_id, 0)).bit_count() for build_id, bits in seen.items())
            unseen = 0
            for conclusion in due:
                if not seen.get(conclusion.id, 0) & ~before.get(conclusion.id, 0):
                    missed += 1
                    unseen += conclusion.id in self._gone.get(address, ())
            more = self._totals.get(address, 0) - noted
            concluded += len(due)
            missed -= max(0, min(more, unseen))
            twice += max(0, more - unseen)
            missed += max(0, -more)
        return concluded, sum(self._totals.values()), twice, missed


def look_at(collector: Collector, watch: Watch, count: Count, now: float) -> None:
    """Take down what the exporter shows now."""
    for target in collector.targets():
        history, address = collector.history(target), (target.kind, target.name)
        gone = count.changed(address, history, now)
        if gone is not None:
            watch.look(address, _says(history), now, gone)


def _says(history: History) -> Callable[[str], str | None]:
    def says(build_id: str) -> str | None:
        row = history.rows.get(build_id)
        return row.build.status if row and row.build.concluded else None

    return says
