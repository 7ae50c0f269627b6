"""Removing what dead runs left: the last net under a supervisor that was killed itself."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..container.cgroups import processes_below, remove_tree, thaw_below
from ..network.bridge import PREFIX, delete_link, links_of
from ..network.world import close_way
from .owner import Owner

OWNER_FILE = "supervisor"
"""In a run's directory: the `Owner` text of its supervisor, written before anything else is made, and locked by it."""

_GRACE = 60.0
"""Seconds a run's directory may be without that file, or its log without a directory, being made just now."""


def occupy(directory: Path) -> None:
    """Make a run's *directory* this process's for as long as it lives.

    By a lock too: whoever shares the store from another pid namespace sees no process of that number, or another one.
    A process's own lock (POSIX), not flock(2), which those that it forked would hold after its death.
    """
    fd = os.open(directory / OWNER_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(fd, str(Owner.of(os.getpid())).encode("ascii"))


def sweep(runs_dir: Path, discard: Callable[[Path], None]) -> list[str]:
    """Remove every dead run below *runs_dir*; returns their ids. *discard* removes a directory tree."""
    swept = []
    for directory in sorted(path for path in runs_dir.iterdir() if path.is_dir()):
        if not _alive(directory):
            _remove_run(directory, discard)
            swept.append(directory.name)
    for log in runs_dir.glob("*.log"):
        if not log.with_suffix("").exists() and not _is_recent(log):
            log.unlink(missing_ok=True)
    return swept


def remove_directory(directory: Path, discard: Callable[[Path], None]) -> None:
    """Remove a run's directory with *discard*, and the files that belong to it elsewhere."""
    discard(directory)
    directory.with_suffix(".log").unlink(missing_ok=True)


def view_path(run_id: str) -> Path:
    """The mount point under which the files of root's run show to its containers: see `View`."""
    return Path("/run", f"{PREFIX}{run_id}")


def _alive(directory: Path) -> bool:
    try:
        with (directory / OWNER_FILE).open() as file:
            return _is_locked(file.fileno()) or Owner.parse(file.read()).alive
    except (OSError, ValueError):
        pass
    return _is_recent(directory)


def _is_recent(path: Path) -> bool:
    """Whether *path* may still be in the making; what is gone is nobody's to remove."""
    try:
        return time.time() - path.stat().st_mtime < _GRACE
    except OSError:
        return True


def _is_locked(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        # A file system without locks.
        return False
    return False


def _remove_run(directory: Path, discard: Callable[[Path], None]) -> None:
    cgroups = [Path(cgroup) for cgroup in _noted(directory / "cgroups")]
    for work in (thaw_below, clear_cgroup):
        for cgroup in cgroups:
            work(cgroup)
    _kill_processes_of(directory)
    if os.geteuid() == 0:
        # Whether there is one, no longer shows where the bridge has gone already.
        close_way(f"{PREFIX}{directory.name}-b")
        for name in links_of(directory.name):
            delete_link(name)
        with suppress(OSError):  # it is gone, or not ours
            view_path(directory.name).rmdir()
    remove_directory(directory, discard)


def _noted(path: Path) -> list[str]:
    try:
        return [str(entry) for entry in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def clear_cgroup(cgroup: Path) -> None:
    """Kill what is in *cgroup* and remove it; the kernel needs a moment between the two."""
    deadline = time.monotonic() + 2
    while not remove_tree(cgroup) and time.monotonic() < deadline:
        for pid in processes_below(cgroup):
            _kill(pid)
        time.sleep(0.002)


def _kill_processes_of(directory: Path) -> None:
    """Kill init processes that outlived their monitor where there were no cgroups to find them by.

    Each wrote its pid and start time into its container's directory when it was started.
    """
    for path in directory.glob("*/init"):
        try:
            owner = Owner.parse(path.read_text())
        except (OSError, ValueError):
            continue
        if owner.alive:
            _kill(owner.pid)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
