"""Copying one file of a lower layer into the layer above, as overlayfs does before it changes one."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from .attributes import AttributeWriter, copy_xattrs
from .merged import Found

_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_PIECE = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_BLOCK = 4096
"""A page: what overlayfs and most file systems tell data and holes apart by."""
_ZEROS = bytes(_BLOCK)


def copy_entry(
    lower: Found, source_fd: int, target_fd: int, attributes: AttributeWriter, *, sparse: bool = False
) -> None:
    """Copy *lower*, which is no directory, from the directory *source_fd* to *target_fd*.

    Where *sparse*, zeros become holes: overlayfs copies none of these when the file is first opened to be written.
    """
    status = lower.status
    if stat.S_ISREG(status.st_mode):
        _copy_file(lower, source_fd, target_fd, attributes, sparse)
    else:
        _copy_special(lower, source_fd, target_fd)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(lower.name, ns=times, dir_fd=target_fd, follow_symlinks=False)


def _copy_file(lower: Found, source_fd: int, target_fd: int, attributes: AttributeWriter, sparse: bool) -> None:
    source = os.open(lower.name, _READ_FILE, dir_fd=source_fd)
    try:
        target = os.open(lower.name, _NEW_FILE, 0o600, dir_fd=target_fd)
        try:
            _copy_data(source, target, lower.status.st_size, sparse)
            os.fchown(target, lower.status.st_uid, lower.status.st_gid)
            os.fchmod(target, stat.S_IMODE(lower.status.st_mode))
            copy_xattrs(source, target, lower.name, attributes)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_data(source: int, target: int, size: int, sparse: bool) -> None:
    """Share *size* bytes where the file system can, else copy them without filling the holes, which may be large."""
    with suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        return
    os.ftruncate(target, size)
    start = 0
    while start < size:
        try:
            start = os.lseek(source, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(source, start, os.SEEK_HOLE)
        if sparse:
            _copy_but_zeros(source, target, start, end)
            start = end
            continue
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            copied = os.sendfile(target, source, None, min(end - start, _PIECE))
            if copied == 0:
                return
            start += copied


def _copy_but_zeros(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(source, min(end - start, _CHUNK), start)
        if not data:
            return
        for first, last in _runs(data):
            _write_at(target, memoryview(data)[first:last], start + first)
        start += len(data)


def _runs(data: bytes) -> Iterator[tuple[int, int]]:
    """Where in *data* blocks are that hold more than zeros, as long as they follow one another."""
    first = None
    for at in range(0, len(data), _BLOCK):
        is_zero = data[at : at + _BLOCK] == _ZEROS[: len(data) - at]
        if is_zero and first is not None:
            yield first, at
            first = None
        elif not is_zero and first is None:
            first = at
    if first is not None:
        yield first, len(data)


def _write_at(target: int, data: memoryview, start: int) -> None:
    while data:
        written = os.pwrite(target, data, start)
        data, start = data[written:], start + written


def _copy_special(lower: Found, source_fd: int, target_fd: int) -> None:
    status = lower.status
    is_link = stat.S_ISLNK(status.st_mode)
    if is_link:
        os.symlink(os.readlink(lower.name, dir_fd=source_fd), lower.name, dir_fd=target_fd)
    else:
        os.mknod(lower.name, status.st_mode, status.st_rdev, dir_fd=target_fd)
    os.chown(lower.name, status.st_uid, status.st_gid, dir_fd=target_fd, follow_symlinks=False)
    if not is_link:
        # After chown(2), which takes the set-user-ID bits away.
        os.chmod(lower.name, stat.S_IMODE(status.st_mode), dir_fd=target_fd)
