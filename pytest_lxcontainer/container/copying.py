"""Copying files and trees between the host and a container, one end of which runs on each side.

Neither end resolves a path below the one it was given: both walk by open directories and single names and never follow
a link, so whatever a process in the container puts in the way meanwhile, nothing outside the two trees is touched.
Only names, contents, modes, times and links travel; no program or library of the container has a part in it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .channel import Channel, Frame

PIECE = 1 << 18
"""Bytes of a file that are in memory at a time."""
_LARGEST_UNTOLD = 1 << 26
"""Bytes that a file may have whose size the kernel does not tell."""
_BLOCK = 512
"""Bytes that stat(2) counts a file's room in."""

_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_PLACE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Owner = Callable[[int, int], tuple[int, int]]
"""Tells which uid and gid a file gets, from those it has where it comes from."""


class CopyError(OSError):
    """An `OSError` of this end; *path* begins with the name of the tree's root."""

    def __init__(self, code: int, path: str) -> None:
        super().__init__(code, os.strerror(code))
        self.path = path


class OtherEndError(CopyError):
    """A `CopyError` of the other end's."""


def send_tree(channel: Channel, fd: int, name: str) -> None:
    """Send what *fd* is open on (a regular file or a directory with all below it) as *name*; closes *fd*.

    Links are sent as links, and what has several names once for each; devices, FIFOs and sockets are left out. Holes
    stay holes. What vanishes meanwhile was never there.
    Raises `CopyError`, and tells the other end so first.
    """
    trail = [name]
    levels: list[tuple[int, list[str]]] = []
    try:
        _send_open(channel, fd, name, levels)
        while levels:
            directory, names = levels[-1]
            if names:
                trail[len(levels) :] = [names.pop()]
                _send_entry(channel, directory, trail[-1], levels)
            else:
                os.close(levels.pop()[0])
                channel.send({"is": "up"})
        channel.send({"is": "end"})
    except ConnectionError:
        raise
    except OSError as error:
        failure = CopyError(error.errno or errno.EIO, "/".join(trail))
        channel.send({"is": "error", "errno": failure.errno, "path": failure.path})
        raise failure from None
    finally:
        for directory, _ in levels:
            os.close(directory)


def _send_entry(channel: Channel, directory: int, name: str, levels: list[tuple[int, list[str]]]) -> None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            found: str | int = os.readlink(name, dir_fd=directory)
        elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            found = os.open(name, _DIR if stat.S_ISDIR(status.st_mode) else _READ, dir_fd=directory)
        else:
            return
    except OSError as error:
        # ELOOP, ENOTDIR, EINVAL: it became, or is no longer, a link between the two looks.
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EINVAL, errno.ENXIO):
            raise
        return
    if isinstance(found, str):
        channel.send({"is": "link", "target": found, **_attributes(name, status)})
    else:
        _send_open(channel, found, name, levels)


def _send_open(channel: Channel, fd: int, name: str, levels: list[tuple[int, list[str]]]) -> None:
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        levels.append((fd, sorted(os.listdir(fd), reverse=True)))
        channel.send({"is": "dir", **_attributes(name, status)})
        return
    try:
        if stat.S_ISREG(status.st_mode):
            channel.send({"is": "file", **_attributes(name, status)})
            _send_content(channel, fd, status)
            channel.send_piece(b"")
    finally:
        os.close(fd)


def _send_content(channel: Channel, fd: int, status: os.stat_result) -> None:
    """Send what was in *fd* when it had *status*; what is added meanwhile is left out."""
    offset, end = 0, status.st_size
    has_holes = status.st_blocks * _BLOCK < end
    while offset < end:
        start, stop = _next_data(fd, offset, end) if has_holes else (offset, end)
        if start > offset:
            channel.send_hole(start - offset)
        offset = _send_data(channel, fd, start, stop)
        if offset < stop:  # it has become shorter
            return
    if end == 0:  # as files of /proc tell, whatever is in them
        _send_data(channel, fd, 0, _LARGEST_UNTOLD)


def _send_data(channel: Channel, fd: int, offset: int, stop: int) -> int:
    os.lseek(fd, offset, os.SEEK_SET)
    while offset < stop and (data := os.read(fd, min(PIECE, stop - offset))):
        channel.send_piece(data)
        offset += len(data)
    return offset


