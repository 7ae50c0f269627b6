from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import HostNotReadyError
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.supervisor.janitor import Janitor


@pytest.fixture
def janitor() -> Janitor:
    try:
        return Janitor(IdMap.for_host())
    except HostNotReadyError as error:
        pytest.skip(error.message)


def make_tree(path: Path) -> Path:
    (path / "a" / "b").mkdir(parents=True)
    for name in ("a/b/file", "a/with space\nand break", "a/\udcff"):
        (path / name).touch()
    (path / "link").symlink_to("/etc")
    (path / "a").chmod(0o500)
    return path


def test_trees_are_gone_when_it_has_finished(tmp_path: Path, janitor: Janitor) -> None:
    trees = [make_tree(tmp_path / f"tree {number}") for number in range(20)]
    for tree in trees:
        janitor.remove(tree)
    janitor.finish()
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc/passwd").exists()


def test_it_removes_without_being_waited_for(tmp_path: Path, janitor: Janitor) -> None:
    tree = make_tree(tmp_path / "tree")
    janitor.remove(tree)
    deadline = time.monotonic() + 20
    while tree.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not tree.exists()
    janitor.finish()


def test_what_is_gone_already_does_not_stop_it(tmp_path: Path, janitor: Janitor) -> None:
    janitor.remove(tmp_path / "nothing" / "here")
    janitor.remove(tmp_path / "nothing")
    tree = make_tree(tmp_path / "tree")
    janitor.remove(tree)
    janitor.finish()
    assert not tree.exists()


def test_one_that_was_prepared_removes(tmp_path: Path, janitor: Janitor) -> None:
    janitor.prepare()
    janitor.prepare()
    tree = make_tree(tmp_path / "tree")
    janitor.remove(tree)
    janitor.finish()
    assert not tree.exists()


def test_it_keeps_nothing_open_that_was_when_it_began(janitor: Janitor) -> None:
    reader, writer = os.pipe()
    janitor.prepare()
    os.close(writer)
    assert os.read(reader, 1) == b""  # the end, though the janitor goes on
    os.close(reader)
    assert os.waitpid(janitor._pid, os.WNOHANG) == (0, 0)
    janitor.finish()


def test_it_can_be_finished_unused_and_used_again(tmp_path: Path, janitor: Janitor) -> None:
    janitor.finish()
    tree = make_tree(tmp_path / "tree")
    janitor.remove(tree)
    janitor.finish()
    janitor.finish()
    assert not tree.exists()
    with pytest.raises(ChildProcessError):
        os.waitpid(janitor._pid, os.WNOHANG)
