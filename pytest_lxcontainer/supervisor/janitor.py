"""Removing directories behind everyone's back, in a process of its own.

An ordinary user cannot remove files of a container's other users without a user namespace, and a large
tree takes long; neither may hold up the supervisor.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from ..container.attach import keep_only
from ..rootfs.idmap import IdMap

_MAX_PATH = 1 << 16


class Janitor:
    """A forked process that removes one tree after the other."""

    def __init__(self, idmap: IdMap) -> None:
        self._idmap = idmap
        self._socket: socket.socket | None = None
        self._pid = 0

    def prepare(self) -> None:
        """Start the process ahead of need: an ordinary user's takes some tenths of a second of a processor."""
        if self._socket is None:
            self._fork()

    def remove(self, path: Path) -> None:
        """Have *path* removed soon."""
        self.prepare()
        assert self._socket is not None  # _fork made it
        self._socket.send(os.fsencode(path))

    def finish(self) -> None:
        """Wait until all is removed, and end the process."""
        if self._socket is not None:
            self._socket.close()
            os.waitpid(self._pid, 0)
            self._socket = None

    def _fork(self) -> None:
        # SEQPACKET keeps paths apart, and the child sees the end of it when this process is gone.
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            _serve(theirs, self._idmap)
        theirs.close()


def _serve(requests: socket.socket, idmap: IdMap) -> NoReturn:
    try:
        # What the supervisor has open, running containers' pipes among it, must end with the supervisor.
        keep_only([requests.fileno()])
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)  # whatever it was
        # Imported here: the supervisor itself, which every fork copies, does without it.
        from ..rootfs.sandbox import Sandbox

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Sandbox(idmap) as sandbox:
            if os.geteuid() != 0:  # root removes without its help
                _attempt(sandbox.start)
            while path := requests.recv(_MAX_PATH):
                _attempt(partial(sandbox.remove, Path(os.fsdecode(path))))
    finally:
        os._exit(0)


def _attempt(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        traceback.print_exc()
