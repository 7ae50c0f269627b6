"""The ways to the processes that start a container's commands (`launching`)."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence

from . import parcel
from .backend import ExecSpec
from .capabilities import NUMBERS
from .launching import COMMAND, LAUNCHER, Entrance
from .target import Target
from .zygote import Zygote


class Launcher:
    """Starts commands in the container *target*; its process is a child of the caller's, as every command is.

    `stand` is to be called once, and may raise `OSError`, before the first command.
    """

    def __init__(self, zygote: Zygote, target: Target) -> None:
        self._door, inside = socket.socketpair()
        with inside:
            self.pid = zygote.fork(LAUNCHER, _entrance(target), [inside.fileno(), target.pidfd])

    def fileno(self) -> int:
        """What turns readable when `stand` need not wait."""
        return self._door.fileno()

    def stand(self) -> None:
        """Wait until it is in the container; raises `OSError` where that is gone."""
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
        parcel.send(self._door, _words(spec), stdio)
        return parcel.answered(self._door)

    def dismiss(self) -> None:
        """Have it end soon; commands that run are left alone."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Have it end, and wait for that: it has begun to by itself where the container has ended."""
        self.dismiss()
        os.waitpid(self.pid, 0)
        self._door.close()


class Entering:
    """A command on its own way into the container *target*, as `Launcher.spawn` starts one; needs root.

    First it is born, then it enters: `fileno` and `go_on` are to be called in turn, twice.
    """

    def __init__(self, zygote: Zygote, target: Target, spec: ExecSpec, stdio: Sequence[int]) -> None:
        self._door, self._inside = socket.socketpair()
        fds = [*stdio, self._inside.fileno(), target.pidfd]
        self._birth = zygote.begin(COMMAND, (_entrance(target), *_words(spec)), fds, inside=True)
        self.pid = 0

    def fileno(self) -> int:
        """What turns readable when `go_on` need not wait."""
        return self._door.fileno() if self.pid else self._birth.fileno()

    def go_on(self) -> None:
        """Wait until it has a *pid*, a child of the caller's to wait for, and then, until it is in the container.

        Raises `OSError` where that is gone.
        """
        try:
            if self.pid:
                self._stand()
            else:
                self.pid = self._birth.pid()
                self._inside.close()
        except OSError:
            self._inside.close()
            self._door.close()
            raise

    def _stand(self) -> None:
        with self._door:
            try:
                parcel.answered(self._door)
            except OSError:
                os.waitpid(self.pid, 0)
                raise


def _entrance(target: Target) -> tuple[object, ...]:
    cgroups = tuple(str(path) for path in target.cgroups)
    dropped = tuple(NUMBERS[capability] for capability in target.dropped)
    return Entrance.packed(
        cgroups=cgroups, user_namespace=target.user_namespace, dropped=dropped, filters=target.filters
    )


def _words(spec: ExecSpec) -> tuple[object, ...]:
    return (spec.args, spec.env, spec.cwd, spec.uid, spec.gid, spec.groups, spec.tty)
