"""What a benchmark gives: a part of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.table import Row, table


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    quick: bool = False
    """With small numbers, to try that everything works; no limit says anything then."""

    @property
    def runs(self) -> int:
        """Of each measurement; their median counts."""
        return 2 if self.quick else 5

    def of(self, number: int, at_least: int = 1) -> int:
        """A number of targets or rounds."""
        return max(at_least, number // 20) if self.quick else number

    def seconds(self, number: float) -> float:
        """Of one run."""
        return max(1.0, number / 5) if self.quick else number


@dataclass(frozen=True, slots=True)
class Section:
    """One of the six points."""

    title: str
    text: str
    """What was measured, and with what."""
    rows: Sequence[Row]
    notes: str = ""
    """What follows the table."""

    @property
    def holds(self) -> bool:
        """Whether every figure is within its limit."""
        return all(row.holds for row in self.rows)

    def __str__(self) -> str:
        notes = f"\n{self.notes}\n" if self.notes else ""
        return f"\n## {self.title}\n\n{self.text}\n\n{table(self.rows)}{notes}"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of runs that were made one after the other."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))
