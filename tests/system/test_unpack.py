"""Layers unpacked by a `Sandbox`: in a user namespace, and shown by the kernel's overlayfs."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import (
    CorruptImageError,
    DigestMismatchError,
    LxContainerError,
    StoreError,
    UnsafeLayerError,
    UnsupportedImageError,
)
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.overlay import Overlay, read_file, stat_path
from pytest_lxcontainer.rootfs.sandbox import Sandbox
from pytest_lxcontainer.rootfs.unpacked import Unpacked

from ..unit.rootfs.tars import (
    Member,
    device,
    digest,
    directory,
    file,
    gz,
    hard_link,
    symlink,
    tar,
    tree,
    xattr,
)

# It checks the owners that root's map gives to files.
pytestmark = pytest.mark.needs_root

CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12)


@pytest.fixture(scope="module")
def idmap() -> IdMap:
    return IdMap.for_root()


@pytest.fixture(scope="module")
def sandbox(idmap: IdMap) -> Iterator[Sandbox]:
    with Sandbox(idmap) as sandbox:
        yield sandbox


class Stack:
    """Unpacks layers one over another through a sandbox."""

    def __init__(self, sandbox: Sandbox, where: Path) -> None:
        self.sandbox = sandbox
        self.where = where
        self.dirs: list[Path] = []

    def add(self, *members: Member, blob: bytes | None = None) -> Unpacked:
        stream = tar(*members)
        target = self.where / f"layer{len(self.dirs)}"
        target.mkdir()
        (self.where / "blob").write_bytes(gz(stream) if blob is None else blob)
        done = self.sandbox.unpack(self.where / "blob", target, diff_id=digest(stream), lower_dirs=tuple(self.dirs))
        self.dirs.append(target)
        return done

    @property
    def top(self) -> Path:
        return self.dirs[-1]

    def overlay(self) -> Overlay:
        upper = self.where / "c" / "upper"
        upper.mkdir(parents=True)
        (self.where / "c" / "work").mkdir()
        for path in (upper, self.where / "c" / "work"):
            self.sandbox.adopt(path)
        return Overlay(tuple(self.dirs), upper)


@pytest.fixture
def stack(sandbox: Sandbox, tmp_path: Path) -> Stack:
    # The kernel mounts an overlay with the rights of the container's root, who must get there.
    for path in (tmp_path, *tmp_path.parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(0o711)
    return Stack(sandbox, tmp_path)


_SHOW = """
import ctypes, json, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.unit.rootfs.tars import tree
from pytest_lxcontainer.rootfs.userns import CLONE_NEWNS, CLONE_NEWUSER, become_root, unshare
unshare(CLONE_NEWUSER | CLONE_NEWNS)
print("ready", flush=True)
sys.stdin.readline()
become_root()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"overlay", b"/mnt", b"overlay", 0, sys.argv[2].encode()):
    sys.exit(os.strerror(ctypes.get_errno()))
