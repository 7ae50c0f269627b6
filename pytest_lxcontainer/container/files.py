"""Files of a running container, opened by a process that is its root among its files.

Whatever the image put in the way (links, mounts, a hostile /proc), a path can only resolve to something
that the container itself can see.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat

from .attach import Target, run_inside

_FLAGS = {"rb": os.O_RDONLY, "wb": os.O_WRONLY | os.O_CREAT | os.O_TRUNC}


def open_inside(target: Target, path: str, mode: str, permissions: int) -> int:
    """Open the regular file *path* as ``"rb"`` or ``"wb"``; returns a descriptor of the caller's.

    Raises `OSError`; a FIFO or device is refused with EINVAL before it can block anyone.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def work() -> bytes:
            # Truncating comes after the check, and without O_NONBLOCK a FIFO would hang the open itself.
            fd = os.open(path, (_FLAGS[mode] & ~os.O_TRUNC) | os.O_NONBLOCK | os.O_CLOEXEC, permissions)
            kind = os.fstat(fd).st_mode
            if not stat.S_ISREG(kind):
                raise OSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, "not a regular file")
            if _FLAGS[mode] & os.O_TRUNC:
                os.ftruncate(fd, 0)
            socket.send_fds(theirs, [b"f"], [fd])
            return b""

        run_inside(target, work)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    os.set_blocking(fds[0], True)
    return fds[0]


def list_inside(target: Target, path: str) -> list[str] | None:
    """Sorted names in directory *path*; an empty list for another kind of file, ``None`` for nothing there."""

    def work() -> bytes:
        try:
            return json.dumps(sorted(os.listdir(path))).encode()
        except NotADirectoryError:
            return b"[]"
        except FileNotFoundError:
            return b"[]" if os.path.lexists(path) else b"null"

    names: list[str] | None = json.loads(run_inside(target, work))
    return names
