"""The client's side of `Control`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ..container.limits import Limits


class ControlClient:
    """`Control` by requests to the supervisor."""

    @abstractmethod
    def _ask(self, operation: str, **fields: Any) -> Any: ...

    def _control(self, name: str, operation: str, **arguments: Any) -> Any:
        return self._ask("control", name=name, what=operation, arguments=arguments)

    def limits(self, name: str) -> Limits:
        """See `Control`."""
        return Limits(**self._control(name, "limits"))

    def set_limits(self, name: str, changes: dict[str, int | float | str | None]) -> Limits:
        """See `Control`."""
        return Limits(**self._control(name, "set_limits", changes=changes))

    def cgroup_item(self, name: str, key: str) -> str:
        """See `Control`."""
        return str(self._control(name, "cgroup_item", key=key))

    def set_cgroup_item(self, name: str, key: str, value: str) -> None:
        """See `Control`."""
        self._control(name, "set_cgroup_item", key=key, value=value)

    def config_item(self, name: str, key: str) -> str:
        """See `Control`."""
        return str(self._control(name, "config_item", key=key))

    def config_keys(self, name: str) -> list[str]:
        """See `Control`."""
        return list(self._control(name, "config_keys"))

    def add_device(self, name: str, host_path: str, path: str) -> None:
        """See `Control`."""
        self._control(name, "add_device", host_path=host_path, path=path)

    def remove_device(self, name: str, path: str) -> None:
        """See `Control`."""
        self._control(name, "remove_device", path=path)

    def attach_interface(self, name: str, host_name: str, inside: str, address: str | None) -> None:
        """See `Control`."""
        self._control(name, "attach_interface", host_name=host_name, inside=inside, address=address)

    def detach_interface(self, name: str, inside: str, host_name: str | None) -> None:
        """See `Control`."""
        self._control(name, "detach_interface", inside=inside, host_name=host_name)
