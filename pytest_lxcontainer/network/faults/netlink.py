"""Messages of netfilter's netlink family, as bytes.

https://docs.kernel.org/userspace-api/netlink/intro.html; numbers from linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import os
import socket
import struct

from ..netlink import NLM_F_REQUEST, NLMSG_ERROR, attribute

NETLINK_NETFILTER = 12
NLM_F_APPEND = 0x800

_NESTED = 0x8000
_HEADER = struct.Struct("=IHHIIBBH")
"""Of netlink (length, type, flags, sequence, port) and of netfilter (family, version, resource)."""
HEADER_SIZE = _HEADER.size
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_KIND_AT, _ERRNO_AT = 4, 16


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that is made of others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def message(kind: int, *attributes: bytes, flags: int = 0, family: int = 0, resource: int = 0) -> bytes:
    """A message of *kind*: the subsystem's number in the upper byte, its own in the lower."""
    body = b"".join(attributes)
    size = HEADER_SIZE + len(body)
    return _HEADER.pack(size, kind, NLM_F_REQUEST | flags, 0, 0, family, 0, socket.htons(resource)) + body


def batch(subsystem: int, *messages: bytes) -> bytes:
    """Messages that take effect together."""
    begin = message(_BATCH_BEGIN, resource=subsystem)
    return begin + b"".join(messages) + message(_BATCH_END, resource=subsystem)


def kind_of(data: bytes | memoryview) -> int:
    """The kind of the message that *data* begins with; see `message`."""
    (kind,) = struct.unpack_from("=H", data, _KIND_AT)
    return int(kind)


def opened() -> socket.socket:
    """A socket to netfilter in this process's network namespace."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)


def ask(door: socket.socket, request: bytes) -> None:
    """Send what asks for an acknowledgement, and wait for that; raises the `OSError` that is told instead."""
    door.send(request)
    while True:
        reply = door.recv(1 << 16)
        if kind_of(reply) == NLMSG_ERROR:
            (code,) = struct.unpack_from("=i", reply, _ERRNO_AT)
            if code:
                raise OSError(-code, os.strerror(-code))
            return
