"""One writer an entry, across the processes and runs that share a store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StoreError
from .disk import disk_errors

_POLL = 0.01  # seconds


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
            raise StoreError(
                f"waited {timeout:g} s for another process to finish with the store",
                details=f"lock: {path}\nheld by: {_holder(path)}",
                hint="wait for that process, or end it if it hangs",
            ) from None
    try:
        yield
    finally:
        lock.release()


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
