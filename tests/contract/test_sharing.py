"""What every `Backend` does with a container that several processes have in common."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_lxcontainer.container.backend import Status
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.errors import InvalidSettingsError, StartFailedError, WaitTimeoutError

from .conftest import CWD, ENV, SLEEP, Bench


class Sharing:
    """Asks for the container of one key."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.key = uuid.uuid4().hex

    def join(self, timeout: float = 20, **fields: object) -> tuple[Status, bool]:
        spec = {"hostname": "box", "group": "run", "env": ENV, "cwd": CWD, "shared": self.key, **fields}
        lower_dirs = self.bench.lower_dirs
        wanted = ContainerSpec(lower_dirs=lower_dirs, command=SLEEP, **spec)  # type: ignore[arg-type]  # any of them
        status, is_first = self.bench.backend.share(wanted, timeout)
        self.bench.will_destroy(status.name)
        return status, is_first

    def begin(self, **fields: object) -> str:
        """The first one's container, ready."""
        status, is_first = self.join(**fields)
        assert is_first
        self.bench.backend.start(status.name, 20)
        self.bench.backend.settle(status.name)
        return status.name


@pytest.fixture
def sharing(bench: Bench) -> Sharing:
    return Sharing(bench)


def test_who_comes_later_has_the_same_running_container(sharing: Sharing) -> None:
    name = sharing.begin()
    status, is_first = sharing.join()
    assert (status.name, status.state, is_first) == (name, "RUNNING", False)


def test_another_key_is_another_container(bench: Bench) -> None:
    assert Sharing(bench).begin() != Sharing(bench).begin()


def test_many_at_once_begin_it_once_and_wait_until_it_is_settled(sharing: Sharing) -> None:
    begun = threading.Event()

    def ask(number: int) -> tuple[str, str, bool]:
        status, is_first = sharing.join()
        if is_first:
            begun.set()
            sharing.bench.backend.start(status.name, 20)
            sharing.bench.backend.settle(status.name)
        return status.name, sharing.bench.backend.status(status.name).state, is_first

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    assert begun.is_set()
    assert len({name for name, _, _ in answers}) == 1
    assert {state for _, state, _ in answers} == {"RUNNING"}
    assert sorted(is_first for _, _, is_first in answers) == [False] * 7 + [True]


def test_a_failure_is_everyones_and_it_is_not_begun_again(sharing: Sharing) -> None:
    status, _ = sharing.join()
    error = StartFailedError("no luck", exit_code=3, log="a reason", details="more", hint="do something")
    sharing.bench.backend.settle(status.name, error)
    for _ in range(2):
        with pytest.raises(StartFailedError) as raised:
            sharing.join()
        assert str(raised.value) == str(error)
        assert (raised.value.exit_code, raised.value.log) == (3, "a reason")
    sharing.bench.backend.release(status.name)
    assert status.name not in sharing.bench.backend.names()
    with pytest.raises(StartFailedError):
        sharing.join()


def test_other_settings_are_an_error(sharing: Sharing) -> None:
    sharing.begin()
    with pytest.raises(InvalidSettingsError, match="other settings"):
        sharing.join(env=(*ENV, ("A", "b")))


def test_waiting_for_who_begins_it_has_an_end(sharing: Sharing) -> None:
    sharing.join()
    with pytest.raises(WaitTimeoutError):
        sharing.join(timeout=0.05)


def test_who_lets_it_go_half_begun_leaves_it_to_the_next(sharing: Sharing) -> None:
    status, _ = sharing.join()
    sharing.bench.backend.release(status.name)
    assert status.name not in sharing.bench.backend.names()
    assert sharing.begin() != status.name


def test_the_last_of_those_who_share_it_takes_it_along(bench: Bench) -> None:
    name = Sharing(bench).begin(sharers=1)
    bench.backend.release(name)
    assert name not in bench.backend.names()
    bench.backend.release(name)


def test_it_stays_for_those_who_may_still_come(sharing: Sharing) -> None:
    name = sharing.begin(sharers=2)
    sharing.bench.backend.release(name)
    assert sharing.join(sharers=2)[0].name == name


def test_one_that_was_destroyed_is_begun_again(sharing: Sharing) -> None:
    name = sharing.begin()
    sharing.bench.backend.destroy(name)
    assert sharing.begin() != name
