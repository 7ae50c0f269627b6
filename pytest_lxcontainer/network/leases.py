"""Names that one process on the host holds at a time, and that no kind of end leaves behind.

A lease is an abstract Unix socket (unix(7)): the kernel lets one process in a network namespace bind the
name, whoever its user is, and frees it when the process ends. That is the very scope in which an IP
address must be unique.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

_PREFIX = "\0pytest-lxcontainer/lease/"


@dataclass(frozen=True, slots=True)
class Lease:
    """A held name."""

    name: str
    _socket: socket.socket

    def release(self) -> None:
        """Let others have it."""
        self._socket.close()


def take(name: str) -> Lease | None:
    """Hold *name*, or ``None`` if someone else does."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(_PREFIX + name)
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return Lease(name, holder)
