"""The supervisor's side of `NetworkControl`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from ..errors import ContainerError, KernelRefusedError
from .faults import FaultsRefusedError
from .life import Life


async def _faults(life: Life) -> list[tuple[int, dict[str, Any]]]:
    return life.faults.all()


async def _add_faults(life: Life, faults: Sequence[dict[str, Any]]) -> list[int]:
    _check_is_connected(life)
    try:
        return await life.faults.add(_pidfd(life), faults)
    except FaultsRefusedError as error:
        raise _refused(life, error) from None


async def _remove_faults(life: Life, numbers: Collection[int] | None) -> None:
    try:
        await life.faults.remove(_pidfd(life), numbers)
    except FaultsRefusedError as error:
        raise _refused(life, error) from None


async def _reset_connections(life: Life, peers: Sequence[str], ports: Sequence[int]) -> None:
    _check_is_connected(life)
    try:
        await life.faults.reset(life.target().pidfd, peers, ports)
    except FaultsRefusedError as error:
        raise _refused(life, error) from None


async def _begin_capture(life: Life, path: str) -> int:
    _check_is_connected(life)
    pidfd = life.target().pidfd
    try:
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise KernelRefusedError(
            f"container {life.name}: {path} cannot be made: {error.strerror}", container=life.name
        ) from None
    try:
        return await life.captures.begin(pidfd, output)
    except OSError as error:
        raise KernelRefusedError(
            f"container {life.name}: its packets cannot be recorded: {error}", container=life.name
        ) from None
    finally:
        os.close(output)


async def _end_capture(life: Life, number: int) -> int | None:
    return await life.captures.finish(number)


def _pidfd(life: Life) -> int | None:
    """Of a process in it, where it runs."""
    life.notice_end()
    return life.target().pidfd if life.boot is not None and life.boot.executed else None


def _check_is_connected(life: Life) -> None:
    if life.address is None:
        raise ContainerError(
            f"container {life.name} has no network but the loopback",
            container=life.name,
            hint="leave out network='none'",
        )


def _refused(life: Life, error: FaultsRefusedError) -> KernelRefusedError:
    return KernelRefusedError(
        f"container {life.name}: its network cannot be changed: {error}",
        container=life.name,
        hint="see what this host can do with: lxcontainer doctor",
    )


OPERATIONS: Mapping[str, Callable[..., Awaitable[Any]]] = {
    "faults": _faults,
    "add_faults": _add_faults,
    "remove_faults": _remove_faults,
    "reset_connections": _reset_connections,
    "begin_capture": _begin_capture,
    "end_capture": _end_capture,
}
