"""The process that forks in the supervisor's place; the caller is this process, or one that a test can kill."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.container import zygote as zygote_module
from pytest_lxcontainer.container.zygote import Zygote

TIMEOUT = 20.0

CALLER = """
import ctypes, os, sys, time
from pytest_lxcontainer.container.zygote import Zygote
zygote = Zygote({"sleep": lambda parent, fds: time.sleep(60)})
"""


def report(supervisor: int, fds: Sequence[int], *words: Any) -> int:
    """Say on the last descriptor what this process is."""
    found = {
        "parent": [supervisor, os.getppid()],
        "fds": sorted(int(name) for name in os.listdir("/proc/self/fd")),
        "sent": list(fds),
        "inodes": [os.fstat(fd).st_ino for fd in fds],
        "inheritable": [os.get_inheritable(fd) for fd in fds],
        "words": words,
        "umask": os.umask(0),
        "cwd": str(Path.cwd()),
        "ignored": signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN,
    }
    with os.fdopen(fds[-1], "wb") as output:
        output.write(json.dumps(found).encode())
    return 7


def leave(supervisor: int, fds: Sequence[int]) -> int:
    """End with an error nobody handles."""
    raise RuntimeError


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    zygote = Zygote({"report": report, "leave": leave})
    yield zygote
    zygote.close()


def told(zygote: Zygote, *words: Any, more: Sequence[int] = ()) -> dict[str, Any]:
    """What a new process is, which ends as it said it would."""
    reader, writer = os.pipe()
    pid = zygote.fork("report", words, [*more, writer])
    os.close(writer)
    with os.fdopen(reader, "rb") as output:
        found: dict[str, Any] = json.loads(output.read())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    return found


def until_gone(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], TIMEOUT)[0])


def test_what_it_makes_is_the_callers_child(zygote: Zygote) -> None:
    assert told(zygote)["parent"] == [os.getpid(), os.getpid()]


def test_a_process_has_the_descriptors_that_were_sent_and_no_other(zygote: Zygote) -> None:
    reader, writer = os.pipe()  # since it began: nothing of it may be held
    found = told(zygote, more=[reader, writer])
    assert found["inodes"][:2] == [os.fstat(reader).st_ino, os.fstat(writer).st_ino]
    assert found["inheritable"] == [False, False, False]
    listing = 1
    assert len(set(found["fds"]) - {0, 1, 2} - set(found["sent"])) == listing
    os.close(writer)
    assert os.read(reader, 1) == b""  # the end: not even the zygote has kept it open
    os.close(reader)


def test_it_keeps_nothing_open_that_was_when_it_began() -> None:
    reader, writer = os.pipe()
    zygote = Zygote({})
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    zygote.close()


def test_a_process_is_told_plain_values_of_any_size(zygote: Zygote) -> None:
    words = ("a" * 3_000_000, 7, None, True, "\udcff")
    found = told(zygote, *words)
    assert tuple(found["words"]) == words


def test_a_process_has_what_a_fork_of_the_caller_would_have() -> None:
    mask, handler = os.umask(0o027), signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    zygote = Zygote({"report": report})
    os.umask(mask)
    signal.signal(signal.SIGUSR1, handler)
    found = told(zygote)
    zygote.close()
    assert found["umask"] == 0o027 and found["ignored"] and found["cwd"] == str(Path.cwd())


def test_a_process_that_is_killed_before_it_can_answer_is_known_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # As one that is born in a container that is being destroyed: unless it is waited for, the kernel keeps its init.
    monkeypatch.setattr(zygote_module, "_play", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    zygote = Zygote({"report": report})
    before = zygote.pid
    pid = zygote.fork("report", (), ())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert zygote.pid == before
    zygote.close()


def test_a_role_that_fails_is_an_exit_code(zygote: Zygote) -> None:
    pid = zygote.fork("leave", (), ())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert told(zygote)["words"] == []


def test_another_takes_the_place_of_one_that_was_killed(zygote: Zygote) -> None:
    first = zygote.pid
    os.kill(first, signal.SIGKILL)
    assert told(zygote, "still")["words"] == ["still"]
    assert zygote.pid != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)  # it has been waited for


def test_what_it_has_made_outlives_it() -> None:
    zygote = Zygote({"sleep": lambda parent, fds: time.sleep(60)})
    pid = zygote.fork("sleep", (), ())
    zygote.close()
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_that_nothing_more_can_be_made_is_an_error() -> None:
    program = f"""{CALLER}
import resource
os.setresuid(4242, 4242, 4242) if os.getuid() == 0 else None
zygote = Zygote({{"sleep": time.sleep}})
resource.prlimit(zygote.pid, resource.RLIMIT_NPROC, (1, 1))
try:
    zygote.fork("sleep", (), ())
except BlockingIOError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert done.stdout == "Resource temporarily unavailable\n"


def test_it_ends_with_who_began_it() -> None:
    program = f"{CALLER}\nprint(zygote.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        pidfd = os.pidfd_open(int(caller.stdout.readline()))
        assert not select.select([pidfd], [], [], 0)[0]
        caller.kill()
        assert until_gone(pidfd)
        os.close(pidfd)


def test_who_waits_for_the_end_of_the_callers_output_does_not_wait_for_it() -> None:
    program = f"{CALLER}\nprint('ready', flush=True); os.close(1); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        assert caller.stdout.read() == "ready\n"
        caller.kill()


@pytest.mark.needs_root
def test_it_follows_the_caller_into_a_mount_namespace() -> None:
    program = f"""{CALLER}
before = os.readlink("/proc/self/ns/mnt")
assert ctypes.CDLL(None).unshare(0x20000) == 0
zygote.follow()
pid = zygote.fork("sleep", (), ())
print(before, *[os.readlink(f"/proc/{{each}}/ns/mnt") for each in ("self", zygote.pid, pid)])
os.kill(pid, 9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    before, *after = done.stdout.split()
    assert len(set(after)) == 1 and before not in after


def test_who_may_not_follow_is_told() -> None:
    program = f"""{CALLER}
os.setresuid(4242, 4242, 4242) if os.getuid() == 0 else None
zygote = Zygote({{"sleep": time.sleep}})
try:
    zygote.follow()
except PermissionError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert done.stdout == "refused\n"
