from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_lxcontainer.network.leases import take

HOLDER = """
import sys
from pytest_lxcontainer.network.leases import take
lease = take(sys.argv[1])
print("held" if lease else "taken", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that tries to hold *name*."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    def end(self, kill: bool = False) -> None:
        if kill:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def name() -> str:
    return f"test/{os.urandom(8).hex()}"


@pytest.fixture
def holder(name: str) -> Iterator[Holder]:
    holder = Holder(name)
    yield holder
    holder.end(kill=True)


def test_one_process_holds_a_name(holder: Holder, name: str) -> None:
    assert holder.said == "held"
    assert take(name) is None
    second = Holder(name)
    second.end()
    assert second.said == "taken"


def test_a_killed_holders_name_is_free(holder: Holder, name: str) -> None:
    holder.end(kill=True)
    lease = take(name)
    assert lease is not None
    lease.release()


def test_a_released_name_is_free(name: str) -> None:
    first = take(name)
    assert first is not None
    assert take(name) is None
    first.release()
    second = take(name)
    assert second is not None
    assert second.name == name
    second.release()


def test_names_do_not_disturb_one_another(name: str) -> None:
    leases = [take(f"{name}/{number}") for number in range(5)]
    assert None not in leases
    for lease in leases:
        assert lease is not None
        lease.release()
