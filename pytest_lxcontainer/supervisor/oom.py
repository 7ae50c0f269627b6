"""Whether the kernel killed something in a container because its memory was used up.

LXC removes the container's cgroup before its monitor ends. On v2 that is no matter: the events of a cgroup count in the
one above, which is ours. v1 has no such sum; there an eventfd tells of an event, and, once more, of the removal.
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (OOM Control)
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path

from ..container.cgroups import table_in

REMOVAL_NOTICE = 0.02
"""Seconds in which the kernel tells of a cgroup's removal."""


class OomWatch:
    """Counts by an eventfd how often the v1 memory cgroup *directory* runs out; `OSError` where it cannot."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen = False
        self._count = 0
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            control = os.open(directory / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                (directory / "cgroup.event_control").write_text(f"{self.fd} {control}")
            finally:
                os.close(control)
        except OSError:
            os.close(self.fd)
            raise

    @property
    def removed(self) -> bool:
        """Whether the cgroup is gone, so that nothing more will come."""
        return not self._directory.exists()

    def take(self) -> None:
        """Note what has happened up to now."""
        there = not self.removed
        with suppress(BlockingIOError):
            self._count += os.eventfd_read(self.fd)
            self._seen = self._seen or there

    def tells(self, killed: bool) -> bool:
        """Whether it ran out of memory, at its end; *killed* is whether somebody unknown killed the command.

        One notice that was read too late may be that of the removal, which comes some time after it: then a second one
        decides.
        """
        self.take()
        if killed and self._count == 1 and not self._seen:
            select.select([self.fd], [], [], REMOVAL_NOTICE)
            self.take()
        return self._seen or self._count > 1

    def close(self) -> None:
        """Stop counting."""
        os.close(self.fd)


def oom_kills_below(directory: Path) -> int:
    """How many processes the kernel killed for memory in the v2 cgroup *directory* and those that were below it."""
    return table_in(directory / "memory.events").get("oom_kill", 0)
