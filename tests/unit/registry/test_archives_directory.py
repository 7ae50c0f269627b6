"""A root file system in a directory: what is in it is in the image, all of it, once, and nothing from elsewhere."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lxcontainer.errors import ImageSourceError, UnsupportedImageError
from pytest_lxcontainer.image import ArchiveReference, Descriptor, ImageConfig, Platform, sha256_of
from pytest_lxcontainer.registry.archives import tar_stream as module
from pytest_lxcontainer.registry.archives.root_directory import RootDirectory
from pytest_lxcontainer.registry.archives.source import ArchiveSource
from pytest_lxcontainer.registry.archives.tar_stream import tar_stream
from pytest_lxcontainer.registry.archives.tree import Tree

AMD64 = Platform.parse("linux/amd64")
TIME = 1_600_000_000_123_456_789
SHIFTED = 231072


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a small root file system, outside of which there is something, too."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "hostname").write_text("box\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("nobody's business")
    return root


def packed(root: Path) -> bytes:
    return b"".join(tar_stream(Tree(root)))


def members(root: Path) -> dict[str, tarfile.TarInfo]:
    """What Python's tarfile reads in the tar of *root*; GNU tar has to agree that there is nothing wrong with it."""
    data = packed(root)
    subprocess.run(["tar", "--list", "--file", "-"], input=data, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        return {info.name: info for info in archive}


def content(root: Path, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(packed(root)), errors="surrogateescape") as archive:
        extracted = archive.extractfile(name)
        assert extracted is not None
        return extracted.read()


def test_files_have_their_content_mode_owner_and_time(root: Path) -> None:
    path = root / "etc" / "hostname"
    path.chmod(0o4751)
    os.utime(path, ns=(TIME, TIME))
    entry = members(root)["etc/hostname"]
    assert content(root, "etc/hostname") == b"box\n"
    assert (entry.mode, entry.uid, entry.gid) == (0o4751, 0, 0)
    assert entry.pax_headers["mtime"] == "1600000000.123456789"


@pytest.mark.parametrize("seconds", [0, -1, -5_000_000_000, 2**33 - 1, 2**33, 2**34])
def test_times_before_and_after_a_tars_are_kept(root: Path, seconds: int) -> None:
    os.utime(root / "etc" / "hostname", (seconds, seconds))
    written = int((root / "etc" / "hostname").stat().st_mtime)  # a file system may not reach so far
    assert members(root)["etc/hostname"].mtime == written


def test_the_root_itself_is_in_it(root: Path) -> None:
    root.chmod(0o711)
    entry = members(root)["."]
    assert entry.isdir() and entry.mode == 0o711


def test_links_are_kept_as_links(root: Path, tmp_path: Path) -> None:
    (root / "absolute").symlink_to(tmp_path / "outside" / "secret")
    (root / "up").symlink_to("../outside")
    (root / "long").symlink_to("x" * 300)
    found = members(root)
    assert found["absolute"].linkname == str(tmp_path / "outside" / "secret")
    assert found["up"].linkname == "../outside" and found["long"].linkname == "x" * 300
    assert b"nobody's business" not in packed(root)


def test_hard_links_are_one_file_of_several_names(root: Path, tmp_path: Path) -> None:
    (root / "etc" / "zz").hardlink_to(root / "etc" / "hostname")
    (root / "link").symlink_to("x")
    os.link(root / "link", root / "link2", follow_symlinks=False)
    os.link(root / "etc" / "hostname", tmp_path / "outside" / "third")
    found = members(root)
    assert found["etc/zz"].islnk() and found["etc/zz"].linkname == "etc/hostname"
    assert found["link2"].islnk() and found["link2"].linkname == "link"


@pytest.mark.parametrize("name", [b"x" * 255, b"\xff\xfe", "ä".encode(), b" a b ", b"a\nb", b"-rf", b"d/" * 60 + b"f"])
def test_names_are_kept_byte_for_byte(root: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(root), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"here")
    assert content(root, os.fsdecode(name)) == b"here"


def test_fifos_are_kept_and_sockets_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "fifo")
    monkeypatch.chdir(root)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        found = members(root)
    assert found["fifo"].isfifo() and "socket" not in found


@pytest.mark.needs_root
def test_devices_and_owners_are_kept(root: Path) -> None:
    os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "loop", 0o660 | stat.S_IFBLK, os.makedev(7, 200))
    os.chown(root / "etc" / "hostname", 1000, 3_000_000)
    found = members(root)
    assert found["null"].ischr() and (found["null"].devmajor, found["null"].devminor) == (1, 3)
    assert found["loop"].isblk() and (found["loop"].devmajor, found["loop"].devminor) == (7, 200)
    assert (found["etc/hostname"].uid, found["etc/hostname"].gid) == (1000, 3_000_000)


