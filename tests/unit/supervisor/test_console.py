from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer.supervisor.console import Console


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    console = Console(tmp_path / "console.log")
    yield console
    console.close()


def content(console: Console, since: float = 0.0) -> bytes:
    with os.fdopen(console.open(), "rb") as file:
        file.seek(console.offset(since))
        return file.read()


def test_what_is_there_is_taken_in_order(console: Console, pipe: tuple[int, int]) -> None:
    for text in (b"one\n", b"two\n", b"\x00\xff"):
        os.write(pipe[1], text)
        assert console.take(pipe[0])
    assert content(console) == console.path.read_bytes() == b"one\ntwo\n\x00\xff"


def test_nothing_there_is_not_the_end(console: Console, pipe: tuple[int, int]) -> None:
    assert console.take(pipe[0])
    assert content(console) == b""


def test_a_container_that_says_nothing_has_no_file(console: Console, pipe: tuple[int, int]) -> None:
    console.take(pipe[0])
    assert (content(console), console.tail(), console.path.exists()) == (b"", "", False)


def test_who_follows_a_silent_container_reads_what_comes(console: Console, pipe: tuple[int, int]) -> None:
    with console.follow(), os.fdopen(console.open(), "rb") as file:
        os.write(pipe[1], b"at last")
        console.take(pipe[0])
        assert file.read() == b"at last"


def test_the_end_is_told(console: Console) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"last")
    os.close(writer)
    assert console.take(reader)
    assert not console.take(reader)
    console.drain(reader)
    os.close(reader)
    assert content(console) == b"last"


def test_drain_takes_all_of_a_full_pipe(console: Console, pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    size = 0
    try:
        while True:
            size += os.write(pipe[1], b"x" * 4096)
    except BlockingIOError:
        console.drain(pipe[0])
    assert content(console) == b"x" * size


def test_drain_does_not_wait_for_who_writes_without_end(console: Console, pipe: tuple[int, int]) -> None:
    enough = threading.Event()

    def write() -> None:
        for _ in range(5000):
            os.write(pipe[1], b"y" * 65536)
            if enough.is_set():
                return

    thread = threading.Thread(target=write)
    thread.start()
    console.drain(pipe[0])
    assert len(content(console)) < 64 << 20
    enough.set()
    while thread.is_alive():
        console.take(pipe[0])
    thread.join()


def test_what_does_not_fit_onto_the_disk_holds_nobody_up(
    console: Console, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(pipe[1], b"before")
    console.take(pipe[0])
    full = os.open("/dev/full", os.O_WRONLY)
    with monkeypatch.context() as patch:
        patch.setattr(console, "_file", full)
        os.write(pipe[1], b"lost")
        assert console.take(pipe[0])
    os.close(full)
    os.write(pipe[1], b" after")
    console.take(pipe[0])
    assert content(console) == b"before after"
    assert "4 bytes are lost: No space left" in capsys.readouterr().err


def test_the_index_of_times_stays_small(
    console: Console, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "time", lambda: now)
    for number in range(200_000):
        now = float(number)
        console._note_time()
        console._size += 1
    assert len(console._times) == len(console._offsets) <= 70_000
    assert console.offset(199_990.0) == 199_990
    assert console.offset(0.0) == 0
    assert abs(console.offset(50_000.0) - 50_000) < 64


def test_a_start_begins_where_the_one_before_has_ended(console: Console, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"first")
    console.take(pipe[0])
    console.mark()
    assert console.begin == 5


def test_since_begins_with_what_arrived_then(console: Console, pipe: tuple[int, int]) -> None:
    moments = []
    for text in (b"one\n", b"two\n", b"three\n"):
        time.sleep(0.01)
        moments.append(time.time())
        time.sleep(0.01)
        os.write(pipe[1], text)
        console.take(pipe[0])
    assert [content(console, moment) for moment in moments] == [b"one\ntwo\nthree\n", b"two\nthree\n", b"three\n"]
    assert content(console, time.time() + 1) == b""


def test_the_tail_is_text_and_ends_with_the_last(console: Console, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"\xff" + b"a" * 100 + b"end")
    console.take(pipe[0])
    assert console.tail(5) == "aaend"
    assert console.tail()[0] == "\ufffd"


def test_a_reader_does_not_move_the_writer(console: Console, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"one\n")
    console.take(pipe[0])
    assert content(console) == b"one\n"
    os.write(pipe[1], b"two\n")
    console.take(pipe[0])
    assert content(console) == b"one\ntwo\n"


def test_who_follows_is_rung_for_and_told_the_end(console: Console, pipe: tuple[int, int]) -> None:
    one, two = console.follow(), console.follow()
    two.close()  # has left without a word
    for _ in range(3):
        os.write(pipe[1], b"x")
        assert console.take(pipe[0])
    assert one.recv(100)
    console.hang_up()
    assert one.recv(100) == b""
    one.close()


def test_the_end_is_told_though_a_fork_has_a_copy_of_everything(console: Console) -> None:
    bell = console.follow()
    bell.settimeout(10)
    waiting, release = os.pipe()
    fork = os.fork()
    if fork == 0:
        os.close(release)
        os.read(waiting, 1)
        os._exit(0)
    os.close(waiting)
    try:
        console.hang_up()
        assert bell.recv(100) == b""
    finally:
        os.close(release)
        os.waitpid(fork, 0)
        bell.close()


def test_who_does_not_listen_holds_nobody_up(console: Console, pipe: tuple[int, int]) -> None:
    deaf = console.follow()
    for _ in range(5000):
        os.write(pipe[1], b"x")
        assert console.take(pipe[0])
    assert len(content(console)) == 5000
    deaf.close()
