"""What a start of a container leaves on the host, and its removal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from ..container.cgroups import processes_below, remove_tree
from ..network.bridge import delete_link
from .loop import wait
from .work import Works

_INTERVAL = 0.0005
_MADE_BY_LXC = ("payload", "monitor")


class Leftovers:
    """One container's *cgroups*, a directory in each hierarchy, its veth *pair* if that is known, and its *works*."""

    def __init__(self, cgroups: Collection[Path], pair: str | None, works: Works) -> None:
        self._cgroups = frozenset(cgroups)
        self._left = self._cgroups
        self._pair = pair
        self._works = works

    def remove_cgroups(self) -> None:
        """Remove what LXC leaves at an end: on cgroup v1 it cannot remove the directory its monitor is in.

        Processes that are in them are killed, which takes the kernel a moment.
        """
        self._left = frozenset(directory for directory in self._cgroups if not _remove(directory))

    async def until_gone(self, timeout: float) -> None:
        """Remove it, and wait until it is gone, at most *timeout* seconds.

        A killed monitor leaves dying processes in the cgroups, and a veth that the kernel removes in its own time with
        the network namespace. Where somebody keeps that alive, the veth is removed without it.
        """
        deadline = time.monotonic() + timeout
        while not self._are_gone():
            if time.monotonic() > deadline:
                if self._pair is not None:
                    delete_link(self._pair)
                return
            await wait([], _INTERVAL)

    def _are_gone(self) -> bool:
        self._left = frozenset(directory for directory in self._left if not _remove(directory))
        if self._works.at_rest or self._left:
            return False
        return self._pair is None or not Path("/sys/class/net", self._pair).exists()


def _remove(directory: Path) -> bool:
    if remove_tree(directory, _MADE_BY_LXC):
        return True
    for pid in processes_below(directory):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return remove_tree(directory)
