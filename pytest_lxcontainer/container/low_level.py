"""What a container may use, and what LXC and the kernel know it by."""

from __future__ import annotations

from pathlib import Path

from .limits import Limits
from .part import Part


class LowLevel(Part):
    """Limits while it runs, and the low-level group: cgroup files, LXC's configuration, devices, interfaces."""

    @property
    def limits(self) -> Limits:
        """Its limits: while it runs those that the kernel enforces, otherwise those of its next start.

        Sizes are rounded as the kernel does, to pages. Where this user may make no cgroups nothing is limited.
        """
        return self._backend.limits(self.id)

    def set_limits(self, **changes: int | float | str | None) -> Limits:
        """Change limits, by the names of `Limits`; ``None`` lifts one, those left out stay. Returns what then holds.

        It takes effect at once, and holds for later starts too. Raises `InvalidSettingsError` for what is no limit,
        `NotDelegatedError` where this user may make no cgroups, and `KernelRefusedError` where the kernel will not:
        on cgroup v1, memory that is in use and cannot be reclaimed cannot be taken away.
        """
        return self._backend.set_limits(self.id, changes)

    def cgroup_item(self, key: str) -> str:
        """The content of a file of its cgroup without the last line break, by the kernel's name for it.

        Names are those of the host's cgroup version: ``memory.max`` on v2, ``memory.limit_in_bytes`` on v1. Raises
        `UnknownItemError` for a file that is not there, and `NotDelegatedError` where it has no cgroup of its own.
        """
        return self._backend.cgroup_item(self.id, key)

    def set_cgroup_item(self, key: str, value: int | str) -> None:
        """Write to a file of its cgroup, until its end; errors as for `cgroup_item`, and `KernelRefusedError`."""
        self._backend.set_cgroup_item(self.id, key, str(value))

    def lxc_config_item(self, key: str) -> str:
        """LXC's value of a configuration key, as ``lxc.net.0.hwaddr``; one line for each where it may have several.

        Empty where it is not set; `UnknownItemError` for what LXC does not know. The keys: lxc.container.conf(5).
        """
        return self._backend.config_item(self.id, key)

    def lxc_config_keys(self) -> list[str]:
        """Every configuration key that this host's LXC knows."""
        return self._backend.config_keys(self.id)

    def add_device(self, host_path: str | Path, path: str | None = None) -> None:
        """Give it a device of the host's, as *path* (default: the same), readable and writable by all inside.

        Until it ends, or `remove_device`. Only root may, else `NotPermittedError`. Raises `KernelRefusedError` for what
        is no device or cannot be put there, `FrozenError` while it is frozen.
        """
        self._backend.add_device(self.id, str(host_path), path or str(host_path))

    def remove_device(self, path: str) -> None:
        """Take a device from `add_device` away; what has it open keeps it. `UnknownItemError` for any other path."""
        self._backend.remove_device(self.id, path)

    def attach_interface(self, host_name: str, name: str | None = None, *, address: str | None = None) -> None:
        """Move a network interface of the host's into it as *name* (default: the same) and switch it on.

        *address*, with its prefix length (``"192.0.2.2/24"``), becomes the interface's own.
        When the container ends, the kernel gives a physical interface back and deletes a virtual one (veth, macvlan).
        Only root may, else `NotPermittedError`; `UnknownItemError` where the host has none of that name.
        """
        self._backend.attach_interface(self.id, host_name, name or host_name, address)

    def detach_interface(self, name: str, host_name: str | None = None) -> None:
        """Move an interface from `attach_interface` back to the host, as *host_name* or what it was called there."""
        self._backend.detach_interface(self.id, name, host_name)
