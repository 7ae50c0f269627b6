"""How many clones of what the pool keeps, with clones that are mere names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.container.demand import Demand, Preparation
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.errors import StartFailedError
from pytest_lxcontainer.supervisor.loop import Loop, wait
from pytest_lxcontainer.supervisor.pool import STALE, Pool, affordable, available_memory

GIB = 1 << 30
BOX = ContainerSpec("box", "test_one", ("/layer",), ("sleep", "1000"))
READY = Preparation([], 60, ["/bin/sh", "-c"], "/root", None)
CORES = 3

Main = Callable[[], Coroutine[Any, Any, None]]


class FakeMaker:
    """Makes clones once the *gate* is open; *broken* ones fail."""

    def __init__(self) -> None:
        self.gate = True
        self.broken = False
        self.bytes = 1
        self.begun = 0
        self.at_once = 0
        self.most_at_once = 0
        self.dead: set[str] = set()
        self.kept: dict[str, ContainerSpec] = {}

    async def make(self, spec: ContainerSpec, preparation: Preparation) -> str:
        self.begun += 1
        name = f"clone-{self.begun}"
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await wait([], 0)
            while not self.gate:
                await wait([], 0.001)
        finally:
            self.at_once -= 1
        if self.broken:
            raise StartFailedError("it would not start")
        self.kept[name] = spec
        return name

    def is_alive(self, clone: str) -> bool:
        return clone not in self.dead

    def size(self, clone: str) -> int:
        return self.bytes

    def discard(self, clone: str) -> None:
        del self.kept[clone]


class Bench:
    """A pool of clones that are names, and who asks it."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.maker = FakeMaker()
        self.memory = 100 * GIB
        self.pool = Pool(self.maker, loop, CORES, lambda: self.memory - self.maker.bytes * len(self.maker.kept))
        self.client, self.connection = socket.socketpair()

    async def take(
        self, spec: ContainerSpec = BOX, *, coming: int = 100, most: int | None = None, pid: int = 1, **other: Any
    ) -> str | None:
        demand = Demand(coming, most, replace(READY, **other))
        clone = await self.pool.take(spec, demand, pid, self.connection.fileno())
        if clone is not None:
            del self.maker.kept[clone]
        return clone

    async def settle(self) -> None:
        """Let everything happen that is under way."""
        await wait([], 0.06)
        while self.maker.at_once and self.maker.gate:
            await wait([], 0.001)

    def run(self, main: Main) -> None:
        done = []

        async def work() -> None:
            try:
                await main()
                done.append(True)
            finally:
                self.pool.close()
                await wait([], 0.01)
                self.loop.stop()

        self.loop.spawn(work())
        self.loop.run()
        assert done, "an assertion has failed; see the traceback above"


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(Loop())
    yield bench
    bench.client.close()
    bench.connection.close()


def test_the_first_request_finds_nothing_and_the_next_ones_do(bench: Bench) -> None:
    async def main() -> None:
        assert await bench.take() is None
        await bench.settle()
        assert [await bench.take() for _ in range(3)] == ["clone-1", "clone-2", "clone-3"]

    bench.run(main)


@pytest.mark.parametrize(
    ("coming", "most", "kept"), [(0, None, 0), (1, None, 1), (100, None, CORES), (100, 7, 7), (5, 7, 5), (100, 0, 0)]
)
def test_no_more_are_kept_than_are_coming_and_allowed(bench: Bench, coming: int, most: int | None, kept: int) -> None:
    async def main() -> None:
        await bench.take(coming=coming, most=most)
        await bench.settle()
        assert len(bench.maker.kept) == kept and bench.maker.begun == kept

    bench.run(main)


def test_processes_expectations_add_up(bench: Bench) -> None:
    async def main() -> None:
        await bench.take(coming=1, most=9, pid=1)
        await bench.take(coming=2, most=9, pid=2)
        await bench.settle()
        assert len(bench.maker.kept) == 3

    bench.run(main)


def test_no_more_are_made_at_a_time_than_there_are_cores_and_at_first_one(bench: Bench) -> None:
    async def main() -> None:
        bench.maker.gate = False
        await bench.take(most=8)
        await bench.settle()
        assert bench.maker.at_once == 1  # nobody knows what it takes
        bench.maker.gate = True
        await bench.settle()
        assert bench.maker.most_at_once == CORES and len(bench.maker.kept) == 8

    bench.run(main)


