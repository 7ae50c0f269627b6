"""A container's files, read and written from the test."""

from __future__ import annotations

import errno
import os
import time

import pytest

from pytest_lxcontainer import Container
from pytest_lxcontainer.errors import ContainerFileError


def test_what_is_written_is_read_back_and_seen_inside(box: Container) -> None:
    data = os.urandom(300_000)
    box.write_bytes("/tmp/data", data)
    assert box.read_bytes("/tmp/data") == data
    box.write_text("/tmp/text", "grüße\n")
    assert box.check_output(["cat", "/tmp/text"]) == box.read_text("/tmp/text").rstrip() == "grüße"


def test_a_shorter_text_replaces_a_longer_one(box: Container) -> None:
    box.write_text("/tmp/text", "a long text")
    box.write_text("/tmp/text", "short")
    assert box.read_text("/tmp/text") == "short"


def test_a_new_file_is_roots_with_the_mode_asked_for(box: Container) -> None:
    box.write_text("/tmp/script", "#!/bin/sh\necho ran\n", mode=0o755)
    assert box.check_output(["stat", "-c", "%u:%g %a", "/tmp/script"]) == "0:0 755"
    assert box.check_output(["/tmp/script"]) == "ran"


def test_links_resolve_inside(box: Container) -> None:
    box.exec("ln -s /etc/passwd /tmp/absolute; ln -s ../../../../../../etc/passwd /tmp/climbing", check=True)
    inside = box.check_output(["cat", "/etc/passwd"]) + "\n"
    assert box.read_text("/tmp/absolute") == box.read_text("/tmp/climbing") == inside
    with open("/etc/passwd") as host:
        assert host.read() != inside


def test_writing_through_a_link_stays_inside(box: Container) -> None:
    target = f"/etc/written-{os.getpid()}"
    box.exec(["ln", "-s", target, "/tmp/link"], check=True)
    box.write_text("/tmp/link", "x")
    assert box.read_text(target) == "x"
    assert not os.path.exists(target)


def test_what_is_missing_says_so(box: Container) -> None:
    with pytest.raises(ContainerFileError, match="/no/such/file in container") as caught:
        box.read_text("/no/such/file")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.path == "/no/such/file"
    with pytest.raises(OSError, match="No such file"):
        box.write_text("/no/such/directory/file", "x")


@pytest.mark.parametrize("write", [False, True])
def test_a_fifo_is_refused_before_it_blocks(box: Container, write: bool) -> None:
    box.exec(["mkfifo", "/tmp/fifo"], check=True)
    begin = time.monotonic()
    with pytest.raises(ContainerFileError):
        box.write_text("/tmp/fifo", "x") if write else box.read_text("/tmp/fifo")
    assert time.monotonic() - begin < 5


def test_a_directory_is_no_file(box: Container) -> None:
    with pytest.raises(ContainerFileError) as caught:
        box.read_text("/etc")
    assert caught.value.errno == errno.EISDIR


def test_directories_are_listed_in_order(box: Container) -> None:
    box.exec("mkdir /tmp/d && touch /tmp/d/b /tmp/d/a /tmp/d/.c", check=True)
    assert box.listdir("/tmp/d") == [".c", "a", "b"]
    assert box.exists("/tmp/d/a") and not box.exists("/tmp/d/x")
    with pytest.raises(FileNotFoundError):
        box.listdir("/tmp/nowhere")


def test_what_one_container_writes_no_other_sees(box: Container, run: object) -> None:
    box.write_text("/tmp/mine", "x")
    box.write_text("/etc/passwd", "")
    other = run()  # type: ignore[operator]  # a Runner
    assert not other.exists("/tmp/mine")
    assert "root" in other.read_text("/etc/passwd")
