"""What lies in a directory, entry by entry; and what overlayfs shows of a stack of directories."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType

from pytest_lxcontainer.rootfs.userns import CLONE_NEWNS, unshare

MS_RDONLY, MS_REC, MS_PRIVATE = 1, 0x4000, 1 << 18


@dataclass(frozen=True)
class Node:
    """One entry of a tree; *file* is its inode where it may have several names."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    content: str = ""
    size: int = 0
    device: int = 0
    xattrs: dict[str, str] = field(default_factory=dict)
    file: int = 0


Tree = dict[str, Node]
"""Nodes by their path, the root's being empty."""


def read_tree(root: Path) -> Tree:
    tree: Tree = {}
    pending = [""]
    while pending:
        path = pending.pop()
        full = f"{root}/{path}" if path else str(root)
        tree[path] = _node(full)
        if tree[path].kind == "directory":
            pending += [f"{path}/{name}" if path else name for name in os.listdir(full)]
    return tree


def _node(path: str) -> Node:
    status = os.lstat(path)
    # getxattr and listxattr of a link itself, whose target is the image's to choose.
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in _xattr_names(path)}
    node = Node(
        kind=_KINDS[stat.S_IFMT(status.st_mode)],
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime_ns,
        xattrs=xattrs,
    )
    if node.kind == "directory":
        return node
    node = replace(node, file=status.st_ino, device=status.st_rdev)
    if node.kind == "link":
        return replace(node, content=os.readlink(path))
    if node.kind == "file":
        return replace(node, content=_digest(path), size=status.st_size)
    return node


def _xattr_names(path: str) -> list[str]:
    # Overlayfs shows none of its own, but the directories that a test looks into have them.
    return [name for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux"]


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.blake2b(file.read()).hexdigest()[:32]


_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class Viewer:
    """A process with mounts of its own, which shows stacks of directories as overlayfs does.

    Nothing is ever mounted where others see it, and all is gone with the process.
    """

    def __init__(self, mountpoint: Path) -> None:
        command = [sys.executable, "-c", "from tests.system.trees import serve; serve()", str(mountpoint)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)

    def show(self, layers: Sequence[Path]) -> Tree:
        """Return what the kernel shows of *layers*, base first."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(path) for path in layers]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict), answer
        return {path: Node(**node) for path, node in answer.items()}


def serve() -> None:
    mountpoint = Path(sys.argv[1])
    unshare(CLONE_NEWNS)
    _mount(b"none", b"/", b"", MS_REC | MS_PRIVATE, b"")
    _mount(b"tmpfs", bytes(mountpoint), b"tmpfs", 0, b"")
    (mountpoint / "empty").mkdir()
    (mountpoint / "root").mkdir()
    for line in sys.stdin:
        try:
            answer: object = dict(_shown(mountpoint, json.loads(line)))
        except OSError as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


def _shown(mountpoint: Path, layers: list[str]) -> Iterator[tuple[str, dict[str, object]]]:
    root = mountpoint / "root"
    # Without an upper directory overlayfs wants two lower ones.
    lower = ":".join([*reversed(layers), str(mountpoint / "empty")])
    _mount(b"overlay", bytes(root), b"overlay", MS_RDONLY, os.fsencode(f"lowerdir={lower},userxattr"))
    try:
        yield from ((path, asdict(node)) for path, node in read_tree(root).items())
    finally:
        _unmount(bytes(root))


def _mount(source: bytes, target: bytes, kind: bytes, flags: int, options: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, target, kind, ctypes.c_ulong(flags), options) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount of {kind!r} with {options!r}: {os.strerror(number)}")


def _unmount(target: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount(target) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"umount of {target!r}: {os.strerror(number)}")
