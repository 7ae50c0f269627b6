from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_lxcontainer.rootfs.removal import remove_entry


def remove(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        remove_entry(path.name, fd)
    finally:
        os.close(fd)


def test_a_tree_goes_and_what_it_links_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree/a/file").touch()
    remove(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept/file").exists()


@pytest.mark.parametrize("name", ["file", "absent"])
def test_what_is_no_directory_goes_too(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    remove(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_tree_that_is_still_being_filled_goes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    begun = threading.Event()

    def fill() -> None:
        fd = os.open(tree, os.O_RDONLY)
        with suppress(FileNotFoundError):  # the directory is gone
            for number in range(3000):
                os.mknod(f"{number}", dir_fd=fd)
                begun.set()
        os.close(fd)

    filling = threading.Thread(target=fill)
    filling.start()
    begun.wait()
    remove(tree)
    filling.join()
    assert not tree.exists()


def test_many_directories_in_one_take_one_look(tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / "tree" / str(number)).mkdir(parents=True)
    looks, active = [], False

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.scandir" and active:
            looks.append(arguments)

    active = True
    sys.addaudithook(count)
    remove(tmp_path / "tree")
    active = False
    assert len(looks) == 5001
