from __future__ import annotations

import inspect
import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_lxcontainer import errors
from pytest_lxcontainer.supervisor import protocol

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, two = socket.socketpair()
    with one, two:
        yield one, two


def test_messages_come_apart_in_their_order(pair: Pair) -> None:
    messages: list[dict[str, Any]] = [{"do": "a"}, {}, {"text": "ä\n\0", "list": [1, 2.5, None, True]}]
    for message in messages:
        protocol.send(pair[0], message)
    assert [protocol.receive(pair[1]) for _ in messages] == [(message, []) for message in messages]


def test_descriptors_travel_with_their_own_message(pair: Pair) -> None:
    reader, writer = os.pipe()
    protocol.send(pair[0], {"n": 1}, [writer])
    protocol.send(pair[0], {"n": 2})
    os.close(writer)
    first, fds = protocol.receive(pair[1])
    assert protocol.receive(pair[1]) == ({"n": 2}, [])
    assert (first, len(fds)) == ({"n": 1}, 1)
    assert not os.get_inheritable(fds[0])
    with os.fdopen(fds[0], "wb") as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


@pytest.mark.parametrize("with_fd", [False, True])
def test_a_message_larger_than_the_sockets_buffer_arrives_whole(pair: Pair, with_fd: bool) -> None:
    message = {"text": "x" * (8 << 20)}
    fds = [pair[0].fileno()] if with_fd else []
    sender = threading.Thread(target=protocol.send, args=(pair[0], message, fds))
    sender.start()
    received, got = protocol.receive(pair[1])
    sender.join()
    assert (received, len(got)) == (message, len(fds))
    for fd in got:
        os.close(fd)


def test_a_hangup_is_a_connection_error_at_any_byte(pair: Pair) -> None:
    whole = len(json.dumps({"a": 1})) + 4
    for sent in range(whole):
        one, two = socket.socketpair()
        with one, two:
            one.sendall(((whole - 4).to_bytes(4, "big") + b'{"a": 1}')[:sent])
            one.close()
            with pytest.raises(ConnectionError):
                protocol.receive(two)


def test_a_length_beyond_reason_is_refused(pair: Pair) -> None:
    pair[0].sendall(b"\xff\xff\xff\xff")
    with pytest.raises(ConnectionError, match="4294967295"):
        protocol.receive(pair[1])


SAMPLES: dict[str, Any] = {
    "status": 503,
    "url": "http://r/v2/",
    "retry_after": 1.5,
    "expected": "sha256:aa",
    "actual": "sha256:bb",
    "entry": "../x",
    "container": "box-1",
    "exit_code": 3,
    "log": "last\nlines",
    "state": "STOPPED",
    "timeout": 0.5,
    "stdout": "out",
    "stderr": "err",
    "awaited": "port 80",
    "last_seen": "refused",
    "path": "/x",
    "errno": 2,
}
TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.LxContainerError)]


def made(kind: type[errors.LxContainerError]) -> errors.LxContainerError:
    """An error with a value for everything that it and its bases take."""
    constructors = [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]
    names = {name for each in constructors for name in getattr(each, "__annotations__", {})}
    own = {name: SAMPLES[name] for name in names & SAMPLES.keys()}
    details = {} if kind is errors.DigestMismatchError else {"details": "some\ndetails"}
    return kind("what happened", hint="what to do", **details, **own)


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: str(kind.__name__))
def test_an_error_of_the_tree_is_the_same_on_the_other_side(kind: type[errors.LxContainerError]) -> None:
    error = made(kind)
    rebuilt = protocol.rebuild(json.loads(json.dumps(protocol.describe(error))))
    assert type(rebuilt) is kind
    assert str(rebuilt) == str(error)
    assert vars(rebuilt) == vars(error)
    assert getattr(rebuilt, "errno", None) == getattr(error, "errno", None)


def test_another_error_is_the_supervisors_and_named() -> None:
    rebuilt = protocol.rebuild(protocol.describe(KeyError("x")))
    assert type(rebuilt) is errors.SupervisorError
    assert rebuilt.message == "KeyError: 'x'"


def test_an_error_that_this_side_does_not_know_is_the_supervisors() -> None:
    rebuilt = protocol.rebuild({"kind": "FutureError", "message": "m", "details": "d", "hint": "h"})
    assert (type(rebuilt), str(rebuilt)) == (errors.SupervisorError, "m\nd\nhint: h")


def test_two_runs_have_two_addresses() -> None:
    assert protocol.socket_name("a") != protocol.socket_name("b")
    assert protocol.socket_name("a").startswith("\0")
