from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import StoreError
from pytest_lxcontainer.store.lock import locked


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with locked(path):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_the_lock_file_outlives_its_release(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        inode = path.stat().st_ino
    assert path.stat().st_ino == inode


def test_waiting_too_long_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path), pytest.raises(StoreError) as caught, locked(path, timeout=0.05):
        pass
    assert str(path) in caught.value.details
    assert f"pid {os.getpid()}" in caught.value.details


def test_an_error_inside_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "lock"):
        raise RuntimeError
    with locked(tmp_path / "lock", timeout=0.05):
        pass


def test_a_lock_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot lock"), locked(tmp_path / "file" / "lock", timeout=0.05):
        pass
