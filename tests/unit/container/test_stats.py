"""Figures from cgroup files as the kernel writes them, and from /proc."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import ByteSize, Stats
from pytest_lxcontainer.container.stats import InterfaceStats, Processes, Spent, _memory_of, _resident, read_stats

TICKS = os.sysconf("SC_CLK_TCK")
V1_UNLIMITED = "9223372036854771712\n"


def written(directory: Path, files: Mapping[str, str]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def read(cgroups: Mapping[str, Path], own: bool = True) -> Stats:
    """As they arrive at the other end of the supervisor's socket."""
    return Stats.from_dict(json.loads(json.dumps(read_stats(Processes(1, os.getpid()), cgroups, own))))


@pytest.fixture
def v1(tmp_path: Path) -> dict[str, Path]:
    memory = {
        "memory.usage_in_bytes": "1048576\n",
        "memory.max_usage_in_bytes": "2097152\n",
        "memory.limit_in_bytes": "4194304\n",
        "memory.memsw.usage_in_bytes": "1572864\n",
        "memory.memsw.limit_in_bytes": "6291456\n",
        "memory.kmem.usage_in_bytes": "65536\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
        "tasks": "1\n2\n3\n4\n",
    }
    cpuacct = {
        "cpuacct.usage": "1500000000\n",
        "cpuacct.usage_percpu": "1000000000 500000000 \n",
        "cpuacct.stat": f"user {TICKS}\nsystem {TICKS // 2}\n",
    }
    blkio = {
        "blkio.throttle.io_service_bytes": "8:0 Read 100\n8:0 Write 10\n8:0 Sync 7\n"
        "8:16 Read 200\n8:16 Write 20\nTotal 330\n"
    }
    return {
        "memory": written(tmp_path / "memory", memory),
        "cpuacct": written(tmp_path / "cpuacct", cpuacct),
        "blkio": written(tmp_path / "blkio", blkio),
        "pids": written(tmp_path / "pids", {"pids.current": "9\n"}),
    }


@pytest.fixture
def v2(tmp_path: Path) -> dict[str, Path]:
    files = {
        "memory.current": "1048576\n",
        "memory.peak": "2097152\n",
        "memory.max": "4194304\n",
        "memory.swap.current": "524288\n",
        "memory.swap.max": "2097152\n",
        "memory.stat": "anon 1\nfile 2\nkernel 65536\n",
        "memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 3\n",
        "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
        "io.stat": "8:0 rbytes=100 wbytes=10 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=200 wbytes=20 rios=2 wios=2\n",
        "pids.current": "9\n",
    }
    return {"": written(tmp_path, files)}


EXPECTED: dict[str, Any] = {
    "memory_usage": 1 << 20,
    "memory_peak": 2 << 20,
    "memory_limit": 4 << 20,
    "swap_usage": 512 << 10,
    "swap_limit": 2 << 20,
    "kernel_memory_usage": 64 << 10,
    "cpu_time": 1.5,
    "cpu_user": 1.0,
    "cpu_system": 0.5,
    "io_read": 300,
    "io_write": 30,
    "pids": 9,
    "oom_kills": 3,
}


def figures(stats: Stats) -> dict[str, Any]:
    return {name: getattr(stats, name) for name in EXPECTED}


def test_v1_and_v2_tell_the_same_of_the_same_usage(v1: dict[str, Path], v2: dict[str, Path]) -> None:
    assert figures(read(v1)) == figures(read(v2)) == EXPECTED
    assert (read(v1).source, read(v2).source) == ("cgroup1", "cgroup2")


def test_v1_tells_the_time_of_each_processor(v1: dict[str, Path], v2: dict[str, Path]) -> None:
    assert read(v1).cpu_time_per_cpu == (1.0, 0.5)
    assert read(v2).cpu_time_per_cpu == ()


def test_sizes_print_as_sizes(v1: dict[str, Path]) -> None:
    stats = read(v1)
    assert (str(stats.memory_usage), str(stats.io_read)) == ("1.0 MiB", "300 B")
    assert isinstance(stats.memory_limit, ByteSize)


def test_no_limit_is_none_on_v1(v1: dict[str, Path]) -> None:
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        (v1["memory"] / name).write_text(V1_UNLIMITED)
    assert (read(v1).memory_limit, read(v1).swap_limit) == (None, None)


def test_no_limit_is_none_on_v2(v2: dict[str, Path]) -> None:
    for name in ("memory.max", "memory.swap.max"):
        (v2[""] / name).write_text("max\n")
    assert (read(v2).memory_limit, read(v2).swap_limit) == (None, None)


def test_what_an_older_kernel_lacks_is_none(v1: dict[str, Path], v2: dict[str, Path]) -> None:
    for name in ("memory.memsw.usage_in_bytes", "memory.memsw.limit_in_bytes", "memory.kmem.usage_in_bytes"):
        (v1["memory"] / name).unlink()
    for name in ("memory.peak", "memory.swap.current", "memory.swap.max", "io.stat"):
        (v2[""] / name).unlink()
    one, two = read(v1), read(v2)
    assert (one.swap_usage, one.swap_limit, one.kernel_memory_usage) == (None, None, None)
    assert (two.memory_peak, two.swap_usage, two.io_read, two.io_write) == (None, None, None, None)


def test_without_a_pids_controller_v1_counts_tasks(v1: dict[str, Path]) -> None:
    del v1["pids"]
    assert read(v1).pids == 4


def test_without_a_disk_controller_v1_does_not_guess(v1: dict[str, Path]) -> None:
    del v1["blkio"]
    assert (read(v1).io_read, read(v1).io_write) == (None, None)


@pytest.mark.parametrize("own", [True, False])
def test_without_cgroups_of_its_own_proc_is_asked(v2: dict[str, Path], own: bool) -> None:
    stats = read({} if own else v2, own)
    assert stats.source == "proc"
    assert stats.memory_usage > 0
    assert stats.cpu_time > 0
    assert stats.pids >= 1
    assert (stats.memory_limit, stats.oom_kills) == (None, None)


def test_in_proc_commands_that_have_ended_still_count() -> None:
    before = read({})
    spent = Spent()
    spent.add(resource.struct_rusage((50.0, 25.0, 0, 0, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0)))
    spent.add(resource.struct_rusage((50.0, 25.0, 0, 0, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0)))
    after = Stats.from_dict(read_stats(Processes(1, os.getpid(), spent), {}, False))
    assert after.cpu_user is not None and before.cpu_user is not None
    assert after.cpu_user - before.cpu_user >= 100
    assert after.cpu_time - before.cpu_time >= 150
    assert (after.io_read or 0) - (before.io_read or 0) >= 8 * 512


def test_interfaces_come_without_the_loopback(v2: dict[str, Path]) -> None:
    networks = read(v2).networks
    assert "lo" not in networks
    assert all(isinstance(each, InterfaceStats) for each in networks.values())


def test_memory_of_what_may_not_be_looked_into_is_what_everyone_may_know(tmp_path: Path) -> None:
    """A kernel thread has no smaps_rollup; a process of our own has both."""
    assert _resident(os.getpid()) > 1 << 20
    assert _memory_of(2)[0] == _resident(2)
    assert 0 < _memory_of(os.getpid())[0] <= _resident(os.getpid()) + (1 << 20)
