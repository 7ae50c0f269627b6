"""A device node of the host's, to be mounted in a running container.

In a user namespace a node that is made inside cannot be opened. So it is made outside, on a file system that belongs to
the host, owned by the container's root, and mounted over an empty file inside (`mounting`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..rootfs.idmap import IdMap


@contextmanager
def device_node(device: os.stat_result, path: Path, idmap: IdMap) -> Iterator[None]:
    """Give a node of *device* at *path*, which all in a container with *idmap* may open; needs root.

    *path* is free, and on a file system whose device nodes count. Raises `OSError`: ``ENOTBLK`` for what is no device.
    """
    if not (stat.S_ISCHR(device.st_mode) or stat.S_ISBLK(device.st_mode)):
        raise OSError(errno.ENOTBLK, "it is no device")
    os.mknod(path, stat.S_IFMT(device.st_mode) | 0o666, device.st_rdev)
    try:
        path.chmod(0o666)  # whatever the umask
        os.chown(path, idmap.host_uid(0), idmap.host_gid(0))
        yield
    finally:
        path.unlink()
