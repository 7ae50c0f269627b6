"""Copying an upper dir as it is, whiteouts and all, into a directory that becomes a layer."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from .attributes import AttributeWriter, copy_xattrs
from .copy_up import copy_entry
from .made import Made
from .merged import OPEN_DIR, Found, enter_path, lstat
from .whiteout import is_opaque, is_overlay_whiteout, make_opaque


def seal(upper_fd: int, target_fd: int, lower: Sequence[int], made: Made) -> None:
    """Copy what is in the upper dir *upper_fd* over *lower* (base first) into the empty *target_fd*.

    Owners, modes, times, extended attributes, hard links, whiteouts and opaque marks are kept. Sockets are left out,
    which only the process that listens on them could use, and what *made* accounts for unless the container put
    something into it.
    """
    _Copy(target_fd, lower, made).tree(upper_fd, target_fd)


class _Directory:
    """A directory that is being copied."""

    def __init__(self, path: str, source: int, target: int) -> None:
        self.path = path
        self.source = source
        self.target = target
        self.names = os.listdir(source)
        self.is_empty = True


class _Copy:
    def __init__(self, root: int, lower: Sequence[int], made: Made) -> None:
        self._root = root
        self._lower = lower
        self._made = made
        self._attributes = AttributeWriter()
        self._linked: dict[tuple[int, int], str] = {}

    def tree(self, source: int, target: int) -> None:
        """Copy without recursion: a container may have nested directories deeper than Python's stack."""
        trail = [_Directory("", os.dup(source), os.dup(target))]
        try:
            while trail:
                at = trail[-1]
                if at.names:
                    inner = self._entry(at, at.names.pop())
                    if inner is not None:
                        trail.append(inner)
                    continue
                self._finish(at, trail[-2] if len(trail) > 1 else None)
                _close(trail.pop())
        finally:
            for at in trail:
                _close(at)

    def _entry(self, at: _Directory, name: str) -> _Directory | None:
        """Copy one entry of *at*; a directory is returned, to be copied next."""
        status = lstat(name, at.source)
        path = f"{at.path}/{name}" if at.path else name
        # Gone: files of a container that could not be halted.
        if status is None or stat.S_ISSOCK(status.st_mode):
            return None
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=at.target)
            source = os.open(name, OPEN_DIR, dir_fd=at.source)
            return _Directory(path, source, os.open(name, OPEN_DIR, dir_fd=at.target))
        if not self._is_made(path, status):
            self._file(at, Found(name, status, at.source), path)
            at.is_empty = False
        return None

    def _file(self, at: _Directory, found: Found, path: str) -> None:
        status = found.status
        identity = (status.st_dev, status.st_ino)
        # Overlayfs makes one whiteout and links it to every name (since Linux 5.8), up to the file system's limit.
        shared = status.st_nlink > 1 and not is_overlay_whiteout(status)
        if shared and identity in self._linked:
            first = self._linked[identity]
            os.link(first, found.name, src_dir_fd=self._root, dst_dir_fd=at.target, follow_symlinks=False)
            return
        copy_entry(found, at.source, at.target, self._attributes, sparse=True)
        if shared:
            self._linked[identity] = path

    def _finish(self, at: _Directory, outer: _Directory | None) -> None:
        """Give a directory its attributes now that nothing more is written into it, or drop it."""
        status = os.fstat(at.source)
        if outer is not None and at.is_empty and self._is_made(at.path, status):
            os.rmdir(at.path.rpartition("/")[2], dir_fd=outer.target)
            return
        os.fchown(at.target, status.st_uid, status.st_gid)
        os.fchmod(at.target, stat.S_IMODE(status.st_mode))
        copy_xattrs(at.source, at.target, at.path, self._attributes)
        if is_opaque(at.source):
            make_opaque(at.target)
        os.utime(at.target, ns=(status.st_atime_ns, status.st_mtime_ns))
        if outer is not None:
            outer.is_empty = False

    def _is_made(self, path: str, status: os.stat_result) -> bool:
        if not self._made.accounts_for(path, status):
            return False
        parent, _, name = path.rpartition("/")
        with enter_path(self._lower, parent) as below:
            return below.find(name) is None


def _close(at: _Directory) -> None:
    os.close(at.source)
    os.close(at.target)
