"""Getting a process into a running container by setns(2) on a pidfd.

Not with the binding's attach: that one holds the interpreter's lock, cannot tell exit code 255 from a failure, and
aborts the interpreter from Python 3.13 on. Everything here runs in forks of the small, single-threaded supervisor, and
is imported by its zygote, which has to do without what brings much along.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False  # not typing's: see `zygote`
if TYPE_CHECKING:
    from collections.abc import Sequence

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

ALL_BUT_USER = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 4, 22, 24, 36
_SECCOMP_MODE_FILTER = 2

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """What a function of `libc` returned, or the `OSError` that it set errno for."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def keep_only(fds: Sequence[int], begin: int = 3) -> None:
    """Close all descriptors from *begin* on but *fds*: those who wait for the end of them are not to wait for this."""
    for fd in sorted(fds):
        if begin < fd:  # of no descriptors, Python would close all
            os.closerange(begin, fd)
        begin = fd + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


def become(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Change this process's user for good."""
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def setns(fd: int, flags: int) -> None:
    """setns(2); `os.setns` exists from Python 3.12 on only."""
    checked(libc.setns(fd, flags))


class _Program(ctypes.Structure):
    """``struct sock_fprog`` of seccomp(2)."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine(program: bytes) -> None:
    """Put what `seccomp.program` gave on the calling process and all its descendants, for good; raises `OSError`."""
    filters = _Program(len(program) // 8, program)
    checked(libc.prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filters), 0, 0))
