"""What init tells of its start; this process speaks in its place."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from pytest_lxcontainer.supervisor.herald import Herald


@pytest.fixture
def herald() -> Iterator[Herald]:
    herald = Herald()
    yield herald
    herald.close()
    herald.theirs.close()


def in_child(herald: Herald, say: bytes) -> int:
    """The pid of a process that said it."""
    pid = os.fork()
    if pid == 0:
        herald.theirs.send(say)
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def readable(herald: Herald) -> list[int]:
    return select.select(herald.fds, [], [], 0)[0]


def test_nothing_is_known_before_it_has_been_told(herald: Herald) -> None:
    herald.listen()
    assert (herald.speaks, herald.init, herald.command, herald.executed) == (True, None, None, False)
    assert readable(herald) == []


def test_who_is_init_and_who_the_command_the_kernel_says(herald: Herald) -> None:
    init = in_child(herald, b"i")
    assert readable(herald)
    herald.listen()
    assert (herald.init, herald.command) == (init, init)
    command = in_child(herald, b"c")
    herald.listen()
    assert (herald.init, herald.command) == (init, command)
    assert readable(herald) == []


def test_the_command_has_been_executed_when_the_pipe_that_was_sent_is_at_its_end(herald: Herald) -> None:
    reader, writer = os.pipe()
    socket.send_fds(herald.theirs, [b"i"], [reader])
    os.close(reader)
    herald.listen()
    assert not herald.executed and readable(herald) == []
    os.close(writer)
    assert readable(herald)
    herald.listen()
    assert herald.executed
    assert readable(herald) == []


def test_it_is_known_that_nobody_will_speak(herald: Herald) -> None:
    herald.theirs.close()  # as an LXC before 5.0 does
    assert readable(herald)
    herald.listen()
    assert not herald.speaks
    assert herald.fds == ()


def test_init_is_shown_into_its_cgroups(herald: Herald) -> None:
    reader, writer = os.pipe()
    herald.show_in([writer])
    os.close(writer)
    said, fds, _, _ = socket.recv_fds(herald.theirs, 1, 4)
    assert said
    os.write(fds[0], b"0")
    os.close(fds[0])
    assert os.read(reader, 9) == b"0"
    os.close(reader)


def test_that_init_has_ended_meanwhile_is_no_error(herald: Herald) -> None:
    herald.theirs.close()
    herald.show_in([0])
