"""A process of the supervisor's that lives in a container's network namespace while it has something to do there.

It is root's in the run of root, so that programs of the host that it runs may do what it may; of an ordinary user's
container it becomes the root. It keeps the namespace alive: it has to go before the container can.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..container.attach import CLONE_NEWNET, CLONE_NEWUSER, PR_SET_PDEATHSIG, keep_only, setns
from .loop import wait

_CHUNK = 1 << 16


class Dweller:
    """Runs *work*, given a socket and the descriptors *fds* that stay open for it, where the process of *pidfd* is.

    Lines are sent and received over the socket; its end is the end of the work.
    """

    def __init__(
        self, pidfd: int, work: Callable[[socket.socket], None], *, is_root: bool, fds: tuple[int, ...] = ()
    ) -> None:
        self._door, theirs = socket.socketpair()
        self._received = b""
        supervisor = os.getpid()
        with theirs:
            self._pid = os.fork()
            if self._pid == 0:
                spaces = CLONE_NEWNET if is_root else CLONE_NEWNET | CLONE_NEWUSER
                _dwell(theirs, pidfd, spaces, work, (supervisor, *fds))

    def fileno(self) -> int:
        """What turns readable when it has said something, or has ended."""
        return self._door.fileno()

    def send(self, line: str) -> None:
        """Say *line*; raises `ConnectionError` where it has ended."""
        self._door.sendall(line.encode() + b"\n")

    async def line(self) -> str:
        """The next line that it says; raises `ConnectionError` where it ends before."""
        while b"\n" not in self._received:
            await wait([self._door.fileno()])
            data = self._door.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("what lived in the container's network has ended")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        """End it; what it has done to the network goes with that."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._door.close()


def _dwell(
    door: socket.socket, pidfd: int, spaces: int, work: Callable[[socket.socket], None], kept: tuple[int, ...]
) -> NoReturn:
    supervisor, *fds = kept
    try:
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)  # whatever it was
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == supervisor:
            setns(pidfd, spaces)
            keep_only([door.fileno(), *fds])
            work(door)
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)