def _next_data(fd: int, offset: int, end: int) -> tuple[int, int]:
    """From where to where there is data next: SEEK_DATA of lseek(2)."""
    try:
        start = os.lseek(fd, offset, os.SEEK_DATA)
        stop = os.lseek(fd, start, os.SEEK_HOLE)
    except OSError as error:
        # ENXIO: no more data. Others: a file system that knows no holes.
        return (end, end) if error.errno == errno.ENXIO else (offset, end)
    return min(start, end), min(stop, end)


def _attributes(name: str, status: os.stat_result) -> Frame:
    return {
        "name": name,
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime": status.st_mtime_ns,
    }


@dataclass
class Receiver:
    """Makes what `send_tree` sends, in directory *fd* (which it closes) as *name*; empty: in *fd* itself.

    Files and links that are in the way are replaced. A directory that is there already keeps its own attributes.
    *modes* is which permission bits may be set, *owner* who gets the files (``None``: whoever this process is).
    """

    channel: Channel
    fd: int
    name: str
    modes: int = 0o7777
    owner: Owner | None = None
    _levels: list[tuple[int, Frame | None]] = field(default_factory=list)
    _trail: list[str] = field(default_factory=list)

    def receive(self, first: Frame) -> None:
        """Receive the whole tree, whose *first* frame has been read; raises `CopyError`."""
        frame: Frame = {**first, "name": self.name}
        try:
            while frame["is"] != "end":
                self._take(frame)
                frame, _ = self.channel.receive()
        except (ConnectionError, CopyError):
            raise
        except OSError as error:
            raise CopyError(error.errno or errno.EIO, "/".join(self._trail)) from None
        finally:
            for fd, _ in self._levels:
                os.close(fd)
            os.close(self.fd)

    def _take(self, frame: Frame) -> None:
        kind = frame["is"]
        if kind == "error":
            raise OtherEndError(frame["errno"], frame["path"])
        if kind == "up":
            fd, made = self._levels.pop()
            try:
                if made is not None:
                    self._finish(fd, made)
            finally:
                os.close(fd)
            return
        name = frame["name"]
        self._trail[len(self._levels) :] = [str(name)]
        if not name and kind == "dir" and not self._levels:
            self._levels.append((os.dup(self.fd), None))
            return
        checked_name(name)
        directory = self._levels[-1][0] if self._levels else self.fd
        {"dir": self._directory, "file": self._file, "link": self._link}[kind](directory, name, frame)

    def _directory(self, parent: int, name: str, frame: Frame) -> None:
        made: Frame | None = frame
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            made = None
        self._levels.append((os.open(name, _DIR, dir_fd=parent), made))

    def _file(self, parent: int, name: str, frame: Frame) -> None:
        fd = _make_file(parent, name)
        try:
            while data := self.channel.receive_piece():
                if isinstance(data, int):
                    os.ftruncate(fd, os.lseek(fd, data, os.SEEK_CUR))
                else:
                    _write_all(fd, data)
            self._finish(fd, frame)
        finally:
            os.close(fd)

    def _link(self, parent: int, name: str, frame: Frame) -> None:
        _remove_file(parent, name)
        os.symlink(frame["target"], name, dir_fd=parent)
        if self.owner is not None:
            uid, gid = self.owner(frame["uid"], frame["gid"])
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(frame["mtime"], frame["mtime"]), dir_fd=parent, follow_symlinks=False)

    def _finish(self, fd: int, frame: Frame) -> None:
        # In this order: a change of owner clears set-id bits.
        if self.owner is not None:
            os.fchown(fd, *self.owner(frame["uid"], frame["gid"]))
        os.fchmod(fd, frame["mode"] & self.modes)
        os.utime(fd, ns=(frame["mtime"], frame["mtime"]))


def checked_name(name: Any) -> str:
    """*name* if it is a single component of a path; `OSError` (EINVAL) otherwise."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise OSError(errno.EINVAL, "not a file name")
    return name


def _make_file(parent: int, name: str) -> int:
    try:
        _remove_file(parent, name)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # Something is mounted there, such as a container's /etc/hosts: it is written in place.
        fd = os.open(name, _IN_PLACE, dir_fd=parent)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        return fd
    return os.open(name, _MAKE, 0o600, dir_fd=parent)


def _remove_file(parent: int, name: str) -> None:
    """Make room for another file; a directory stays and is an error."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
