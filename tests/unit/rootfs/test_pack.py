"""Packing a layer's directory, on directories made by hand: what `tarfile` then reads."""

from __future__ import annotations

import io
import os
import resource
import socket
import stat
import tarfile
from pathlib import Path

import pytest

from pytest_lxcontainer.image.digest import sha256_of
from pytest_lxcontainer.rootfs.pack import pack
from pytest_lxcontainer.rootfs.whiteout import make_opaque

TIME = 1_000_000_000_123_456_789  # in nanoseconds


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    root = tmp_path / "layer"
    root.mkdir(mode=0o755)
    return root


def packed(layer: Path) -> dict[str, tarfile.TarInfo]:
    return {member.name: member for member in tarfile.open(fileobj=io.BytesIO(bytes_of(layer)))}


def bytes_of(layer: Path) -> bytes:
    source = os.open(layer, os.O_RDONLY | os.O_DIRECTORY)
    target = os.memfd_create("tar")
    try:
        told = pack(source, target)
        os.lseek(target, 0, os.SEEK_SET)
        with os.fdopen(os.dup(target), "rb") as file:
            data = file.read()
    finally:
        os.close(source)
        os.close(target)
    assert (told.diff_id, told.size) == (sha256_of(data), len(data))
    return data


def test_an_empty_layer_is_its_root(layer: Path) -> None:
    layer.chmod(0o1777)
    (root,) = packed(layer).values()
    assert root.isdir() and root.mode == 0o1777


def test_files_keep_mode_time_content_and_names(layer: Path) -> None:
    name = "n" * 90 + "/" + "m" * 200
    (layer / name).parent.mkdir()
    (layer / name).write_bytes(b"x" * 3000)
    (layer / name).chmod(0o4711)
    os.utime(layer / name, ns=(TIME, TIME))
    (layer / "link").symlink_to("a/" + "t" * 150)
    os.mkfifo(layer / "pipe")
    with tarfile.open(fileobj=io.BytesIO(bytes_of(layer))) as tar:
        member = tar.getmember(name)
        content = tar.extractfile(member)
        assert content is not None and content.read() == b"x" * 3000
        assert (member.mode, member.pax_headers["mtime"]) == (0o4711, "1000000000.123456789")
        assert tar.getmember("link").linkname == "a/" + "t" * 150
        assert tar.getmember("pipe").isfifo()


def test_names_of_one_file_are_hard_links(layer: Path) -> None:
    (layer / "b").write_text("x")
    (layer / "a").mkdir()
    os.link(layer / "b", layer / "a" / "c")
    members = packed(layer)
    assert members["a/c"].isreg()
    assert members["b"].islnk() and members["b"].linkname == "a/c"


def test_sockets_are_left_out(layer: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{os.open(layer, os.O_PATH)}/s")
        assert stat.S_ISSOCK((layer / "s").stat().st_mode)
        assert list(packed(layer)) == ["."]


def test_extended_attributes_are_kept_but_those_of_overlayfs(layer: Path) -> None:
    (layer / "file").touch()
    os.setxattr(layer / "file", "user.mine", b"\0=\n")
    os.setxattr(layer / "file", "user.overlay.origin", b"x")
    records = packed(layer)["file"].pax_headers
    assert {key for key in records if "xattr" in key} == {"SCHILY.xattr.user.mine"}
    assert records["SCHILY.xattr.user.mine"] == "\0=\n"


def test_an_opaque_directory_gets_its_mark(layer: Path) -> None:
    (layer / "dir").mkdir()
    fd = os.open(layer / "dir", os.O_RDONLY)
    make_opaque(fd)
    os.close(fd)
    (layer / "dir" / "new").touch()
    assert list(packed(layer)) == [".", "dir", "dir/.wh..wh..opq", "dir/new"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root, or root of a user namespace, may make whiteouts here")
def test_whiteouts_are_marks_even_where_they_are_one_file(layer: Path) -> None:
    os.mknod(layer / "gone", stat.S_IFCHR, 0)
    os.link(layer / "gone", layer / "too")
    members = packed(layer)
    assert list(members) == [".", ".wh.gone", ".wh.too"]
    assert all(member.isreg() and member.size == 0 for name, member in members.items() if name != ".")


def test_what_a_layer_cannot_hold_is_left_out(layer: Path) -> None:
    (layer / ".wh.mine").touch()
    assert list(packed(layer)) == ["."]


def test_the_same_directory_makes_the_same_bytes(layer: Path) -> None:
    for name in ("b", "a", "c"):
        (layer / name).touch()
    assert bytes_of(layer) == bytes_of(layer)
    assert list(packed(layer)) == [".", "a", "b", "c"]


def test_directories_may_be_nested_deeper_than_a_process_may_open_them(layer: Path) -> None:
    (layer / "/".join("d" * 400)).mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        assert bytes_of(layer).count(b"ustar\x0000") >= 400
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
