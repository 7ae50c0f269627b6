"""A directory as what it holds, in one order, without leaving it: no link is followed, no other file system entered."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import ImageSourceError, UnsupportedImageError
from ...image.document import printable

_MAX_DEPTH = 200
"""Each level keeps a directory open."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
_WHITEOUT_PREFIX = ".wh."


@dataclass(frozen=True, slots=True)
class Node:
    """One entry: its *path* from the tree's root (``""`` is the root), and as its *name* in the open *parent*."""

    path: str
    name: str
    parent: int
    status: os.stat_result

    def open(self) -> int:
        """Open a file or directory, or raise `ImageSourceError` where it is no longer what was listed."""
        flags = _DIRECTORY if stat.S_ISDIR(self.status.st_mode) else _FILE
        fd = os.open(self.name, flags, dir_fd=self.parent)
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != (self.status.st_dev, self.status.st_ino):
            os.close(fd)
            raise changed(self.path)
        return fd

    def readlink(self) -> str:
        """Return where a symbolic link leads."""
        return os.readlink(self.name, dir_fd=self.parent)


class Tree:
    """What is below *path*, which may itself be a symbolic link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = hashlib.sha256()
        self.latest = 0
        """When the last change was made of what `nodes` went through, in nanoseconds since the epoch."""

    @property
    def state(self) -> str:
        """64 hex digits that are others when anything in what `nodes` went through was changed."""
        return self._state.hexdigest()

    def nodes(self) -> Iterator[Node]:
        """Yield the entries, parents first and sorted by name; a node can be used until the next one is asked for.

        Left out are sockets, and what is in directories where another file system is mounted.
        """
        self._state = hashlib.sha256()
        with refusals(self.path):
            root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with refusals(self.path):
                status = os.fstat(root)
            yield self._noted(Node("", ".", root, status))
            yield from self._below(root, "", status.st_dev, _MAX_DEPTH)
        finally:
            os.close(root)

    def walk(self) -> str:
        """Go through all of it, and return its state."""
        for _ in self.nodes():
            pass
        return self.state

    def has(self, path: str) -> bool:
        """Tell whether there is an entry *path*, by way of directories that are no links."""
        *parents, last = path.split("/")
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parents:
                inner = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            os.stat(last, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return False
        finally:
            os.close(directory)
        return True

    def _below(self, directory: int, prefix: str, device: int, depth: int) -> Iterator[Node]:
        if not depth:
            raise UnsupportedImageError(f"{self.path} has directories more than {_MAX_DEPTH} deep")
        with refusals(self.path, prefix):
            names = sorted(os.listdir(directory), key=os.fsencode)
        for name in names:
            with refusals(self.path, prefix + name):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISSOCK(status.st_mode):
                continue
            self._check(prefix + name, name, status)
            node = self._noted(Node(prefix + name, name, directory, status))
            yield node
            if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                with refusals(self.path, node.path):
                    inner = node.open()
                try:
                    yield from self._below(inner, f"{node.path}/", device, depth - 1)
                finally:
                    os.close(inner)

    def _noted(self, node: Node) -> Node:
        seen = node.status
        fields = (
            seen.st_mode, seen.st_uid, seen.st_gid, seen.st_size if not stat.S_ISDIR(seen.st_mode) else 0,
            seen.st_rdev, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns,
        )  # fmt: skip
        self.latest = max(self.latest, seen.st_ctime_ns)
        self._state.update(os.fsencode(node.path) + b"\0" + repr(fields).encode())
        return node

    def _check(self, path: str, name: str, status: os.stat_result) -> None:
        """Refuse what means something else in a layer than in a directory."""
        if name.startswith(_WHITEOUT_PREFIX) or (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
            raise UnsupportedImageError(
                f"{printable(path)} in {self.path} is a whiteout",
                details="it hides a file of a layer below, and a root file system has none",
                hint="name the directory where the layers are mounted one over another, not one of them",
            )


def changed(path: str) -> ImageSourceError:
    """Return the error for an entry that was changed while it was read."""
    return ImageSourceError(
        f"{printable(path) or 'the directory'} was changed while it was read",
        hint="try again when nothing writes there",
    )


@contextmanager
def refusals(root: Path, path: str = "") -> Iterator[None]:
    """Say of what the system refuses at *path* below *root* what to do about it."""
    try:
        yield
    except PermissionError as error:
        raise ImageSourceError(
            f"{printable(path) or root} cannot be read by this user",
            details=f"root file system: {root}",
            hint="make the root file system as this user, as mmdebstrap can, or run as root",
            path=str(root),
        ) from error
    except OSError as error:
        if path and error.errno in _CHANGED:
            raise changed(path) from None
        raise
