"""What the two ends of work on a container's files say to each other: one stream socket, parted into frames.

A frame is its length (4 bytes, big endian) and as many bytes: a JSON object, which file descriptors may travel with, or
a piece of a file's content. A hole in a file is the length 2^31 and the hole's own (8 bytes).
https://man7.org/linux/man-pages/man7/unix.7.html (SCM_RIGHTS).
"""

from __future__ import annotations

import json
import socket
import struct
from array import array
from typing import Any

_HEADER = struct.Struct("!I")
_HOLE, _HOLE_SIZE = 1 << 31, struct.Struct("!Q")
_MAX_FRAME = 64 * 1024 * 1024
_READ = 1 << 18

Frame = dict[str, Any]


class Channel:
    """One end; *sock* is its own from here on."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._sock.close()

    def send(self, frame: Frame, fd: int | None = None) -> None:
        """Send *frame*, with a descriptor that stays open here."""
        body = json.dumps(frame).encode("ascii")
        data = _HEADER.pack(len(body)) + body
        if fd is not None:
            data = data[socket.send_fds(self._sock, [data], [fd]) :]
        if data:  # an empty one could still fail, when who has all has left
            self._sock.sendall(data)

    def receive(self) -> tuple[Frame, int | None]:
        """Receive a frame and the descriptor that came with it; `ConnectionError` when the other end is gone."""
        # Not socket.recv_fds, which drops its flags (Python 3.13).
        header, ancillary, _, _ = self._sock.recvmsg(
            _HEADER.size, socket.CMSG_SPACE(array("i").itemsize), socket.MSG_CMSG_CLOEXEC
        )
        fds = array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        frame: Frame = json.loads(self._exactly(self._length(header)))
        return frame, fds[0] if fds else None

    def send_piece(self, data: bytes) -> None:
        """Send a piece of a file; the empty one is its end."""
        self._sock.sendall(_HEADER.pack(len(data)))
        if data:
            self._sock.sendall(data)

    def send_hole(self, size: int) -> None:
        """Send *size* zeros of a file that take no room in it."""
        self._sock.sendall(_HEADER.pack(_HOLE) + _HOLE_SIZE.pack(size))

    def receive_piece(self) -> bytes | int:
        """Receive what `send_piece` sent, or the size that `send_hole` did."""
        length = self._length(b"", allowed=_HOLE)
        if length == _HOLE:
            size: int = _HOLE_SIZE.unpack(self._exactly(_HOLE_SIZE.size))[0]
            return size
        return self._exactly(length)

    def _length(self, header: bytes, allowed: int | None = None) -> int:
        length: int = _HEADER.unpack(header + self._exactly(_HEADER.size - len(header)))[0]
        if length != allowed and length > _MAX_FRAME:
            raise ConnectionAbortedError(f"a frame of {length} bytes")
        return length

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            part = self._sock.recv(min(count, _READ))
            if not part:
                raise ConnectionResetError("the other end is gone")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
