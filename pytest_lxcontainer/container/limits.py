"""What a container may use at most: as settings, as LXC's items, and as files of a running container's cgroups.

Formats: https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidSettingsError
from .cgroups import number_in
from .units import ByteSize

CPU_PERIOD = 100_000
"""Microseconds over which the kernel counts a CPU quota: its own default."""

DEFAULT_PIDS = 4096

CONTROLLERS = {
    "memory": "memory",
    "swap": "memory",
    "cpus": "cpu",
    "pids": "pids",
    "io_read": "io",
    "io_write": "io",
    "soft_memory": "memory",
}
"""The cgroup controller that enforces a limit, by its name on v2; v1 has ``blkio`` for ``io``."""

_SIZES = ("memory", "swap", "io_read", "io_write", "soft_memory")


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a container; ``None`` leaves a resource unlimited.

    *memory* and *swap* are sizes (``"256MiB"`` or bytes; *swap* is on top of memory), *cpus* is how many processors'
    worth of time (``0.5`` is half of one), *pids* how many processes and threads (default: 4096), *io_read* and
    *io_write* bytes a second for each disk. *soft_memory* is what it is left with when the host runs short of memory:
    its use may be above that, and what is above goes first.
    """

    memory: int | str | None = None
    swap: int | str | None = None
    cpus: float | None = None
    pids: int | None = DEFAULT_PIDS
    io_read: int | str | None = None
    io_write: int | str | None = None
    soft_memory: int | str | None = None

    def __post_init__(self) -> None:
        for name in _SIZES:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, ByteSize.parse(value))
        if self.swap is not None and self.memory is None:
            raise InvalidSettingsError("limits: swap counts on top of memory", hint="pass memory=… as well")
        if self.cpus is not None and not (isinstance(self.cpus, (int, float)) and self.cpus > 0):
            raise InvalidSettingsError(f"limits: cpus={self.cpus!r} must be above 0")
        if self.pids is not None and not (isinstance(self.pids, int) and self.pids > 0):
            raise InvalidSettingsError(f"limits: pids={self.pids!r} must be above 0")

    @property
    def bounded(self) -> tuple[str, ...]:
        """The limits there are, by name."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)

    @property
    def explicit(self) -> dict[str, int | float]:
        """The limits that differ from the defaults: those a host must be able to enforce."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None and value != field.default
        }


class Setting(NamedTuple):
    """One line to write into one file of a cgroup; *bounded* is false for a line that lifts the *limit*."""

    limit: str
    file: str
    line: str
    bounded: bool


