"""The fake's side of `Control`: limits, files and keys are remembered, and limit nothing."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from pytest_lxcontainer.container.limits import Limits
from pytest_lxcontainer.errors import UnknownItemError

KEYS = {"lxc.uts.name": "box", "lxc.environment": "PATH=/bin\nHOME=/root"}


class FakeControl:
    """`Control` over values in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._limits: dict[str, Limits] = {}
        self._items: dict[tuple[str, str], str] = {}
        self._devices: set[tuple[str, str]] = set()
        self._interfaces: set[tuple[str, str]] = set()

    @abstractmethod
    def _alive(self, name: str) -> None:
        """Raise `StateError` unless container *name* runs."""

    @abstractmethod
    def _there(self, name: str) -> Any:
        """Container *name*'s spec; raises `DestroyedError` where there is none."""

    def limits(self, name: str) -> Limits:
        return self._limits.get(name, self._there(name).limits)

    def set_limits(self, name: str, changes: dict[str, int | float | str | None]) -> Limits:
        self._limits[name] = replace(self.limits(name), **changes)  # type: ignore[arg-type]  # checked by Limits
        return self._limits[name]

    def cgroup_item(self, name: str, key: str) -> str:
        self._alive(name)
        if key != "pids.max":
            raise UnknownItemError(f"no file {key}", container=name)
        return self._items.get((name, key), "max")

    def set_cgroup_item(self, name: str, key: str, value: str) -> None:
        self.cgroup_item(name, key)
        self._items[name, key] = value

    def config_item(self, name: str, key: str) -> str:
        self._there(name)
        if key not in KEYS:
            raise UnknownItemError(f"LXC knows no configuration key {key}", container=name)
        return KEYS[key]

    def config_keys(self, name: str) -> list[str]:
        self._there(name)
        return list(KEYS)

    def add_device(self, name: str, host_path: str, path: str) -> None:
        self._alive(name)
        self._devices.add((name, path))

    def remove_device(self, name: str, path: str) -> None:
        self._alive(name)
        _take(self._devices, name, path)

    def attach_interface(self, name: str, host_name: str, inside: str, address: str | None) -> None:
        self._alive(name)
        self._interfaces.add((name, inside))

    def detach_interface(self, name: str, inside: str, host_name: str | None) -> None:
        self._alive(name)
        _take(self._interfaces, name, inside)


def _take(things: set[tuple[str, str]], name: str, thing: str) -> None:
    if (name, thing) not in things:
        raise UnknownItemError(f"container {name} has no {thing}", container=name)
    things.remove((name, thing))
