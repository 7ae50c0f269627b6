"""The two ends of a copy, without a container between them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.container.channel import Channel
from pytest_lxcontainer.container.copying import CopyError, OtherEndError, Receiver, _send_content, send_tree
from pytest_lxcontainer.container.files import Root, destination

FILE = {"is": "file", "mode": 0o644, "uid": 0, "gid": 0, "mtime": 0}
DIR = {**FILE, "is": "dir"}


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, two = socket.socketpair()
    with Channel(one) as sender, Channel(two) as receiver:
        yield sender, receiver


def receive(channel: Channel, directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    Receiver(channel, fd, "copy").receive(channel.receive()[0])


@pytest.mark.parametrize("name", ["", ".", "..", "../evil", "/etc/evil", "a/b", "a\0b", None, 7])
def test_no_name_leads_out_of_the_tree(ends: tuple[Channel, Channel], tmp_path: Path, name: Any) -> None:
    (tmp_path / "in").mkdir()
    ends[0].send({**DIR, "name": "copy"})
    ends[0].send({**FILE, "name": name})
    with pytest.raises(CopyError):
        receive(ends[1], tmp_path / "in")
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "copy"]


def test_a_link_in_the_way_of_a_directory_is_not_followed(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in/copy").symlink_to("../out")
    ends[0].send({**DIR, "name": "copy"})
    ends[0].send({**FILE, "name": "file"})
    with pytest.raises(CopyError):
        receive(ends[1], tmp_path / "in")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_sender_that_goes_away_halfway_is_an_error(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    ends[0].send({**FILE, "name": "copy"})
    ends[0].send_piece(b"begin")
    ends[0].__exit__()
    with pytest.raises(ConnectionError):
        receive(ends[1], tmp_path)


def test_an_error_of_the_sender_reaches_the_receiver(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    ends[0].send({**DIR, "name": "copy"})
    ends[0].send({"is": "error", "errno": 5, "path": "tree/bad"})
    with pytest.raises(OtherEndError) as caught:
        receive(ends[1], tmp_path)
    assert (caught.value.errno, caught.value.path) == (5, "tree/bad")


def test_a_deep_tree_needs_no_deep_stack(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    (tmp_path / "in").mkdir()
    source = os.open(tmp_path / "d", os.O_RDONLY)
    thread = threading.Thread(target=send_tree, args=(ends[0], source, "d"))
    thread.start()
    receive(ends[1], tmp_path / "in")
    thread.join()
    assert sum(1 for _ in os.walk(tmp_path / "in" / "copy")) == 200


@pytest.mark.parametrize(
    ("size", "places"),
    [(1 << 30, []), (1 << 30, [0]), (1 << 30, [1 << 29]), ((1 << 30) + 5, [1 << 20, 1 << 30]), (0, [0]), (0, [])],
)
def test_holes_stay_holes(ends: tuple[Channel, Channel], tmp_path: Path, size: int, places: list[int]) -> None:
    (tmp_path / "in").mkdir()
    source = os.open(tmp_path / "source", os.O_RDWR | os.O_CREAT)
    os.ftruncate(source, size)
    for place in places:
        os.pwrite(source, b"data", place)
    thread = threading.Thread(target=send_tree, args=(ends[0], source, "source"))
    thread.start()
    receive(ends[1], tmp_path / "in")
    thread.join()
    with (tmp_path / "in" / "copy").open("rb") as copy, (tmp_path / "source").open("rb") as original:
        status = os.fstat(copy.fileno())
        assert status.st_size == os.fstat(original.fileno()).st_size
        assert status.st_blocks * 512 < 1 << 20
        for place in places:
            assert os.pread(copy.fileno(), 4, place) == b"data"


def test_a_file_of_proc_is_sent_though_it_has_no_size(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    source = os.open("/proc/self/status", os.O_RDONLY)
    thread = threading.Thread(target=send_tree, args=(ends[0], source, "status"))
    thread.start()
    receive(ends[1], tmp_path)
    thread.join()
    assert "Pid:" in (tmp_path / "copy").read_text()


def test_what_is_appended_meanwhile_is_left_out(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    path = tmp_path / "grows"
    path.write_bytes(b"x" * 1000)
    with path.open("r+b") as file:
        before = os.fstat(file.fileno())
        os.pwrite(file.fileno(), b"y" * 1000, 1000)
        _send_content(ends[0], file.fileno(), before)
    ends[0].send_piece(b"")
    assert ends[1].receive_piece() == b"x" * 1000
    assert ends[1].receive_piece() == b""


@pytest.mark.parametrize("path", ["/link", "/climbing", "/../../../../../../etc", "/link/../../etc"])
def test_a_path_resolves_below_its_root(tmp_path: Path, path: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/mark").touch()
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "climbing").symlink_to("../../../../../../../etc")
    fd = os.open(tmp_path, os.O_RDONLY)
    found = Root(fd).open(path, os.O_RDONLY | os.O_DIRECTORY)
    assert os.listdir(found) == ["mark"]
    os.close(found)
    os.close(fd)


def test_magic_links_of_proc_are_not_followed() -> None:
    fd = os.open("/", os.O_RDONLY)
    for link in ("exe", "cwd", "root", f"fd/{fd}"):
        with pytest.raises(OSError, match=r"symbolic links|cross-device link"):
            Root(fd).open(f"/proc/self/{link}", os.O_RDONLY)
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "there", "expected"),
    [("/a/b", "dir", ("/a/b", "n")), ("/a/b", "", ("/a", "b")), ("/b", "", ("/", "b")), ("b", "", (".", "b"))],
)
def test_a_destination_is_a_directory_and_a_name(path: str, there: str, expected: tuple[str, str]) -> None:
    kind: Callable[[str], str] = {path: there}.__getitem__
    assert destination(path, True, "n", kind) == expected
