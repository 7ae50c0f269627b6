"""What the supervisor and the processes that fork for it say to each other: plain values, with file descriptors.

One asks and waits for the answer, so that never more than one parcel is on its way. Who receives is copied for each
container and each command; so nothing is imported here that brings much along.
"""

from __future__ import annotations

import errno
import marshal
import os
import sys

TYPE_CHECKING = False  # not typing's: see `zygote`
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import Any
else:
    import _socket as socket

_NUMBER = 4
"""Bytes of a length, a process id, an errno, a descriptor."""
_AT_ONCE = 1 << 13
_CHUNK = 1 << 20
_MOST_FDS = 6


class Record:
    """Values with names, in the order in which a class of this kind states them."""

    def __init__(self, *values: Any) -> None:
        self.__dict__.update(zip(type(self).__annotations__, values, strict=True))

    @classmethod
    def packed(cls, **fields: Any) -> tuple[Any, ...]:
        """The values, for marshal; *fields* are all there are."""
        return tuple(fields[name] for name in cls.__annotations__)


def send(door: socket.socket, value: Any, fds: Sequence[int] = ()) -> None:
    """Send what marshal takes, and at most six descriptors; `ConnectionError` where the other end is closed."""
    data = marshal.dumps(value)
    data = _number(len(data)) + data
    sent = send_fds(door, data, fds)
    if sent < len(data):
        door.sendall(memoryview(data)[sent:])


def send_fds(door: socket.socket, data: bytes, fds: Sequence[int]) -> int:
    """Send *data* with copies of *fds*; returns how much of it has gone."""
    numbers = b"".join(map(_number, fds))
    return door.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if numbers else [])


def receive_fds(door: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Wait for at most *size* bytes, and at most so many descriptors, which are close-on-exec."""
    data, ancillary, _, _ = door.recvmsg(size, socket.CMSG_SPACE(most * _NUMBER), socket.MSG_CMSG_CLOEXEC)
    return data, [each for _, _, numbers in ancillary for each in _numbers(numbers)]


def receive(door: socket.socket) -> tuple[Any, list[int]]:
    """Wait for a value and its descriptors, which are close-on-exec; `ConnectionResetError` at the end."""
    data, fds = receive_fds(door, _AT_ONCE, _MOST_FDS)
    data = _whole(door, data, _NUMBER)
    data = _whole(door, data, _NUMBER + _numbers(data[:_NUMBER])[0])
    return marshal.loads(memoryview(data)[_NUMBER:]), fds


def answer(door: socket.socket, pid: int, code: int = 0) -> None:
    """Tell a process id, or an errno."""
    door.sendall(_number(pid) + _number(code))


def answered(door: socket.socket) -> int:
    """Wait for the process id; raises the `OSError` that was told instead, `ConnectionResetError` at the end."""
    pid, code = _numbers(_whole(door, b"", 2 * _NUMBER))
    if code:
        raise OSError(code, os.strerror(code))
    return pid


def _whole(door: socket.socket, data: bytes, size: int) -> bytes:
    while len(data) < size:
        part = door.recv(min(size - len(data), _CHUNK))
        if not part:
            raise ConnectionResetError(errno.ECONNRESET, "the other end has gone")
        data += part
    return data


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER, sys.byteorder)


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + _NUMBER], sys.byteorder) for at in range(0, len(data), _NUMBER)]
