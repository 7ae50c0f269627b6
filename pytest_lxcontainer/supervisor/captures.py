"""Recordings of a container's packets."""

from __future__ import annotations

from functools import partial

from ..network.capture import serve
from .dweller import Dweller


class Captures:
    """Those of one container, by number."""

    def __init__(self, *, is_root: bool) -> None:
        self._is_root = is_root
        self._running: dict[int, Dweller] = {}
        self._count = 0

    async def begin(self, pidfd: int, output: int) -> int:
        """Record to descriptor *output* what passes where the process of *pidfd* is.

        Returns the recording's number when nothing is missed any more.
        """
        self._count += 1
        number = self._count
        dweller = Dweller(pidfd, partial(serve, output=output), is_root=self._is_root, fds=(output,))
        self._running[number] = dweller
        try:
            await dweller.line()
        except ConnectionError:
            self._drop(number)
            raise
        return number

    async def finish(self, number: int) -> int | None:
        """End a recording; returns how many packets it has, ``None`` where its container has ended."""
        dweller = self._running.get(number)
        if dweller is None:
            return None
        try:
            dweller.send("enough")
            return int(await dweller.line())
        except ConnectionError:
            return None
        finally:
            self._drop(number)

    def end(self) -> None:
        """End them all: the container is ending. What has come so far is in their files."""
        for number in list(self._running):
            self._drop(number)

    def _drop(self, number: int) -> None:
        dweller = self._running.pop(number, None)
        if dweller is not None:
            dweller.close()
