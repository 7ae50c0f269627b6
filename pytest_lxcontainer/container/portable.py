"""Conditions as plain values, so that another process can wait for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from . import wait
from .wait import Condition

Plain = list[Any]
"""``[kind, field, ...]``; a field is a plain value, or a list of conditions where the kind has those."""

_KINDS: dict[str, Any] = {
    kind.__name__.strip("_"): kind
    for kind in (wait._Port, wait._Log, wait._Http, wait._Exec, wait._Healthy, wait._File, wait._AllOf, wait._AnyOf)
}


def to_plain(conditions: Sequence[Condition]) -> list[Plain] | None:
    """*conditions* for `from_plain`; ``None`` where one is the user's own, or waits for the container's end."""
    plain = [_plain(condition) for condition in conditions]
    return None if None in plain else [each for each in plain if each is not None]


def from_plain(plain: Sequence[Plain]) -> tuple[Condition, ...]:
    """The conditions that `to_plain` made *plain*."""
    return tuple(_condition(each) for each in plain)


def _plain(condition: Any) -> Plain | None:
    kind = type(condition).__name__.strip("_")
    if type(condition) is not _KINDS.get(kind):
        return None
    values = [getattr(condition, field.name) for field in fields(condition)]
    if isinstance(condition, wait._Log):
        values = [condition.pattern.pattern, condition.pattern.flags, condition.times]
    if isinstance(condition, (wait._AllOf, wait._AnyOf)):
        values = [to_plain(condition.conditions)]
    return [kind, *values] if all(map(_travels, values)) else None


def _condition(plain: Plain) -> Condition:
    name, *values = plain
    kind = _KINDS[name]
    if kind in (wait._AllOf, wait._AnyOf):
        values = [from_plain(values[0])]
    if kind is wait._Log:
        pattern, flags, times = values
        values = [re.compile(pattern, flags), times]
    condition: Condition = kind(*(tuple(value) if isinstance(value, list) else value for value in values))
    return condition


def _travels(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_travels, value))
    return isinstance(value, (str, int, float))
