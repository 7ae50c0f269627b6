"""What LXC and this package make in a container's upper dir, so that something can be mounted or begin there."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOUNT_POINTS = ("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf")
"""Those of every container."""
_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Made:
    """Paths, relative to the container's root, of what may have been made for it, as *uid* and *gid*.

    What is mounted on one of *mount_points* keeps it from whoever could change it. Other *dirs* are the container's
    own as soon as they are no longer plain.
    """

    mount_points: frozenset[str]
    dirs: frozenset[str]
    uid: int
    gid: int

    @classmethod
    def of(cls, mount_points: Iterable[str], dirs: Iterable[str], uid: int, gid: int) -> Made:
        """Those of every container and *mount_points*, *dirs* to work in, and the directories that all these are in."""
        mounted = {_relative(path) for path in (*MOUNT_POINTS, *mount_points)}
        plain = {*map(_relative, dirs), *(path.rpartition("/")[0] for path in mounted)}
        return cls(frozenset(mounted), frozenset(outer for path in plain for outer in _upwards(path)), uid, gid)

    def accounts_for(self, path: str, status: os.stat_result) -> bool:
        """Whether *path*, which the layers below do not have, is as it was made."""
        if (status.st_uid, status.st_gid) != (self.uid, self.gid):
            return False
        if stat.S_ISDIR(status.st_mode):
            # LXC makes /dev with a mode of its own.
            return path in self.mount_points or (path in self.dirs and stat.S_IMODE(status.st_mode) == _MODE)
        return path in self.mount_points and stat.S_ISREG(status.st_mode) and status.st_size == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "mount_points": sorted(self.mount_points), "dirs": sorted(self.dirs)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Made:
        """Rebuild from what `to_dict` gave."""
        return cls(frozenset(data["mount_points"]), frozenset(data["dirs"]), data["uid"], data["gid"])


def _relative(path: str) -> str:
    return posixpath.normpath("/" + path).lstrip("/")


def _upwards(path: str) -> Iterator[str]:
    """*path* and the directories it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]
