"""Containers that several processes of a run have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from ..container.spec import ContainerSpec
from ..errors import InvalidSettingsError, WaitTimeoutError
from . import protocol
from .life import Life
from .loop import wait
from .protocol import Message
from .run import Run

NOBODY = 0
"""The creator of a container that goes with no process."""

_INTERVAL = 0.005


@dataclass(slots=True)
class Share:
    """One container, who uses it (process ids), who has done with it, and who is still starting it."""

    spec: ContainerSpec
    life: Life
    starter: int
    users: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    error: Message | None = None


class Shares:
    """The containers of *run* that were asked for with a key (`ContainerSpec.shared`), by it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._by_key: dict[str, Share] = {}

    async def join(self, spec: ContainerSpec, pid: int, connection: int, timeout: float) -> tuple[Life, bool]:
        """The container for *spec*'s key, once it is ready; true where process *pid* is to start it, as the first.

        Where starting it failed, that error is everyone's. Waits at most *timeout* seconds for who starts it, and no
        longer than *connection* stands.
        """
        deadline = time.monotonic() + timeout
        while (share := self._standing(spec.shared)) is not None:
            _check_same(share.spec, spec)
            if share.error is not None:
                raise protocol.rebuild(share.error)
            if not share.starter:
                share.users.add(pid)
                share.done.discard(pid)
                return share.life, False
            if time.monotonic() > deadline:
                raise _too_late(share, timeout)
            if await wait([connection], _INTERVAL):
                raise ConnectionResetError("who waited for a shared container has gone")
        share = Share(spec, self._run.create(spec, NOBODY), pid, {pid})
        self._by_key[spec.shared] = share
        return share.life, True

    def settle(self, name: str, error: Message | None) -> None:
        """Let those who wait for container *name* have it, or the *error* that kept it from becoming ready."""
        for _, share in self._of(name):
            share.starter, share.error = NOBODY, error

    def release(self, name: str, pid: int) -> None:
        """Process *pid* has done with container *name*; the last of all who may share it takes it along."""
        for key, share in self._of(name):
            share.done.add(pid)
            self._let_go(key, share, pid)

    def forget(self, name: str) -> None:
        """Let container *name* go on without those who share it."""
        for key, _ in self._of(name):
            del self._by_key[key]

    def leave(self, pid: int) -> None:
        """Process *pid* has ended; one that has not released what it used may yet be replaced."""
        for key, share in list(self._by_key.items()):
            if pid in share.users:
                self._let_go(key, share, pid)

    def _let_go(self, key: str, share: Share, pid: int) -> None:
        share.users.discard(pid)
        unfinished = share.starter == pid
        if unfinished or (not share.users and (share.error or len(share.done) >= share.spec.sharers)):
            self._run.destroy(share.life.name)
        if unfinished:
            # The next who asks has another, without what a half-finished start may have left in its files.
            del self._by_key[key]

    def _standing(self, key: str) -> Share | None:
        share = self._by_key.get(key)
        if share is None or share.error is not None or share.life.name in self._run.lives:
            return share
        return None

    def _of(self, name: str) -> Iterator[tuple[str, Share]]:
        return iter([(key, share) for key, share in self._by_key.items() if share.life.name == name])


def _check_same(first: ContainerSpec, other: ContainerSpec) -> None:
    differing = [each.name for each in fields(first) if getattr(first, each.name) != getattr(other, each.name)]
    if differing:
        names = ", ".join("image" if name == "lower_dirs" else name for name in differing)
        raise InvalidSettingsError(
            f"container {first.hostname} is shared by the whole run, and was started with other settings: {names}",
            hint="give it what is the same in every process: nothing drawn by chance, no temporary directory, "
            "no name of a worker",
        )


def _too_late(share: Share, timeout: float) -> WaitTimeoutError:
    return WaitTimeoutError(
        f"container {share.life.name} was not made ready within {timeout:g} s by process {share.starter}",
        awaited="another process of the run to start it",
        timeout=timeout,
        container=share.life.name,
    )
