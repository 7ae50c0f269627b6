"""Keeping what failures tell within what a page can hold, however many there are and whatever they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MOST = 1_500_000
"""Characters that all failures may take together."""

_LONGEST = 1 << 16
_SHORTEST = 512


def fitted(failures: Sequence[dict[str, Any]], most: int = MOST) -> list[dict[str, Any]]:
    """*failures* with their longest texts cut to their ends; past *most* characters, with their messages alone."""
    limit = _LONGEST
    cut: list[dict[str, Any]] = [shortened(each, limit) for each in failures]
    while sum(map(length, cut)) > most and limit > _SHORTEST:
        limit //= 2
        cut = [shortened(each, limit) for each in failures]
    room = most
    shown = []
    for each in cut:
        room -= length(each)
        bare = {**each, "text": "", "sections": [], "containers": [], "left_out": True}
        shown.append(each if room >= 0 else bare)
    return shown


def shortened(value: Any, limit: int) -> Any:
    """Plain *value* with every text in it cut to its last *limit* characters."""
    if isinstance(value, str):
        if len(value) <= limit:
            return value
        return f"... {len(value) - limit} earlier characters left out\n{value[-limit:]}"
    if isinstance(value, dict):
        return {key: shortened(each, limit) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [shortened(each, limit) for each in value]
    return value


def length(value: Any) -> int:
    """Characters that plain *value* takes, roughly."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + length(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return sum(map(length, value)) + len(value)
    return 4
