"""What a container has used: from its cgroups, or from /proc where it has none of its own."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cgroups import number_in, table_in
from .units import ByteSize

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """Traffic of one interface as the container sees it, in bytes since it came up."""

    rx_bytes: ByteSize = ByteSize(0)
    tx_bytes: ByteSize = ByteSize(0)


@dataclass(frozen=True, slots=True)
class Stats:
    """Usage of one container at one moment.

    Sizes are bytes, times are seconds of processor time since the start. What the host cannot tell is ``None``:
    `memory_limit` and `swap_limit` also where there is no limit, and `source` names where the figures come from
    (``"cgroup1"``, ``"cgroup2"``, ``"proc"``). *cpu_time_per_cpu* is empty but on cgroup v1, *pids* counts threads too,
    *networks* are by the names inside, without the loopback.
    """

    source: str
    memory_usage: ByteSize
    memory_peak: ByteSize | None = None
    memory_limit: ByteSize | None = None
    swap_usage: ByteSize | None = None
    swap_limit: ByteSize | None = None
    kernel_memory_usage: ByteSize | None = None
    cpu_time: float = 0.0
    cpu_time_per_cpu: tuple[float, ...] = ()
    cpu_user: float | None = None
    cpu_system: float | None = None
    io_read: ByteSize | None = None
    io_write: ByteSize | None = None
    pids: int = 0
    oom_kills: int | None = None
    networks: Mapping[str, InterfaceStats] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Stats:
        """Rebuild from what `to_dict` gave."""
        sizes = {
            "memory_usage",
            "memory_peak",
            "memory_limit",
            "swap_usage",
            "swap_limit",
            "kernel_memory_usage",
        }
        sizes |= {"io_read", "io_write"}
        values: dict[str, Any] = {
            key: ByteSize(value) if key in sizes and value is not None else value for key, value in data.items()
        }
        values["cpu_time_per_cpu"] = tuple(data.get("cpu_time_per_cpu", ()))
        values["networks"] = {
            name: InterfaceStats(ByteSize(rx), ByteSize(tx)) for name, (rx, tx) in data.get("networks", {}).items()
        }
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container used in its last start, also after its end: bytes, seconds; ``None`` where the host cannot tell.

    Without cgroups the time is that of init, of the command, and of what either has waited for.
    """

    memory_peak: ByteSize | None = None
    cpu_time: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Usage:
        """Rebuild from what `asdict` made of one."""
        peak = data["memory_peak"]
        return cls(None if peak is None else ByteSize(peak), data["cpu_time"])


@dataclass(frozen=True, slots=True)
class Samples:
    """A container over time: *moments* (monotonic seconds of the host), at each the bytes of *memory* in use, and the
    seconds of processor time, *cpu*, so far.

    Where there have been very many, neighbours are one sample, with the more memory of both.
    """

    moments: tuple[float, ...] = ()
    memory: tuple[int, ...] = ()
    cpu: tuple[float, ...] = ()


@dataclass(slots=True)
class Spent:
    """What commands that have ended used: in a container without cgroups, nothing else remembers them."""

    user: float = 0.0
    system: float = 0.0
    io_read: int = 0
    io_write: int = 0

    def add(self, usage: resource.struct_rusage) -> None:
        """Count a command in, with its children; getrusage(2) has blocks of 512 bytes."""
        self.user += usage.ru_utime
        self.system += usage.ru_stime
        self.io_read += usage.ru_inblock * 512
        self.io_write += usage.ru_oublock * 512


@dataclass(frozen=True, slots=True)
class Processes:
    """Where to find a container's: its *init*, the *command* that it runs, and what ended ones have *spent*."""

    init: int
    command: int
    spent: Spent = field(default_factory=Spent)


def read_stats(processes: Processes, cgroups: Mapping[str, Path], own: bool) -> dict[str, Any]:
    """Measure the container of *processes*, as plain values for `Stats.from_dict`.

    *cgroups* are its directories by controller (``""``: unified); without *own* they are shared with
    processes outside the container, so /proc is asked instead.
    """
    if own and "memory" in cgroups:
        figures = _from_cgroup1(cgroups)
    elif own and "" in cgroups and (cgroups[""] / "memory.current").exists():
        figures = _from_cgroup2(cgroups[""])
    else:
        figures = _from_proc(processes)
    figures["networks"] = _networks(processes.command)
    return figures


