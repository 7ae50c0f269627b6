from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import CorruptImageError, StoreError
from pytest_lxcontainer.rootfs.overlay import Overlay, paths_of, read_file, stat_path
from pytest_lxcontainer.rootfs.whiteout import make_opaque, make_overlay_whiteout

OVERLAY = Overlay((Path("/s/base"), Path("/s/mid"), Path("/s/top")), Path("/c/x/upper"))


def test_lxc_wants_the_topmost_layer_first_and_the_upper_dir_last() -> None:
    assert OVERLAY.lxc_rootfs_path() == "overlay:/s/top:/s/mid:/s/base:/c/x/upper"
    assert OVERLAY.work_dir == Path("/c/x/work")
    assert OVERLAY.options == "userxattr"
    assert OVERLAY.lxc_rootfs_options == "userxattr,volatile"


def test_a_layer_that_an_image_has_twice_is_mounted_once_where_it_is_topmost() -> None:
    """overlayfs refuses overlapping layers with ELOOP."""
    base, top = Path("/s/base"), Path("/s/top")
    assert Overlay((base, top, base), Path("/c/x/upper")).lxc_rootfs_path() == "overlay:/s/base:/s/top:/c/x/upper"


def test_option_length_is_that_of_the_options_lxc_mounts_with() -> None:
    options = "upperdir=/c/x/upper,lowerdir=/s/top:/s/mid:/s/base,workdir=/c/x/work,userxattr"
    assert OVERLAY.mount_options() == options and OVERLAY.option_length() == len(f"{options},volatile")


@pytest.mark.parametrize(("count", "too_long"), [(120, False), (140, True)])
def test_stack_that_one_mount_cannot_take_is_too_long(count: int, too_long: bool) -> None:
    layers = tuple(Path(f"/var/lib/lxcontainer/l/{number:06d}") for number in range(count))
    assert Overlay(layers, Path("/c/upper")).too_long is too_long


def test_lower_dirs_are_named_by_their_ways_from_where_it_is_mounted() -> None:
    base, top, upper = Path("/s/l/base"), Path("/s/runs/r/s/1"), Path("/s/runs/r/box/upper")
    overlay = Overlay((base, top), upper, home=Path("/s/runs/r"))
    assert overlay.lxc_rootfs_path() == "overlay:s/1:../../l/base:/s/runs/r/box/upper"
    assert "lowerdir=s/1:../../l/base,workdir=/s/runs/r/box/work," in overlay.mount_options()
    assert replace(overlay, home=None).lxc_rootfs_path() == "overlay:/s/runs/r/s/1:/s/l/base:/s/runs/r/box/upper"


def test_ways_make_room_for_more_layers() -> None:
    layers = tuple(Path(f"/var/lib/lxcontainer/l/{number:012d}") for number in range(180))
    overlay = Overlay(layers, Path("/var/lib/lxcontainer/runs/0123abcd/box/upper"))
    assert overlay.too_long
    assert not replace(overlay, home=Path("/var/lib/lxcontainer/runs/0123abcd")).too_long


def test_the_same_stack_has_the_same_paths_and_another_has_others() -> None:
    stack = ("/s/base", "/s/top")
    assert paths_of(stack) is paths_of(tuple(f"/s/{name}" for name in ("base", "top")))
    assert paths_of(stack[::-1]) == (Path("/s/top"), Path("/s/base"))


@pytest.mark.parametrize("path", ["/a:b", "/a,b", "/a\\b", "/a\nb", "relative"])
def test_path_that_lxc_would_misread_is_refused(path: str) -> None:
    for overlay in (Overlay((Path(path),), Path("/u")), Overlay((Path("/l"),), Path(path))):
        with pytest.raises(StoreError):
            overlay.lxc_rootfs_path()


class Stack:
    def __init__(self, where: Path) -> None:
        self.dirs = [where / name for name in ("base", "mid", "top")]
        for path in self.dirs:
            path.mkdir()
        self.base, self.mid, self.top = self.dirs

    def read(self, path: str) -> str | None:
        data = read_file(self.dirs, path)
        return None if data is None else data.decode()


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def in_dir(path: Path, act) -> None:
    path.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDONLY)
    act(fd)
    os.close(fd)


