"""Talking to the kernel's network configuration: messages of rtnetlink(7), and sending them.

Imported by the zygote too, which has to do without what brings much along.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False  # not typing's: see `container.zygote`
if TYPE_CHECKING:
    import socket
else:
    import _socket as socket

NETLINK_ROUTE = 0
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 0x001, 0x004, 0x200, 0x400
NLMSG_ERROR = 2

FINE = (errno.EEXIST, errno.ENOENT, errno.EAFNOSUPPORT)
"""The kernel's words for what is there already, or is gone already, or would be for IPv6 where the host has none."""

_HEADER = 16
"""Bytes of ``struct nlmsghdr``; an answer's error number follows it."""
_ROOM = 1 << 16


def number(value: int, size: int = 4) -> bytes:
    """*value* as the kernel has its numbers: in the machine's byte order."""
    return value.to_bytes(size, sys.byteorder)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute: length, kind, value, and what is missing to a multiple of four bytes."""
    size = 4 + len(value)
    return number(size, 2) + number(kind, 2) + value + bytes(-size % 4)


def message(kind: int, flags: int, body: bytes) -> bytes:
    """One request, which is answered with an error number, 0 for none."""
    size = _HEADER + len(body)
    flags |= NLM_F_REQUEST | NLM_F_ACK
    return number(size) + number(kind, 2) + number(flags, 2) + number(0) + number(0) + body


def exchange(messages: tuple[bytes, ...]) -> None:
    """Have the kernel do them all, in the calling thread's network namespace; `OSError` where one is refused.

    What is `FINE` is no refusal. What comes after a refused message is done all the same.
    """
    refused = [code for code in answers(messages) if code and code not in FINE]
    if refused:
        raise OSError(refused[0], os.strerror(refused[0]))


def answers(messages: tuple[bytes, ...]) -> list[int]:
    """The kernel's error number for each of *messages*, which it does in their order."""
    if not messages:
        return []
    door = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
    try:
        door.send(b"".join(messages))
        codes: list[int] = []
        while len(codes) < len(messages):
            codes += _codes(door.recv(_ROOM))
        return codes
    finally:
        door.close()


def _codes(data: bytes) -> list[int]:
    found = []
    while data:
        size = int.from_bytes(data[:4], sys.byteorder)
        if int.from_bytes(data[4:6], sys.byteorder) == NLMSG_ERROR:
            found.append(-int.from_bytes(data[_HEADER : _HEADER + 4], sys.byteorder, signed=True))
        data = data[size + -size % 4 :]
    return found
