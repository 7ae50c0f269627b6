"""What the supervisor and the processes that fork for it say to each other: plain values, with file descriptors.

One asks and waits for the answer, so that never more than one parcel is on its way. Who receives is copied for each
container and each command; so nothing is imported here that brings much along.
"""

from __future__ import annotations

import errno
import marshal
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

_NUMBER = 4
"""Bytes of a length, a process id, an errno, a descriptor."""
_AT_ONCE = 1 << 13
_CHUNK = 1 << 20
_MOST_FDS = 6


def send(door: socket.socket, value: Any, fds: Sequence[int] = ()) -> None:
    """Send what marshal takes, and at most six descriptors; `ConnectionError` where the other end is closed."""
    data = marshal.dumps(value)
    data = _number(len(data)) + data
    sent = socket.send_fds(door, [data], list(fds))
    if sent < len(data):
        door.sendall(memoryview(data)[sent:])


def receive(door: socket.socket) -> tuple[Any, list[int]]:
    """Wait for a value and its descriptors, which are close-on-exec; `ConnectionResetError` at the end."""
    room = socket.CMSG_SPACE(_MOST_FDS * _NUMBER)
    data, ancillary, _, _ = door.recvmsg(_AT_ONCE, room, socket.MSG_CMSG_CLOEXEC)
    fds = [each for _, _, numbers in ancillary for each in _numbers(numbers)]
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
