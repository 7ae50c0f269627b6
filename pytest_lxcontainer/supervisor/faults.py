"""The network faults that are in force on a container, and who keeps them so.

They are the network's, not the container's: a restart changes nothing of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from .dweller import Dweller
from .loop import wait

_Fault = dict[str, Any]


class FaultsRefusedError(Exception):
    """The kernel or the host cannot do what was asked for; the message says why."""


class Faults:
    """Those of one container, each with a number, in the order in which they came."""

    def __init__(self, *, is_root: bool) -> None:
        self._is_root = is_root
        self._in_force: dict[int, _Fault] = {}
        self.are_met = False
        """Whether the running container's packets meet just these."""
        self._count = 0
        self._dweller: Dweller | None = None
        self._is_busy = False

    def all(self) -> list[tuple[int, _Fault]]:
        """All of them, with their numbers."""
        return list(self._in_force.items())

    async def add(self, pidfd: int | None, faults: Sequence[_Fault]) -> list[int]:
        """Put more in force; *pidfd* is a process of the container where it runs. Returns their numbers.

        Raises `FaultsRefusedError`, and then none is added.
        """
        numbers = list(range(self._count + 1, self._count + 1 + len(faults)))
        self._count += len(faults)
        before = dict(self._in_force)
        await self._become(pidfd, self._in_force | dict(zip(numbers, faults, strict=True)), before)
        return numbers

    async def remove(self, pidfd: int | None, numbers: Collection[int] | None) -> None:
        """Undo those of *numbers*, or all; what is not in force is fine."""
        left = {} if numbers is None else {key: fault for key, fault in self._in_force.items() if key not in numbers}
        if left != self._in_force:
            await self._become(pidfd, left, dict(self._in_force))

    async def begin(self, pidfd: int) -> None:
        """Put them in force in a container that is being started."""
        await self._become(pidfd, self._in_force, self._in_force)

    async def reset(self, pidfd: int, peers: Sequence[str], ports: Sequence[int]) -> None:
        """Reset established TCP connections, as a router would that has lost its memory."""
        await self._ask(pidfd, {"do": "reset", "peers": list(peers), "ports": list(ports)})

    def end(self) -> None:
        """Let go of the network of a container that is ending."""
        if self._dweller is not None:
            self._dweller.close()
            self._dweller = None
        self.are_met = False

    async def _become(self, pidfd: int | None, wanted: dict[int, _Fault], before: dict[int, _Fault]) -> None:
        self._in_force = wanted
        self.are_met = False
        if pidfd is not None and (wanted or self._dweller is not None):
            try:
                await self._ask(pidfd, {"do": "set", "faults": list(wanted.values())})
            except BaseException:
                self._in_force = before
                raise
            self.are_met = True

    async def _ask(self, pidfd: int, request: dict[str, Any]) -> None:
        while self._is_busy:
            await wait([], 0.001)
        self._is_busy = True
        try:
            answer = await self._exchange(pidfd, json.dumps(request))
        except (ConnectionError, OSError) as error:
            self.end()
            raise FaultsRefusedError(str(error)) from None
        finally:
            self._is_busy = False
        if answer.get("error"):
            raise FaultsRefusedError(answer["error"])

    async def _exchange(self, pidfd: int, request: str) -> dict[str, Any]:
        if self._dweller is None:
            # Imported here: the supervisor itself, which every fork copies, does without it.
            from ..network.faults import serve

            self._dweller = Dweller(pidfd, serve, is_root=self._is_root)
        dweller = self._dweller
        dweller.send(request)
        answer: dict[str, Any] = json.loads(await dweller.line())
        return answer
