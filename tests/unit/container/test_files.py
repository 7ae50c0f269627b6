"""Work on a container's files, as far as any directory shows it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pytest_lxcontainer.container.channel import Channel, Frame
from pytest_lxcontainer.container.files import Root, perform

TASKS: list[Frame] = [
    {"do": "open", "path": "/file", "mode": "rb"},
    {"do": "open", "path": "/nothing", "mode": "rb"},
    {"do": "list", "path": "/"},
    {"do": "exists", "path": "/file"},
    {"do": "copy_out", "path": "/file"},
    {"do": "copy_out", "path": "/"},
    {"do": "copy_in", "path": "/new", "owner": None, "name": "new"},
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task['do']} {task['path']}")
def test_a_client_that_has_gone_is_no_error(tmp_path: Path, task: Frame) -> None:
    (tmp_path / "file").write_bytes(bytes(5 << 20))
    theirs, ours = socket.socketpair()
    theirs.close()
    root = os.open(tmp_path, os.O_RDONLY)
    with Channel(ours) as channel:
        perform(Root(root), task, channel)
    os.close(root)
    assert not (tmp_path / "new").exists()
