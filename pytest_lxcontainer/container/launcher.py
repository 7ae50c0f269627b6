"""The way to the process that starts a container's commands (`launching`)."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence

from . import parcel
from .backend import ExecSpec
from .capabilities import NUMBERS
from .launching import LAUNCHER, Entrance
from .target import Target
from .zygote import Zygote


class Launcher:
    """Starts commands in the container *target*; its process is a child of the caller's, as every command is.

    Raises `OSError` where the container is gone; without *at_once* that is for `stand` to tell.
    """

    def __init__(self, zygote: Zygote, target: Target, *, at_once: bool = True) -> None:
        self._door, inside = socket.socketpair()
        cgroups = tuple(str(path) for path in target.cgroups)
        dropped = tuple(NUMBERS[capability] for capability in target.dropped)
        with inside:
            entrance = Entrance(cgroups, target.user_namespace, dropped, target.filters)
            self.pid = zygote.fork(LAUNCHER, tuple(entrance), [inside.fileno(), target.pidfd])
        if at_once:
            self.stand()

    def fileno(self) -> int:
        """What turns readable when `stand` need not wait."""
        return self._door.fileno()

    def stand(self) -> None:
        """Wait until it is in the container; to be called once, by who did not have it *at_once*."""
        try:
            parcel.answered(self._door)
        except OSError:
            self.close()
            raise

    def spawn(self, spec: ExecSpec, stdio: Sequence[int]) -> int:
        """Run *spec* with three file descriptors; returns its pid, a child of the caller's to wait for.

        The command leads its own session. A command that cannot be executed ends with 127 (not found) or 126,
        after a line on its stderr, as a shell would have it. Raises `OSError` where the container is gone, of which
        `ConnectionError` says that this launcher is.
        """
        parcel.send(self._door, (spec.args, spec.env, spec.cwd, spec.uid, spec.gid, spec.groups), stdio)
        return parcel.answered(self._door)

    def dismiss(self) -> None:
        """Have it end soon; commands that run are left alone."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Have it end, and wait for that: it has begun to by itself where the container has ended."""
        self.dismiss()
        os.waitpid(self.pid, 0)
        self._door.close()
