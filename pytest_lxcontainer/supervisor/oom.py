"""Whether the kernel killed something in a container because its memory was used up, and what it kills then.

LXC removes the container's cgroup before its monitor ends. On v2 that is no matter: the events of a cgroup count in the
one above, which is ours. v1 has no such sum; there an eventfd tells of an event, and, once more, of the removal.
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (OOM Control)
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..container.cgroups import table_in
from .loop import wait

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


class MemoryGuard:
    """Notices, in one start of a container after the other, that its memory was used up.

    *above* is the v2 cgroup that its own are made in, ``None`` where there is none.
    """

    def __init__(self, above: Path | None) -> None:
        self.above = above
        self._watch: OomWatch | None = None

    def begin(self, cgroups: Mapping[str, Path]) -> None:
        """Take heed of the running container's own *cgroups*, by v1 controller, from now on."""
        if self._watch is None and "memory" in cgroups:
            with suppress(OSError):  # it has ended already
                self._watch = OomWatch(cgroups["memory"])

    async def watch(self, monitor_pidfd: int) -> None:
        """Note each event at once, until its monitor ends."""
        watch = self._watch
        while watch is not None and watch is self._watch and not watch.removed:
            ready = await wait([watch.fd, monitor_pidfd])
            if monitor_pidfd in ready or watch is not self._watch:
                return
            watch.take()

    def end(self, killed: bool) -> bool:
        """Whether its memory was used up, at its end; its cgroups on v2 must still be there.

        *killed* is whether somebody unknown killed its command.
        """
        watch, self._watch = self._watch, None
        if watch is None:
            return self.above is not None and oom_kills_below(self.above) > 0
        tells = watch.tells(killed)
        watch.close()
        return tells


def spare(init: int, own: Mapping[str, Path], monitors: Mapping[str, Path]) -> None:
    """Have the kernel leave LXC's *init* alone when the memory of its cgroups, *own*, is used up.

    It kills what has most pages, shared ones too, of the processes in the cgroup with the limit. Init is a copy of the
    supervisor and larger than most commands under a small limit, and its end would be the whole container's. So it goes
    where *monitors* has its monitor: without limits, and with no other process of the container.
    """
    controller = "memory" if "memory" in own else ""
    if controller in own and controller in monitors:
        # On v1 not `cgroup.procs`, which locks the whole host's threads out; see `cgroups.entry_files`.
        entry = monitors[controller] / ("tasks" if controller else "cgroup.procs")
        with suppress(OSError):  # it has ended
            entry.write_text(str(init))


def oom_kills_below(directory: Path) -> int:
    """How many processes the kernel killed for memory in the v2 cgroup *directory* and those that were below it."""
    return table_in(directory / "memory.events").get("oom_kill", 0)
