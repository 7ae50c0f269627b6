from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lxcontainer.container.cgroups import (
    Hierarchies,
    cgroups_of,
    host_hierarchies,
    processes_below,
    read_hierarchies,
    remove_tree,
)

ROOT = "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
V2 = ROOT + "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
V1 = (
    ROOT
    + "34 24 0:29 / /sys/fs/cgroup ro,nosuid shared:8 - tmpfs tmpfs ro,mode=755\n"
    + "36 34 0:31 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n"
    + "38 34 0:33 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
    + "39 34 0:34 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    + "40 34 0:35 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)
HYBRID = V1 + "41 34 0:36 / /sys/fs/cgroup/unified rw shared:11 master:4 - cgroup2 cgroup2 rw,nsdelegate\n"
SYS = Path("/sys/fs/cgroup")


def test_unified() -> None:
    found = read_hierarchies(V2)
    assert found == Hierarchies((), SYS)
    assert found.roots == (SYS,)
    assert not found.limits_on_v1


def test_v1_has_a_mount_point_for_each_controller() -> None:
    found = read_hierarchies(V1)
    assert found.unified is None
    assert found.controller("cpu") == found.controller("cpuacct") == SYS / "cpu,cpuacct"
    assert found.controller("systemd") == SYS / "systemd"
    assert found.controller("io") is None
    assert found.roots == (SYS / "systemd", SYS / "cpu,cpuacct", SYS / "memory", SYS / "pids")
    assert found.limits_on_v1


def test_hybrid_has_both_and_limits_on_v1() -> None:
    found = read_hierarchies(HYBRID)
    assert found.unified == SYS / "unified"
    assert found.limits_on_v1
    assert found.roots[-1] == SYS / "unified"


def test_a_host_without_cgroups_has_none() -> None:
    assert read_hierarchies(ROOT).roots == ()


def test_a_process_is_in_one_directory_of_each_hierarchy() -> None:
    hierarchies = host_hierarchies()
    found = cgroups_of(os.getpid(), hierarchies)
    assert found or not hierarchies.roots
    for name, directory in found.items():
        root = hierarchies.controller(name) if name else hierarchies.unified
        assert root is not None
        assert directory == root or root in directory.parents


def test_a_tree_without_processes_goes_leaves_first(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "d").mkdir()
    assert remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert remove_tree(tmp_path / "a")


def test_what_cannot_be_removed_is_told_and_the_rest_is_gone(tmp_path: Path) -> None:
    for name in ("held", "free"):
        (tmp_path / "a" / name).mkdir(parents=True)
    (tmp_path / "a" / "held" / "busy").touch()  # rmdir then fails, as in a cgroup that has processes
    assert not remove_tree(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["held"]


def test_processes_of_all_directories_below_are_found(tmp_path: Path) -> None:
    for name, text in (("", "1\n2\n"), ("x", "3\n"), ("x/y", ""), ("z", None)):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        if text is not None:
            (tmp_path / name / "cgroup.procs").write_text(text)
    assert processes_below(tmp_path) == {1, 2, 3}


@pytest.mark.parametrize("text", [V1, V2, HYBRID])
def test_a_mount_with_optional_fields_reads_as_one_without(text: str) -> None:
    assert read_hierarchies(text.replace(" shared:", " propagate_from:2 shared:")) == read_hierarchies(text)
