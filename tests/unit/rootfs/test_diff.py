"""Sealing an upper dir and comparing stacks, on directories made by hand and without a mount."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pytest_lxcontainer.rootfs.diff import Difference, differences
from pytest_lxcontainer.rootfs.made import Made
from pytest_lxcontainer.rootfs.seal import seal
from pytest_lxcontainer.rootfs.whiteout import make_opaque

OLD = 1_000_000_000_000_000_000  # a time in nanoseconds


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A base layer."""
    root = made_dir(tmp_path / "lower")
    write(root / "etc" / "conf", "a=1\n")
    write(root / "etc" / "other", "b=1\n")
    write(root / "var" / "lib" / "deep" / "data", "data")
    (root / "link").symlink_to("etc/conf")
    return root


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    return made_dir(tmp_path / "upper")


def made_dir(path: Path) -> Path:
    path.mkdir()
    path.chmod(0o755)
    return path


def write(path: Path, text: str, time: int = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(time, time))
    return path


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, 0)


def opaque(path: Path) -> Path:
    path.mkdir(parents=True)
    with opened([path]) as (fd,):
        make_opaque(fd)
    return path


@contextmanager
def opened(paths: list[Path]) -> Iterator[list[int]]:
    with ExitStack() as stack:
        fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in paths]
        for fd in fds:
            stack.callback(os.close, fd)
        yield fds


def ours(*mount_points: str, cwd: str = "/") -> Made:
    return Made.of(mount_points, (cwd,), os.geteuid(), os.getegid())


def diff(old: list[Path], new: list[Path], made: Made | None = None) -> list[Difference]:
    with opened(old) as before, opened(new) as after:
        return differences(before, after, made or ours())


def sealed(lower: list[Path], upper: Path, made: Made | None = None) -> Path:
    target = made_dir(upper.parent / f"sealed-{len(list(upper.parent.iterdir()))}")
    with opened([upper, target]) as (source, destination), opened(lower) as below:
        seal(source, destination, below, made or ours())
    return target


