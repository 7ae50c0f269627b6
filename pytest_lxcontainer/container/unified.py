"""Short unified diffs of texts, at a cost that no text can drive up."""

from __future__ import annotations

import difflib
import re

_CONTEXT = 3
_COMPARED = 600
"""Lines that are compared with one another, of both texts together; of more, all are told as replaced."""

_HUNK = re.compile(r"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@")


def unified(before: str, after: str, most: int | None = None) -> str:
    """What turns *before* into *after*, without the two lines that name files; at most *most* lines.

    Of what was not there before (it is empty) the lines alone, each with a ``+``.
    """
    old, new = _lines(before), _lines(after)
    lines = _hunks(old, new) if old else [f"+{line}" for line in new]
    if most is not None and len(lines) > most:
        lines = [*lines[:most], f"... {len(lines) - most} more lines"]
    return "\n".join(lines)


def _lines(text: str) -> list[str]:
    """Not `str.splitlines`, to which more than line feeds ends a line."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _hunks(old: list[str], new: list[str]) -> list[str]:
    begin = _common(old, new)
    end = _common(old[begin:][::-1], new[begin:][::-1])
    first, context = max(0, begin - _CONTEXT), max(0, end - _CONTEXT)
    ours, theirs = old[first : len(old) - context], new[first : len(new) - context]
    if len(ours) + len(theirs) > _COMPARED:
        return _replaced(ours, theirs, first, begin - first, end - context)
    lines = list(difflib.unified_diff(ours, theirs, n=_CONTEXT, lineterm=""))[2:]
    return [_HUNK.sub(lambda match: _moved(match, first), line) if line.startswith("@@") else line for line in lines]


def _common(one: list[str], other: list[str]) -> int:
    """How many lines at the beginning are the same."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _moved(match: re.Match[str], by: int) -> str:
    old, old_count, new, new_count = match.groups(default="")
    return f"@@ -{int(old) + by}{old_count} +{int(new) + by}{new_count} @@"


def _replaced(old: list[str], new: list[str], first: int, before: int, after: int) -> list[str]:
    """One hunk, of lines that have so many in common *before* and *after* what differs."""
    return [
        f"@@ -{first + 1},{len(old)} +{first + 1},{len(new)} @@",
        *(f" {line}" for line in old[:before]),
        *(f"-{line}" for line in old[before : len(old) - after]),
        *(f"+{line}" for line in new[before : len(new) - after]),
        *(f" {line}" for line in old[len(old) - after :]),
    ]
