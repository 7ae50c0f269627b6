"""Making a terminal: one end of a pair that a devpts gives to whoever opens its ptmx, pts(4).

By the C library, and without the modules of Python's: the processes that become a container's commands import this.
"""

from __future__ import annotations

import ctypes
import os

from .attach import checked, libc

PTMX = "/dev/pts/ptmx"
"""Where a container's devpts gives terminals; /dev/ptmx may be a link to it."""

PTMX_DEVICE = (5, 2)

_TIOCSCTTY, _TIOCSWINSZ = 0x540E, 0x80087467 if os.uname().machine.startswith("ppc") else 0x5414
_TIOCGPTPEER = 0x20005441 if os.uname().machine.startswith("ppc") else 0x5441
USUAL_SIZE = (24, 80)
"""Lines and columns."""


def other_end(master: int) -> int:
    """Open the end that commands have of *master*, whichever mount namespace its devpts is in."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    return checked(libc.ioctl(master, ctypes.c_ulong(_TIOCGPTPEER), ctypes.c_long(flags)))


def prepare(master: int, uid: int, size: tuple[int, int] = USUAL_SIZE) -> int:
    """Give *master*, which has just been opened, its *size*, and its other end to *uid*; returns that end."""
    checked(libc.unlockpt(master))
    slave = other_end(master)
    os.fchown(slave, uid, -1)
    winsize = (ctypes.c_ushort * 4)(*size, 0, 0)
    checked(libc.ioctl(slave, ctypes.c_ulong(_TIOCSWINSZ), winsize))
    return slave


def take_control(fd: int) -> None:
    """Have the calling process, which leads a session, and all in it be controlled by the terminal *fd*."""
    checked(libc.ioctl(fd, ctypes.c_ulong(_TIOCSCTTY), ctypes.c_long(0)))
