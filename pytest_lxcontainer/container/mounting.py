"""Mounting a file or directory of the host in a running container.

The mount is copied where the host's path means something (open_tree(2)) and put in the container's mount namespace
(move_mount(2)) on a place that a process inside has opened: the container cannot have the host resolve anything.
An ordinary user does so as root of the container's user namespace, in a passing mount namespace of that.
"""

from __future__ import annotations

import ctypes
import os
import struct

from ..rootfs.userns import CLONE_NEWNS, CLONE_NEWUSER, become_root, unshare
from .attach import checked, libc, setns
from .target import Target

AT_FDCWD = -100
AT_EMPTY_PATH, AT_RECURSIVE = 0x1000, 0x8000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
MOUNT_ATTR_RDONLY = 1
MS_SLAVE = 0x80000

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_ATTRIBUTES = struct.Struct("QQQQ")


def begin_mount(target: Target, source: str, point: int, read_only: bool) -> int:
    """Mount *source* with all that is mounted in it on what *point* (O_PATH) is open on.

    Returns a child process, whose exit code is an errno.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 255
    try:
        _mount(target, source, point, read_only)
        code = 0
    except OSError as error:
        code = error.errno or code
    finally:
        os._exit(code)


def _mount(target: Target, source: str, point: int, read_only: bool) -> None:
    if os.geteuid() != 0 and target.user_namespace:
        setns(target.pidfd, CLONE_NEWUSER)
        become_root()
        unshare(CLONE_NEWNS)
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    tree = checked(libc.syscall(_OPEN_TREE, AT_FDCWD, os.fsencode(source), flags))
    # What the container mounts in it is not the host's to see.
    attributes = _ATTRIBUTES.pack(MOUNT_ATTR_RDONLY if read_only else 0, 0, MS_SLAVE, 0)
    flags = AT_EMPTY_PATH | AT_RECURSIVE
    checked(libc.syscall(_MOUNT_SETATTR, tree, b"", flags, attributes, ctypes.c_size_t(_ATTRIBUTES.size)))
    setns(target.pidfd, CLONE_NEWNS)
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    checked(libc.syscall(_MOVE_MOUNT, tree, b"", point, b"", flags))
