"""The client's side of `NetworkControl`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

from ..container.network_control import FaultValues


class NetworkClient:
    """`NetworkControl` by requests to the supervisor."""

    @abstractmethod
    def _control(self, name: str, operation: str, **arguments: Any) -> Any: ...

    def faults(self, name: str) -> list[tuple[int, FaultValues]]:
        """See `NetworkControl`."""
        return [(number, values) for number, values in self._control(name, "faults")]

    def add_faults(self, name: str, faults: Sequence[FaultValues]) -> list[int]:
        """See `NetworkControl`."""
        return list(self._control(name, "add_faults", faults=list(faults)))

    def remove_faults(self, name: str, numbers: Collection[int] | None) -> None:
        """See `NetworkControl`."""
        self._control(name, "remove_faults", numbers=None if numbers is None else list(numbers))

    def reset_connections(self, name: str, peers: Sequence[str], ports: Sequence[int]) -> None:
        """See `NetworkControl`."""
        self._control(name, "reset_connections", peers=list(peers), ports=list(ports))

    def begin_capture(self, name: str, path: str) -> int:
        """See `NetworkControl`."""
        return int(self._control(name, "begin_capture", path=path))

    def end_capture(self, name: str, number: int) -> int | None:
        """See `NetworkControl`."""
        count = self._control(name, "end_capture", number=number)
        return None if count is None else int(count)
