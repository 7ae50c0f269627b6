"""Progress on a terminal: one line that is drawn over while something is fetched, and wiped off afterwards."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .container.units import ByteSize

if TYPE_CHECKING:
    from .fetch import PullProgress

_INTERVAL = 0.1  # seconds between two drawings
_RATE_SPAN = 3.0  # seconds that the rate is the mean of
_DEFAULT_WIDTH = 80  # columns, where the terminal knows of none
_MIN_NAME = 8  # columns for the image's name, below which other parts are left out

# ECMA-48: EL 2 wipes a line, CUU goes up, CHA to a column.
_WIPE = "\r\x1b[2K"


def can_draw(fd: int) -> bool:
    """Whether *fd* is a terminal on which a line can be drawn over."""
    return os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb"


class Drawing:
    """Watches pulls on the terminal *fd*; a `Watch`.

    *column* tells in which column the cursor is, counted from 0: what is there stays, and the drawing is a line below.
    """

    def __init__(self, fd: int, column: Callable[[], int] = lambda: 0) -> None:
        self._fd = fd
        self._column = column

    @contextmanager
    def __call__(self, progress: PullProgress) -> Iterator[None]:
        """Draw how far *progress* is until left."""
        over = threading.Event()
        thread = threading.Thread(target=self._draw, args=(progress, over), name="lxcontainer-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _draw(self, progress: PullProgress, over: threading.Event) -> None:
        rate = Rate()
        begun = False
        # A terminal that is gone is no reason to stop fetching.
        with suppress(OSError):
            while not over.wait(_INTERVAL):
                width = self._width()
                rate.note(time.monotonic(), progress.bytes_done)
                if not begun:
                    column, begun = self._column() % width, True
                    self._write("\n" if column else "")
                self._write(_WIPE + line(progress, rate.value, width - 1))
            if begun:
                self._write(_WIPE + (f"\x1b[A\x1b[{column + 1}G" if column else ""))

    def _width(self) -> int:
        return os.get_terminal_size(self._fd).columns or _DEFAULT_WIDTH

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._fd, data) :]


class Rate:
    """Bytes per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, count: int) -> None:
        """At *now* (seconds), *count* bytes had come in all."""
        self._seen.append((now, count))
        while now - self._seen[0][0] > _RATE_SPAN:
            self._seen.popleft()

    @property
    def value(self) -> float:
        """The rate; 0 until there is something to compare."""
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0


def line(progress: PullProgress, rate: float, width: int) -> str:
    """What is shown in *width* columns; where they are few, the rate goes first, and then the name's beginning."""
    parts = [f"{progress.layers_done}/{progress.layers_total} layers"]
    done, total = min(progress.bytes_done, progress.bytes_total), progress.bytes_total
    if total:
        parts.append(f"{ByteSize(done)} of {ByteSize(total)}")
    parts.append(f"{ByteSize(rate)}/s" if done < total else "unpacking")
    while parts:
        told = ": " + ", ".join(parts)
        if width - len(told) >= _MIN_NAME:
            return _shortened(progress.reference.familiar, width - len(told)) + told
        parts.pop()
    return _shortened(progress.reference.familiar, width)


def _shortened(name: str, width: int) -> str:
    """*name* in at most *width* columns; its end tells more than its beginning."""
    return name if len(name) <= width else "…" + name[len(name) - max(0, width - 1) :]
