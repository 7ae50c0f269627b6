from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from pytest_lxcontainer.supervisor.loop import Loop, wait

Run = Callable[..., None]


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def run(loop: Loop) -> Run:
    def run(*work: Coroutine[Any, Any, None]) -> None:
        """Run *work* until the first of them, the main one, has ended."""

        async def main() -> None:
            try:
                await work[0]
            finally:
                loop.stop()

        for each in work[1:]:
            loop.spawn(each)
        loop.spawn(main())
        loop.run()

    return run


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_a_readable_descriptor_ends_the_wait(run: Run, pipe: tuple[int, int]) -> None:
    seen = []

    async def main() -> None:
        seen.append(await wait([pipe[0]], 0.01))
        os.write(pipe[1], b"x")
        seen.append(await wait([pipe[0]], 20))

    run(main())
    assert seen == [frozenset(), frozenset([pipe[0]])]


def test_the_same_descriptor_twice_is_fine(run: Run, pipe: tuple[int, int]) -> None:
    seen = []

    async def main() -> None:
        os.write(pipe[1], b"x")
        seen.append(await wait([pipe[0], pipe[0]]))

    run(main())
    assert seen == [{pipe[0]}]


def test_timers_go_off_in_the_order_of_their_times(run: Run) -> None:
    order = []

    async def sleeper(seconds: float) -> None:
        await wait([], seconds)
        order.append(seconds)

    async def main() -> None:
        await wait([], 0.3)

    run(main(), sleeper(0.2), sleeper(0.1), sleeper(0.0), sleeper(0.15))
    assert order == [0.0, 0.1, 0.15, 0.2]


def test_several_wait_for_one_descriptor(run: Run, pipe: tuple[int, int]) -> None:
    woken = []

    async def waiter(name: str) -> None:
        await wait([pipe[0]])
        woken.append(name)

    async def main() -> None:
        await wait([], 0.02)
        os.write(pipe[1], b"x")
        while len(woken) < 3:
            await wait([], 0.005)

    run(main(), waiter("a"), waiter("b"), waiter("c"))
    assert sorted(woken) == ["a", "b", "c"]


def test_one_that_gave_up_does_not_end_the_others_wait(run: Run, pipe: tuple[int, int]) -> None:
    seen: dict[str, frozenset[int]] = {}

    async def waiter(name: str, timeout: float) -> None:
        seen[name] = await wait([pipe[0]], timeout)

    async def main() -> None:
        await wait([], 0.1)
        os.write(pipe[1], b"x")
        while len(seen) < 2:
            await wait([], 0.005)

    run(main(), waiter("short", 0.01), waiter("long", 20))
    assert seen == {"short": frozenset(), "long": {pipe[0]}}


def test_a_number_that_was_closed_while_waited_for_can_be_used_again(loop: Loop, run: Run) -> None:
    """A descriptor may be closed under a waiter, and the next one get its number: that one must still wake."""
    seen = []

    async def stale(fd: int) -> None:
        await wait([fd])

    async def main() -> None:
        reader, writer = os.pipe()
        loop.spawn(stale(reader))
        await wait([], 0.01)
        os.close(reader)
        os.close(writer)
        again, other = os.pipe()
        os.write(other, b"x")
        seen.append((again == reader, bool(await wait([again], 5))))
        os.close(again)
        os.close(other)

    run(main())
    assert seen == [(True, True)]


def test_an_error_ends_only_its_coroutine_and_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    done = []

    async def broken() -> None:
        await wait([], 0.01)
        raise RuntimeError("only mine")

    async def main() -> None:
        await wait([], 0.05)
        done.append(True)

    run(main(), broken())
    assert done == [True]
    assert "only mine" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["closed", "file", "negative"])
def test_waiting_for_what_cannot_be_waited_for_ends_only_its_coroutine(
    run: Run, tmp_path: Any, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    if what == "closed":
        os.close(fd)
    cleaned, done = [], []

    async def broken() -> None:
        try:
            await wait([-1 if what == "negative" else fd])
        finally:
            cleaned.append(True)

    async def main() -> None:
        await wait([], 0.05)
        done.append(True)

    run(main(), broken())
    assert (cleaned, done) == ([True], [True])
    assert "Traceback" in capsys.readouterr().err
    if what != "closed":
        os.close(fd)


def test_work_spawned_by_work_runs(loop: Loop, run: Run) -> None:
    seen = []

    async def child() -> None:
        seen.append("child")

    async def main() -> None:
        loop.spawn(child())
        await wait([], 0)
        seen.append("main")

    run(main())
    assert seen == ["child", "main"]


def test_many_short_waits_leave_nothing_behind(loop: Loop, run: Run, pipe: tuple[int, int]) -> None:
    async def main() -> None:
        for _ in range(1000):
            await wait([pipe[0]], 0)

    begin = time.monotonic()
    run(main())
    assert time.monotonic() - begin < 20
    assert loop._waiters == {}
    assert len(loop._timers) <= 1
