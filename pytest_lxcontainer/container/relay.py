"""Carrying bytes between the caller's descriptors and a command's, until that has ended."""

from __future__ import annotations

import os
import selectors
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .backend import LogHandle

_CHUNK = 1 << 16
_LARGEST_PIPE = 1 << 20
"""Bytes that a command may have left in a pipe: fs.pipe-max-size, see pipe(7)."""
_END_OF_FILE = b"\x04"
"""The key that a terminal takes for the end of its input, termios(3); within a line, for the end of that first."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """The caller's descriptors: what a command is to read (``None``: nothing), and where to write what it writes."""

    stdin: int | None = 0
    stdout: int = 1
    stderr: int = 2


class Relay:
    """A loop that does what was asked of it with `feed`, `copy`, `when` and `on_signal`, until `stop`.

    A context manager; leaving it puts back the handlers of signals, and closes what was fed.
    """

    def __init__(self) -> None:
        # Not epoll, which takes no regular files.
        self._selector = selectors.PollSelector()
        self._copies: list[_Copy] = []
        self._feeds: list[_Feed] = []
        self._kept: list[int] = []
        self._handlers: list[tuple[int, Any]] = []
        self._news: tuple[int, int] | None = None
        self._actions: dict[int, Callable[[], object]] = {}
        self._is_over = False

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._handlers:
            signal.signal(number, handler)
        for fd in (*self._kept, *(self._news or ())):
            os.close(fd)
        for feed in self._feeds:
            feed.close()
        self._selector.close()

    def run(self) -> None:
        """Go on until `stop`; then what is left to be copied is. `BrokenPipeError` when nobody reads it."""
        while not self._is_over:
            for key, _ in self._selector.select():
                key.data()
        for each in self._copies:
            each.drain()

    def stop(self) -> None:
        """Have `run` return."""
        self._is_over = True

    def when(self, fd: int, action: Callable[[], object]) -> None:
        """Call *action* whenever *fd* is readable."""
        self._selector.register(fd, selectors.EVENT_READ, action)

    def feed(self, source: int, target: int, *, is_terminal: bool, at_end: Callable[[], object] | None = None) -> None:
        """Pass on what comes from *source* to *target*, to be closed at its end or when nobody reads it any more.

        A terminal gets the key that means the end. *at_end* is called then.
        """
        os.set_blocking(target, False)
        self._feeds.append(_Feed(self._selector, source, target, is_terminal, at_end))

    def copy(self, source: int, target: int) -> None:
        """Pass on what comes from *source*."""
        os.set_blocking(source, False)
        self._copies.append(_Copy(self._selector, source, target))

    def keep(self, fd: int) -> None:
        """Close *fd* when this is left."""
        self._kept.append(fd)

    def follow(self, log: LogHandle, target: int) -> None:
        """Pass on what is in *log*, and what comes, until its end; then `stop`."""

        def go_on() -> None:
            goes_on = log.wait(0)
            while data := log.read():
                write_all(target, data)
            if not goes_on:
                self.stop()

        self.when(log.fileno(), go_on)
        go_on()

    def on_signal(self, number: int, action: Callable[[], object]) -> None:
        """Call *action* when signal *number* has come; only where Python tells this thread of signals."""
        if not in_main_thread():
            return
        if self._news is None:
            self._news = os.pipe()
            for fd in self._news:
                os.set_blocking(fd, False)
            self.when(self._news[0], self._hear)
        self._actions[number] = action
        self._handlers.append((number, signal.signal(number, lambda number, _: self._note(number))))

    def _note(self, number: int) -> None:
        if self._news is not None:
            with suppress(BlockingIOError):  # so many are there already
                os.write(self._news[1], bytes([number]))

    def _hear(self) -> None:
        assert self._news is not None  # it is what has become readable
        for number in dict.fromkeys(os.read(self._news[0], _CHUNK)):
            self._actions[number]()


class _Feed:
    """Reads no faster than what was read can be written."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        source: int,
        target: int,
        is_terminal: bool,
        at_end: Callable[[], object] | None,
    ) -> None:
        self._selector = selector
        self._source = source
        self._target = target
        self._is_closed = False
        self._is_terminal = is_terminal
        self._at_end = at_end
        self._left = b""
        self._last = b"\n"
        self._is_over = False
        selector.register(source, selectors.EVENT_READ, self._read)

    def _read(self) -> None:
        try:
            self._left = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # it is closed, or a terminal that was hung up
            self._left = b""
        self._selector.unregister(self._source)
        self._is_over = not self._left
        if self._is_over and self._is_terminal:
            self._left = _END_OF_FILE if self._last == b"\n" else 2 * _END_OF_FILE
        self._last = self._left[-1:]
        self._selector.register(self._target, selectors.EVENT_WRITE, self._write)

    def _write(self) -> None:
        try:
            self._left = self._left[os.write(self._target, self._left) :]
        except BlockingIOError:
            return
        except OSError:
            self._left, self._is_over = b"", True
        if self._left:
            return
        self._selector.unregister(self._target)
        if not self._is_over:
            self._selector.register(self._source, selectors.EVENT_READ, self._read)
            return
        self.close()
        if self._at_end is not None:
            self._at_end()

    def close(self) -> None:
        """Write no more."""
        if not self._is_closed:
            os.close(self._target)
            self._is_closed = True


class _Copy:
    """Writes what it has read at once, however long that takes."""

    def __init__(self, selector: selectors.BaseSelector, source: int, target: int) -> None:
        self._selector = selector
        self._source, self._target = source, target
        selector.register(source, selectors.EVENT_READ, self._go_on)

    def _go_on(self) -> None:
        if self._take() == 0:
            self._selector.unregister(self._source)

    def drain(self) -> None:
        """Copy what is there now, which another may go on to write to."""
        left = _LARGEST_PIPE
        while left > 0 and (taken := self._take()):
            left -= taken

    def _take(self) -> int | None:
        """Copy what can be read at once; returns how much that was, ``None`` while there is nothing."""
        try:
            data = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:  # EIO: nobody has the terminal's other end
            return 0
        write_all(self._target, data)
        return len(data)


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*, also where somebody has made *fd* non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            with selectors.PollSelector() as selector:
                selector.register(fd, selectors.EVENT_WRITE)
                selector.select()


def in_main_thread() -> bool:
    """Whether this is the thread that may have handlers of signals."""
    return threading.current_thread() is threading.main_thread()
