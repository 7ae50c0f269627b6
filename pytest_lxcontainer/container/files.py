"""Work on a container's files, done by a process that is root among them and of nothing else.

Whatever the image put in the way (links, mounts, a hostile /proc), a path can only resolve to something that the
container itself can see: openat2(2) with RESOLVE_IN_ROOT, which follows no magic link of /proc either.
https://man7.org/linux/man-pages/man2/openat2.2.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import InvalidSettingsError
from ..rootfs.users import resolve_user
from .channel import Channel, Frame
from .copying import CopyError, Owner, Receiver, send_tree
from .pty import PTMX_DEVICE, prepare

RESOLVE_IN_ROOT = 0x10
O_PATH = os.O_PATH
UMOUNT_NOFOLLOW, MNT_DETACH = 8, 2

_OPENAT2 = 437
_HOW = struct.Struct("QQQ")
_RETRIES = 128
_FLAGS = {"rb": os.O_RDONLY, "wb": os.O_WRONLY | os.O_CREAT}
_MEBIBYTE = 1 << 20
_LARGEST_OF_PROC = 64 * _MEBIBYTE

_libc = ctypes.CDLL(None, use_errno=True)


class Root:
    """The container's file system as its open root directory *fd*."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """Open *path* as the container would resolve it, which is from its root; `OSError`."""
        how = _HOW.pack(flags | os.O_CLOEXEC, mode, RESOLVE_IN_ROOT)
        for _ in range(_RETRIES):
            fd: int = _libc.syscall(_OPENAT2, self._fd, os.fsencode(path) or b".", how, _HOW.size)
            if fd >= 0:
                return fd
            # Told instead of resolving ".." while somebody renames or mounts, anywhere on the host.
            if ctypes.get_errno() != errno.EAGAIN:
                break
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def open_parent(self, path: str) -> tuple[int, str]:
        """Open the directory that *path* lies in, and give the last component of it beside."""
        parent, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EBUSY, "no entry of a directory")
        return self.open(parent or "/", os.O_RDONLY | os.O_DIRECTORY), name

    def read(self, path: str) -> bytes | None:
        """The beginning of a small file, ``None`` where there is none."""
        try:
            fd = self.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return os.read(fd, _MEBIBYTE) if stat.S_ISREG(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)


def perform(root: Root, task: Frame, channel: Channel) -> None:
    """Do *task* and answer on *channel*: ``{"ok": value}`` with or without a descriptor, or ``{"errno": ...}``.

    A client that is gone gets none.
    """
    with suppress(ConnectionError):
        _answer(root, task, channel)


def _answer(root: Root, task: Frame, channel: Channel) -> None:
    try:
        value, fd = _TASKS[task["do"]](root, task, channel)
    except ConnectionError:
        return
    except CopyError as error:
        answer: Frame = {"errno": error.errno, "path": error.path}
    except OSError as error:
        answer = {"errno": error.errno or errno.EIO}
    except InvalidSettingsError as error:
        answer = {"invalid": error.message, "hint": error.hint}
    else:
        try:
            channel.send({"ok": value}, fd)
        finally:
            if fd is not None:
                os.close(fd)
        return
    channel.send(answer)


Done = tuple[Any, "int | None"]


def _open(root: Root, task: Frame, _: Channel) -> Done:
    """Open a regular file; a FIFO or device is refused with EINVAL before it can block anyone."""
    # Truncating comes after the check, and without O_NONBLOCK a FIFO would hang the open itself.
    flags = _FLAGS[task["mode"]]
    fd = root.open(task["path"], flags | os.O_NONBLOCK, task["permissions"] if flags & os.O_CREAT else 0)
    kind = os.fstat(fd).st_mode
    if not stat.S_ISREG(kind):
        raise OSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, "not a regular file")
    if task["mode"] == "wb":
        os.ftruncate(fd, 0)
    elif os.fstat(fd).st_size == 0:
        fd = _as_read_now(fd)
    os.set_blocking(fd, True)
    return None, fd


