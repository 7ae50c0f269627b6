from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer.container.process_tree import kill_tree


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def start(program: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A session leader that runs Python *program*, and the pids that it prints in its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import os, time\n" + program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout:
        return process, [int(word) for word in process.stdout.readline().split()]


@pytest.fixture
def bystander() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process.pid
        process.kill()


def wait_gone(*pids: int) -> None:
    deadline = time.monotonic() + 10
    while left := [pid for pid in pids if running(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_children_and_their_children_end(bystander: int) -> None:
    process, pids = start(
        "a = os.fork()\nif not a:\n    b = os.fork()\n    if b: print(os.getpid(), b, flush=True)\ntime.sleep(60)\n"
    )
    assert len(pids) == 2
    kill_tree(process.pid)
    assert process.wait(10) == -signal.SIGKILL
    wait_gone(*pids)
    assert running(bystander)


def test_an_orphan_of_the_session_ends_too() -> None:
    process, pids = start(
        "if not os.fork():\n    if os.fork(): os._exit(0)\n    print(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    time.sleep(0.1)
    kill_tree(process.pid)
    process.wait(10)
    wait_gone(*pids)


def test_a_descendant_in_a_session_of_its_own_ends_too() -> None:
    process, pids = start("if not os.fork():\n    os.setsid(); print(os.getpid(), flush=True)\ntime.sleep(60)\n")
    kill_tree(process.pid)
    process.wait(10)
    wait_gone(*pids)


def test_a_stopped_process_ends() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        process.send_signal(signal.SIGSTOP)
        kill_tree(process.pid)
        assert process.wait(10) == -signal.SIGKILL


def test_what_is_replaced_by_a_child_again_and_again_cannot_run_away() -> None:
    # Bounded, so that a failure of this test does not keep the machine busy for good; and slower than /proc is read on
    # a machine that is busy anyway.
    process, _ = start("print(flush=True)\nfor _ in range(100):\n    time.sleep(0.1)\n    if os.fork(): os._exit(0)\n")
    time.sleep(0.25)
    kill_tree(process.pid)
    process.wait(10)
    time.sleep(0.3)
    assert _running_in_session(process.pid) == []


def _running_in_session(session: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(name))
    return found


def test_what_has_ended_is_fine() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    time.sleep(0.05)
    kill_tree(process.pid)
    assert process.wait(10) == 0
    kill_tree(process.pid)
