"""The client's part in work on a container's files and in following its log."""

from __future__ import annotations

import os
import selectors
import socket
from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from ..container.channel import Channel, Frame
from ..container.transfer import Transfer, Transfers
from .protocol import Message

_PART = 1 << 20
"""Bytes of a log that are in memory at a time."""


class WorkClient(Transfers):
    """What of a `Backend` concerns files and the log."""

    @abstractmethod
    def _request(self, message: Message) -> AbstractContextManager[tuple[Any, list[int]]]:
        """Ask the supervisor."""

    def mount(self, name: str, source: str, path: str, read_only: bool) -> None:
        """See `Backend`."""
        with self._request({"do": "mount", "name": name, "source": source, "path": path, "read_only": read_only}):
            pass

    def unmount(self, name: str, path: str, *, remove: bool = False) -> None:
        """See `Backend`."""
        self._transfer(name).ask({"do": "unmount", "path": path, "remove": remove})

    def follow(self, name: str, since: float = 0.0, *, this_start: bool = False) -> Following:
        """See `Backend`."""
        message = {"do": "follow", "name": name, "since": since, "this_start": this_start}
        with self._request(message) as (value, fds):
            return Following(fds[0], value["offset"], socket.socket(fileno=fds[1]))

    def _transfer(self, name: str) -> Transfer:
        def begin(task: Frame) -> Channel:
            with self._request({"do": "work", "name": name, "task": task}) as (_, fds):
                return Channel(socket.socket(fileno=fds[0]))

        return Transfer(name, begin)


class Following:
    """See `LogHandle`; *bell* has something to read when the log has grown, and is at its end when that is complete."""

    def __init__(self, fd: int, offset: int, bell: socket.socket) -> None:
        self._fd = fd
        self._offset = offset
        self._bell = bell
        self._first = True

    def fileno(self) -> int:
        """See `LogHandle`."""
        return self._bell.fileno()

    def wait(self, timeout: float | None = None) -> bool:
        """See `LogHandle`."""
        if self._first:
            # What was there before has rung for nobody; only an end can be known already.
            self._first, timeout = False, 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            return not selector.select(timeout) or bool(self._bell.recv(1 << 12))

    def read(self) -> bytes:
        """See `LogHandle`."""
        data = os.pread(self._fd, _PART, self._offset)
        self._offset += len(data)
        return data

    def close(self) -> None:
        """See `LogHandle`."""
        os.close(self._fd)
        self._bell.close()
