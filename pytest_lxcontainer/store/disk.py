"""Writing so that it is whole, and fails with an error that helps."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_TOUCH_INTERVAL = 3600.0  # seconds


@contextmanager
def disk_errors(action: str, path: Path) -> Iterator[None]:
    """Turn the ``OSError`` of a failed *action* (an infinitive) on *path* into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot {action}: {error.strerror or error}",
            details=f"path: {error.filename or path}",
            hint=_hint(error, path),
        ) from error


def write_whole(temporary: Path, path: Path, data: bytes) -> None:
    """Write *data* to *path* by way of *temporary*; nothing is left of a failure."""
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def touch(path: Path, used_at: float) -> None:
    """Remember in a record's time, *used_at* until now, that it is used now, to an hour: pruning by age goes by it."""
    if time.time() - used_at > _TOUCH_INTERVAL:
        # Only remembered: what cannot be noted as used is used all the same.
        with suppress(OSError):
            os.utime(path)


def sync_file(fd: int) -> None:
    """fsync(2)."""
    os.fsync(fd)


def sync_directory(path: Path) -> None:
    """Make what was created or renamed in *path* survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(path: Path) -> None:
    """syncfs(2) for the file system *path* is in: far cheaper than fsync(2) on each file of a tree."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(fd)


def _hint(error: OSError, path: Path) -> str:
    if error.errno in _FULL:
        return f"{_free_space(path)}; make room, or choose another disk with --lxc-store"
    if error.errno in _FORBIDDEN:
        return "the store must belong to whoever runs the tests; choose another directory with --lxc-store"
    return ""


def _free_space(path: Path) -> str:
    for place in (path, *path.parents):
        if place.exists():
            stats = os.statvfs(place)
            return f"{stats.f_bavail * stats.f_frsize / 2**20:.0f} MiB are free in {place}"
    return "the disk is full"
