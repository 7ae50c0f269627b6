from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.supervisor.loop import Loop, wait

Run = Callable[..., None]


@pytest.fixture
def loop() -> Loop:
    return Loop()


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


def test_a_descriptor_that_is_closed_wakes_who_waits_for_it(loop: Loop, run: Run) -> None:
    """Also where a fork has the open file as well, and will never close it."""
    woken = []

    async def waiter(fd: int) -> None:
        woken.append(await wait([fd]))

    async def main() -> None:
        reader, writer = os.pipe()
        copy = os.dup(reader)
        loop.spawn(waiter(reader))
        await wait([], 0.01)
        os.close(reader)
        await wait([], 0.05)
        os.close(copy)
        os.close(writer)
        assert woken == [{reader}]

    run(main())
    assert woken


def test_what_a_closed_descriptor_led_to_is_not_taken_for_what_has_its_number_now(loop: Loop, run: Run) -> None:
    """As when a monitor's pidfd is closed, which the janitor has a copy of, and a client's connection comes next."""
    seen = []

    async def stale(fd: int) -> None:
        await wait([fd])

    async def main() -> None:
        ended, writer = os.pipe()
        copy = os.dup(ended)
        loop.spawn(stale(ended))
        await wait([], 0.01)
        os.close(ended)
        silent, other = os.pipe()
        os.write(writer, b"x")
        seen.append((silent == ended, await wait([silent], 0.05), await wait([silent], 0.05)))
        for fd in (copy, writer, silent, other):
            os.close(fd)

    run(main())
    assert seen == [(True, frozenset(), frozenset())]


def test_nor_is_what_was_readable_beside_it(loop: Loop, run: Run) -> None:
    """As when a container's init has said its last word, and its pipe is at its end, in one moment."""
    seen = []

    async def main() -> None:
        ends = [os.pipe(), os.pipe()]
        for _, writer in ends:
            os.write(writer, b"x")
        readers = [reader for reader, _ in ends]
        await wait(readers)
        silent = os.pipe()
        for reader in readers:
            os.dup2(silent[0], reader)
        seen.append(await wait(readers, 0.05))
        for fd in (*silent, *readers, *(writer for _, writer in ends)):
            os.close(fd)

    run(main())
    assert seen == [frozenset()]


def test_a_loop_with_nothing_to_do_rests(loop: Loop, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a descriptor was closed while somebody waited for it, and what it led to is readable for ever."""
    looks = []

    async def stale(fd: int) -> None:
        await wait([fd])

    async def main() -> None:
        ended, writer = os.pipe()
        copy = os.dup(ended)
        loop.spawn(stale(ended))
        await wait([], 0.01)
        os.close(ended)
        os.close(writer)
        await wait([], 0.01)
        look = loop._poll
        monkeypatch.setattr(loop, "_poll", lambda: looks.append(look()))
        await wait([], 0.1)
        os.close(copy)

    run(main())
    assert len(looks) < 10


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


def test_waiting_for_no_descriptor_ends_only_its_coroutine(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    cleaned, done = [], []

    async def broken() -> None:
        try:
            await wait([-1])
        finally:
            cleaned.append(True)

    async def main() -> None:
        await wait([], 0.05)
        done.append(True)

    run(main(), broken())
    assert (cleaned, done) == ([True], [True])
    assert "Traceback" in capsys.readouterr().err


def test_what_cannot_keep_anyone_waiting_does_not(run: Run, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    seen = []

    async def main() -> None:
        seen.append(await wait([fd], 20))
        os.close(fd)
        seen.append(await wait([fd], 20))

    run(main())
    assert seen == [{fd}, {fd}]


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


def test_who_attends_to_a_descriptor_is_told_until_it_is_ignored(loop: Loop, run: Run, pipe: tuple[int, int]) -> None:
    told = []

    def tell() -> None:
        told.append(os.read(pipe[0], 1))
        if told[-1] == b"b":
            loop.ignore(pipe[0])

    async def main() -> None:
        for letter in (b"a", b"b", b"c"):
            os.write(pipe[1], letter)
            await wait([], 0.01)

    loop.attend(pipe[0], tell)
    run(main())
    assert told == [b"a", b"b"]


def test_what_is_ignored_and_closed_is_not_taken_for_another_of_its_number(
    loop: Loop, run: Run, pipe: tuple[int, int]
) -> None:
    """Also where a fork has the old one open still, as here a copy stands for."""
    told = []
    os.write(pipe[1], b"x")
    copy = os.dup(pipe[0])
    loop.attend(pipe[0], lambda: told.append("the old one"))
    loop.ignore(pipe[0])
    os.close(pipe[0])
    other, writer = os.pipe()
    os.dup2(other, pipe[0])
    loop.attend(pipe[0], lambda: told.append("the new one"))
    run(wait([], 0.01))
    assert not told
    for fd in (copy, other, writer):
        os.close(fd)


def test_one_that_another_has_ignored_in_the_same_look_is_not_told(loop: Loop, run: Run) -> None:
    told = []
    pipes = [os.pipe() for _ in range(2)]

    def tell() -> None:
        told.append(1)
        for reader, _ in pipes:
            loop.ignore(reader)

    for reader, writer in pipes:
        os.write(writer, b"x")
        loop.attend(reader, tell)
    run(wait([], 0.01))
    assert told == [1]
    for fd in (fd for pair in pipes for fd in pair):
        os.close(fd)


def test_an_error_of_who_is_told_ends_nothing(loop: Loop, run: Run, pipe: tuple[int, int], capsys) -> None:
    def tell() -> None:
        os.read(pipe[0], 1)
        raise ValueError("no")

    os.write(pipe[1], b"x")
    loop.attend(pipe[0], tell)
    run(wait([], 0.01))
    assert "ValueError: no" in capsys.readouterr().err
