"""The store's place: reachable, of the right kind, and with room."""

from __future__ import annotations

import os
from pathlib import Path

from ...container.units import GiB
from .finding import Finding, lack, note, ok

SCARCE = 2 * GiB

UNFIT = frozenset(
    ("overlay", "aufs", "nfs", "nfs4", "cifs", "smb3", "9p", "vfat", "exfat", "msdos", "fuse", "ecryptfs", "ceph")
)
"""File systems that cannot hold an overlay's upper directory: no device nodes, or no extended attributes there.

https://docs.kernel.org/filesystems/overlayfs.html#upper-and-lower
"""

_ELSEWHERE = "# set LXCONTAINER_STORE (pytest: --lxc-store) to a directory"


def check_store(store: Path, file_system: str, uid: int, gid: int) -> list[Finding]:
    """The directory, its file system, and the way to it for the containers' root (*uid*, *gid* on the host)."""
    existing = next(path for path in (store, *store.parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return [lack("store", f"{existing} is not writable, so {store} cannot be", f"{_ELSEWHERE} of your own")]
    findings = [ok("store", str(store)), check_file_system(existing, file_system)]
    # Root's supervisor shows the store to its containers by a way of its own.
    return findings if os.geteuid() == 0 else [*findings, check_way(store, uid, gid)]


def check_file_system(path: Path, kind: str) -> Finding:
    """Whether an overlay's upper directory may be on file system *kind*."""
    if kind.partition(".")[0] in UNFIT:
        return lack(
            "file system", f"{path} is on {kind}, which no overlay can write to", f"{_ELSEWHERE} on a local disk"
        )
    return ok("file system", kind)


def check_way(store: Path, uid: int, gid: int) -> Finding:
    """Whether *uid*, *gid* may pass through every directory above the store, as overlay mounts must."""
    closed = [path for path in reversed(store.parents) if path.exists() and not _passable(path, uid, gid)]
    if closed:
        listed = " ".join(map(str, closed))
        return lack(
            "way to the store", f"the containers' root (uid {uid}) may not pass {listed}", f"chmod o+x {listed}"
        )
    return ok("way to the store", f"open to the containers' root (uid {uid})")


def check_room(path: Path, free: int) -> Finding:
    """Whether *free* bytes are enough for a few images."""
    if free < SCARCE:
        return note(
            "disk",
            f"only {free / GiB:.1f} GiB are free in {path}",
            "choose another disk with LXCONTAINER_STORE or --lxc-store",
        )
    return ok("disk", f"{free / GiB:.1f} GiB are free")


def free_bytes(path: Path) -> int:
    """What is free for this user where *path* is or will be."""
    existing = next(place for place in (path, *path.parents) if place.exists())
    stats = os.statvfs(existing)
    return stats.f_bavail * stats.f_frsize


def file_system_of(path: Path, mountinfo: str) -> str:
    """The type of the file system *path* is on, by the text of ``/proc/self/mountinfo`` (proc_pid_mountinfo(5))."""
    best, kind = -1, "unknown"
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        mount_point = Path(_unescaped(left.split(" ")[4]))
        # What was mounted last covers what is below.
        if path.is_relative_to(mount_point) and len(mount_point.parts) >= best:
            best, kind = len(mount_point.parts), right.split(" ")[0]
    return kind


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _passable(path: Path, uid: int, gid: int) -> bool:
    status = path.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == gid else 0o001))
