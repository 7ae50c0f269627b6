"""Having the kernel's wait for a cgroup move behind us by the time LXC makes one.

To move a process between cgroups by ``cgroup.procs`` the kernel locks out forks on the whole host, and the first to
take that lock after a pause waits for a grace period of RCU: 8 ms on an idle machine, out of 25 for a whole start.
Whoever comes while the lock was just in use does not wait. So a small process takes it, to no effect, as soon as a
container is asked for; until LXC gets there, most of the wait is over.
https://docs.kernel.org/admin-guide/cgroup-v2.html (favordynmods)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn


class GracePeriod:
    """A forked process that joins the cgroup it is in when told to; none where this user has no cgroups."""

    def __init__(self, cgroups: Mapping[str, Path]) -> None:
        self._pipe: int | None = None
        entry = next((path / "cgroup.procs" for path in cgroups.values()), None)
        if entry is not None:
            self._fork(entry)

    def begin(self) -> None:
        """Have it begin now."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, b".")

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            os.close(self._pipe)
            os.waitpid(self._pid, 0)
            self._pipe = None

    def _fork(self, entry: Path) -> None:
        reader, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _serve(reader, entry)
        os.close(reader)


def _serve(reader: int, entry: Path) -> NoReturn:
    try:
        fd = os.open(entry, os.O_WRONLY | os.O_CLOEXEC)
        while os.read(reader, 1 << 10):
            os.write(fd, b"0")
    finally:
        os._exit(0)
