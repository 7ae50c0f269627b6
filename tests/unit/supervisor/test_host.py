from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lxcontainer.container.cgroups import Hierarchies
from pytest_lxcontainer.errors import HostNotReadyError
from pytest_lxcontainer.supervisor.host import disks_below, limits_apply_in, user_entry

V1 = Hierarchies((("memory", Path("/c/memory")), ("pids", Path("/c/pids"))), Path("/c/unified"))


def unified(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"cgroup.{name}").write_text(text + "\n")
    return directory


def test_on_v1_limits_need_the_controllers_that_limit() -> None:
    assert limits_apply_in({"memory": Path("/c/memory/ann"), "pids": Path("/c/pids/ann")}, V1)
    assert not limits_apply_in({"memory": Path("/c/memory/ann"), "": Path("/c/unified/ann")}, V1)


def test_the_root_of_v2_can_switch_its_controllers_on(tmp_path: Path) -> None:
    root = unified(tmp_path, controllers="cpuset cpu io memory pids", subtree_control="")
    assert limits_apply_in({"": root}, Hierarchies((), tmp_path))


def test_elsewhere_on_v2_they_must_be_on_already(tmp_path: Path) -> None:
    scope = unified(tmp_path, type="domain", controllers="cpu memory pids", subtree_control="")
    hierarchies = Hierarchies((), tmp_path)
    assert not limits_apply_in({"": scope}, hierarchies)
    assert limits_apply_in({"": unified(scope, subtree_control="memory pids")}, hierarchies)


def test_a_user_without_a_name_is_a_lack_of_the_host() -> None:
    with pytest.raises(HostNotReadyError, match="useradd --uid 4242424"):
        user_entry(4242424)


def test_without_cgroups_nothing_is_limited(tmp_path: Path) -> None:
    assert not limits_apply_in({}, Hierarchies((), tmp_path))


def test_a_partition_counts_as_its_whole_disk(tmp_path: Path) -> None:
    disk = tmp_path / "devices" / "sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1" / "partition").write_text("1\n")
    blocks = tmp_path / "block"
    blocks.mkdir()
    (blocks / "8:0").symlink_to(disk)
    (blocks / "8:1").symlink_to(disk / "sda1")
    assert disks_below(os.makedev(8, 1), blocks) == disks_below(os.makedev(8, 0), blocks) == ("8:0",)


def test_what_is_on_no_disk_of_its_own_has_none() -> None:
    assert disks_below(os.makedev(0, 42)) == ()