@pytest.mark.needs_root
def test_owners_of_a_user_namespace_are_shifted_back(root: Path) -> None:
    for path, owner in [(root, 0), (root / "etc", 0), (root / "etc" / "hostname", 33)]:
        os.chown(path, SHIFTED + owner, SHIFTED + owner)
    (root / "foreign").touch()
    found = members(root)
    assert (found["."].uid, found["etc"].gid, found["etc/hostname"].uid, found["foreign"].uid) == (0, 0, 33, 0)


@pytest.mark.needs_user
def test_what_belongs_to_the_user_belongs_to_root_in_the_image(root: Path) -> None:
    assert {(entry.uid, entry.gid) for entry in members(root).values()} == {(0, 0)}


@pytest.mark.needs_root
def test_capabilities_and_user_attributes_are_kept(root: Path) -> None:
    path = root / "etc" / "hostname"
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12)
    os.setxattr(path, "security.capability", capability)
    os.setxattr(path, "trusted.mine", b"the host's")
    found = members(root)["etc/hostname"].pax_headers
    assert found["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == capability
    assert "SCHILY.xattr.trusted.mine" not in found


@pytest.mark.needs_root
def test_capabilities_of_a_user_namespace_become_those_of_its_root(root: Path) -> None:
    path = root / "etc" / "hostname"
    rights = b"\x00\x04\x00\x00" + bytes(12)
    os.setxattr(path, "security.capability", b"\x01\x00\x00\x03" + rights + SHIFTED.to_bytes(4, "little"))
    value = members(root)["etc/hostname"].pax_headers["SCHILY.xattr.security.capability"]
    assert value.encode("utf-8", "surrogateescape") == b"\x01\x00\x00\x02" + rights


@pytest.mark.needs_root
def test_other_file_systems_are_not_entered(root: Path) -> None:
    """Such as the /proc, /sys and /dev of a root file system in use."""
    (root / "proc").mkdir()
    program = (
        "import sys, pathlib; from pytest_lxcontainer.registry.archives.tree import Tree\n"
        "print([node.path for node in Tree(pathlib.Path(sys.argv[1])).nodes()])"
    )
    script = 'mount -t tmpfs none "$1/proc" && echo 1 > "$1/proc/1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(root), sys.executable, program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.stdout == "['', 'etc', 'etc/hostname', 'proc']\n"


@pytest.mark.parametrize("name", [".wh.hostname", "etc/.wh..wh..opq"])
def test_whiteouts_are_refused(root: Path, name: str) -> None:
    (root / name).touch()
    with pytest.raises(UnsupportedImageError, match="whiteout"):
        packed(root)


def test_directories_without_end_are_refused(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnsupportedImageError, match="200 deep"):
        packed(root)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.needs_user
@pytest.mark.parametrize("name", ["etc", "etc/hostname"])
def test_what_may_not_be_read_is_named(root: Path, name: str) -> None:
    (root / name).chmod(0)
    try:
        with pytest.raises(ImageSourceError, match=f"(?s)^{name} cannot be read.*mmdebstrap"):
            packed(root)
    finally:
        (root / name).chmod(0o755)


# the same, or changed


def test_the_tar_is_the_same_whenever_the_directory_is(root: Path, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (root / name).touch()
    os.utime(root / "a", ns=(TIME, TIME))
    subprocess.run(["cp", "--archive", root, tmp_path / "copy"], check=True)
    assert packed(root) == packed(root) == packed(tmp_path / "copy")


def test_a_large_file_comes_in_pieces(root: Path) -> None:
    with (root / "large").open("wb") as file:
        file.truncate(20 * 1024 * 1024)
    chunks = [len(chunk) for chunk in tar_stream(Tree(root))]
    assert max(chunks) <= 2 * module._CHUNK and sum(chunks) > 20 * 1024 * 1024


def rewrite(path: Path) -> None:
    path.write_text("BOX\n")


CHANGES = {
    "content": lambda root: rewrite(root / "etc" / "hostname"),
    "mode": lambda root: (root / "etc" / "hostname").chmod(0o600),
    "new file": lambda root: (root / "new").touch(),
    "removal": lambda root: (root / "etc" / "hostname").unlink(),
    "new name": lambda root: (root / "etc").rename(root / "usr"),
    "time": lambda root: os.utime(root / "etc" / "hostname", ns=(TIME, TIME)),
    "target": lambda root: ((root / "link").unlink(), (root / "link").symlink_to("b")),
    "a time that was put back": lambda root: put_back(root / "etc" / "hostname"),
}


def put_back(path: Path) -> None:
    status = path.stat()
    rewrite(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed_without_reading_files(root: Path, change: str) -> None:
    (root / "link").symlink_to("a")
    before = Tree(root).walk()
    assert Tree(root).walk() == before
    CHANGES[change](root)
    assert Tree(root).walk() != before


def test_reading_does_not_count_as_a_change(root: Path) -> None:
    before = Tree(root).walk()
    packed(root)
    assert Tree(root).walk() == before


def test_a_file_that_shrinks_while_it_is_read_is_an_error(root: Path) -> None:
    tree = Tree(root)
    (root / "large").write_bytes(bytes(4 * module._CHUNK))
    chunks = tar_stream(tree)
    next(chunks)
    os.truncate(root / "large", 0)
    with pytest.raises(ImageSourceError, match="large was changed"):
        list(chunks)


def fetched(root: Path) -> tuple[RootDirectory, Descriptor]:
    image = RootDirectory(root)
    (layer,) = image.fetch_manifest(AMD64).manifest.layers
    return image, layer


def test_the_layer_is_what_its_manifest_says(root: Path) -> None:
    image, layer = fetched(root)
    with image.open_blob(layer) as chunks:
        data = b"".join(chunks)
    assert (sha256_of(data), len(data)) == (layer.digest, layer.size) and data == packed(root)


def test_a_directory_that_changes_before_it_is_read_again_is_an_error(root: Path) -> None:
    image, layer = fetched(root)
    rewrite(root / "etc" / "hostname")
    with pytest.raises(ImageSourceError, match="changed"), image.open_blob(layer) as chunks:
        list(chunks)


def config_of(root: Path) -> ImageConfig:
    source = ArchiveSource()
    name = ArchiveReference("dir", root)
    manifest = source.fetch_manifest(name, Platform.parse("linux/arm64/v9")).manifest
    with source.open_blob(name, manifest.config) as chunks:
        return ImageConfig.from_json(b"".join(chunks))


def make_shell(root: Path, name: str, **links: str) -> None:
    for link, target in links.items():
        (root / link).symlink_to(target)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to("busybox")


def test_it_runs_a_shell_if_there_is_one(root: Path) -> None:
    assert config_of(root).cmd == ()
    make_shell(root, "usr/bin/sh", bin="usr/bin")
    assert config_of(root).cmd == ("/usr/bin/sh",)
    (root / "bin").unlink()
    make_shell(root, "bin/sh")
    assert config_of(root).cmd == ("/bin/sh",)


def test_the_hosts_shell_is_not_taken_for_the_directorys(root: Path) -> None:
    (root / "bin").symlink_to("/bin")
    assert config_of(root).cmd == ()


def test_it_is_for_the_platform_that_is_asked_for(root: Path) -> None:
    assert str(config_of(root).platform) == "linux/arm64/v9"


def test_an_ordinary_directory_with_a_manifest_is_a_root_file_system(root: Path) -> None:
    (root / "manifest.json").write_text("{}")
    assert config_of(root).diff_ids == (sha256_of(packed(root)),)


def test_a_link_to_the_directory_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert packed(tmp_path / "link") == packed(root)


NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b"..")
)
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    st.tuples(st.binary(max_size=2000), st.integers(0, 0o7777), st.integers(0, 2**62)),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES)
def test_any_tree_is_read_back_as_it_is(tmp_path_factory: pytest.TempPathFactory, files: dict[Any, Any]) -> None:
    root = os.fsencode(tmp_path_factory.mktemp("tree"))
    written = {}
    for parts, (data, mode, time) in files.items():
        path = os.path.join(root, *parts)
        if any(part.startswith(b".wh.") for part in parts):
            continue
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        except OSError:  # one of the names is a directory, or a file, or too long together
            continue
        os.chmod(path, mode | 0o400)
        os.utime(path, ns=(time, time))
        written[os.fsdecode(b"/".join(parts))] = (data, mode | 0o400, os.stat(path).st_mtime_ns)
    assert dict(_read_back(Path(os.fsdecode(root)))) == written


def _read_back(root: Path) -> Iterator[tuple[str, tuple[bytes, int, int]]]:
    with tarfile.open(fileobj=io.BytesIO(packed(root)), errors="surrogateescape") as archive:
        for info in archive:
            if info.isfile():
                extracted = archive.extractfile(info)
                assert extracted is not None
                seconds, _, fraction = str(info.pax_headers.get("mtime", int(info.mtime))).partition(".")
                time = int(seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)
                yield info.name, (extracted.read(), info.mode, time)
