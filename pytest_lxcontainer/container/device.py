"""A device node of the host's in a running container.

In a user namespace a node that is made inside cannot be opened. So it is made outside, on a file system that belongs to
the host, owned by the container's root, and mounted over an empty file inside: open_tree(2), move_mount(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

from ..rootfs.idmap import IdMap
from .attach import Target, run_inside

# The same on every architecture but alpha.
_OPEN_TREE, _MOVE_MOUNT = 428, 429
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_AT_FDCWD = -100
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def add_device_inside(target: Target, device: os.stat_result, staged: Path, path: str, idmap: IdMap) -> None:
    """Show *device* in the container as *path*, whose directories are made; needs root.

    *staged* is a path, on a file system whose device nodes count, that is free and will be free again. Raises
    `OSError`: ``ENOTBLK`` for what is no device, ``EEXIST`` where *path* exists.
    """
    if not (stat.S_ISCHR(device.st_mode) or stat.S_ISBLK(device.st_mode)):
        raise OSError(errno.ENOTBLK, "it is no device")
    os.mknod(staged, stat.S_IFMT(device.st_mode) | 0o666, device.st_rdev)
    try:
        staged.chmod(0o666)  # whatever the umask
        os.chown(staged, idmap.host_uid(0), idmap.host_gid(0))
        tree = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(staged), _OPEN_TREE_CLONE | os.O_CLOEXEC)
        try:
            run_inside(target, lambda: _mount(tree, path))
        finally:
            os.close(tree)
    finally:
        staged.unlink()


def remove_device_inside(target: Target, path: str) -> None:
    """Undo `add_device_inside`."""
    run_inside(target, lambda: _unmount(path))


def _mount(tree: int, path: str) -> bytes:
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - text, as it came
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(path), _MOVE_MOUNT_F_EMPTY_PATH)
    return b""


def _unmount(path: str) -> bytes:
    if _libc.umount2(os.fsencode(path), _MNT_DETACH):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    Path(path).unlink()
    return b""


def _call(number: int, *arguments: int | bytes) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
