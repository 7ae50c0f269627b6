"""What is measured as lines of a table: subjects side by side, one of them the measure of all."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """*figures* by subject, in *unit* (of times: seconds); ratios are to the *reference*'s median.

    *targets* are the ratios that subjects are to stay at or below. *note* says how it was measured.
    """

    name: str
    work: str
    unit: str
    figures: Mapping[str, Sequence[float]]
    reference: str
    targets: Mapping[str, float]
    note: str = ""

    def median(self, subject: str) -> float:
        return statistics.median(self.figures[subject])

    def ratio(self, subject: str) -> float | None:
        """None where nobody else was measured."""
        if len(self.figures) < 2 or self.reference not in self.figures:
            return None
        return self.median(subject) / self.median(self.reference)

    def row(self, subject: str) -> Row:
        values = self.figures[subject]
        return Row(
            subject, self.median(subject), min(values), max(values), self.ratio(subject), self.targets.get(subject)
        )

    def rows(self) -> Iterator[Row]:
        return (self.row(subject) for subject in self.figures)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "work": self.work,
            "unit": self.unit,
            "reference": self.reference,
            "note": self.note,
            "subjects": {
                row.subject: {
                    "figures": list(self.figures[row.subject]),
                    "median": row.median,
                    "ratio": row.ratio,
                    "target": row.target,
                }
                for row in self.rows()
            },
        }


@dataclass(frozen=True, slots=True)
class Row:
    subject: str
    median: float
    least: float
    most: float
    ratio: float | None
    target: float | None


def shown(value: float, unit: str) -> str:
    """A figure as people read it: times in ms, memory in KiB."""
    scaled, name = (value * 1e3, "ms") if unit == "s" else (value / 1024, "KiB")
    return f"{scaled:,.{1 if scaled < 100 else 0}f} {name}"


def as_part(ratio: float | None) -> str:
    """``1/20`` for ratios well below one, which are those that are promised so; else ``1.2``."""
    if ratio is None:
        return ""
    return f"1/{1 / ratio:.{1 if 1 / ratio < 9.95 else 0}f}".replace(".0", "") if 0 < ratio <= 0.5 else f"{ratio:.2f}"


def table(lines: Sequence[Line]) -> str:
    """Everything as Markdown that is readable as it is."""
    return "\n\n".join(_section(line) for line in lines)


def _section(line: Line) -> str:
    cells = [("", "median", "least", "most", "ratio", "at most")]
    for row in line.rows():
        figures = (shown(value, line.unit) for value in (row.median, row.least, row.most))
        cells.append((row.subject, *figures, as_part(row.ratio), as_part(row.target)))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    head, *body = ["| " + " | ".join(_padded(row, widths)) + " |" for row in cells]
    ruler = (
        "|" + "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths)) + "|"
    )
    note = f"\n\n{line.note}" if line.note else ""
    return "\n".join([f"{line.work}:\n", head, ruler, *body]) + note


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        yield text.rjust(width) if column else text.ljust(width)
