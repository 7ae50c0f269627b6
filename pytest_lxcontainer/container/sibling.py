"""Making a process that is the maker's sibling: clone(2) with CLONE_PARENT."""

from __future__ import annotations

import ctypes
import os

from .attach import libc

SIGCHLD = 17
"""Its number where clone(2) has the numbers below."""

CLONE_PARENT = 0x00008000
_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "s390x": 120, "ppc64le": 120, "armv7l": 120}
"""Number of the clone system call by machine; the flags come first but on s390x."""


class CloneSibling:
    """fork(2), but the child's parent is the caller's own parent, which so learns its exit status itself.

    The caller must have one thread. What C and Python do after a fork is not done in the child.
    """

    def __init__(self) -> None:
        machine = os.uname().machine
        flags, nothing = ctypes.c_ulong(CLONE_PARENT | SIGCHLD), ctypes.c_ulong(0)
        leading = (nothing, flags) if machine == "s390x" else (flags, nothing)
        self._arguments = (ctypes.c_long(_CLONE[machine]), *leading, nothing, nothing, nothing)

    def __call__(self) -> int:
        """The child's pid, 0 in the child, -1 with ctypes' errno set."""
        pid: int = libc.syscall(*self._arguments)
        return pid
