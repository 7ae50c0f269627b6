"""The policy of system calls, in both of its forms; what it stops in a container is in tests/system/test_escapes.py."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable

import pytest

from pytest_lxcontainer.container import attach, seccomp
from pytest_lxcontainer.container.capabilities import NUMBERS, ORDINARY

ALL = frozenset(NUMBERS)
_libc = ctypes.CDLL(None, use_errno=True)


def confined(capabilities: frozenset[str], call: Callable[[], int]) -> int:
    """The errno that *call* leaves (0: none) in a process with the policy for *capabilities*."""
    program = seccomp.program(capabilities)
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            _libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which only root may
            attach.confine(program)
            code = ctypes.get_errno() if call() < 0 else 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def opened(family: int) -> int:
    return int(_libc.socket(family, socket.SOCK_STREAM, 0))


def typed(request: int) -> int:
    return int(_libc.ioctl(0, ctypes.c_ulong(request), b"x"))


@pytest.mark.parametrize(
    ("capabilities", "call", "error"),
    [
        (ORDINARY, lambda: _libc.unshare(0x10000000), 1),
        (ORDINARY, lambda: _libc.unshare(0), 1),
        (ALL, lambda: _libc.unshare(0), 0),
        (ALL, lambda: _libc.umount2(b"/no/such/mount", 0), 2),
        (ALL, lambda: _libc.umount2(b"/no/such/mount", 1), 13),
        (ORDINARY, lambda: opened(40), 1),
        (ORDINARY, lambda: opened(socket.AF_UNIX), 0),
        (ORDINARY, lambda: typed(seccomp.TIOCSTI), 1),
        (ORDINARY, lambda: typed(seccomp.TIOCLINUX), 1),
        (ORDINARY, lambda: _libc.getpid(), 0),
        (ORDINARY, lambda: _libc.acct(None), 1),
    ],
)
def test_what_is_denied_fails_and_the_rest_works(
    capabilities: frozenset[str], call: Callable[[], int], error: int
) -> None:
    assert confined(capabilities, call) == error


def test_a_process_may_fork_but_not_into_namespaces() -> None:
    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        return os.waitpid(pid, 0)[1]

    assert confined(ORDINARY, fork) == 0


def test_the_text_for_lxc_says_the_same() -> None:
    lines = seccomp.profile(ORDINARY).splitlines()
    assert lines[:2] == ["2", "denylist"]
    assert "bpf errno 1" in lines
    assert "clone3 errno 38" in lines
    assert f"ioctl errno 1 [1,{seccomp.TIOCSTI},SCMP_CMP_MASKED_EQ,{0xFFFFFFFF}]" in lines


@pytest.mark.parametrize(("name", "calls"), seccomp.UNLESS.items())
def test_a_capability_brings_its_calls(name: str, calls: str) -> None:
    without = {each.call for each in seccomp.denied(ORDINARY)}
    given = {each.call for each in seccomp.denied(ORDINARY | {name})}
    assert without >= set(calls.split())
    assert not given & set(calls.split())
    assert set(seccomp.NEVER) <= given
