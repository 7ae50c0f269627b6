from __future__ import annotations

from typing import Any

import pytest

from pytest_lxcontainer import GiB, Limits, MiB
from pytest_lxcontainer.container.limits import DEFAULT_PIDS, cgroup_v1_items, cgroup_v2_items
from pytest_lxcontainer.errors import InvalidSettingsError

DISKS = ("8:0", "259:1")


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
        ("lxc.cgroup2.io.max", f"8:0 rbps={MiB} wbps={2 * MiB}"),
        ("lxc.cgroup2.io.max", f"259:1 rbps={MiB} wbps={2 * MiB}"),
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
