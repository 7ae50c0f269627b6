"""What is a container's own on the host before it runs, and what LXC is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..container.capabilities import kept_capabilities
from ..container.lxc_config import Interface, Place, lxc_items, render
from ..container.seccomp import profile
from ..container.spec import ContainerSpec
from ..network.addresses import HeldAddress
from ..network.plug import Plug
from ..rootfs.idmap import IdMap
from ..rootfs.mount_points import MountPoint
from ..rootfs.overlay import Overlay
from .host import Host


@dataclass(frozen=True, slots=True)
class Reserved:
    """A container's directory, ids, files, address and names.

    *files* is the directory of the small files that are made for it, by a path that its root may pass: *directory*
    itself, or for root one in memory (`View`).
    *cgroup* is its directory below the base of every hierarchy, *pair* its veth's name on the host (``None``: LXC
    chooses), *creator* the process that asked for it, *stage* a directory in which device nodes work (``None`` but for
    root).
    """

    directory: Path
    files: Path
    idmap: IdMap
    overlay: Overlay
    address: HeldAddress | None
    pair: str | None
    cgroup: str
    creator: int
    stage: Path | None = None

    def plug(self, spec: ContainerSpec) -> Plug | None:
        """How root plugs it in."""
        if self.address is None or self.pair is None:
            return None
        return Plug(self.address, self.pair, self._leads_out(spec))

    def write_config(
        self,
        name: str,
        spec: ContainerSpec,
        host: Host,
        points: tuple[MountPoint, ...],
        *,
        by_lxc: bool,
        plugged: bool,
    ) -> None:
        """Write LXC's configuration file for container *name*, with mounts on *points*, and cgroups made *by_lxc*.

        Where it is *plugged* in by us, LXC makes no interface.
        """
        place = Place(
            name=name,
            files=self.files,
            idmap=self.idmap,
            overlay=self.overlay,
            interface=None if plugged else self._interface(spec),
            cgroup=self.cgroup if host.cgroup_base and by_lxc else None,
            cgroups_on_v1=host.hierarchies.limits_on_v1,
            limits_apply=host.limits_apply and by_lxc,
            seccomp_profile=self.files / "seccomp",
            mount_points=points,
            disks=host.disks,
            apparmor=host.apparmor,
        )
        if not spec.begins_with_init:
            place.seccomp_profile.write_text(profile(kept_capabilities(spec)))
        (self.files / "config").write_text(render(lxc_items(spec, place)))

    def _leads_out(self, spec: ContainerSpec) -> bool:
        return self.address is not None and self.address.bridge.leads_out and not spec.isolated

    def _interface(self, spec: ContainerSpec) -> Interface | None:
        if self.address is None:
            return None
        held = self.address
        gateway = str(held.bridge.gateway) if self._leads_out(spec) else None
        return Interface(held.bridge.name, self.pair, held.with_prefix, gateway, held.mac)
