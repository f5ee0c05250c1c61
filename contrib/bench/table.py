"""What is measured, in pairs, and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure: each sample of ours beside the floor's of the same pair.

    `most` (or `least`) is the requirement on the median of the pairs' ratios, ours to the floor's; with neither the row has no requirement.
    """

    what: str
    floor_is: str
    unit: str
    ours: Sequence[float]
    floor: Sequence[float]
    most: float | None = None
    least: float | None = None
    notes: Sequence[str] = field(default=())

    @property
    def ratios(self) -> list[float]:
        return [mine / other for mine, other in zip(self.ours, self.floor, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def required(self) -> str:
        if self.most is not None:
            return f"<= {self.most:g}"
        return "" if self.least is None else f">= {self.least:g}"

    @property
    def is_met(self) -> bool | None:
        if self.most is not None:
            return self.ratio <= self.most
        return None if self.least is None else self.ratio >= self.least


def p90(values: Sequence[float], *, more_is_better: bool = False) -> float:
    """What nine of ten are no worse than."""
    ordered = sorted(values, reverse=more_is_better)
    return ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]


def as_json(rows: Sequence[Row], conditions: dict[str, str]) -> dict[str, Any]:
    return {
        "conditions": conditions,
        "figures": [
            {
                "what": row.what,
                "floor_is": row.floor_is,
                "unit": row.unit,
                "pairs": len(row.ours),
                "ours": _summary(row.ours, row),
                "floor": _summary(row.floor, row),
                "ratio": _summary(row.ratios, row),
                "required": row.required,
                "met": row.is_met,
                "notes": list(row.notes),
            }
            for row in rows
        ],
    }


def as_text(rows: Sequence[Row], conditions: dict[str, str]) -> str:
    """A Markdown table, so that it can stand in docs/bench.md as it is."""
    head = [
        "what",
        "floor",
        "pairs",
        "ours: median, p90",
        "floor: median, p90",
        "ratio: median, p90",
        "required",
        "met",
    ]
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    cells.insert(1, ["-" * width for width in widths])
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    notes = [f"- {row.what}: {note}" for row in rows for note in row.notes]
    missed = [row.what for row in rows if row.is_met is False]
    verdict = f"Missed: {'; '.join(missed)}." if missed else "Every figure is met."
    told = [f"- {what}: {value}" for what, value in conditions.items()]
    return "\n".join([*lines, "", verdict, "", *told, *notes])


def _cells(row: Row) -> list[str]:
    met = {True: "yes", False: "NO", None: ""}[row.is_met]
    ratio = _summary(row.ratios, row)
    return [
        *(row.what, row.floor_is, str(len(row.ours))),
        *(_pair(values, row) for values in (row.ours, row.floor)),
        *(f"{ratio['median']:.2f}, {ratio['p90']:.2f}", row.required, met),
    ]


def _pair(values: Sequence[float], row: Row) -> str:
    said = _summary(values, row)
    return f"{said['median']:.1f}, {said['p90']:.1f} {row.unit}"


def _summary(values: Sequence[float], row: Row) -> dict[str, float]:
    more_is_better = row.least is not None
    return {"median": statistics.median(values), "p90": p90(values, more_is_better=more_is_better)}
