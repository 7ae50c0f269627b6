"""The fake's side of `NetworkControl`: faults are remembered, and nothing befalls any packet."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pytest_lxcontainer.container.network_control import FaultValues
from pytest_lxcontainer.errors import ContainerError, KernelRefusedError
from pytest_lxcontainer.network.capture import file_header


class FakeNetworkControl:
    """`NetworkControl` over values in memory; recordings are empty ones."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: dict[str, dict[int, FaultValues]] = {}
        self._captures: set[tuple[str, int]] = set()
        self._count = 0

    @abstractmethod
    def _alive(self, name: str) -> None: ...

    @abstractmethod
    def _there(self, name: str) -> Any: ...

    def faults(self, name: str) -> list[tuple[int, FaultValues]]:
        self._there(name)
        return list(self._faults.get(name, {}).items())

    def add_faults(self, name: str, faults: Sequence[FaultValues]) -> list[int]:
        self._check_is_connected(name)
        numbers = []
        for fault in faults:
            self._count += 1
            numbers.append(self._count)
            self._faults.setdefault(name, {})[self._count] = fault
        return numbers

    def remove_faults(self, name: str, numbers: Collection[int] | None) -> None:
        self._there(name)
        mine = self._faults.get(name, {})
        for number in list(mine) if numbers is None else numbers:
            mine.pop(number, None)

    def reset_connections(self, name: str, peers: Sequence[str], ports: Sequence[int]) -> None:
        self._check_is_connected(name)
        self._alive(name)

    def begin_capture(self, name: str, path: str) -> int:
        self._check_is_connected(name)
        self._alive(name)
        try:
            with Path(path).open("xb") as file:
                file.write(file_header())
        except OSError as error:
            raise KernelRefusedError(f"{path} cannot be made: {error.strerror}", container=name) from None
        self._count += 1
        self._captures.add((name, self._count))
        return self._count

    def end_capture(self, name: str, number: int) -> int | None:
        self._there(name)
        if (name, number) not in self._captures:
            return None
        self._captures.remove((name, number))
        return 0

    def _check_is_connected(self, name: str) -> None:
        if not self._there(name).networks:
            raise ContainerError(f"container {name} has no network but the loopback", container=name)
