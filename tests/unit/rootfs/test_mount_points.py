"""Where a container's mounts go, in trees made here; what LXC makes of it is in tests/system/test_mount_points.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import LxContainerError
from pytest_lxcontainer.rootfs.mount_points import MountPoint, Wanted, make_mount_points

OWNER = (os.geteuid(), os.getegid())


class Stack:
    """Two lower dirs and an upper dir."""

    def __init__(self, root: Path) -> None:
        self.base, self.top, self.upper = (root / name for name in ("base", "top", "upper"))
        for each in (self.base, self.top, self.upper):
            each.mkdir()

    def file(self, *wanted: str) -> list[str]:
        return [point.path for point in self.points(*(Wanted(target, False, "/x") for target in wanted))]

    def points(self, *wanted: Wanted) -> list[MountPoint]:
        with self._opened() as (upper, *lower):
            return make_mount_points(upper, lower, wanted, OWNER)

    @contextmanager
    def _opened(self) -> Iterator[list[int]]:
        with ExitStack() as stack:
            fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (self.upper, self.base, self.top)]
            for fd in fds:
                stack.callback(os.close, fd)
            yield fds


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def test_what_is_there_stays_in_its_layer(stack: Stack) -> None:
    (stack.base / "etc").mkdir()
    (stack.base / "etc/hosts").write_text("x")
    assert stack.file("/etc/hosts") == ["etc/hosts"]
    assert sorted(path.name for path in stack.upper.iterdir()) == ["dev", "proc", "sys"]


def test_what_is_absent_is_made_in_a_copy_of_its_directory(stack: Stack) -> None:
    (stack.base / "etc").mkdir(mode=0o750)
    assert stack.file("/etc/deep/hosts") == ["etc/deep/hosts"]
    assert (stack.upper / "etc").stat().st_mode & 0o7777 == 0o750
    assert (stack.upper / "etc/deep/hosts").read_bytes() == b""


@pytest.mark.parametrize(
    ("link", "found"),
    [("/run/made", "run/made"), ("../run/a/../made", "run/made"), ("../../../../up", "up"), ("other", "etc/other")],
)
def test_links_lead_where_they_do_inside(stack: Stack, link: str, found: str) -> None:
    (stack.base / "etc").mkdir()
    (stack.top / "etc").mkdir()
    (stack.top / "etc/hosts").symlink_to(link)
    assert stack.file("/etc/hosts") == [found]
    assert (stack.upper / found).is_file()


def test_chains_of_links_end_somewhere(stack: Stack) -> None:
    (stack.base / "etc").symlink_to("a")
    (stack.base / "a").symlink_to("/b")
    (stack.top / "b").mkdir()
    (stack.top / "b/hosts").symlink_to("../etc/real")
    assert stack.file("/etc/hosts") == ["b/real"]
    (stack.top / "b/loop").symlink_to("loop")
    with pytest.raises(LxContainerError, match="40 links"):
        stack.file("/etc/loop")


@pytest.mark.parametrize("link", ["/", "..", "/b/", "/b/."])
def test_a_link_to_a_directory_is_no_place_for_a_file(stack: Stack, link: str) -> None:
    (stack.base / "b").mkdir()
    (stack.base / "hosts").symlink_to(link)
    with pytest.raises(LxContainerError, match="directory"):
        stack.file("/hosts")


def test_inside_a_new_file_system_lxc_makes_them(stack: Stack) -> None:
    (stack.base / "link").symlink_to("data/in")
    wanted = [Wanted("/data/in/x", False, "/x"), Wanted("/data", True), Wanted("/dev/x", True), Wanted("/link/y", True)]
    assert stack.points(*wanted) == [
        MountPoint("data/in/x", fresh=True),
        MountPoint("data"),
        MountPoint("dev/x", fresh=True),
        MountPoint("data/in/y", fresh=True),
    ]


def test_inside_a_directory_of_the_host_they_are_made_there(stack: Stack, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    wanted = [Wanted("/app", True, str(source)), Wanted("/app/deep/dir", True), Wanted("/app/deep/file", False, "/x")]
    assert [point.fresh for point in stack.points(*wanted)] == [False, False, False]
    assert (source / "deep/dir").is_dir() and (source / "deep/file").is_file()
    assert not (stack.upper / "app/deep").exists()


@pytest.mark.parametrize("name", ["deep", "deep/file"])
def test_no_link_in_a_directory_of_the_host_is_followed(stack: Stack, tmp_path: Path, name: str) -> None:
    source, other = tmp_path / "source", tmp_path / "other"
    (source / name).parent.mkdir(parents=True)
    other.mkdir()
    (source / name).symlink_to(other)
    with pytest.raises((LxContainerError, OSError)):
        stack.points(Wanted("/app", True, str(source)), Wanted("/app/deep/file", False, "/x"))
    assert list(other.iterdir()) == []


@pytest.mark.needs_root
def test_what_was_deleted_is_made_again(stack: Stack) -> None:
    (stack.base / "etc").mkdir()
    (stack.base / "etc/hosts").write_text("x")
    (stack.base / "etc/other").write_text("x")
    os.mknod(stack.upper / "etc", 0o020000)
    assert stack.file("/etc/hosts") == ["etc/hosts"]
    assert os.listdir(stack.upper / "etc") == ["hosts"]
    assert os.getxattr(stack.upper / "etc", "user.overlay.opaque")
