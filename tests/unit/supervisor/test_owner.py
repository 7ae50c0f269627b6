from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_lxcontainer.supervisor.owner import Owner


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_itself_as_text_too() -> None:
    owner = Owner.of(os.getpid())
    assert owner.alive
    assert Owner.parse(str(owner)) == owner


def test_it_is_dead_once_it_has_ended_and_before_it_is_reaped(process: subprocess.Popen[bytes]) -> None:
    owner = Owner.of(process.pid)
    assert owner.alive
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.alive
    process.wait()
    assert not owner.alive


def test_another_process_with_its_id_is_not_it() -> None:
    owner = Owner.of(os.getpid())
    assert not replace(owner, start_time=owner.start_time - 1).alive


def test_a_process_of_an_earlier_boot_is_not_it() -> None:
    assert not replace(Owner.of(os.getpid()), boot_id="another").alive


@pytest.mark.parametrize("text", ["", "1", "1:2", "a:2:b", "1:b:c", "1:2:3:4"])
def test_what_is_no_owner_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is Python's own
        Owner.parse(text)


def test_its_pidfd_turns_readable_when_it_ends(process: subprocess.Popen[bytes]) -> None:
    fd = Owner.of(process.pid).open_pidfd()
    assert select.select([fd], [], [], 0)[0] == []
    process.kill()
    assert select.select([fd], [], [], 20)[0] == [fd]
    os.close(fd)


def test_nobody_gets_a_pidfd_of_another_process() -> None:
    owner = Owner.of(os.getpid())
    with pytest.raises(ProcessLookupError):
        replace(owner, start_time=owner.start_time - 1).open_pidfd()


def test_a_process_that_is_not_there_has_no_owner() -> None:
    with pytest.raises(ProcessLookupError):
        Owner.of(1 << 30)
