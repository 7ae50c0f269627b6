"""Cgroups on v1 that are made in LXC's place; directories stand in for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lxcontainer import Limits
from pytest_lxcontainer.container.cgroups import Hierarchies
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.supervisor.host import Host
from pytest_lxcontainer.supervisor.own_cgroups import CONTROLLERS, OwnCgroups


@pytest.fixture
def bases(tmp_path: Path) -> dict[str, Path]:
    """As on many hosts, with two controllers in one hierarchy, and others that are of no use to a container."""
    names = {each: tmp_path / each for each in (*CONTROLLERS, "cpuset", "systemd", "")}
    names["cpu"] = names["cpuacct"] = tmp_path / "cpu,cpuacct"
    for path in names.values():
        path.mkdir(exist_ok=True)
    return names


def test_there_is_one_for_each_controller_that_limits_or_counts(bases: dict[str, Path]) -> None:
    OwnCgroups(bases, "lxt-run/box-1").make(Limits(memory="1MiB", pids=7), ())
    made = {path for path in bases.values() if (path / "lxt-run" / "box-1").is_dir()}
    assert made == {bases[name] for name in CONTROLLERS}
    assert (bases["pids"] / "lxt-run/box-1/pids.max").read_text() == "7"
    assert (bases["memory"] / "lxt-run/box-1/memory.limit_in_bytes").read_text() == str(1 << 20)


def test_what_is_unlimited_is_not_written(bases: dict[str, Path]) -> None:
    OwnCgroups(bases, "lxt-run/box-1").make(Limits(pids=None), ())
    assert [path for base in bases.values() for path in base.rglob("*") if path.is_file()] == []


def test_those_of_an_earlier_start_are_used_again(bases: dict[str, Path]) -> None:
    own = OwnCgroups(bases, "lxt-run/box-1")
    own.make(Limits(), ())
    own.make(Limits(pids=9), ())
    assert (own.directories["pids"] / "pids.max").read_text() == "9"


def test_a_hierarchy_is_entered_once_whatever_is_in_it(bases: dict[str, Path]) -> None:
    own = OwnCgroups(bases, "lxt-run/box-1")
    own.make(Limits(), ())
    for path in own.directories.values():
        (path / "tasks").touch()
    with own.entries() as entries:
        assert len(entries) == len(CONTROLLERS) - 1
        for fd in entries:
            os.write(fd, b"0")
    assert {(path / "tasks").read_text() for path in own.directories.values()} == {"0"}


@pytest.mark.parametrize(
    ("changed", "makes"),
    [
        ({}, True),
        ({"uid": 1000}, False),
        ({"hierarchies": Hierarchies((), Path("/sys/fs/cgroup"))}, False),
        ({"cgroup_base": {"memory": Path("/m"), "pids": Path("/p")}}, False),
    ],
    ids=["root on v1", "an ordinary user", "v2", "some controllers elsewhere"],
)
def test_only_root_makes_them_and_only_on_v1(changed: dict[str, object], makes: bool) -> None:
    facts: dict[str, object] = {
        "uid": 0,
        "user": "root",
        "groups": (),
        "idmap": IdMap.identity(),
        "hierarchies": Hierarchies((("memory", Path("/m")), ("pids", Path("/p"))), None),
        "cgroup_base": {name: Path("/", name) for name in CONTROLLERS},
        "disks": (),
        "apparmor": False,
    }
    assert Host(**{**facts, **changed}).makes_cgroups is makes  # type: ignore[arg-type]  # facts of all types
