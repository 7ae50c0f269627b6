"""Getting a process into a running container by setns(2) on a pidfd.

Not with the binding's attach: that one holds the interpreter's lock, cannot tell exit code 255 from a failure, and
aborts the interpreter from Python 3.13 on. Everything here runs in forks of the small, single-threaded supervisor.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Target:
    """The running container to get into, by its init's pidfd; *cgroups* are the files to join them by.

    *dropped* are capabilities (LXC's names) that its processes may never have, *filters* what `seccomp.program` gave.
    """

    pidfd: int
    cgroups: tuple[Path, ...]
    user_namespace: bool
    dropped: tuple[str, ...] = ()
    filters: bytes = b""


def run_inside(target: Target, work: Callable[[], bytes]) -> bytes:
    """Run *work* in a fork as the container's root among its files, and return what it returns.

    An `OSError` raised inside is raised here.
    """
    report, theirs = os.pipe()
    helper = os.fork()
    if helper == 0:
        _in_helper(lambda: _work_and_report(target, work, theirs), theirs)
    os.close(theirs)
    with os.fdopen(report, "rb") as answer:
        word, _, value = answer.read().partition(b" ")
    os.waitpid(helper, 0)
    if word != b"ok":
        code = int(value or errno.ESRCH)
        raise OSError(code, os.strerror(code))
    return value


def _in_helper(work: Callable[[], None], report: int) -> NoReturn:
    """Run *work* and leave the fork without running anything of the caller's."""
    try:
        work()
    except OSError as error:
        os.write(report, b"errno %d" % (error.errno or errno.EIO))
    except BaseException:  # nothing may unwind into the copy of the caller's stack
        os.write(report, b"errno %d" % errno.EIO)
    os._exit(0)


def _work_and_report(target: Target, work: Callable[[], bytes], report: int) -> None:
    setns(target.pidfd, CLONE_NEWNS | (CLONE_NEWUSER if target.user_namespace else 0))
    become(0, 0, ())
    os.umask(0)
    value = work()
    with os.fdopen(os.dup(report), "wb") as answer:
        answer.write(b"ok " + value)


def become(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Change this process's user for good."""
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def setns(fd: int, flags: int) -> None:
    """setns(2); `os.setns` exists from Python 3.12 on only."""
    if libc.setns(fd, flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
