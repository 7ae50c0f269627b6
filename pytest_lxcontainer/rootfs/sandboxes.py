"""The sandboxes of a process: where its files get the owners that its containers see."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InvalidSettingsError
from .idmap import IdMap
from .sandbox import Sandbox


class Sandboxes:
    """A `Sandbox` for the containers' id mapping and, for privileged containers, one without; made when asked for."""

    def __init__(self) -> None:
        self._idmap = IdMap.for_host()
        self._made: dict[bool, Sandbox] = {}

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
        if privileged not in self._made:
            self._made[privileged] = Sandbox(self.idmap(privileged=privileged))
        return self._made[privileged]

    def discard(self, path: Path) -> None:
        """Remove a tree whose files belong to containers."""
        self.sandbox().remove(path)
