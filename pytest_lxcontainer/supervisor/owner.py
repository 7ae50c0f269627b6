"""Who a run belongs to, in a form that survives reuse of process ids and a reboot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its id, when it started (clock ticks since boot, proc_pid_stat(5)), and in which boot."""

    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The process that has id *pid* now; `ProcessLookupError` if none has."""
        start_time = _start_time(pid)
        if start_time is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, start_time, BOOT_ID.read_text().strip())

    @classmethod
    def nobody(cls) -> Owner:
        """Of a run that ends when nothing is left in it."""
        return cls(0, 0, BOOT_ID.read_text().strip())

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Read what `str` gave; `ValueError` for anything else."""
        pid, start_time, boot_id = text.split(":")
        return cls(int(pid), int(start_time), boot_id)

    def __str__(self) -> str:
        return f"{self.pid}:{self.start_time}:{self.boot_id}"

    @property
    def is_nobody(self) -> bool:
        """Whether there is no such process, and is not meant to be."""
        return self.pid == 0

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return BOOT_ID.read_text().strip() == self.boot_id and _start_time(self.pid) == self.start_time

    def open_pidfd(self) -> int:
        """A pidfd that turns readable when the process ends; `ProcessLookupError` if it already has."""
        fd = os.pidfd_open(self.pid)
        if not self.alive:
            os.close(fd)
            raise ProcessLookupError(f"process {self.pid} has ended")
        return fd


def _start_time(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
