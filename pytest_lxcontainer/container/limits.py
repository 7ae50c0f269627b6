"""What a container may use at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from ..errors import InvalidSettingsError
from .units import ByteSize

CPU_PERIOD = 100_000
"""Microseconds over which the kernel counts a CPU quota: its own default."""

DEFAULT_PIDS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a container; ``None`` leaves a resource unlimited.

    *memory* and *swap* are sizes (``"256MiB"`` or bytes; *swap* is on top of memory), *cpus* is how many processors'
    worth of time (``0.5`` is half of one), *pids* how many processes and threads, *io_read* and *io_write*
    bytes a second for each disk.
    """

    memory: int | str | None = None
    swap: int | str | None = None
    cpus: float | None = None
    pids: int | None = DEFAULT_PIDS
    io_read: int | str | None = None
    io_write: int | str | None = None

    def __post_init__(self) -> None:
        for name in ("memory", "swap", "io_read", "io_write"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, ByteSize.parse(value))
        if self.swap is not None and self.memory is None:
            raise InvalidSettingsError("limits: swap counts on top of memory", hint="pass memory=… as well")
        if self.cpus is not None and not (isinstance(self.cpus, (int, float)) and self.cpus > 0):
            raise InvalidSettingsError(f"limits: cpus={self.cpus!r} must be above 0")
        if self.pids is not None and not self.pids > 0:
            raise InvalidSettingsError(f"limits: pids={self.pids!r} must be above 0")

    @property
    def explicit(self) -> dict[str, int | float]:
        """The limits that differ from the defaults: those a host must be able to enforce."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None and value != field.default
        }


def cgroup_v1_items(limits: Limits, disks: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield *limits* as LXC items for cgroup v1; *disks* are the ``major:minor`` that I/O limits apply to.

    The order matters: the kernel refuses ``memory.memsw`` before ``memory.limit``.
    """
    if limits.memory is not None:
        memory = int(limits.memory)
        yield "lxc.cgroup.memory.limit_in_bytes", str(memory)
        if limits.swap is not None:
            yield "lxc.cgroup.memory.memsw.limit_in_bytes", str(memory + int(limits.swap))
    if limits.cpus is not None:
        yield "lxc.cgroup.cpu.cfs_period_us", str(CPU_PERIOD)
        yield "lxc.cgroup.cpu.cfs_quota_us", str(int(limits.cpus * CPU_PERIOD))
    if limits.pids is not None:
        yield "lxc.cgroup.pids.max", str(limits.pids)
    for disk in disks:
        if limits.io_read is not None:
            yield "lxc.cgroup.blkio.throttle.read_bps_device", f"{disk} {int(limits.io_read)}"
        if limits.io_write is not None:
            yield "lxc.cgroup.blkio.throttle.write_bps_device", f"{disk} {int(limits.io_write)}"


def cgroup_v2_items(limits: Limits, disks: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield *limits* as LXC items for the unified hierarchy."""
    if limits.memory is not None:
        yield "lxc.cgroup2.memory.max", str(int(limits.memory))
    if limits.swap is not None:
        yield "lxc.cgroup2.memory.swap.max", str(int(limits.swap))
    if limits.cpus is not None:
        yield "lxc.cgroup2.cpu.max", f"{int(limits.cpus * CPU_PERIOD)} {CPU_PERIOD}"
    if limits.pids is not None:
        yield "lxc.cgroup2.pids.max", str(limits.pids)
    for disk in disks:
        rates = [("rbps", limits.io_read), ("wbps", limits.io_write)]
        text = " ".join(f"{key}={int(value)}" for key, value in rates if value is not None)
        if text:
            yield "lxc.cgroup2.io.max", f"{disk} {text}"
