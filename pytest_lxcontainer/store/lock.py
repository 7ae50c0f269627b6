"""Who may work on what in the store: one writer an entry, and no prune while a pull is under way.

Locks are flock(2) on files in the store (filelock's too), so they hold across processes, runs and pid namespaces, and
go with their holder, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from .disk import disk_errors

if TYPE_CHECKING:
    from .layout import Layout

_POLL = 0.01  # seconds
_CLAIMS, _PULLS = "claims", "pulls"


@contextmanager
def locked(path: Path, timeout: float = 600.0) -> Iterator[None]:
    """Hold the lock file *path*, waiting at most *timeout* seconds for it; it is not reentrant.

    The file stays: unlinking it would let a waiter and a newcomer hold two different files of one name.
    """
    # Here, since it takes longer to import than the rest of the store together.
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=timeout)
    with disk_errors("lock an entry of the store", path):
        try:
            lock.acquire(poll_interval=_POLL)
        except Timeout:  # which is an OSError, too
            raise _held_too_long(path, timeout) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claiming(layout: Layout, timeout: float = 600.0) -> Iterator[None]:
    """Be alone with the runs' lists of what they use. A run's first container waits for this, so it is quick."""
    with _held(layout.lock(_CLAIMS), fcntl.LOCK_EX, timeout):
        yield


@contextmanager
def pulling(layout: Layout, timeout: float = 600.0) -> Iterator[None]:
    """Add to the store, or rely on what it has: many may at a time, and nothing is pruned meanwhile.

    Waits at most *timeout* seconds for a prune, which keeps pulls out for a moment only. It may be nested, since a
    prune that waits keeps nobody out yet.
    """
    with _held(layout.lock(_PULLS), fcntl.LOCK_SH, timeout):
        yield


@contextmanager
def nobody_pulling(layout: Layout, timeout: float) -> Iterator[None]:
    """Keep pulls out, after waiting at most *timeout* seconds for those under way: what is unfinished now stays so."""
    with _held(layout.lock(_PULLS), fcntl.LOCK_EX, timeout):
        yield


@contextmanager
def _held(path: Path, operation: int, timeout: float) -> Iterator[None]:
    with disk_errors("lock an entry of the store", path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(fd, path, operation, timeout)
        try:
            yield
        finally:
            # Not left to close(2): a child that was forked meanwhile has the file open, too.
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _acquire(fd: int, path: Path, operation: int, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not _got(fd, path, operation):
        if time.monotonic() >= deadline:
            raise _held_too_long(path, timeout)
        time.sleep(_POLL)


def _got(fd: int, path: Path, operation: int) -> bool:
    with disk_errors("lock an entry of the store", path):
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _held_too_long(path: Path, timeout: float) -> StoreError:
    return StoreError(
        f"waited {timeout:g} s for another process to finish with the store",
        details=f"lock: {path}\nheld by: {_holder(path)}",
        hint="wait for that process, or end it if it hangs",
    )


def _holder(path: Path) -> str:
    """Name the process that holds *path*, as /proc/locks knows it (proc_locks(5))."""
    try:
        inode = f":{path.stat().st_ino}"
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return "unknown"
    # "1: FLOCK ADVISORY WRITE 4711 fd:00:123 0 EOF"; a waiter's line has "->" as its second word.
    pids = [words[4] for words in map(str.split, lines) if words[1] == "FLOCK" and words[5].endswith(inode)]
    return ", ".join(f"pid {pid} ({_command(pid)})" for pid in pids) or "nobody any more"


def _command(pid: str) -> str:
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")).strip()
    except OSError:
        return "gone"
