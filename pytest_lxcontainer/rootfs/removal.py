"""Removing trees that something else filled: without following links, at any depth, whatever their modes."""

from __future__ import annotations

import errno
import os
import stat
import time

from .merged import OPEN_DIR

_PATIENCE = 100
"""How often to look again for what came into a directory while it was being removed."""
_PAUSE = 0.01  # seconds


def remove_entry(name: str, dir_fd: int) -> None:
    """Remove *name* from the directory *dir_fd*, with all that is in it; nothing to do where it is absent."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        # Linux says EISDIR; some file systems say EPERM, as POSIX does.
        _remove_tree(name, dir_fd)


class _Directory:
    """A directory that is being removed: its name, the directory it is in, and those yet to be removed from it."""

    def __init__(self, name: str, parent_fd: int) -> None:
        self.name = name
        self.parent_fd = parent_fd
        self.fd = _open(name, parent_fd)
        self.inner: list[str] | None = None


def _remove_tree(name: str, dir_fd: int) -> None:
    """Remove a directory without recursion: a container may have nested them deeper than Python's stack."""
    trail = [_Directory(name, dir_fd)]
    patience = _PATIENCE
    try:
        while trail:
            at = trail[-1]
            if at.inner is None:
                at.inner = _remove_files(at.fd)
            elif at.inner:
                trail.append(_Directory(at.inner.pop(), at.fd))
            elif _remove_empty(at.name, at.parent_fd):
                os.close(trail.pop().fd)
            elif patience:
                patience -= 1
                time.sleep(_PAUSE)
                at.inner = None
            else:
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), at.name)
    finally:
        for at in trail:
            os.close(at.fd)


def _remove_empty(name: str, dir_fd: int) -> bool:
    """Remove a directory unless something is in it: a helper whose caller was killed may be at its last file."""
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def _open(name: str, dir_fd: int) -> int:
    try:
        return os.open(name, OPEN_DIR, dir_fd=dir_fd)
    except PermissionError:
        # Not the super-user's problem, but an ordinary user's own directory may deny him.
        os.chmod(name, stat.S_IRWXU, dir_fd=dir_fd)
        return os.open(name, OPEN_DIR, dir_fd=dir_fd)


def _remove_files(fd: int) -> list[str]:
    """Remove what is no directory from *fd*; return the names of the directories that are left."""
    left = []
    with os.scandir(fd) as found:
        for item in found:
            if item.is_dir(follow_symlinks=False):
                left.append(item.name)
            else:
                os.unlink(item.name, dir_fd=fd)
    return left
