from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from pytest_lxcontainer.supervisor.block_groups import lay_out_apart


def attributes_of(path: Path) -> str:
    return subprocess.run(["lsattr", "-d", path], capture_output=True, text=True, check=False).stdout.partition(" ")[0]


def test_ext4_is_told() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        if "e" not in attributes_of(Path(directory)):
            pytest.skip("/var/tmp is not on ext4")
        for _ in range(2):
            lay_out_apart(Path(directory))
        assert "T" in attributes_of(Path(directory))


def test_other_file_systems_are_left_as_they_are() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        lay_out_apart(Path(directory))
        assert "T" not in attributes_of(Path(directory))
