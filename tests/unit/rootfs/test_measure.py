from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from pytest_lxcontainer.rootfs.measure import size_on_disk


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/file").write_bytes(os.urandom(100_000))
    (tree / "a/b/name").hardlink_to(tree / "a/file")
    (tree / "sparse").touch()
    os.truncate(tree / "sparse", 1 << 30)
    (tree / "z/y/x").mkdir(parents=True)
    (tree / "z/later").write_bytes(os.urandom(10_000))
    (tree / "link").symlink_to("/usr")
    return tree


def measured(path: Path) -> int:
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        return size_on_disk(path.name, fd)
    finally:
        os.close(fd)


def test_the_size_is_what_du_says(tree: Path) -> None:
    done = subprocess.run(["du", "--summarize", "--block-size=1", tree], capture_output=True, text=True, check=True)
    assert measured(tree) == int(done.stdout.split()[0])


def test_a_file_has_a_size(tree: Path) -> None:
    assert 100_000 <= measured(tree / "a/file") < 200_000


def test_what_is_absent_takes_nothing(tmp_path: Path) -> None:
    assert measured(tmp_path / "absent") == 0


def test_depth_is_no_limit(tmp_path: Path) -> None:
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 1024), most))
    try:
        assert measured(tmp_path / "d") >= 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)