def cgroup_v1_items(limits: Limits, disks: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield *limits* as LXC items for cgroup v1; *disks* are the ``major:minor`` that I/O limits apply to.

    The order matters: the kernel refuses ``memory.memsw`` before ``memory.limit``.
    """
    return ((f"lxc.cgroup.{each.file}", each.line) for each in _v1(limits, disks) if each.bounded)


def cgroup_v2_items(limits: Limits, disks: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield *limits* as LXC items for the unified hierarchy."""
    return ((f"lxc.cgroup2.{each.file}", each.line) for each in _v2(limits, disks) if each.bounded)


def write_limits(
    limits: Limits, changed: set[str], cgroups: Mapping[str, Path], on_v1: bool, disks: tuple[str, ...]
) -> None:
    """Bring a running container's *cgroups* (by v1 controller, ``""``: unified) to *limits*, where they *changed*.

    Raises `OSError` with the file's path where the kernel refuses.
    """
    settings = [each for each in (_v1 if on_v1 else _v2)(limits, disks) if each.limit in changed | _joined(changed)]
    if on_v1:
        settings = _in_an_order_the_kernel_takes(settings, cgroups)
    for each in settings:
        path = file_in(cgroups, each.file, on_v1)
        # A file that the kernel does not have limits nothing: there is nothing to lift.
        if each.bounded or path.exists():
            _write(path, each.line)


def read_limits(cgroups: Mapping[str, Path], on_v1: bool, disks: tuple[str, ...]) -> dict[str, int | float | None]:
    """The limits that the kernel enforces on *cgroups*, by the names of `Limits`."""

    def number(name: str) -> int | None:
        return number_in(file_in(cgroups, name, on_v1))

    def words(name: str) -> list[str]:
        try:
            return file_in(cgroups, name, on_v1).read_text().split()
        except OSError:
            return []

    if on_v1:
        memory, both = number("memory.limit_in_bytes"), number("memory.memsw.limit_in_bytes")
        quota = number("cpu.cfs_quota_us")
        return {
            "memory": memory,
            "swap": both - memory if both is not None and memory is not None else None,
            "cpus": quota / (number("cpu.cfs_period_us") or CPU_PERIOD) if quota and quota > 0 else None,
            "pids": number("pids.max"),
            "io_read": _rate_of(words("blkio.throttle.read_bps_device"), disks),
            "io_write": _rate_of(words("blkio.throttle.write_bps_device"), disks),
            "soft_memory": number("memory.soft_limit_in_bytes"),
        }
    cpu = words("cpu.max")
    return {
        "memory": number("memory.max"),
        "swap": number("memory.swap.max"),
        "cpus": int(cpu[0]) / int(cpu[1]) if len(cpu) == 2 and cpu[0].isdigit() else None,
        "pids": number("pids.max"),
        "io_read": _rate_of(words("io.max"), disks, "rbps"),
        "io_write": _rate_of(words("io.max"), disks, "wbps"),
        "soft_memory": number("memory.low") or None,
    }


def _write(path: Path, line: str) -> None:
    try:
        path.write_text(line)
    except OSError as error:
        # The kernel answers to the write, when Python no longer knows of which file.
        raise OSError(error.errno, error.strerror, str(path)) from None


def file_in(cgroups: Mapping[str, Path], name: str, on_v1: bool) -> Path:
    """The file *name*, as ``memory.max`` or ``memory.limit_in_bytes``, of a container's *cgroups*."""
    controller = name.partition(".")[0] if on_v1 else ""
    return cgroups.get(controller, Path("/nonexistent")) / name


def _v1(limits: Limits, disks: tuple[str, ...]) -> Iterator[Setting]:
    memory, swap, cpus = limits.memory, limits.swap, limits.cpus
    yield Setting("memory", "memory.limit_in_bytes", _or("-1", memory), memory is not None)
    both = int(memory) + int(swap) if memory is not None and swap is not None else None
    yield Setting("swap", "memory.memsw.limit_in_bytes", _or("-1", both), both is not None)
    soft = limits.soft_memory
    yield Setting("soft_memory", "memory.soft_limit_in_bytes", _or("-1", soft), soft is not None)
    yield Setting("cpus", "cpu.cfs_period_us", str(CPU_PERIOD), cpus is not None)
    yield Setting("cpus", "cpu.cfs_quota_us", _or("-1", _quota(cpus)), cpus is not None)
    yield Setting("pids", "pids.max", _or("max", limits.pids), limits.pids is not None)
    for disk in disks:
        for kind, rate in (("read", limits.io_read), ("write", limits.io_write)):
            line = f"{disk} {_or('0', rate)}"
            yield Setting(f"io_{kind}", f"blkio.throttle.{kind}_bps_device", line, rate is not None)


def _v2(limits: Limits, disks: tuple[str, ...]) -> Iterator[Setting]:
    yield Setting("memory", "memory.max", _or("max", limits.memory), limits.memory is not None)
    yield Setting("swap", "memory.swap.max", _or("max", limits.swap), limits.swap is not None)
    soft = limits.soft_memory
    yield Setting("soft_memory", "memory.low", _or("0", soft), soft is not None)
    quota = _or("max", _quota(limits.cpus))
    yield Setting("cpus", "cpu.max", f"{quota} {CPU_PERIOD}", limits.cpus is not None)
    yield Setting("pids", "pids.max", _or("max", limits.pids), limits.pids is not None)
    for disk in disks:
        for kind, key, rate in (("read", "rbps", limits.io_read), ("write", "wbps", limits.io_write)):
            yield Setting(f"io_{kind}", "io.max", f"{disk} {key}={_or('max', rate)}", rate is not None)


def _or(unlimited: str, value: int | str | None) -> str:
    return unlimited if value is None else str(int(value))


def _quota(cpus: float | None) -> int | None:
    """Microseconds of each period; the kernel takes no less than a thousand."""
    return None if cpus is None else max(1000, int(cpus * CPU_PERIOD))


def _joined(changed: set[str]) -> set[str]:
    """What changes along: on v1 the limit for swap counts the memory as well."""
    return {"swap"} if "memory" in changed else set()


def _in_an_order_the_kernel_takes(settings: list[Setting], cgroups: Mapping[str, Path]) -> list[Setting]:
    """Memory with swap may never be less than memory: it goes first when it grows."""
    both = next((each for each in settings if each.file == "memory.memsw.limit_in_bytes"), None)
    if both is None:
        return settings
    now = number_in(file_in(cgroups, both.file, True))
    if both.bounded and (now is None or int(both.line) < now):
        return settings
    return [both, *(each for each in settings if each is not both)]


def _rate_of(words: list[str], disks: tuple[str, ...], key: str = "") -> int | None:
    """The rate of the first of *disks*, from ``major:minor bytes`` or ``major:minor rbps=bytes wbps=bytes``."""
    disk = next((each for each in disks if each in words), None)
    if disk is None:
        return None
    following = words[words.index(disk) + 1 :]
    if key:
        value = next((word.partition("=")[2] for word in following if word.startswith(f"{key}=")), "max")
    else:
        value = following[0]
    return int(value) if value.isdigit() else None
