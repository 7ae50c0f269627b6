from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import GiB, Limits, MiB
from pytest_lxcontainer.container.limits import (
    DEFAULT_PIDS,
    cgroup_v1_items,
    cgroup_v2_items,
    read_limits,
    write_limits,
)
from pytest_lxcontainer.errors import InvalidSettingsError

DISKS = ("8:0", "259:1")

V1 = {
    "memory": {
        "memory.limit_in_bytes": "9223372036854771712",
        "memory.memsw.limit_in_bytes": "9223372036854771712",
        "memory.soft_limit_in_bytes": "9223372036854771712",
    },
    "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1"},
    "pids": {"pids.max": "max"},
    "blkio": {"blkio.throttle.read_bps_device": "", "blkio.throttle.write_bps_device": ""},
}
V2 = {
    "": {
        "memory.max": "max",
        "memory.swap.max": "max",
        "memory.low": "0",
        "cpu.max": "max 100000",
        "pids.max": "max",
        "io.max": "",
    }
}


def test_nothing_is_limited_by_default_but_the_number_of_processes() -> None:
    assert list(cgroup_v1_items(Limits(), DISKS)) == [("lxc.cgroup.pids.max", str(DEFAULT_PIDS))]
    assert list(cgroup_v2_items(Limits(), DISKS)) == [("lxc.cgroup2.pids.max", str(DEFAULT_PIDS))]
    assert list(cgroup_v1_items(Limits(pids=None))) == list(cgroup_v2_items(Limits(pids=None))) == []


def test_every_limit_on_v1() -> None:
    limits = Limits(memory="256MiB", swap=64 * MiB, cpus=0.5, pids=100, io_read="1MiB", io_write=2 * MiB)
    assert list(cgroup_v1_items(limits, DISKS)) == [
        ("lxc.cgroup.memory.limit_in_bytes", str(256 * MiB)),
        ("lxc.cgroup.memory.memsw.limit_in_bytes", str(320 * MiB)),
        ("lxc.cgroup.cpu.cfs_period_us", "100000"),
        ("lxc.cgroup.cpu.cfs_quota_us", "50000"),
        ("lxc.cgroup.pids.max", "100"),
        ("lxc.cgroup.blkio.throttle.read_bps_device", f"8:0 {MiB}"),
        ("lxc.cgroup.blkio.throttle.write_bps_device", f"8:0 {2 * MiB}"),
        ("lxc.cgroup.blkio.throttle.read_bps_device", f"259:1 {MiB}"),
        ("lxc.cgroup.blkio.throttle.write_bps_device", f"259:1 {2 * MiB}"),
    ]


def test_every_limit_on_v2() -> None:
    limits = Limits(memory="1g", swap=0, cpus=2, pids=100, io_read="1MiB", io_write=2 * MiB)
    assert list(cgroup_v2_items(limits, DISKS)) == [
        ("lxc.cgroup2.memory.max", str(GiB)),
        ("lxc.cgroup2.memory.swap.max", "0"),
        ("lxc.cgroup2.cpu.max", "200000 100000"),
        ("lxc.cgroup2.pids.max", "100"),
        ("lxc.cgroup2.io.max", f"8:0 rbps={MiB}"),
        ("lxc.cgroup2.io.max", f"8:0 wbps={2 * MiB}"),
        ("lxc.cgroup2.io.max", f"259:1 rbps={MiB}"),
        ("lxc.cgroup2.io.max", f"259:1 wbps={2 * MiB}"),
    ]


@pytest.mark.parametrize(
    ("settings", "explicit"),
    [
        ({}, {}),
        ({"pids": DEFAULT_PIDS}, {}),
        ({"pids": 7}, {"pids": 7}),
        ({"memory": "1MiB", "cpus": 0.5}, {"memory": MiB, "cpus": 0.5}),
    ],
)
def test_explicit_are_those_that_a_test_asked_for(settings: dict[str, Any], explicit: dict[str, Any]) -> None:
    assert Limits(**settings).explicit == explicit


@pytest.mark.parametrize(
    "settings",
    [{"memory": "much"}, {"swap": -1}, {"cpus": 0}, {"cpus": -1}, {"pids": 0}, {"io_read": "fast"}, {"io_write": 1.5}],
)
def test_a_limit_that_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingsError):
        Limits(**settings)


class TestLive:
    """Files of a cgroup as the kernel has them, written and read."""

    @pytest.fixture(params=["v1", "v2"])
    def host(self, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Path], bool]:
        on_v1 = request.param == "v1"
        files = V1 if on_v1 else V2
        for controller, each in files.items():
            (tmp_path / controller).mkdir(exist_ok=True)
            for name, text in each.items():
                (tmp_path / controller / name).write_text(text + "\n")
        return {controller: tmp_path / controller for controller in files}, on_v1

    def test_no_limit_reads_as_none(self, host: tuple[dict[str, Path], bool]) -> None:
        assert Limits(**read_limits(*host, DISKS)) == Limits(pids=None)  # type: ignore[arg-type]  # numbers all

    def test_what_is_written_is_read(self, host: tuple[dict[str, Path], bool]) -> None:
        cgroups, on_v1 = host
        limits = Limits(memory=32 * MiB, swap=MiB, cpus=1.5, pids=9, io_write=5, soft_memory=MiB)
        write_limits(limits, set(limits.explicit), cgroups, on_v1, DISKS[:1])
        read = read_limits(cgroups, on_v1, DISKS[:1])
        assert read == {**dict.fromkeys(read), **limits.explicit}

    def test_what_has_not_changed_is_left_alone(self, host: tuple[dict[str, Path], bool]) -> None:
        cgroups, on_v1 = host
        write_limits(Limits(memory=MiB, pids=9), {"pids"}, cgroups, on_v1, DISKS)
        read = read_limits(cgroups, on_v1, DISKS)
        assert (read["pids"], read["memory"]) == (9, None)

    def test_a_limit_that_the_kernel_lacks_can_be_lifted_and_not_set(self, host: tuple[dict[str, Path], bool]) -> None:
        cgroups, on_v1 = host
        for name in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            for directory in cgroups.values():
                (directory / name).unlink(missing_ok=True)
        write_limits(Limits(memory=MiB), {"memory"}, cgroups, on_v1, DISKS)
        assert read_limits(cgroups, on_v1, DISKS)["memory"] == MiB
        assert not any((each / "memory.memsw.limit_in_bytes").exists() for each in cgroups.values())

    def test_rates_are_those_of_the_disk(self, host: tuple[dict[str, Path], bool]) -> None:
        cgroups, on_v1 = host
        if on_v1:
            (cgroups["blkio"] / "blkio.throttle.read_bps_device").write_text("7:0 1\n8:0 77\n")
        else:
            (cgroups[""] / "io.max").write_text("7:0 rbps=1 wbps=max\n8:0 rbps=77 wbps=max riops=max\n")
        read = read_limits(cgroups, on_v1, DISKS[:1])
        assert (read["io_read"], read["io_write"]) == (77, None)

    def test_a_refusal_names_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=r"pids\.max"):
            write_limits(Limits(pids=3), {"pids"}, {"": tmp_path / "gone"}, False, ())
