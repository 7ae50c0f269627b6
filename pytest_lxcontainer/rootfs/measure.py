"""What a tree takes on disk."""

from __future__ import annotations

import os
import stat

from .merged import OPEN_DIR

_BLOCK = 512  # what st_blocks counts (stat(2))


def size_on_disk(name: str, dir_fd: int) -> int:
    """Return the bytes that *name* in the directory *dir_fd* takes with all that is in it; 0 where it is absent.

    A file with several names counts once, as du(1) has it.
    """
    try:
        os.lstat(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return 0
    return _measure(name, dir_fd)


def _measure(name: str, dir_fd: int) -> int:
    """Measure without recursion, and with one directory open at a time: there may be thousands in one another."""
    size, seen = 0, set()
    fd = os.dup(dir_fd)
    trail = [[name]]
    try:
        while True:
            while not trail[-1]:
                if len(trail) == 1:
                    return size
                trail.pop()
                fd = _moved("..", fd)
            name = trail[-1].pop()
            status = os.lstat(name, dir_fd=fd)
            inode = (status.st_dev, status.st_ino)
            if inode not in seen:
                size += status.st_blocks * _BLOCK
            if stat.S_ISDIR(status.st_mode):
                fd = _moved(name, fd)
                trail.append(os.listdir(fd))
            elif status.st_nlink > 1:
                seen.add(inode)
    finally:
        os.close(fd)


def _moved(name: str, fd: int) -> int:
    """Open the directory *name* in *fd*, and close that."""
    inner = os.open(name, OPEN_DIR, dir_fd=fd)
    os.close(fd)
    return inner