def usage_in(cgroups: Mapping[str, Path]) -> Usage:
    """What *cgroups* (by controller, ``""``: unified) of a container's own have counted: two files are read."""
    if "memory" in cgroups:
        return _usage(number_in(cgroups["memory"] / "memory.max_usage_in_bytes"), _cpu_time_in(cgroups))
    if "" not in cgroups:
        return Usage()
    return _usage(number_in(cgroups[""] / "memory.peak"), _cpu_time_in(cgroups))


def usage_of(processes: Processes) -> Usage:
    """What *processes* have used, by /proc."""
    spent = processes.spent
    clock = [spent.user, spent.system, *_cpu_times(processes.init), *_cpu_times(processes.command)]
    return _usage(None, sum(clock))


def _usage(memory_peak: int | None, cpu_time: float | None) -> Usage:
    return Usage(None if memory_peak is None else ByteSize(memory_peak), cpu_time)


def _cpu_time_in(cgroups: Mapping[str, Path]) -> float | None:
    """Seconds of processor time that *cgroups* have counted: those of v1 where these count memory, else the unified."""
    if "memory" in cgroups:
        nanoseconds = number_in(cgroups["cpuacct"] / "cpuacct.usage") if "cpuacct" in cgroups else None
        return None if nanoseconds is None else nanoseconds / 1e9
    microseconds = table_in(cgroups[""] / "cpu.stat").get("usage_usec")
    return None if microseconds is None else microseconds / 1e6


def read_usage(processes: Processes, cgroups: Mapping[str, Path], own: bool) -> tuple[int, float]:
    """Bytes of memory, and seconds of processor time so far, of what `read_stats` measures, at a part of its cost."""
    if own and "memory" in cgroups and "cpuacct" in cgroups:
        return number_in(cgroups["memory"] / "memory.usage_in_bytes") or 0, _cpu_time_in(cgroups) or 0.0
    if own and "" in cgroups and (memory := number_in(cgroups[""] / "memory.current")) is not None:
        return memory, _cpu_time_in({"": cgroups[""]}) or 0.0
    figures = _from_proc(processes)
    return figures["memory_usage"], figures["cpu_time"]


def _from_cgroup1(cgroups: Mapping[str, Path]) -> dict[str, Any]:
    memory, blkio = cgroups["memory"], cgroups.get("blkio")
    cpu = cgroups.get("cpuacct", Path("/nonexistent"))
    usage, limit = number_in(memory / "memory.usage_in_bytes"), number_in(memory / "memory.limit_in_bytes")
    both, both_limit = (number_in(memory / f"memory.memsw.{end}_in_bytes") for end in ("usage", "limit"))
    times = table_in(cpu / "cpuacct.stat")
    try:
        per_cpu = (cpu / "cpuacct.usage_percpu").read_text().split()
    except OSError:
        per_cpu = []
    io = _blkio_totals(blkio / "blkio.throttle.io_service_bytes") if blkio else {}
    return {
        "source": "cgroup1",
        "memory_usage": usage or 0,
        "memory_peak": number_in(memory / "memory.max_usage_in_bytes"),
        "memory_limit": limit,
        "swap_usage": None if both is None else max(0, both - (usage or 0)),
        "swap_limit": both_limit - limit if both_limit is not None and limit is not None else None,
        "kernel_memory_usage": number_in(memory / "memory.kmem.usage_in_bytes"),
        "cpu_time": (number_in(cpu / "cpuacct.usage") or 0) / 1e9,
        "cpu_time_per_cpu": [int(value) / 1e9 for value in per_cpu],
        "cpu_user": times.get("user", 0) / _TICKS,
        "cpu_system": times.get("system", 0) / _TICKS,
        "io_read": io.get("Read", 0) if blkio else None,
        "io_write": io.get("Write", 0) if blkio else None,
        "pids": _pids(cgroups.get("pids"), memory),
        "oom_kills": table_in(memory / "memory.oom_control").get("oom_kill"),
    }


def _pids(pids: Path | None, fallback: Path) -> int:
    """Processes and threads, as the pids controller counts them."""
    counted = number_in(pids / "pids.current") if pids else None
    return counted if counted is not None else len((fallback / "tasks").read_text().split())


