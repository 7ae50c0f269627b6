"""The part of a `Backend` that breaks a container's network, and listens to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

FaultValues = dict[str, Any]
"""`network.faults.Fault.to_dict`."""


class NetworkControl(Protocol):
    """Faults and recordings; they raise `ContainerError` where a container has no network but the loopback."""

    def faults(self, name: str) -> list[tuple[int, FaultValues]]:
        """Those in force, each with its number, in the order in which they came."""

    def add_faults(self, name: str, faults: Sequence[FaultValues]) -> list[int]:
        """Put more in force, all or none, until they are removed; returns their numbers."""

    def remove_faults(self, name: str, numbers: Collection[int] | None) -> None:
        """Undo those of *numbers*, or all; what is not in force is fine."""

    def reset_connections(self, name: str, peers: Sequence[str], ports: Sequence[int]) -> None:
        """Reset established TCP connections with any of *peers* (none: everybody) and *ports* (none: all)."""

    def begin_capture(self, name: str, path: str) -> int:
        """Record what passes its interface to a new file of the host's; returns the recording's number."""

    def end_capture(self, name: str, number: int) -> int | None:
        """End a recording; returns how many packets it has, ``None`` where the container ended before it did."""
