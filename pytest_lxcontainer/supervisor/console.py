"""What a container's command writes, kept in a file in the order in which it arrived."""

from __future__ import annotations

import os
import socket
import sys
import time
from bisect import bisect_left
from pathlib import Path

_CHUNK = 1 << 16
_TICK = 0.001
"""Seconds; chunks closer together than this share one entry of the time index."""
_MOST_TIMES = 1 << 16
"""Entries of the time index; beyond, the older half loses every second one."""
_LARGEST_PIPE = 1 << 20


class Console:
    """The reading end of a container's stdout and stderr, and the log file they go to once there is something."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._size = 0
        self._times: list[float] = []
        self._offsets: list[int] = []
        self._bells: list[socket.socket] = []
        self.begin = 0
        """Where the log of the last start begins."""

    def mark(self) -> None:
        """Note that a start begins."""
        self.begin = self._size

    def take(self, fd: int) -> bool:
        """Move what is readable on the non-blocking *fd* to the log; false at its end."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # EIO: a terminal that was hung up
            return False
        if not data:
            return False
        self._note_time()
        self._write(data)
        self._bells = [bell for bell in self._bells if _ring(bell)]
        return True

    def _note_time(self) -> None:
        now = time.time()
        if not self._times or now - self._times[-1] > _TICK:
            self._times.append(now)
            self._offsets.append(self._size)
        if len(self._times) > _MOST_TIMES:
            del self._times[1 : _MOST_TIMES // 2 : 2], self._offsets[1 : _MOST_TIMES // 2 : 2]

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            file = self._opened()
            while view:
                written = os.write(file, view)
                view = view[written:]
                self._size += written
        except OSError as error:
            # A container must not stand still because the host's disk is full.
            print(f"{self.path}: {len(view)} bytes are lost: {error.strerror}", file=sys.stderr, flush=True)

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return self._file

    def drain(self, *fds: int | None) -> None:
        """Move all that is there now, though more may come at once."""
        for fd in fds:
            if fd is not None:
                self._drain(fd)

    def _drain(self, fd: int) -> None:
        before, limit = -1, self._size + _LARGEST_PIPE
        while before != self._size < limit:
            before = self._size
            self.take(fd)

    def offset(self, since: float) -> int:
        """Where in the log what arrived from *since* (seconds since the epoch) on begins."""
        index = bisect_left(self._times, since)
        return self._offsets[index] if index < len(self._offsets) else self._size

    def date(self, now: float) -> None:
        """Have all that is there count as having arrived *now* (seconds since the epoch)."""
        if self._size:
            self._times, self._offsets = [now], [0]

    def tail(self, limit: int = 4000) -> str:
        """The last *limit* bytes as text."""
        data = b"" if self._file is None else os.pread(self._file, limit, max(0, self._size - limit))
        return data.decode("utf-8", "replace")

    def open(self) -> int:
        """A descriptor of its own to read what has been logged with."""
        return os.open(os.devnull if self._file is None else self.path, os.O_RDONLY | os.O_CLOEXEC)

    def follow(self) -> socket.socket:
        """A socket that has something to read when the log has grown, and is at its end after `hang_up`."""
        self._opened()  # for who follows to read what is still to come
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._bells.append(ours)
        return theirs

    def hang_up(self) -> None:
        """Tell all who follow that nothing more comes, for now."""
        for bell in self._bells:
            # Closing alone would not do while a process that was forked meanwhile has a copy.
            bell.shutdown(socket.SHUT_RDWR)
            bell.close()
        self._bells = []

    def close(self) -> None:
        """Close the file."""
        self.hang_up()
        if self._file is not None:
            os.close(self._file)


def _ring(bell: socket.socket) -> bool:
    """Wake who follows; false, with *bell* closed, when nobody does any more."""
    try:
        bell.send(b".")
    except BlockingIOError:  # not awake yet
        pass
    except OSError:
        bell.close()
        return False
    return True
