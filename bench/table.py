"""Figures beside their limits, as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, inf


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a table; with a limit, whether it holds is said beside it."""

    value: float
    unit: str = ""
    limit: float | None = None
    """It is to be that at most, or at least where it is a `floor`."""
    digits: int = 0
    floor: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is within its limit; one without a limit is."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.floor else self.value <= self.limit

    def __str__(self) -> str:
        value = "never" if self.value == inf else f"{self.value:,.{self.digits}f}{self.unit}"
        if self.limit is None:
            return value
        kept, broken = ("≥", "<") if self.floor else ("≤", ">")
        return f"{value} {kept} {self.limit:g} ✓" if self.holds else f"**{value}** {broken} {self.limit:g} ✗"


Cell = Figure | str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    name: str
    cells: dict[str, Cell]

    @property
    def holds(self) -> bool:
        """Whether every figure is within its limit."""
        return all(cell.holds for cell in self.cells.values() if isinstance(cell, Figure))


def quantile(ascending: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; 0 of none."""
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else 0.0


def table(rows: Iterable[Row]) -> str:
    """The rows with the columns of all of them, in order; a cell that a row has not is empty."""
    rows = list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {row.name} | " + " | ".join(str(row.cells.get(name, "")) for name in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"
