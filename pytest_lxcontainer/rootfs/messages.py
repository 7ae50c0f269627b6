"""What a `Sandbox` and its helper say to each other: one packet a message, file descriptors beside it."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any, TypeAlias

from ..errors import (
    CorruptImageError,
    DigestMismatchError,
    HostNotReadyError,
    LxContainerError,
    StoreError,
    UnsafeLayerError,
    UnsupportedImageError,
)

Message: TypeAlias = dict[str, Any]

MAX_PACKET = 128 * 1024
MAX_FDS = 250
"""Just below SCM_MAX_FD, the most that the kernel passes with one message."""

_ERRORS: dict[str, type[LxContainerError]] = {
    error.__name__: error
    for error in (
        CorruptImageError,
        DigestMismatchError,
        HostNotReadyError,
        StoreError,
        UnsafeLayerError,
        UnsupportedImageError,
    )
}
_FIELDS = ("entry", "expected", "actual")


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send *message* with *fds*, which stay open here."""
    socket.send_fds(sock, [json.dumps(message).encode("ascii")], fds)


def receive(sock: socket.socket) -> tuple[Message | None, list[int]]:
    """Return the next message and the descriptors that came with it; ``None`` when the other side is gone."""
    data, fds, _, _ = socket.recv_fds(sock, MAX_PACKET, MAX_FDS + 3)
    return (json.loads(data) if data else None), fds


def describe(error: LxContainerError) -> Message:
    """Return *error* as a message."""
    fields = {name: getattr(error, name) for name in _FIELDS if hasattr(error, name)}
    details = "" if "expected" in fields else error.details
    texts = {"message": error.message, "details": details, "hint": error.hint}
    return {"error": type(error).__name__, "texts": texts, "fields": fields}


def rebuild(message: Message) -> LxContainerError:
    """Return the error that `describe` made *message* from."""
    kind = _ERRORS.get(message["error"], StoreError)
    texts = message["texts"]
    keywords = {"hint": texts["hint"], **message["fields"]}
    if texts["details"]:
        keywords["details"] = texts["details"]
    return kind(texts["message"], **keywords)
