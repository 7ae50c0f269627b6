"""The part of a `Backend` that looks into a container's machinery and changes it while it runs."""

from __future__ import annotations

from typing import Protocol

from .limits import Limits


class Control(Protocol):
    """Limits, cgroup files, LXC's configuration, devices and interfaces of a container."""

    def limits(self, name: str) -> Limits:
        """The limits that are enforced while it runs, or will be when it is started."""

    def set_limits(self, name: str, changes: dict[str, int | float | str | None]) -> Limits:
        """Change limits by the names of `Limits`, also for later starts; tells what then holds."""

    def cgroup_item(self, name: str, key: str) -> str:
        """The content of the file *key* in its cgroup."""

    def set_cgroup_item(self, name: str, key: str, value: str) -> None:
        """Write *value* into the file *key* in its cgroup."""

    def config_item(self, name: str, key: str) -> str:
        """What LXC's configuration has for *key*: a line for each value, empty where it is not set."""

    def config_keys(self, name: str) -> list[str]:
        """Every key that LXC knows."""

    def add_device(self, name: str, host_path: str, path: str) -> None:
        """Make a device of the host's known to it as *path*."""

    def remove_device(self, name: str, path: str) -> None:
        """Undo `add_device`."""

    def attach_interface(self, name: str, host_name: str, inside: str, address: str | None) -> None:
        """Move a network interface of the host's into it, and switch it on there, with *address* if given."""

    def detach_interface(self, name: str, inside: str, host_name: str | None) -> None:
        """Move an attached interface back, under *host_name* or the name it had."""
