"""Halting a container's processes: as a test wants it, or for as long as something is done to what they use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from ..container.cgroups import Freezer
from .loop import wait

_INTERVAL = 0.0005


class Freezing:
    """Whether one container's processes stand still, in one start after the other.

    ``frozen`` is what a test has wished, and ``held`` whether everybody else is to keep from the container.
    """

    def __init__(self) -> None:
        self.frozen = False
        self.held = False
        self._freezer: Freezer | None = None

    def begin(self, freezer: Freezer | None) -> None:
        """Take *freezer* (``None``: it has no cgroups of its own) for the start that is under way."""
        self._freezer = freezer

    def end(self) -> None:
        """Its processes have ended."""
        self._freezer, self.frozen = None, False

    @property
    def is_possible(self) -> bool:
        """Whether its processes can be halted."""
        return self._freezer is not None

    def set(self, frozen: bool) -> None:
        """Halt them, or let them go on."""
        self._write(frozen)
        self.frozen = frozen

    def thaw(self) -> None:
        """Let them go on in order to end, whoever halted them; on cgroup v1 not even SIGKILL reaches them before."""
        with suppress(OSError):  # they have ended
            self._write(False)
        self.frozen = False

    def let_die(self, pids: Iterable[int]) -> None:
        """Let processes that are killed end though a test has halted them all."""
        if self.frozen and self._freezer is not None:
            self._freezer.let_die(pids)

    def hold(self, *, still: bool) -> None:
        """Keep everybody else from the container until `let_go`; with *still*, they halt where they can be halted."""
        self.held = True
        if still and not self.frozen:
            self._write(True)

    def let_go(self) -> None:
        """Undo `hold`; what was frozen before it stays so."""
        self.held = False
        if not self.frozen:
            with suppress(OSError):  # they have ended
                self._write(False)

    async def until_let_go(self) -> None:
        """Wait until nobody holds it."""
        while self.held:
            await wait([], _INTERVAL)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Halt them for a moment, where they can be halted and do not stand still anyway."""
        if self.frozen or self.held:
            yield
            return
        with suppress(OSError):  # they have ended
            self._write(True)
        try:
            yield
        finally:
            with suppress(OSError):
                self._write(False)

    def _write(self, frozen: bool) -> None:
        if self._freezer is not None:
            self._freezer.set(frozen)