def _blkio_totals(path: Path) -> dict[str, int]:
    """Sum ``major:minor Operation bytes`` lines over all disks."""
    totals: dict[str, int] = {}
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return totals
    for line in lines:
        parts = line.split()
        if len(parts) == 3:
            totals[parts[1]] = totals.get(parts[1], 0) + int(parts[2])
    return totals


def _from_cgroup2(cgroup: Path) -> dict[str, Any]:
    cpu, memory = table_in(cgroup / "cpu.stat"), table_in(cgroup / "memory.stat")
    read, written = _io_stat(cgroup / "io.stat")
    return {
        "source": "cgroup2",
        "memory_usage": number_in(cgroup / "memory.current") or 0,
        "memory_peak": number_in(cgroup / "memory.peak"),
        "memory_limit": number_in(cgroup / "memory.max"),
        "swap_usage": number_in(cgroup / "memory.swap.current"),
        "swap_limit": number_in(cgroup / "memory.swap.max"),
        "kernel_memory_usage": memory.get("kernel"),
        "cpu_time": cpu.get("usage_usec", 0) / 1e6,
        "cpu_user": cpu.get("user_usec", 0) / 1e6,
        "cpu_system": cpu.get("system_usec", 0) / 1e6,
        "io_read": read,
        "io_write": written,
        "pids": number_in(cgroup / "pids.current") or 0,
        "oom_kills": table_in(cgroup / "memory.events").get("oom_kill"),
    }


def _io_stat(path: Path) -> tuple[int | None, int | None]:
    """Bytes read and written over all disks, from lines of ``major:minor rbytes=… wbytes=…``."""
    try:
        fields = path.read_text().split()
    except OSError:
        return None, None
    pairs = [field.split("=") for field in fields if "=" in field]
    return tuple(sum(int(value) for key, value in pairs if key == name) for name in ("rbytes", "wbytes"))  # type: ignore[return-value]  # two names in, two sums out


def _from_proc(processes: Processes) -> dict[str, Any]:
    family, spent = _family(processes.command), processes.spent
    # Of init, which is LXC's and not to be looked into, everyone may know the time and the threads.
    everyone = family | {processes.init}
    clock = [_cpu_times(pid) for pid in everyone]
    user, system = spent.user + sum(times[0] for times in clock), spent.system + sum(times[1] for times in clock)
    io = [_io_of(pid) for pid in family]
    memory = [_memory_of(pid) for pid in family]
    return {
        "source": "proc",
        "memory_usage": sum(resident for resident, _ in memory),
        "swap_usage": sum(swapped for _, swapped in memory),
        "cpu_time": user + system,
        "cpu_user": user,
        "cpu_system": system,
        "io_read": spent.io_read + sum(read for read, _ in io),
        "io_write": spent.io_write + sum(written for _, written in io),
        "pids": sum(_threads(pid) for pid in everyone),
    }


def _family(command: int) -> set[int]:
    """The processes that share *command*'s pid namespace, as far as it may be looked up."""
    namespace = os.stat(f"/proc/{command}/ns/pid").st_ino
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{name}/ns/pid").st_ino == namespace:
                found.add(int(name))
        except OSError:
            continue
    return found


def _cpu_times(pid: int) -> tuple[float, float]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    # Own time and that of children already reaped: utime + cutime, stime + cstime of proc_pid_stat(5).
    return (int(fields[11]) + int(fields[13])) / _TICKS, (int(fields[12]) + int(fields[14])) / _TICKS


def _memory_of(pid: int) -> tuple[int, int]:
    """Resident and swapped-out bytes: proportional ones where the kernel tells, so that shared pages count once."""
    try:
        table = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        return (int(table["Pss"].split()[0]) * 1024, int(table["SwapPss"].split()[0]) * 1024)
    except (OSError, KeyError):
        return _resident(pid), 0


def _resident(pid: int) -> int:
    """Resident set size, which every user may know of every process (proc_pid_statm(5))."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _io_of(pid: int) -> tuple[int, int]:
    try:
        table = table_in(Path(f"/proc/{pid}/io"))
    except OSError:
        return 0, 0
    return table.get("read_bytes:", 0), table.get("write_bytes:", 0)


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def _networks(pid: int) -> dict[str, tuple[int, int]]:
    """Received and sent bytes by interface, from the container's own /proc/net/dev; the loopback is left out."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, figures = line.partition(":")
        columns = figures.split()
        if name.strip() != "lo":
            found[name.strip()] = (int(columns[0]), int(columns[8]))
    return found
