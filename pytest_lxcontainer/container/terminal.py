"""The caller's terminal while a command in a container has another: raw, and of one size with that."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import tty
from contextlib import suppress
from types import FrameType
from typing import Any

from .relay import in_main_thread

_DEADLY = (signal.SIGHUP, signal.SIGTERM)


class Raw:
    """Has the terminal *fd* pass on every key, Ctrl-C too, while this is entered; nothing where it is no terminal.

    It is as it was afterwards, also when SIGTERM or SIGHUP ends this process meanwhile.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd if fd is not None and os.isatty(fd) else None
        self._before: list[Any] = []
        self._handlers: list[tuple[int, Any]] = []

    def __enter__(self) -> Raw:
        if self._fd is not None:
            self._before = termios.tcgetattr(self._fd)
            self._expect_the_end()
            self.begin()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._restore()
        for number, handler in self._handlers:
            signal.signal(number, handler)

    def begin(self) -> None:
        """Make it raw, again where a shell has taken it back meanwhile."""
        if self._fd is not None:
            tty.setraw(self._fd, termios.TCSADRAIN)

    def _restore(self) -> None:
        if self._fd is not None:
            with suppress(termios.error):  # it has been hung up
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _expect_the_end(self) -> None:
        if not in_main_thread():
            return
        for number in _DEADLY:
            # Who has a handler of its own leaves by an exception, if at all.
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers.append((number, signal.signal(number, self._end)))

    def _end(self, number: int, _: FrameType | None) -> None:
        self._restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def size_of(*fds: int | None) -> tuple[int, int] | None:
    """Lines and columns of the first of *fds* that is a terminal."""
    for fd in fds:
        with suppress(OSError):
            if fd is not None:
                columns, lines = os.get_terminal_size(fd)
                return lines, columns
    return None


def copy_size(master: int, *fds: int | None) -> None:
    """Give the terminal of *master* the size of the first of *fds* that is a terminal."""
    size = size_of(*fds)
    if size is not None:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
