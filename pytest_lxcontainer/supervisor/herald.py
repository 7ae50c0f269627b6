"""What a container's init tells of its start, so that nobody has to look again and again.

It has one end of a socket (`monitor.HERALD`) until its command is there, and sends two messages: one from itself, with
a pipe's reading end and the terminal that the command will have, if any; and one from the process that is about to
become the command. The kernel says whose they are, by the process ids of the receiver (SCM_CREDENTIALS of unix(7)). The
other end of the pipe is close-on-exec.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

_CREDENTIALS = struct.Struct("3i")
_FD = struct.Struct("i")
_MOST_FDS = 2
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_MOST_FDS * _FD.size)


class Herald:
    """Listens to one start. An LXC before 5.0 leaves init no way to speak: then there is nothing to be heard.

    *init* and *command* are process ids, once they are known; an init that becomes its command itself is both.
    *executed* is whether the command has been executed, or has failed to be. *terminal* is the other end of its
    terminal, and the caller's to close.
    """

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._ours.setblocking(False)
        self._pipe: int | None = None
        self._is_silent = False
        self.init: int | None = None
        self.command: int | None = None
        self.terminal: int | None = None
        self.executed = False

    @property
    def speaks(self) -> bool:
        """Whether it tells of everything, so that nobody need look."""
        return not self._is_silent or self.init is not None

    @property
    def fds(self) -> tuple[int, ...]:
        """What turns readable with news."""
        fds = () if self._is_silent else (self._ours.fileno(),)
        return fds if self._pipe is None or self.executed else (*fds, self._pipe)

    def listen(self) -> None:
        """Take what has been said."""
        with suppress(BlockingIOError):
            while not self._is_silent:
                self._take()
        if self._pipe is not None and not self.executed:
            with suppress(BlockingIOError):
                self.executed = not os.read(self._pipe, 1)

    def _take(self) -> None:
        said, ancillary, _, _ = self._ours.recvmsg(1, _ROOM, socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and said:
                self.command = _CREDENTIALS.unpack(data)[0]
                self.init = self.init or self.command
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._pipe, *rest = (fd for (fd,) in _FD.iter_unpack(data))
                self.terminal = rest[0] if rest else None
                os.set_blocking(self._pipe, False)
        # Its other ends are closed: by an LXC before 5.0, or since everybody who had one has ended.
        self._is_silent = not said

    def show_in(self, entries: Sequence[int]) -> None:
        """Give init, which waits for them, the descriptors by which it joins its cgroups."""
        with suppress(OSError):  # it has ended
            socket.send_fds(self._ours, [b"g"], list(entries))

    def close(self) -> None:
        """Listen no longer."""
        self._ours.close()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