owners = {str(p.relative_to("/mnt")): [p.lstat().st_uid, p.lstat().st_mode] for p in Path("/mnt").rglob("*")}
print(json.dumps([tree(Path("/mnt")), owners]))
"""


def shown(overlay: Overlay, idmap: IdMap) -> tuple[dict[str, str], dict[str, list[int]]]:
    """What a container would see: contents, and owner and mode by path."""
    from pytest_lxcontainer.rootfs.userns import write_maps

    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", _SHOW, root, overlay.mount_options()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        write_maps(child.pid, idmap)
        out, _ = child.communicate("go\n", timeout=30)
    assert child.returncode == 0
    contents, owners = json.loads(out)
    return contents, owners


def test_files_belong_to_the_containers_ids(stack: Stack, idmap: IdMap) -> None:
    done = stack.add(directory("etc"), file("etc/x", "x", uid=1000, gid=50, mode=0o4755))
    status = (stack.top / "etc/x").stat()
    assert (status.st_uid, status.st_gid) == (idmap.host_uid(1000), idmap.host_gid(50))
    assert status.st_mode & 0o7777 == 0o4755
    assert (stack.top / "etc").stat().st_uid == idmap.host_uid(0) == stack.top.stat().st_uid
    assert (done.entries, done.size, done.self_contained) == (2, 1, True)


def test_whiteouts_are_devices_and_opaque_marks_attributes(stack: Stack) -> None:
    stack.add(directory("d"), file("d/x"), directory("e"))
    stack.add(directory("d"), file("d/.wh.x"), directory("e"), file("e/.wh..wh..opq"))
    status = (stack.top / "d/x").lstat()
    assert stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
    assert os.getxattr(stack.top / "e", "user.overlay.opaque") == b"y"


def test_file_capabilities_get_the_namespaces_form(stack: Stack, idmap: IdMap) -> None:
    stack.add(file("ping", "x", **xattr("security.capability", CAPABILITY.decode("latin-1"))))
    value = os.getxattr(stack.top / "ping", "security.capability")
    # VFS_CAP_REVISION_3, whose last word is the uid that is root in the namespace.
    assert value[3] == 3 and int.from_bytes(value[-4:], "little") == idmap.host_uid(0)


def test_devices_are_left_out_and_counted(stack: Stack) -> None:
    done = stack.add(directory("dev"), device("dev/null", 1, 3), file("dev/x"))
    assert tree(stack.top) == {"dev": "dir", "dev/x": ""} and done.skipped_devices == 1


def test_device_left_out_hides_what_was_in_its_place(stack: Stack, idmap: IdMap) -> None:
    stack.add(file("a", "1"), file("b", "1"), file("c", "1"))
    done = stack.add(device("a", 1, 3), hard_link("b", "a"), device("c", 1, 3), file("c", "2"))
    assert shown(stack.overlay(), idmap)[0] == {"c": "2"} and done.skipped_devices == 3


def test_owner_outside_the_map_is_refused(stack: Stack) -> None:
    with pytest.raises(UnsupportedImageError, match=r"'x'.*100000"):
        stack.add(file("x", uid=100_000))


def test_overlay_of_three_layers_shows_the_merged_tree(stack: Stack, idmap: IdMap) -> None:
    stack.add(
        directory("usr"),
        directory("usr/bin", mode=0o711),
        file("usr/bin/a", "1"),
        symlink("bin", "usr/bin"),
        directory("etc"),
        file("etc/old", "1"),
        file("etc/kept", "1", uid=1000),
        directory("opt"),
        file("opt/hidden", "1"),
    )
    stack.add(directory("etc"), file("etc/.wh.old"), file("bin/b", "2"), file("opt/.wh..wh..opq"), file("opt/new"))
    stack.add(hard_link("etc/linked", "etc/kept"), file(".wh.bin"), file("usr/bin/a", "3"))
    contents, owners = shown(stack.overlay(), idmap)
    assert contents == {
        "etc": "dir",
        "etc/kept": "1",
        "etc/linked": "1",
        "opt": "dir",
        "opt/new": "",
        "usr": "dir",
        "usr/bin": "dir",
        "usr/bin/a": "3",
        "usr/bin/b": "2",
    }
    assert owners["etc/linked"][0] == 1000
    assert owners["usr/bin"] == [0, stat.S_IFDIR | 0o711]


def test_lookups_agree_with_what_the_kernel_shows(stack: Stack, idmap: IdMap) -> None:
    stack.add(directory("etc"), file("etc/passwd", "1"), file("etc/gone", "1"), symlink("lib", "usr/lib"))
    stack.add(directory("usr"), directory("usr/lib"), file("usr/lib/x", "2"), file("etc/.wh.gone"))
    contents, _ = shown(stack.overlay(), idmap)
    for path in ("etc/passwd", "etc/gone", "lib/x", "usr/lib/x"):
        expected = contents.get(path.replace("lib/x", "usr/lib/x").replace("usr/usr", "usr"))
        found = read_file(stack.dirs, path)
        assert (None if found is None else found.decode()) == expected
    assert stat_path(stack.dirs, "/etc/gone") is None


def test_missing_directory_is_made_below_its_owners(stack: Stack, idmap: IdMap, sandbox: Sandbox) -> None:
    stack.add(directory("home"), directory("home/app", mode=0o700, uid=1000, gid=1000), symlink("app", "home/app"))
    overlay = stack.overlay()
    sandbox.make_dirs(overlay, "/app/src/lib")
    contents, owners = shown(overlay, idmap)
    assert contents["home/app/src/lib"] == "dir"
    assert owners["home/app"] == [1000, stat.S_IFDIR | 0o700]
    assert owners["home/app/src"] == [0, stat.S_IFDIR | 0o755]


def test_existing_directory_is_not_made_again(stack: Stack, sandbox: Sandbox) -> None:
    stack.add(directory("srv"), directory("srv/www"))
    overlay = stack.overlay()
    sandbox.make_dirs(overlay, "/srv/www")
    assert tree(overlay.upper_dir) == {}


def test_file_in_the_way_of_a_directory_is_an_error(stack: Stack, sandbox: Sandbox) -> None:
    stack.add(file("srv"))
    with pytest.raises(CorruptImageError):
        sandbox.make_dirs(stack.overlay(), "/srv/www")


# The helper process


def test_errors_cross_the_process_border_whole(stack: Stack) -> None:
    with pytest.raises(DigestMismatchError) as mismatch:
        stack.add(file("a"), blob=tar(file("b")))
    assert mismatch.value.expected == str(digest(tar(file("a")))) and mismatch.value.actual in str(mismatch.value)
    stack.where = stack.where / "other"
    stack.where.mkdir()
    with pytest.raises(UnsafeLayerError) as unsafe:
        stack.add(file("../a"))
    assert unsafe.value.entry == "../a"


def test_one_helper_unpacks_on_after_an_error(stack: Stack) -> None:
    with pytest.raises(LxContainerError):
        stack.add(file("a"), blob=b"rubbish")
    stack.where = stack.where / "next"
    stack.where.mkdir()
    assert stack.add(file("a")).entries == 1


def test_missing_blob_is_a_store_error(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(StoreError, match="blob"):
        sandbox.unpack(tmp_path / "blob", tmp_path / "target", diff_id=digest(b""))


def test_killed_helper_is_a_clear_error_and_the_next_request_starts_another(idmap: IdMap, tmp_path: Path) -> None:
    stream = tar(hard_link("b", "a"))
    (tmp_path / "blob").write_bytes(stream)
    with Sandbox(idmap) as sandbox:

        def kill() -> tuple[Path, ...]:
            os.kill(sandbox.helper_pid, signal.SIGKILL)
            return (new(tmp_path / "lower"),)

        # It asks for what is below when it comes to the link.
        with pytest.raises(StoreError, match="signal 9"):
            sandbox.unpack(tmp_path / "blob", new(tmp_path / "b"), diff_id=digest(stream), lower_dirs=kill)
        assert Stack(sandbox, new(tmp_path / "c")).add(file("a")).entries == 1


def test_threads_take_turns(sandbox: Sandbox, tmp_path: Path) -> None:
    def add(name: str) -> int:
        return Stack(sandbox, new(tmp_path / name)).add(file(name, "x" * 100_000)).size

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, "abcdefgh")) == [100_000] * 8


def test_an_interrupted_sandbox_works_on_with_another_helper(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.start()
    first = sandbox.helper_pid
    sandbox.interrupt()
    stack = Stack(sandbox, new(tmp_path / "a"))
    stack.add(file("x"))
    assert sandbox.helper_pid != first
    assert (stack.top / "x").exists()


def test_helper_ends_with_its_sandbox(idmap: IdMap, tmp_path: Path) -> None:
    with Sandbox(idmap) as sandbox:
        Stack(sandbox, tmp_path).add(file("a"))
        pid = sandbox.helper_pid
    assert not Path(f"/proc/{pid}").exists()


def test_helper_ends_when_its_caller_is_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "endless"
    os.mkfifo(fifo)
    (tmp_path / "target").mkdir()
    script = (
        "import os, sys, threading; from pathlib import Path\n"
        "from pytest_lxcontainer.rootfs.idmap import IdMap\n"
        "from pytest_lxcontainer.rootfs.sandbox import Sandbox\n"
        "from pytest_lxcontainer.image.digest import sha256_of\n"
        "sandbox = Sandbox(IdMap.for_root())\n"
        "sandbox.start(); print(sandbox.helper_pid, flush=True)\n"
        f"sandbox.unpack(Path({str(fifo)!r}), Path({str(tmp_path / 'target')!r}), diff_id=sha256_of(b''))\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        writer = os.open(fifo, os.O_WRONLY)
        child.kill()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.close(writer)
    assert not Path(f"/proc/{pid}").exists()


def test_trees_are_removed_whoever_owns_them(stack: Stack, sandbox: Sandbox) -> None:
    stack.add(directory("d", mode=0, uid=5), file("d/x", uid=6), symlink("d/l", "/etc"), file("/".join("d" * 1200)))
    sandbox.remove(stack.top, stack.where / "absent")
    assert not stack.top.exists() and Path("/etc/passwd").exists()


def new(path: Path) -> Path:
    path.mkdir()
    return path
