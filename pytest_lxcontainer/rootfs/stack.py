"""What the layers of an image hold, to a caller who may not look at all of it too."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .overlay import may_lack, read_file, stat_path
from .sandbox import Sandbox


class Stack:
    """The layers *lower_dirs* (base first); *sandbox* gives one with their owners' ids.

    An ordinary user owns none of the files that are not the containers' root's, and asks the sandbox where that is
    what forbids a look. Layers do not change: what was found once is not looked for again.
    """

    def __init__(self, lower_dirs: Sequence[Path], sandbox: Callable[[], Sandbox]) -> None:
        self._lower_dirs = tuple(lower_dirs)
        self._sandbox = sandbox
        self._stats: dict[str, os.stat_result | None] = {}
        self._contents: dict[str, bytes | None] = {}
        self._lacks: dict[str, bool] = {}

    def stat(self, path: str) -> os.stat_result | None:
        """What *path* would be in a container, ``None`` if nothing; whose it is, is not to be relied on.

        Raises `CorruptImageError`, `StoreError`.
        """
        if path not in self._stats:
            self._stats[path] = self._stat(path)
        return self._stats[path]

    def may_lack(self, path: str) -> bool:
        """Whether nothing is at *path*, or the caller may not look: a sandbox may."""
        if path not in self._lacks:
            self._lacks[path] = may_lack(self._lower_dirs, path)
        return self._lacks[path]

    def read(self, path: str) -> bytes | None:
        """The content of the regular file *path*, of at most 1 MiB, ``None`` if there is none.

        Raises `CorruptImageError`, `StoreError`.
        """
        if path not in self._contents:
            self._contents[path] = self._read(path)
        return self._contents[path]

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return stat_path(self._lower_dirs, path)
        except PermissionError:
            return self._sandbox().look_up(self._lower_dirs, path)

    def _read(self, path: str) -> bytes | None:
        try:
            return read_file(self._lower_dirs, path)
        except PermissionError:
            return self._sandbox().read(self._lower_dirs, path)
