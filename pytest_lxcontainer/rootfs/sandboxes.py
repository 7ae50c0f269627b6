"""The sandboxes of a process: where its files get the owners that its containers see."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import InvalidSettingsError
from .idmap import IdMap
from .sandbox import Sandbox
from .stack import Stack


class Sandboxes:
    """A `Sandbox` for the containers' id mapping and, for privileged containers, one without; made when asked for."""

    def __init__(self) -> None:
        self._idmap = IdMap.for_host()
        self._made: dict[tuple[bool, int], Sandbox] = {}
        self._stacks: dict[tuple[bool, tuple[Path, ...]], Stack] = {}

    def close(self) -> None:
        """End the helper processes."""
        for sandbox in self._made.values():
            sandbox.close()

    def idmap(self, *, privileged: bool = False) -> IdMap:
        """The mapping of container ids to the host's; `InvalidSettingsError` for *privileged* without root."""
        if not privileged:
            return self._idmap
        if os.geteuid() != 0:
            raise InvalidSettingsError("privileged=True needs root", hint="run as root, or leave privileged out")
        return IdMap.identity()

    def sandbox(self, *, privileged: bool = False) -> Sandbox:
        """The sandbox with that mapping."""
        return self.several(1, privileged=privileged)[0]

    def several(self, count: int, *, privileged: bool = False) -> list[Sandbox]:
        """*count* sandboxes with that mapping, which work at the same time."""
        idmap = self.idmap(privileged=privileged)
        return [self._made.setdefault((privileged, number), Sandbox(idmap)) for number in range(count)]

    def stack(self, lower_dirs: Sequence[Path], *, privileged: bool = False) -> Stack:
        """What layers with that mapping's owners hold."""
        key = (privileged, tuple(lower_dirs))
        if key not in self._stacks:
            self._stacks[key] = Stack(lower_dirs, lambda: self.sandbox(privileged=privileged))
        return self._stacks[key]

    def discard(self, path: Path) -> None:
        """Remove a tree whose files belong to containers."""
        self.sandbox().remove(path)
