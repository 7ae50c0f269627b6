"""How a container gets onto its network in each of its starts: whom it reaches there, and what faults it meets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ..network.bridge import Bridge
from ..network.isolation import admit, confine, expel
from ..network.plug import Plug
from .faults import Faults, FaultsRefusedError
from .neighbours import addresses_of
from .wires import Wires

if TYPE_CHECKING:
    from .life import Life


class Wiring:
    """The wiring of one container by *wires*: at *plug*, unless LXC plugs it in, to *bridge*, and with *faults*.

    It reaches those whom *peers* gives, at any moment.
    """

    def __init__(
        self,
        wires: Wires,
        plug: Plug | None,
        bridge: Bridge | None,
        faults: Faults,
        peers: Callable[[], Iterable[Life]],
    ) -> None:
        self._wires = wires
        self._plug = plug
        self._bridge = bridge
        self._faults = faults
        self._peers = peers
        self._admitted: frozenset[IPv4Address] | None = None
        """Whom it was to reach when it was wired, which it has not been yet in this start if there is none."""

    @property
    def comes_first(self) -> bool:
        """Whether it is plugged in here, before its command is there."""
        return self._plug is not None

    def begin(self) -> None:
        """It is started now, and not wired yet."""
        self._admitted = None

    async def plug(self, init: int) -> str:
        """Plug it in, whose init is process *init*; tells what kept it from that."""
        assert self._plug is not None  # else LXC does
        try:
            self._wires.plug(init, self._plug, self._first())
            await self._break(init)
        except OSError as error:
            return f"its network could not be set up: {error.strerror or error}"
        except FaultsRefusedError as error:
            return f"the faults of its network could not be put on again: {error}"
        return ""

    async def finish(self, pid: int) -> None:
        """Wire it, where LXC has plugged it in, and catch up with who has come and gone since it was wired.

        *pid* is a process in it. Raises `OSError`, also where it is ending, and `FaultsRefusedError`.
        """
        if self._admitted is None:
            await self._wires.send(pid, self._first())
        await self._break(pid)
        while changes := self._changes():
            await self._wires.send(pid, changes)

    def _first(self) -> tuple[bytes, ...]:
        assert self._bridge is not None  # else there is nothing to reach
        self._admitted = self._now()
        return (*confine(self._bridge), *admit(self._admitted))

    def _changes(self) -> tuple[bytes, ...]:
        assert self._admitted is not None  # it has been wired
        before, self._admitted = self._admitted, self._now()
        return (*admit(self._admitted - before), *expel(before - self._admitted))

    def _now(self) -> frozenset[IPv4Address]:
        return frozenset(addresses_of(self._peers()))

    async def _break(self, pid: int) -> None:
        """Have it meet the faults that there were before it was started, if there were any."""
        if self._faults.are_met or not self._faults.all():
            return
        pidfd = os.pidfd_open(pid)
        try:
            await self._faults.begin(pidfd)
        finally:
            os.close(pidfd)
