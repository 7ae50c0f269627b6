"""Columns and ages, as Docker prints them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_GAP = "   "
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, bold: bool = False) -> str:
    """*headings* and *rows* in columns as wide as their widest cell; with *bold*, the headings are for a terminal."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    first, *rest = (_GAP.join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join([f"{_BOLD}{first}{_PLAIN}" if bold else first, *rest])


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print it to stdout, in colours where that is a terminal."""
    print(table(headings, rows, bold=has_colours()))


def has_colours() -> bool:
    """Whether stdout is a terminal that shows colours, and nobody has asked for none (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def age(seconds: float) -> str:
    """In the largest unit of which there are two or more: ``3 hours``."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}s"
    return "1 second"
