"""What containers' mounts are put on, made once for all that have the same layers and the same mounts.

What the layers lack is in one more directory on top of them. So a clone begins with an empty upper dir, and nothing
need be made in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..rootfs.idmap import IdMap
from ..rootfs.mount_points import MountPoint, Wanted
from ..rootfs.overlay import Overlay
from .preparing import prepare

DIRECTORY = "m"
"""In a run's directory; short, as that of snapshots is."""

Points = tuple[MountPoint, ...]


class MountLayers:
    """Those of one run, in *directory*; *seen* gives a path there as a container's root can reach it."""

    def __init__(self, directory: Path, seen: Callable[[Path], Path]) -> None:
        self.directory = directory
        self.seen = seen
        self._known: dict[tuple[object, ...], tuple[Path | None, Points]] = {}

    def find(
        self, name: str, lower_dirs: Sequence[Path], idmap: IdMap, wanted: Sequence[Wanted]
    ) -> tuple[Path | None, Points]:
        """The layer to put on *lower_dirs*, if one is needed, and the mount points for *wanted* in the two together.

        Nothing that is *wanted* may lie in what is mounted from the host. Raises `StartFailedError` for container
        *name*, which is to start.
        """
        places = tuple((each.target, each.is_dir) for each in wanted)
        key = (tuple(lower_dirs), idmap, places)
        if key not in self._known:
            self._known[key] = self._make(name, lower_dirs, idmap, wanted)
        return self._known[key]

    def _make(
        self, name: str, lower_dirs: Sequence[Path], idmap: IdMap, wanted: Sequence[Wanted]
    ) -> tuple[Path | None, Points]:
        layer = self.directory / str(len(self._known))
        self.directory.mkdir(mode=0o711, exist_ok=True)
        layer.mkdir(mode=0o755, exist_ok=True)
        os.chown(layer, idmap.host_uid(0), idmap.host_gid(0))
        points = prepare(name, Overlay(tuple(lower_dirs), layer), idmap, wanted)
        return (layer if any(layer.iterdir()) else None), points
