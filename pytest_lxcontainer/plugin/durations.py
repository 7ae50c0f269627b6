"""The slowest operations on containers and images, as pytest lists the slowest tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .record import Operation

SHORTEST = 0.005
"""Seconds below which an operation is only listed with ``-vv``, as pytest has it."""


def title_of(count: int) -> str:
    """Heading of a list of *count* operations, 0 for all."""
    return f"slowest {count} container operations" if count else "slowest container operations"


def listed(operations: Iterable[Operation], count: int, *, verbose: bool) -> Iterator[str]:
    """A line for each of the slowest *count* (0: all), and one that tells how many are too short for that."""
    slowest = sorted(operations, key=lambda each: each.seconds, reverse=True)
    chosen = slowest[:count] if count else slowest
    shown = [each for each in chosen if verbose or each.seconds >= SHORTEST]
    width = max((len(_what(each)) for each in shown), default=0)
    for each in shown:
        yield f"{each.seconds:.2f}s {each.name:<8} {_what(each):<{width}}  {_whose(each)}".rstrip()
    if hidden := len(chosen) - len(shown):
        yield f"\n({hidden} operations < {SHORTEST:g}s hidden.  Use -vv to show these operations.)"


def _what(operation: Operation) -> str:
    return f"{operation.container} ({operation.subject})" if operation.container else operation.subject


def _whose(operation: Operation) -> str:
    if not operation.test:
        return "(outside of tests)"
    return f"{operation.test} ({operation.phase})"
