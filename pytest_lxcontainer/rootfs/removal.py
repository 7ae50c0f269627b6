"""Removing trees that something else filled: without following links, at any depth, whatever their modes."""

from __future__ import annotations

import os
import stat

from .merged import OPEN_DIR


def remove_entry(name: str, dir_fd: int) -> None:
    """Remove *name* from the directory *dir_fd*, with all that is in it; nothing to do where it is absent."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        # Linux says EISDIR; some file systems say EPERM, as POSIX does.
        _remove_tree(name, dir_fd)


def _remove_tree(name: str, dir_fd: int) -> None:
    """Remove a directory without recursion: a container may have nested them deeper than Python's stack."""
    trail = [(name, dir_fd, _open(name, dir_fd))]
    try:
        while trail:
            name, parent_fd, fd = trail[-1]
            inner = _remove_files(fd)
            if inner is not None:
                trail.append((inner, fd, _open(inner, fd)))
                continue
            trail.pop()
            os.close(fd)
            os.rmdir(name, dir_fd=parent_fd)
    finally:
        for _, _, fd in trail:
            os.close(fd)


def _open(name: str, dir_fd: int) -> int:
    try:
        return os.open(name, OPEN_DIR, dir_fd=dir_fd)
    except PermissionError:
        # Not the super-user's problem, but an ordinary user's own directory may deny him.
        os.chmod(name, stat.S_IRWXU, dir_fd=dir_fd)
        return os.open(name, OPEN_DIR, dir_fd=dir_fd)


def _remove_files(fd: int) -> str | None:
    """Remove what is no directory from *fd*; return the name of a directory that is left, if any is."""
    left = None
    with os.scandir(fd) as found:
        for item in found:
            if item.is_dir(follow_symlinks=False):
                left = item.name
            else:
                os.unlink(item.name, dir_fd=fd)
    return left
