"""Clones that are started ahead of need: how many of what, within which bounds.

A demand is what tests ask for again and again: a spec, and what makes a container of it ready. With each request a
process tells how many more are coming; as many clones, up to a bound, are made while its tests run. What clones are,
and how they are made, is a `Maker`'s business.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ..container.demand import Demand, Preparation
from ..container.spec import ContainerSpec
from ..errors import LxContainerError
from .loop import Loop, Ready, wait

Clone = TypeVar("Clone")

SHARE = 0.25
"""The part of the memory that is free, or would be without the pool, that the pool may have."""

TOTAL = 8
"""How many times the bound of one demand all of them together may have."""

STALE = 64
"""After so many requests of others, nothing more is expected of a demand."""

PATIENCE = 5.0
"""Seconds that a request waits for a clone that is being made; it was begun before one of its own could be."""

_COURTESY = 0.003
"""Seconds that who has just got a clone has the supervisor to itself: a test's first command follows."""

_PAUSE = 0.02
"""Seconds between removals of what nobody needs: each keeps the kernel busy."""


class Maker(Protocol[Clone]):
    """Makes and removes clones."""

    async def make(self, spec: ContainerSpec, preparation: Preparation) -> Clone:
        """A clone that is started and ready, if that can be told from here; raises whatever kept it from that."""

    def is_alive(self, clone: Clone) -> bool:
        """Whether it still runs."""

    def size(self, clone: Clone) -> int:
        """Bytes of memory that it takes."""

    def discard(self, clone: Clone) -> None:
        """Remove it."""


@dataclass(slots=True, eq=False)
class Stock(Generic[Clone]):
    """What there is of one demand.

    *coming* are the requests still expected, by process; *making* counts clones that are being made, and *bells*
    (eventfd(2)) are rung for who waits for one. *size* is in bytes, 0 until a clone was there to be measured. *asked*
    is the serial number of the latest request.
    """

    spec: ContainerSpec
    preparation: Preparation
    coming: dict[int, int] = field(default_factory=dict)
    most: int = 0
    ready: deque[Clone] = field(default_factory=deque)
    making: int = 0
    bells: list[int] = field(default_factory=list)
    size: int = 0
    asked: int = 0
    failed: bool = False

    @property
    def wanted(self) -> int:
        """How many clones there should be."""
        return 0 if self.failed else min(self.most, sum(self.coming.values()))

    @property
    def waiting(self) -> int:
        """How many requests wait for one."""
        return len(self.bells)

    @property
    def count(self) -> int:
        """How many there are, or will be."""
        return len(self.ready) + self.making

    @property
    def lacks(self) -> bool:
        """Whether one more should be made now; of the first one it is not known yet what it takes."""
        return self.count < self.wanted + self.waiting and not (self.making and not self.size)


