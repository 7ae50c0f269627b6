"""A `ContainerSpec` and its place on the host, as the text of an LXC configuration file.

Keys: lxc.container.conf(5). Everything here is pure; the order of items is the order in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidSettingsError
from ..rootfs.idmap import IdMap
from ..rootfs.mount_points import MountPoint
from ..rootfs.overlay import Overlay
from .capabilities import HARMFUL, NUMBERS, is_system, kept_capabilities
from .limits import cgroup_v1_items, cgroup_v2_items
from .mount_entries import entries, masks
from .mount_entries import lxc_items as mount_items
from .spec import ContainerSpec

Item = tuple[str, str]

WRITTEN_OUT = ("PATH", "XDG_RUNTIME_DIR")
"""Variables that LXC itself goes by, to find its helper programs and lock files: it must not see an image's."""

NO_REBOOT = """/bin/sh -c 'test "$LXC_TARGET" != reboot'"""
"""A hook that fails for a reboot only."""

PRIVILEGED_DEVICES = (
    "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm",
    "c 5:2 rwm", "c 136:* rwm",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interface:
    """A veth to be made: its host end's *pair* name, the *bridge*, and the address inside with its prefix length."""

    bridge: str
    pair: str | None
    address: str
    gateway: str | None
    mac: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where on this host one container lives.

    *files* is the directory of what is made for it, by a path that its root may pass, *cgroup* its path below every
    hierarchy's root, or ``None`` where LXC is to make none of a name. *mount_points* are those of
    `mount_entries.entries`.
    """

    name: str
    files: Path
    idmap: IdMap
    overlay: Overlay
    interface: Interface | None
    cgroup: str | None
    cgroups_on_v1: bool
    limits_apply: bool
    seccomp_profile: Path
    mount_points: tuple[MountPoint, ...]
    disks: tuple[str, ...] = ()
    apparmor: bool = False

    @property
    def log_file(self) -> Path:
        """LXC's own log."""
        return self.files / "lxc.log"


def lxc_items(spec: ContainerSpec, place: Place) -> Iterator[Item]:
    """Yield every item of the container's configuration."""
    yield "lxc.uts.name", spec.hostname
    yield from _rootfs_items(place)
    yield from place.idmap.lxc_items()
    yield from _console_items(place)
    yield from _device_items(spec, place)
    yield from _process_items(spec)
    yield from _end_items(spec)
    yield from _confinement_items(spec, place)
    yield from _cgroup_items(spec, place)
    yield from _network_items(place.interface)


def render(items: Iterator[Item]) -> str:
    """The configuration file's text; `InvalidSettingsError` for a value that would become another line."""
    lines = []
    for key, value in items:
        if "\n" in value or "\0" in value:
            raise InvalidSettingsError(f"{key} cannot hold a line break: {value!r}")
        lines.append(f"{key} = {value}\n")
    return "".join(lines)


def _rootfs_items(place: Place) -> Iterator[Item]:
    yield "lxc.rootfs.path", place.overlay.lxc_rootfs_path()
    yield "lxc.rootfs.options", place.overlay.lxc_rootfs_options


def _console_items(place: Place) -> Iterator[Item]:
    # INFO is the level at which LXC writes down the exit code of init.
    yield "lxc.log.file", str(place.log_file)
    yield "lxc.log.level", "INFO"
    yield "lxc.console.path", "none"
    yield "lxc.tty.max", "0"
    yield "lxc.pty.max", "1024"


def _device_items(spec: ContainerSpec, place: Place) -> Iterator[Item]:
    yield "lxc.autodev", "1"
    yield "lxc.mount.auto", "proc:mixed sys:mixed"
    if not spec.privileged:
        yield from masks()
    yield from mount_items(entries(spec, place.files), place.mount_points)


def _process_items(spec: ContainerSpec) -> Iterator[Item]:
    yield "lxc.init.cwd", spec.cwd
    if not spec.begins_with_init:
        # LXC's init makes the command its user itself: `liblxc`.
        yield "lxc.init.uid", str(spec.uid)
        yield "lxc.init.gid", str(spec.gid)
    for name, value in spec.env:
        # Without a value LXC takes it from its own environment, where it may hold any character.
        yield "lxc.environment", f"{name}={value}" if name in WRITTEN_OUT else name


def _end_items(spec: ContainerSpec) -> Iterator[Item]:
    if "sys_boot" in kept_capabilities(spec):
        # LXC would start what has called reboot(2) again, unnoticed by anybody; where this hook fails it does not.
        yield "lxc.hook.post-stop", NO_REBOOT


def _confinement_items(spec: ContainerSpec, place: Place) -> Iterator[Item]:
    kept = kept_capabilities(spec)
    if spec.privileged or is_system(spec) or len(kept) == len(NUMBERS):
        # Named are those that LXC and the kernel surely know; what they do not, is not dropped.
        if dropped := sorted(HARMFUL - kept):
            yield "lxc.cap.drop", " ".join(dropped)
    else:
        yield "lxc.cap.keep", " ".join(sorted(kept))
    if not spec.begins_with_init:
        # LXC's init puts it on itself: `monitor`.
        yield "lxc.seccomp.profile", str(place.seccomp_profile)
    if place.apparmor:
        # Else LXC changes to its own profile: it will not start where a host has not loaded that, systemd cannot mount
        # in it what its services ask for, and commands of exec, which are in none, could not be signalled from it.
        yield "lxc.apparmor.profile", "unchanged"


def _cgroup_items(spec: ContainerSpec, place: Place) -> Iterator[Item]:
    if place.cgroup is not None:
        yield "lxc.cgroup.dir.container", f"{place.cgroup}/payload"
        yield "lxc.cgroup.dir.monitor", f"{place.cgroup}/monitor"
        yield "lxc.cgroup.dir.monitor.pivot", f"{place.cgroup}/pivot"
    if spec.privileged:
        key = "lxc.cgroup.devices" if place.cgroups_on_v1 else "lxc.cgroup2.devices"
        yield f"{key}.deny", "a"
        yield from ((f"{key}.allow", device) for device in PRIVILEGED_DEVICES)
    if place.limits_apply:
        make = cgroup_v1_items if place.cgroups_on_v1 else cgroup_v2_items
        yield from make(spec.limits, place.disks)


def _network_items(interface: Interface | None) -> Iterator[Item]:
    if interface is None:
        yield "lxc.net.0.type", "empty"
        yield "lxc.net.0.flags", "up"
        return
    yield "lxc.net.0.type", "veth"
    yield "lxc.net.0.link", interface.bridge
    yield "lxc.net.0.name", "eth0"
    yield "lxc.net.0.flags", "up"
    yield "lxc.net.0.hwaddr", interface.mac
    yield "lxc.net.0.ipv4.address", interface.address
    if interface.gateway is not None:
        yield "lxc.net.0.ipv4.gateway", interface.gateway
    if interface.pair is not None:
        yield "lxc.net.0.veth.pair", interface.pair
