"""Columns and ages, as Docker prints them."""

from __future__ import annotations

from collections.abc import Sequence

_GAP = "   "
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """*headings* and *rows* in columns as wide as their widest cell."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(_GAP.join(map(str.ljust, line, widths)).rstrip() for line in lines)


def age(seconds: float) -> str:
    """In the largest unit of which there are two or more: ``3 hours``."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}s"
    return "1 second"