def test_a_request_waits_for_a_clone_that_is_being_made_and_another_one_does_not(bench: Bench) -> None:
    taken = []

    async def ask() -> None:
        taken.append(await bench.take())

    async def main() -> None:
        await bench.take(coming=1)
        bench.maker.gate = False
        await bench.settle()
        bench.loop.spawn(ask())
        await bench.settle()
        assert taken == []
        bench.loop.spawn(ask())
        await bench.settle()
        assert taken == [None]
        bench.maker.gate = True
        await bench.settle()
        assert taken == [None, "clone-1"]

    bench.run(main)


def test_who_hangs_up_while_waiting_is_no_longer_waited_for(bench: Bench) -> None:
    async def main() -> None:
        bench.maker.gate = False
        await bench.take()
        await bench.settle()
        bench.client.close()
        with pytest.raises(ConnectionError):
            await bench.take()
        bench.maker.gate = True
        await bench.settle()
        assert "clone-1" in bench.maker.kept

    bench.run(main)


def test_a_clone_that_cannot_be_made_leaves_the_demand_to_cold_starts(bench: Bench) -> None:
    async def main() -> None:
        bench.maker.broken = True
        for _ in range(3):
            assert await bench.take() is None
            await bench.settle()
        assert bench.maker.begun == 1
        bench.maker.broken = False
        assert await bench.take(replace(BOX, hostname="other")) is None
        await bench.settle()
        assert await bench.take(replace(BOX, hostname="other")) == "clone-2"

    bench.run(main)


def test_so_does_one_that_dies_in_the_pool(bench: Bench) -> None:
    async def main() -> None:
        await bench.take(most=1)
        await bench.settle()
        bench.maker.dead.add("clone-1")
        assert await bench.take(most=1) is None
        await bench.settle()
        assert bench.maker.begun == 1 and bench.maker.kept == {}

    bench.run(main)


def test_only_the_group_may_differ(bench: Bench) -> None:
    async def main() -> None:
        await bench.take(most=1)
        await bench.settle()
        assert await bench.take(replace(BOX, env=(("A", "b"),)), coming=0) is None
        assert await bench.take(conditions=[["Port", 80]], coming=0) is None
        assert await bench.take(replace(BOX, group=("test_two",)), coming=0) == "clone-1"

    bench.run(main)


def test_what_nobody_will_ask_for_any_more_is_removed(bench: Bench) -> None:
    async def main() -> None:
        await bench.take()
        await bench.settle()
        await bench.take(coming=1)
        await bench.settle()
        assert len(bench.maker.kept) == 1
        bench.pool.leave(1)
        await bench.settle()
        assert bench.maker.kept == {}

    bench.run(main)


def test_a_demand_that_others_have_followed_for_long_is_forgotten(bench: Bench) -> None:
    async def main() -> None:
        await bench.take(most=1)
        await bench.settle()
        for _ in range(STALE + 1):
            assert len(bench.maker.kept) == 1
            await bench.take(replace(BOX, hostname="other"), coming=0)
        await bench.settle()
        assert bench.maker.kept == {}

    bench.run(main)


def test_what_the_pool_takes_leaves_most_memory_free(bench: Bench) -> None:
    async def main() -> None:
        bench.maker.bytes = GIB
        bench.memory = 12 * GIB
        await bench.take(most=9)
        await bench.settle()
        assert len(bench.maker.kept) == 3
        # Somebody else takes half.
        bench.memory = 6 * GIB
        await bench.take(most=9)
        await bench.settle()
        assert len(bench.maker.kept) == 1

    bench.run(main)


@pytest.mark.parametrize(
    ("size", "held", "available", "may"),
    [(1, 0, 4, True), (1, 0, 3, False), (1, 2, 10, True), (1, 2, 9, False), (0, 0, 0, True)],
)
def test_a_quarter_of_what_would_be_free_is_the_pool_s(size: int, held: int, available: int, may: bool) -> None:
    assert affordable(size, held, available) is may


def test_the_host_tells_how_much_is_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable:      7 kB\nBuffers: 1 kB\n")
    assert available_memory(tmp_path / "meminfo") == 7 * 1024
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\n")
    assert available_memory(tmp_path / "meminfo") == 0
    assert available_memory() > 0


def test_a_closed_pool_makes_nothing(bench: Bench) -> None:
    async def main() -> None:
        await bench.take()
        bench.pool.close()
        await bench.settle()
        assert bench.maker.begun == 0

    bench.run(main)
