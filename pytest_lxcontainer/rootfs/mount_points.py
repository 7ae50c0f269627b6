"""What a container's mounts are put on: found, or made in its upper dir, before LXC sees a path.

LXC would have the kernel resolve a path on the host and make what is absent there, through whatever links an image, or
the container in an earlier life, has put in the way. Here links are followed as inside the container, and what comes
out goes through directories only: LXC mounts there and makes nothing.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import CorruptImageError, UnsafeLayerError
from .attributes import AttributeWriter
from .layer_dirs import LayerDirs, join
from .merged import MAX_LINKS, OPEN_DIR, lstat
from .whiteout import is_overlay_whiteout

KERNELS = ("proc", "sys")
"""File systems in which nothing can be made, and nothing of an image may be put."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something to be mounted on *target*, a path in the container: a directory or a file.

    *source* is the host's path of what is shown there, empty for a new file system.
    """

    target: str
    is_dir: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class MountPoint:
    """Where it goes: *path*, relative to the container's root, without links.

    What is *fresh* lies in a file system that is not there yet, where LXC makes it safely.
    """

    path: str
    fresh: bool = False


def make_mount_points(
    upper_fd: int, lower_fds: Sequence[int], wanted: Sequence[Wanted], owner: tuple[int, int]
) -> list[MountPoint]:
    """The mount points for *wanted*, in its order, each made as *owner* where it is absent.

    The upper dir *upper_fd* over *lower_fds* (base first) must not be in use. Raises `CorruptImageError` or
    `UnsafeLayerError` where something else is in the way, and `OSError`.
    """
    dirs = LayerDirs(upper_fd, lower_fds, AttributeWriter(), owner)
    try:
        points = _Points(dirs, owner)
        order = sorted(range(len(wanted)), key=lambda index: wanted[index].target.strip("/").count("/"))
        found = {index: points.place(wanted[index]) for index in order}
        dirs.finish()
    finally:
        dirs.close()
    return [found[index] for index in range(len(wanted))]


class _Points:
    """Mount points found so far, outer ones first."""

    def __init__(self, dirs: LayerDirs, owner: tuple[int, int]) -> None:
        self._dirs = dirs
        self._owner = owner
        for name in ("dev", *KERNELS):
            self._require_plain(name)
        self._placed = {"dev": Wanted("/dev", is_dir=True)}

    def place(self, wanted: Wanted) -> MountPoint:
        """The mount point for *wanted*."""
        path = posixpath.normpath(f"/{wanted.target}").lstrip("/")
        if not path:
            raise UnsafeLayerError("nothing can be mounted on a container's root", entry="/")
        if path.partition("/")[0] in KERNELS:
            return MountPoint(path)
        outer = self._outer(path)
        if outer is None:
            path = self._made(path, wanted.is_dir, links=0)
            if path.partition("/")[0] in KERNELS:
                raise UnsafeLayerError(
                    f"{wanted.target} leads into /{path}, which is the kernel's", entry=wanted.target
                )
            outer = self._outer(path)
        point = MountPoint(path)
        if outer is not None and outer != path:
            point = self._place_in(outer, path, wanted)
        self._placed[path] = wanted
        return point

    def _place_in(self, outer: str, path: str, wanted: Wanted) -> MountPoint:
        around = self._placed[outer]
        if around.source:
            _make_in_source(around.source, path[len(outer) + 1 :], wanted)
        return MountPoint(path, fresh=not around.source)

    def _outer(self, path: str) -> str | None:
        """The innermost mount point so far that is *path* or that it lies in."""
        while path and path not in self._placed:
            path = path.rpartition("/")[0]
        return path or None

    def _made(self, raw: str, is_dir: bool, links: int) -> str:
        """Where *raw* leads; a directory or an empty file is made there if nothing is."""
        if links > MAX_LINKS:
            raise UnsafeLayerError(f"{raw!r} is one of more than {MAX_LINKS} links", entry=raw)
        parent_raw, _, name = raw.rstrip("/").rpartition("/")
        if is_dir or name in ("", ".", ".."):
            if not is_dir:
                raise CorruptImageError(f"/{raw} is a directory, where a file is to be mounted")
            return self._directory(raw)
        parent = self._directory(parent_raw)
        found = self._dirs.find_here(parent, name) or self._dirs.find_lower(parent, name)
        if found is None or is_overlay_whiteout(found.status):
            self._make_file(parent, name, replaces=found is not None)
        elif stat.S_ISLNK(found.status.st_mode):
            target = os.readlink(name, dir_fd=found.dir_fd)
            return self._made(target if target.startswith("/") else join(parent, target), is_dir, links + 1)
        elif stat.S_ISDIR(found.status.st_mode):
            raise CorruptImageError(f"/{join(parent, name)} is a directory, where a file is to be mounted")
        return join(parent, name)

    def _directory(self, raw: str) -> str:
        """Where *raw* leads, made if absent; what only a lower layer has stays there."""
        raw = raw.strip("/")
        path = self._dirs.resolve(raw, create=False)
        if path is None:
            path = self._dirs.resolve(raw)
        assert path is not None  # it makes what is absent
        return path

    def _make_file(self, parent: str, name: str, *, replaces: bool) -> None:
        self._dirs.resolve(parent)
        directory = self._dirs.fd(parent)
        if replaces:
            os.unlink(name, dir_fd=directory)
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
        try:
            os.fchown(fd, *self._owner)
            os.fchmod(fd, 0o644)
        finally:
            os.close(fd)

    def _require_plain(self, name: str) -> None:
        """Have the directory *name* in the root, where LXC itself mounts: no link to another."""
        found = self._dirs.find_here("", name) or self._dirs.find_lower("", name)
        if found is None or is_overlay_whiteout(found.status):
            self._directory(name)
        elif not stat.S_ISDIR(found.status.st_mode):
            raise CorruptImageError(f"/{name} is no directory, and nothing can be mounted there")


def _make_in_source(source: str, path: str, wanted: Wanted) -> None:
    """Make *path* in the host's directory *source*, which will be mounted around it, through no link."""
    *parents, name = path.split("/")
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for parent in parents:
            fd = _entered(fd, parent)
        status = lstat(name, fd)
        if status is None:
            _make_entry(fd, name, wanted.is_dir)
        elif stat.S_ISDIR(status.st_mode) != wanted.is_dir or stat.S_ISLNK(status.st_mode):
            raise CorruptImageError(
                f"{source}/{path} is a link or another kind of file, and {wanted.target} lies there"
            )
    finally:
        os.close(fd)


def _entered(fd: int, name: str) -> int:
    """The directory *name* in *fd*, made if absent; *fd* is given up for it."""
    if lstat(name, fd) is None:
        _make_entry(fd, name, is_dir=True)
    inner = os.open(name, OPEN_DIR, dir_fd=fd)
    os.close(fd)
    return inner


def _make_entry(fd: int, name: str, is_dir: bool) -> None:
    if is_dir:
        os.mkdir(name, 0o755, dir_fd=fd)
    else:
        os.close(os.open(name, _NEW_FILE, 0o644, dir_fd=fd))
