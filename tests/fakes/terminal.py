"""A terminal: a pty, a process on it, and the screen that a person would see."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TOKEN = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|(.)", re.DOTALL)


class Screen:
    """What VT100-like terminals make of text: line feeds, carriage returns, and the few controls that are used here."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for number, control, char in _TOKEN.findall(text):
            if control:
                self._control(control, int(number) if number.isdigit() else 0)
            elif char == "\n":
                self._down()
            elif char == "\r":
                self.column = 0
            else:
                self._put(char)

    @property
    def text(self) -> list[str]:
        return ["".join(line).rstrip() for line in self.lines]

    def _control(self, control: str, number: int) -> None:
        if control == "K":
            assert number == 2
            self.lines[self.row] = []
        elif control == "A":
            self.row -= number or 1
        elif control == "G":
            self.column = (number or 1) - 1
        else:
            assert control == "m", control

    def _put(self, char: str) -> None:
        if self.column == self.width:
            self.column = 0
            self._down()
        line = self.lines[self.row]
        line.extend(" " * (self.column + 1 - len(line)))
        line[self.column] = char
        self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append([])


class Terminal:
    """A pty of *width* columns; *fd* is the end that programs have, with a line feed's carriage return as usual."""

    def __init__(self, width: int = 80) -> None:
        self.ours, self.fd = os.openpty()
        self.width = width
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.raw = ""
        """All that was written."""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self.ours)
        if self.fd >= 0:
            os.close(self.fd)

    def run(self, command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float = 120.0) -> int:
        """Run *command* on the terminal to its end; returns its exit code."""
        process = subprocess.Popen(
            command, cwd=cwd, env={**env, "TERM": "xterm"}, stdin=self.fd, stdout=self.fd, stderr=self.fd
        )
        os.close(self.fd)
        self.fd = -1
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        return process.wait(max(0.1, deadline - time.monotonic()))

    def drain(self) -> str:
        """Read what has been written until now, and return all of it."""
        while self._read(0):
            pass
        return self.raw

    @property
    def screen(self) -> Screen:
        """What is to be seen; lines that have scrolled out of it, too."""
        screen = Screen(self.width)
        screen.feed(self.raw)
        return screen

    def _read(self, timeout: float) -> bool:
        """Read once; false at the end, or when nothing came."""
        if not select.select([self.ours], [], [], max(0.0, timeout))[0]:
            return False
        try:
            data = os.read(self.ours, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self.raw += data.decode()
        return bool(data)
