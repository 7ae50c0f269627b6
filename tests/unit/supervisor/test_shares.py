"""How long a container stays that several processes of a run have in common."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.supervisor.run import Run
from pytest_lxcontainer.supervisor.shares import Shares

SPEC = ContainerSpec("db", ("run",), ("/l/a",), command=("sleep", "60"), shared="key", sharers=2)


class Containers:
    """Those of a run, by name."""

    def __init__(self) -> None:
        self.lives: dict[str, Any] = {}

    def create(self, spec: ContainerSpec, creator: int) -> Any:
        name = f"{spec.hostname}-{len(self.lives) + 1}"
        return self.lives.setdefault(name, SimpleNamespace(name=name))

    def destroy(self, name: str) -> None:
        del self.lives[name]


def join(shares: Shares, pid: int) -> tuple[str, bool]:
    """What process *pid* is given without waiting: the container's name, and whether it is the first to have it."""
    try:
        shares.join(SPEC, pid, -1, 1.0).send(None)
    except StopIteration as done:
        life, is_first = done.value
        return life.name, is_first
    raise AssertionError("it waits")


def test_the_last_who_has_done_with_it_takes_it_along() -> None:
    containers = Containers()
    shares = Shares(cast("Run", containers))
    assert join(shares, 1) == ("db-1", True)
    shares.settle("db-1", None)
    assert join(shares, 2) == ("db-1", False)
    shares.release("db-1", 1)
    assert containers.lives
    shares.release("db-1", 2)
    assert not containers.lives


def test_who_replaces_one_that_died_finds_it_though_the_others_have_done() -> None:
    containers = Containers()
    shares = Shares(cast("Run", containers))
    join(shares, 1)
    shares.settle("db-1", None)
    join(shares, 2)
    shares.leave(1)
    shares.release("db-1", 2)
    assert join(shares, 3) == ("db-1", False)
    shares.release("db-1", 3)
    assert not containers.lives


def test_one_that_died_while_starting_it_takes_it_along() -> None:
    containers = Containers()
    shares = Shares(cast("Run", containers))
    join(shares, 1)
    shares.leave(1)
    assert not containers.lives
    assert join(shares, 2)[1]
