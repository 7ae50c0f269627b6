"""Where ext4 puts the files of a run's containers: each container's away from the others'.

ext4 passes over inodes that were freed within the last minutes, and looks at every one of them to find that out
(``recently_deleted`` in fs/ext4/ialloc.c of Linux). It looks in the block group of the directory, which would be the
run's for all that its containers have. So a new one would pay for all that were removed before it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
"""FS_IOC_GETFLAGS and FS_IOC_SETFLAGS, see ioctl_iflags(2)."""
_TOP_OF_TREES = 0x00020000
"""FS_TOPDIR_FL, the attribute T of chattr(1)."""


def lay_out_apart(directory: Path) -> None:
    """Have each directory that is made in *directory* laid out in a block group of its own, where that can be said."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # another file system
            (flags,) = struct.unpack("i", fcntl.ioctl(fd, _GET_FLAGS, bytes(4)))
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("i", flags | _TOP_OF_TREES))
    finally:
        os.close(fd)
