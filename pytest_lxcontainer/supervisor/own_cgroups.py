"""A container's cgroups on v1, made here in LXC's place.

LXC makes three directories in each of a host's hierarchies, a dozen of which are mounted; gives some of them to the
container's root, by a process in a user namespace made for that; and moves its monitor, for which the kernel locks all
threads of the host out (`cgroups.entry_files`). Of all that a container needs one directory for each controller that
limits or counts something. So LXC is shown no cgroups (`View`), and init joins these when it has told that it is there
(`Herald`). Where a container has business with cgroups itself, as systemd has, all is left to LXC.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..container.limits import Limits, write_limits

CONTROLLERS = ("memory", "cpu", "cpuacct", "blkio", "pids", "freezer")
"""Those of v1 by which a container is limited, counted or halted."""


class OwnCgroups:
    """Those of one container: *directories* by controller."""

    def __init__(self, bases: Mapping[str, Path], path: str) -> None:
        self.directories = {name: bases[name] / path for name in CONTROLLERS if name in bases}
        # Controllers that are mounted together have one directory.
        self._paths = tuple(dict.fromkeys(map(str, self.directories.values())))

    def make(self, limits: Limits, disks: tuple[str, ...]) -> None:
        """Make them, with *limits*; raises `OSError` where the kernel does not take one."""
        for path in self._paths:
            try:
                os.mkdir(path)  # noqa: PTH102 - half a dozen for each container
            except FileExistsError:  # from an earlier start
                pass
            except FileNotFoundError:  # the run's first
                Path(path).mkdir(parents=True)
        write_limits(limits, set(limits.bounded), self.directories, True, disks)

    @contextmanager
    def entries(self) -> Iterator[list[int]]:
        """Descriptors to join them by: a process with one thread writes ``0`` to each; see `cgroups.entry_files`."""
        with ExitStack() as stack:
            fds = []
            for path in self._paths:
                fds.append(os.open(f"{path}/tasks", os.O_WRONLY | os.O_CLOEXEC))
                stack.callback(os.close, fds[-1])
            yield fds