class TestDiff:
    def test_an_empty_upper_dir_changes_nothing(self, lower: Path, upper: Path) -> None:
        assert diff([lower], [lower, upper]) == []

    def test_files_are_added_changed_and_deleted(self, lower: Path, upper: Path) -> None:
        write(upper / "new", "12345")
        write(upper / "etc" / "conf", "a=22\n", OLD + 1)
        whiteout(upper / "etc" / "other")
        assert diff([lower], [lower, upper]) == [
            ("changed", "/etc/conf", 5),
            ("deleted", "/etc/other", 0),
            ("added", "/new", 5),
        ]

    def test_a_new_directory_is_listed_with_what_is_in_it(self, lower: Path, upper: Path) -> None:
        write(upper / "srv" / "site" / "index", "x")
        kinds = [("added", path) for path in ("/srv", "/srv/site", "/srv/site/index")]
        assert [each[:2] for each in diff([lower], [lower, upper])] == kinds

    def test_a_deleted_directory_is_listed_alone(self, lower: Path, upper: Path) -> None:
        whiteout(upper / "var")
        assert diff([lower], [lower, upper]) == [("deleted", "/var", 0)]

    def test_an_opaque_directory_is_compared_with_what_it_hides(self, lower: Path, upper: Path) -> None:
        write(opaque(upper / "etc") / "conf", "a=1\n")
        assert diff([lower], [lower, upper]) == [("deleted", "/etc/other", 0)]

    def test_a_file_that_was_copied_up_and_left_alone_is_no_change(self, lower: Path, upper: Path) -> None:
        write(upper / "etc" / "conf", "a=1\n")
        assert diff([lower], [lower, upper]) == []

    def test_other_content_of_the_same_size_and_time_is_a_change(self, lower: Path, upper: Path) -> None:
        write(upper / "etc" / "conf", "a=2\n")
        assert diff([lower], [lower, upper]) == [("changed", "/etc/conf", 4)]

    def test_a_mode_is_a_change_of_a_file_and_of_a_directory(self, lower: Path, upper: Path) -> None:
        write(upper / "etc" / "conf", "a=1\n").chmod(0o600)
        (upper / "etc").chmod(0o700)
        assert diff([lower], [lower, upper]) == [("changed", "/etc", 0), ("changed", "/etc/conf", 4)]

    def test_an_extended_attribute_is_a_change(self, lower: Path, upper: Path) -> None:
        os.setxattr(write(upper / "etc" / "conf", "a=1\n"), "user.mark", b"1")
        assert diff([lower], [lower, upper]) == [("changed", "/etc/conf", 4)]

    def test_a_link_is_changed_by_where_it_leads(self, lower: Path, upper: Path) -> None:
        (upper / "link").symlink_to("etc/other")
        assert diff([lower], [lower, upper]) == [("changed", "/link", 0)]

    def test_a_directory_in_place_of_a_file_is_a_change_and_what_is_in_it_new(self, lower: Path, upper: Path) -> None:
        write(opaque(upper / "link") / "inner", "x")
        assert diff([lower], [lower, upper]) == [("changed", "/link", 0), ("added", "/link/inner", 1)]

    def test_a_file_in_place_of_a_directory_is_one_change(self, lower: Path, upper: Path) -> None:
        write(upper / "var", "x")
        assert diff([lower], [lower, upper]) == [("changed", "/var", 1)]

    def test_between_two_upper_dirs_of_one_base(self, lower: Path, upper: Path, tmp_path: Path) -> None:
        other = made_dir(tmp_path / "other")
        write(upper / "same", "1")
        write(other / "same", "1")
        write(upper / "etc" / "conf", "here")
        whiteout(other / "etc" / "other")
        assert diff([lower, upper], [lower, other]) == [("changed", "/etc/conf", 4), ("deleted", "/etc/other", 0)]

    def test_what_was_made_for_mounts_is_left_out_and_what_is_beside_it_is_not(self, lower: Path, upper: Path) -> None:
        for name in ("etc/hosts", "a/b/file"):
            write(upper / name, "")
        for name in ("proc", "w/x"):
            (upper / name).mkdir(parents=True)
        for path in upper.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0)
        (upper / "proc").chmod(0o644)
        assert diff([lower], [lower, upper], ours("/a//b/./file", cwd="/w/x")) == []
        write(upper / "a" / "own", "x")
        assert diff([lower], [lower, upper], ours("/a/b/file", cwd="/w/x")) == [("added", "/a/own", 1)]

    def test_what_the_container_changed_in_it_counts(self, lower: Path, upper: Path) -> None:
        write(upper / "etc" / "hosts", "127.0.0.1 me\n")
        (upper / "w").mkdir(mode=0o700)
        found = diff([lower], [lower, upper], ours(cwd="/w"))
        assert found == [("added", "/etc/hosts", 13), ("added", "/w", 0)]

    def test_a_deep_tree_does_not_exhaust_the_stack(self, lower: Path, upper: Path) -> None:
        fd = os.open(upper, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("d", dir_fd=fd)
            inner = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.close(fd)
        assert len(diff([lower], [lower, upper])) == 300
        assert diff([lower, sealed([lower], upper)], [lower, upper]) == []


class TestSeal:
    def test_a_sealed_upper_dir_shows_what_the_upper_dir_does(self, lower: Path, upper: Path) -> None:
        os.setxattr(write(upper / "etc" / "conf", "a=2\n"), "user.mark", b"1")
        whiteout(upper / "etc" / "other")
        write(opaque(upper / "var") / "new", "x").chmod(0o4711)
        (upper / "link").symlink_to("/nowhere")
        os.mkfifo(upper / "fifo", 0o620)
        (upper / "var").chmod(0o1777)
        target = sealed([lower], upper)
        assert diff([lower, upper], [lower, target]) == []
        assert stat.S_IMODE((target / "var" / "new").stat().st_mode) == 0o4711
        assert (target / "etc" / "conf").stat().st_mtime_ns == OLD
        assert stat.S_ISFIFO((target / "fifo").stat().st_mode)
        assert diff([lower], [lower, target]) == diff([lower], [lower, upper])

    def test_directories_keep_their_times(self, lower: Path, upper: Path) -> None:
        write(upper / "d" / "file", "x")
        os.utime(upper / "d", ns=(OLD, OLD))
        os.utime(upper, ns=(OLD + 1, OLD + 1))
        target = sealed([lower], upper)
        assert (target / "d").stat().st_mtime_ns == OLD
        assert target.stat().st_mtime_ns == OLD + 1

    def test_names_of_one_file_stay_one_file(self, lower: Path, upper: Path) -> None:
        first = write(upper / "a" / "one", "x")
        os.link(first, upper / "two")
        target = sealed([lower], upper)
        assert (target / "a" / "one").stat().st_ino == (target / "two").stat().st_ino

    def test_holes_stay_holes(self, lower: Path, upper: Path) -> None:
        with (upper / "sparse").open("wb") as file:
            file.truncate(1 << 30)
            file.write(b"begin")
        copied = (sealed([lower], upper) / "sparse").stat()
        assert copied.st_size == 1 << 30
        assert copied.st_blocks * 512 < 1 << 20

    def test_sockets_are_left_out(self, lower: Path, upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(upper)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
            target = sealed([lower], upper)
        assert list(target.iterdir()) == []

    def test_overlayfs_own_notes_are_left_out(self, lower: Path, upper: Path) -> None:
        os.setxattr(write(upper / "file", "x"), "user.overlay.origin", b"")
        os.setxattr(upper, "user.overlay.impure", b"y")
        target = sealed([lower], upper)
        assert os.listxattr(target / "file") == os.listxattr(target) == []

    def test_what_was_made_for_mounts_is_left_out_unless_used(self, lower: Path, upper: Path) -> None:
        write(upper / "etc" / "hosts", "").chmod(0)
        for name in ("proc", "w", "a/b"):
            (upper / name).mkdir(parents=True)
        for path in upper.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        write(upper / "w" / "own", "x")
        target = sealed([lower], upper, ours("/a/b", cwd="/w"))
        assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == ["etc", "w", "w/own"]

    def test_a_file_that_the_container_emptied_is_kept(self, lower: Path, upper: Path) -> None:
        write(lower / "etc" / "hosts", "127.0.0.1 base\n")
        write(upper / "etc" / "hosts", "")
        assert (sealed([lower], upper) / "etc" / "hosts").exists()