def test_topmost_layer_wins_and_directories_merge(stack: Stack) -> None:
    write(stack.base / "etc/a", "base")
    write(stack.base / "etc/b", "base")
    write(stack.top / "etc/a", "top")
    assert (stack.read("/etc/a"), stack.read("etc/b"), stack.read("etc/c")) == ("top", "base", None)


@pytest.mark.needs_root
def test_whiteout_hides_what_is_below_it(stack: Stack) -> None:
    write(stack.base / "etc/a", "base")
    in_dir(stack.mid / "etc", lambda fd: make_overlay_whiteout("a", fd))
    assert stack.read("etc/a") is None
    write(stack.top / "etc/a", "top")
    assert stack.read("etc/a") == "top"


@pytest.mark.needs_root
def test_directory_over_a_whiteout_shows_nothing_of_before(stack: Stack) -> None:
    write(stack.base / "etc/a", "base")
    in_dir(stack.mid, lambda fd: make_overlay_whiteout("etc", fd))
    write(stack.top / "etc/b", "top")
    assert (stack.read("etc/a"), stack.read("etc/b")) == (None, "top")


def test_opaque_directory_hides_what_is_below_it(stack: Stack) -> None:
    write(stack.base / "etc/a", "base")
    in_dir(stack.mid / "etc", make_opaque)
    write(stack.top / "etc/b", "top")
    assert (stack.read("etc/a"), stack.read("etc/b")) == (None, "top")


def test_file_over_a_directory_hides_it(stack: Stack) -> None:
    write(stack.base / "d/a", "base")
    write(stack.mid / "d", "file")
    write(stack.top / "e", "")
    assert (stack.read("d/a"), stack.read("d")) == (None, "file")


@pytest.mark.parametrize("target", ["usr/lib", "/usr/lib", "./usr/../usr/lib", "../../usr/lib"])
def test_links_are_followed_through_all_layers(stack: Stack, target: str) -> None:
    (stack.base / "lib").symlink_to(target)
    write(stack.mid / "usr/lib/os-release", "mid")
    write(stack.top / "usr/lib/other", "top")
    (stack.top / "etc").mkdir()
    (stack.top / "etc/os-release").symlink_to("../lib/os-release")
    assert stack.read("etc/os-release") == "mid"
    assert stack.read("lib/../os-release") is None


def test_links_never_lead_out_of_the_stack(stack: Stack, tmp_path: Path) -> None:
    write(tmp_path / "secret", "secret")
    (stack.base / "a").symlink_to(tmp_path / "secret")
    (stack.base / "b").symlink_to("../secret")
    (stack.base / "c").symlink_to("../" * 30 + str(tmp_path))
    (stack.top / "d").symlink_to("/proc/self/cwd")
    assert [stack.read(path) for path in ("a", "b", "c/secret", "../secret", "d/secret")] == [None] * 5


def test_endless_link_is_an_error(stack: Stack) -> None:
    (stack.base / "a").symlink_to("b")
    (stack.base / "b").symlink_to("a")
    with pytest.raises(CorruptImageError, match="link to itself"):
        stack.read("a")


def test_only_regular_files_are_read(stack: Stack) -> None:
    os.mkfifo(stack.base / "fifo")
    (stack.base / "dir").mkdir()
    assert (stack.read("fifo"), stack.read("dir"), stack.read("/")) == (None, None, None)


def test_file_beyond_the_limit_is_refused(stack: Stack) -> None:
    write(stack.base / "big", "12345")
    assert read_file(stack.dirs, "big", limit=5) == b"12345"
    with pytest.raises(CorruptImageError, match="larger than 4"):
        read_file(stack.dirs, "big", limit=4)


def test_status_is_that_of_the_merged_tree(stack: Stack) -> None:
    (stack.base / "d").mkdir(mode=0o700)
    (stack.top / "d").mkdir(mode=0o755)
    status = stat_path(stack.dirs, "/d/")
    assert status is not None and status.st_mode & 0o777 == 0o755
    root = stat_path(stack.dirs, "/")
    assert root is not None and root.st_ino == stack.top.stat().st_ino
    assert stat_path(stack.dirs, "d/x") is None
    assert stat_path((), "d") is None


def test_missing_layer_is_a_store_error(stack: Stack) -> None:
    with pytest.raises(StoreError):
        read_file([stack.base / "gone"], "x")
