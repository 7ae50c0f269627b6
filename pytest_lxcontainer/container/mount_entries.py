"""What is mounted for a container when it starts, and how LXC is told: lxc.mount.entry of lxc.container.conf(5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..rootfs.mount_points import MountPoint, Wanted
from .spec import ContainerSpec

Item = tuple[str, str]

OWN_FILES = ("hosts", "hostname", "resolv.conf")
"""Files of /etc that are made for each container."""

MASKED_FILES = ("interrupts", "kcore", "key-users", "keys", "latency_stats", "sched_debug", "timer_list", "timer_stats")
"""Files of /proc that tell of the host or are its own: Docker's list, of which a kernel has some."""

MASKED_DIRECTORIES = ("proc/acpi", "proc/asound", "proc/scsi", "sys/firmware", "sys/devices/virtual/powercap")


@dataclass(frozen=True, slots=True)
class Entry:
    """A mount: its *kind* of file system (``none``: a bind mount of what it is *wanted* for) and *options*."""

    wanted: Wanted
    kind: str
    options: str


def entries(spec: ContainerSpec, files: Path) -> tuple[Entry, ...]:
    """Everything that is mounted for *spec* but what LXC does itself; its own files are in *files*."""
    return tuple(_entries(spec, files))


def _entries(spec: ContainerSpec, files: Path) -> Iterator[Entry]:
    yield Entry(Wanted("/dev/shm", is_dir=True), "tmpfs", "rw,nosuid,nodev,mode=1777,size=64m")
    yield Entry(Wanted("/dev/mqueue", is_dir=True), "mqueue", "rw,nosuid,nodev,noexec,optional")
    for name in OWN_FILES:
        yield Entry(Wanted(f"/etc/{name}", is_dir=False, source=str(files / name)), "none", "bind")
    for source, target, read_only in spec.mounts:
        wanted = Wanted(target, Path(source).is_dir(), source)
        yield Entry(wanted, "none", "rbind,ro" if read_only else "rbind")
    if spec.systemd and "/run" not in (*(target for _, target, _ in spec.mounts), *dict(spec.tmpfs)):
        # It would mount one itself, over what is in there for it.
        yield Entry(Wanted("/run", is_dir=True), "tmpfs", "rw,nosuid,nodev,mode=755")
    for target, options in spec.tmpfs:
        yield Entry(Wanted(target, is_dir=True), "tmpfs", options or "rw,nosuid,nodev,mode=1777")


def lxc_items(mounted: Sequence[Entry], points: Sequence[MountPoint]) -> Iterator[Item]:
    """Yield the items for *mounted*, each on its one of *points*, outer ones first."""
    for entry, point in sorted(zip(mounted, points, strict=True), key=lambda each: each[1].path.count("/")):
        source = entry.wanted.source or entry.kind
        options = entry.options
        if point.fresh:
            options += ",create=dir" if entry.wanted.is_dir else ",create=file"
        yield "lxc.mount.entry", f"{_escape(source)} {_escape(point.path)} {entry.kind} {options} 0 0"


def masks() -> Iterator[Item]:
    """Nothing where /proc and /sys would tell of the host; what this kernel has not got is passed over."""
    for name in MASKED_FILES:
        yield "lxc.mount.entry", f"/dev/null proc/{name} none bind,optional 0 0"
    for path in MASKED_DIRECTORIES:
        yield "lxc.mount.entry", f"tmpfs {path} tmpfs ro,nosuid,nodev,noexec,size=4k,optional 0 0"


def _escape(text: str) -> str:
    """As fstab(5) wants white space, and a comment's sign."""
    for character in "\\ \t#":
        text = text.replace(character, f"\\{ord(character):03o}")
    return text