def _terminal(root: Root, task: Frame, _: Channel) -> Done:
    """Open a new terminal, non-blocking, whose other end is ``uid``'s; ENOTTY for what gives none."""
    master = root.open(task["path"], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    if os.fstat(master).st_rdev != os.makedev(*PTMX_DEVICE):
        raise OSError(errno.ENOTTY, "no terminals there")
    os.close(prepare(master, task["uid"]))
    return None, master


def _as_read_now(fd: int) -> int:
    """A copy in memory, which *fd* is given up for: /proc tells of this process for as long as it lives only."""
    copy = os.memfd_create("proc")
    while (data := os.read(fd, _MEBIBYTE)) and os.fstat(copy).st_size < _LARGEST_OF_PROC:
        os.write(copy, data)
    os.close(fd)
    os.lseek(copy, 0, os.SEEK_SET)
    return copy


def _list(root: Root, task: Frame, _: Channel) -> Done:
    """Sorted names in a directory."""
    fd = root.open(task["path"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        return sorted(os.listdir(fd)), None
    finally:
        os.close(fd)


def _exists(root: Root, task: Frame, _: Channel) -> Done:
    """Whether there is anything, if only a link that leads nowhere."""
    try:
        os.close(root.open(task["path"], O_PATH | os.O_NOFOLLOW))
    except (FileNotFoundError, NotADirectoryError):
        return False, None
    return True, None


def _copy_out(root: Root, task: Frame, channel: Channel) -> Done:
    # The kind first: opening a device or FIFO may have effects.
    with_kind = root.open(task["path"], O_PATH)
    mode = os.fstat(with_kind).st_mode
    os.close(with_kind)
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "neither a file nor a directory")
    fd = root.open(task["path"], os.O_RDONLY | os.O_NONBLOCK)
    send_tree(channel, fd, task["path"].rstrip("/").rpartition("/")[2] or "/")
    return None, None


def _copy_in(root: Root, task: Frame, channel: Channel) -> Done:
    owner = _owner(root, task["owner"])
    first, _ = channel.receive()
    if first["is"] == "error":
        raise ConnectionAbortedError("the host's file cannot be read")
    directory, name = destination(task["path"], first["is"] == "dir", task["name"], lambda path: _kind(root, path))
    fd = root.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    Receiver(channel, fd, name, owner=owner).receive(first)
    return f"{directory.rstrip('/')}/{name}" if name else directory, None


def destination(path: str, is_dir: bool, name: str, kind: Callable[[str], str]) -> tuple[str, str]:
    """Where a file or directory (*is_dir*) called *name* goes that is copied to *path*, as ``docker cp`` has it.

    Returns the directory, which need not exist, and the name in it. *kind* tells ``"dir"``, ``"file"`` or ``""``
    (nothing) of a path. An empty *name* is a directory's content alone, and so may be the one returned.
    """
    there = kind(path)
    if there == "dir":
        return path, name
    if is_dir and there == "file":
        raise OSError(errno.ENOTDIR, "a file is in the way")
    if not is_dir and path.endswith("/"):
        raise OSError(errno.ENOTDIR if there else errno.ENOENT, "no directory")
    directory, _, name = path.rstrip("/").rpartition("/")
    return directory or ("/" if path.startswith("/") else "."), name


def _kind(root: Root, path: str) -> str:
    try:
        fd = root.open(path, O_PATH)
    except FileNotFoundError:
        return ""
    try:
        return "dir" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
    finally:
        os.close(fd)


def _owner(root: Root, wanted: str | None) -> Owner:
    if wanted is None:
        return lambda uid, gid: (uid, gid)
    user = resolve_user(wanted, root.read("/etc/passwd"), root.read("/etc/group"))
    return lambda uid, gid: (user.uid, user.gid)


def _mount_point(root: Root, task: Frame, _: Channel) -> Done:
    """Open what something is to be mounted on, made with its directories if absent; the mounting is another's.

    With ``is_new``, EEXIST for what is not absent.
    """
    path, is_dir = task["path"], task["is_dir"]
    there = _kind(root, path)
    if not there:
        _make_directories(root, path if is_dir else path.rpartition("/")[0])
        if not is_dir:
            os.close(root.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    elif task["is_new"]:
        raise FileExistsError(errno.EEXIST, "it exists")
    elif there != ("dir" if is_dir else "file"):
        raise OSError(errno.EISDIR if there == "dir" else errno.ENOTDIR, "another kind of file")
    return None, root.open(path, O_PATH)


def _make_directories(root: Root, path: str) -> None:
    if path in ("", "/") or _kind(root, path):
        return
    _make_directories(root, path.rstrip("/").rpartition("/")[0])
    parent, name = root.open_parent(path)
    os.mkdir(name, 0o755, dir_fd=parent)


def _unmount(root: Root, task: Frame, _: Channel) -> Done:
    """Undo a mount; with ``remove``, of the file or empty directory below it too."""
    parent, name = root.open_parent(task["path"])
    os.fchdir(parent)
    if _libc.umount2(os.fsencode(name), UMOUNT_NOFOLLOW | MNT_DETACH):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if task["remove"]:
        is_dir = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        (os.rmdir if is_dir else os.unlink)(name, dir_fd=parent)
    return None, None


_TASKS: dict[str, Callable[[Root, Frame, Channel], Done]] = {
    "open": _open,
    "terminal": _terminal,
    "list": _list,
    "exists": _exists,
    "copy_out": _copy_out,
    "copy_in": _copy_in,
    "mount_point": _mount_point,
    "unmount": _unmount,
}