class Pool(Generic[Clone]):
    """The clones of a run that nobody has asked for yet.

    *cores* bounds how many are kept of each demand, unless it says so itself, and how many are made at a time;
    *available* tells how many bytes of memory are free.
    """

    def __init__(
        self, maker: Maker[Clone], loop: Loop, cores: int | None = None, available: Callable[[], int] | None = None
    ) -> None:
        self._maker = maker
        self._loop = loop
        self._cores = cores or len(os.sched_getaffinity(0))
        self._available = available or available_memory
        self._stocks: dict[tuple[ContainerSpec, str], Stock[Clone]] = {}
        self._serial = 0
        self._is_trimming = False
        self._is_closed = False

    async def take(self, spec: ContainerSpec, demand: Demand, pid: int, connection: int) -> Clone | None:
        """A clone for process *pid*, or ``None`` where there is none; more are made behind its back.

        Raises `ConnectionError` where who asks hangs up meanwhile.
        """
        stock = self._stock(spec, demand.preparation)
        self._serial += 1
        stock.asked = self._serial
        stock.coming[pid] = demand.coming
        stock.most = max(2, self._cores) if demand.most is None else demand.most
        clone = await self._next(stock, connection)
        self._loop.spawn(self._tend(after=_COURTESY))
        return clone

    def leave(self, pid: int) -> None:
        """Expect nothing more of process *pid*."""
        for stock in self._stocks.values():
            stock.coming.pop(pid, None)
        self._loop.spawn(self._trim())

    def close(self) -> None:
        """Make no more; what is there, is the maker's."""
        self._is_closed = True

    def _stock(self, spec: ContainerSpec, preparation: Preparation) -> Stock[Clone]:
        spec = replace(spec, group=())
        key = (spec, json.dumps(asdict(preparation)))
        if key not in self._stocks:
            self._stocks[key] = Stock(spec, preparation)
        return self._stocks[key]

    async def _next(self, stock: Stock[Clone], connection: int) -> Clone | None:
        deadline = time.monotonic() + PATIENCE
        while True:
            while stock.ready:
                clone = stock.ready.popleft()
                if self._maker.is_alive(clone):
                    return clone
                self._maker.discard(clone)
                stock.failed = True
            if stock.waiting >= stock.making or time.monotonic() > deadline:
                return None
            if connection in await self._news(stock, connection, deadline):
                raise ConnectionResetError("who waited for a clone has gone")

    @staticmethod
    async def _news(stock: Stock[Clone], connection: int, deadline: float) -> Ready:
        """Wait until one more has been made, or has not, or something comes from *connection*."""
        bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        stock.bells.append(bell)
        try:
            return await wait([connection, bell], max(0.0, deadline - time.monotonic()))
        finally:
            stock.bells.remove(bell)
            os.close(bell)

    async def _tend(self, after: float = 0) -> None:
        """Begin to make what is lacking, and to remove what nobody needs."""
        await wait([], after)
        self._forget_stale()
        if next(self._surplus(), None) is not None:
            self._loop.spawn(self._trim())
        while not self._is_closed and self._making < self._cores:
            lacking = [stock for stock in self._by_age() if stock.lacks and self._has_room(stock)]
            if not lacking:
                return
            lacking[-1].making += 1
            self._loop.spawn(self._make(lacking[-1]))

    async def _make(self, stock: Stock[Clone]) -> None:
        try:
            if self._is_closed:
                return
            clone = await self._maker.make(stock.spec, stock.preparation)
        except Exception as error:  # the next cold start will tell the test
            if not isinstance(error, (LxContainerError, OSError)):
                traceback.print_exc()
            stock.failed = True
        else:
            stock.size = stock.size or max(self._maker.size(clone), 1)
            stock.ready.append(clone)
        finally:
            stock.making -= 1
            for bell in stock.bells:
                os.eventfd_write(bell, 1)
        self._loop.spawn(self._tend())

    async def _trim(self) -> None:
        """Remove what nobody needs, a little at a time."""
        if self._is_trimming:
            return
        self._is_trimming = True
        while not self._is_closed and (stock := next(self._surplus(), None)) is not None:
            self._maker.discard(stock.ready.popleft())
            await wait([], _PAUSE)
        self._is_trimming = False

    def _surplus(self) -> Iterator[Stock[Clone]]:
        """Stocks that have more than they should, or that the host has no memory for any more, the oldest first."""
        held, available = self._held, self._available()
        for stock in self._by_age():
            too_many = len(stock.ready) > stock.wanted + stock.waiting
            if too_many or (stock.ready and not affordable(0, held, available)):
                yield stock

    def _has_room(self, stock: Stock[Clone]) -> bool:
        total = sum(each.count for each in self._stocks.values())
        return total < TOTAL * max(stock.most, 1) and affordable(stock.size, self._held, self._available())

    def _forget_stale(self) -> None:
        for stock in self._stocks.values():
            if self._serial - stock.asked > STALE:
                stock.coming.clear()

    def _by_age(self) -> list[Stock[Clone]]:
        """The one that was asked for last comes last."""
        return sorted(self._stocks.values(), key=lambda stock: stock.asked)

    @property
    def _making(self) -> int:
        return sum(stock.making for stock in self._stocks.values())

    @property
    def _held(self) -> int:
        return sum(stock.size * stock.count for stock in self._stocks.values())


def affordable(size: int, held: int, available: int) -> bool:
    """Whether the pool, which has *held* bytes, may have *size* more while so many are *available*."""
    return held + size <= SHARE * (available + held)


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that processes can have before the host swaps: MemAvailable of proc_meminfo(5)."""
    for line in meminfo.read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return 0
