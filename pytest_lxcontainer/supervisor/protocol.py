"""What client and supervisor say to each other.

A message is a JSON object behind its length (4 bytes, big endian) on an abstract Unix stream socket; file
descriptors travel with its first byte (SCM_RIGHTS, unix(7)). A request is ``{"do": name, ...}``, its answer
``{"ok": value}`` or ``{"error": {...}}``; a connection carries one request at a time.
"""

from __future__ import annotations

import json
import socket
import struct
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from .. import errors

MAX_FDS = 4
_HEADER = struct.Struct("!I")
_MAX_MESSAGE = 64 * 1024 * 1024
_READ = 1 << 16
_ANCILLARY = socket.CMSG_SPACE(MAX_FDS * struct.calcsize("i"))

Message = dict[str, Any]


def socket_name(run_id: str) -> str:
    """The abstract address of a run's supervisor."""
    return f"\0pytest-lxcontainer/run/{run_id}"


def send(sock: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message with *fds*."""
    body = json.dumps(message).encode()
    data = _HEADER.pack(len(body)) + body
    if fds:
        sent = socket.send_fds(sock, [data], list(fds))
        data = data[sent:]
    sock.sendall(data)


def receive(sock: socket.socket) -> tuple[Message, list[int]]:
    """Receive one message, and not a byte of the next, with its file descriptors.

    Raises `ConnectionError` when the other side is gone.
    """
    # Not socket.recv_fds, which drops its flags (Python 3.13): every command would inherit what others were given.
    header, ancillary, _, _ = sock.recvmsg(_HEADER.size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    fds = array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if len(header) < _HEADER.size:
        header += _exactly(sock, _HEADER.size - len(header), bool(header))
    length: int = _HEADER.unpack(header)[0]
    if length > _MAX_MESSAGE:
        raise ConnectionAbortedError(f"a message of {length} bytes")
    message: Message = json.loads(_exactly(sock, length))
    return message, fds.tolist()


def _exactly(sock: socket.socket, count: int, begun: bool = True) -> bytes:
    """Read *count* bytes of a message that has *begun*."""
    parts = []
    while count:
        part = sock.recv(min(count, _READ)) if begun else b""
        if not part:
            raise ConnectionResetError("the other side closed the connection")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def describe(error: BaseException) -> Message:
    """An error as plain values, to be raised again on the other side."""
    if not isinstance(error, errors.LxContainerError):
        return {"kind": "SupervisorError", "message": f"{type(error).__name__}: {error}"}
    extra = {
        key: value
        for key, value in vars(error).items()
        if isinstance(value, (str, int, float)) or value is None
        if key not in ("message", "details", "hint")
    }
    if isinstance(error, OSError):
        extra["errno"] = error.errno  # not in vars(): OSError keeps it elsewhere
    basics = {"message": error.message, "details": error.details, "hint": error.hint}
    return {"kind": type(error).__name__, **basics, "extra": extra}


def rebuild(described: Message) -> errors.LxContainerError:
    """The error that `describe` described."""
    kind = getattr(errors, described["kind"], errors.SupervisorError)
    error: errors.LxContainerError = kind(described["message"], **described.get("extra", {}))
    # Not as arguments: an error may make its details of others itself.
    error.details, error.hint = described.get("details", ""), described.get("hint", "")
    return error
