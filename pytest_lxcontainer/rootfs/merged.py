"""What an overlay of directories would show, read without mounting it.

Every step opens one component with O_NOFOLLOW below a directory that is open already, so that no link
inside a layer leads out of it, whatever it says.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from .whiteout import is_opaque, is_overlay_whiteout

OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_LINKS = 40
"""As the kernel does when it resolves a path."""


@dataclass(frozen=True, slots=True)
class Found:
    """A name in the topmost layer that has it: its *status*, and the directory *dir_fd* it is in."""

    name: str
    status: os.stat_result
    dir_fd: int


class MergedDir:
    """One directory of the merged tree: the directories that overlayfs would merge, topmost first."""

    def __init__(self, fds: Sequence[int]) -> None:
        self.fds = tuple(fds)

    @classmethod
    def root(cls, layers: Sequence[int]) -> MergedDir:
        """Return the root of the directories *layers* (base first, open for reading)."""
        # Overlayfs reads no opaque mark here.
        return cls([os.dup(fd) for fd in reversed(layers)])

    def __enter__(self) -> MergedDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the directories."""
        for fd in self.fds:
            os.close(fd)
        self.fds = ()

    def find(self, name: str) -> Found | None:
        """Return what this directory shows under *name*."""
        for fd in self.fds:
            status = lstat(name, fd)
            if status is not None:
                return None if is_overlay_whiteout(status) else Found(name, status, fd)
        return None

    def names(self) -> list[str]:
        """Return what any of the directories has, whiteouts included, by name."""
        return sorted({name for fd in self.fds for name in os.listdir(fd)})

    def enter(self, name: str) -> MergedDir:
        """Return the directory *name*; it merges nothing where there is none."""
        merged = MergedDir(())
        for fd in self.fds:
            status = lstat(name, fd)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break
            inner = os.open(name, OPEN_DIR, dir_fd=fd)
            merged.fds += (inner,)
            if is_opaque(inner):
                break
        return merged


def lstat(name: str, dir_fd: int) -> os.stat_result | None:
    """Return the status of *name* itself in the directory *dir_fd*, ``None`` where it is absent."""
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def enter_path(layers: Sequence[int], path: str) -> MergedDir:
    """Return the directory at *path*, which holds neither links nor ``..``."""
    merged = MergedDir.root(layers)
    for name in path.split("/") if path else ():
        with merged as outer:
            merged = outer.enter(name)
    return merged


class MergedPath:
    """A walk through the merged tree, following links as a process inside would."""

    def __init__(self, layers: Sequence[int]) -> None:
        self._trail = [MergedDir.root(layers)]
        self._links = 0

    def __enter__(self) -> MergedPath:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._back_to(0)

    def _back_to(self, depth: int) -> None:
        while len(self._trail) > depth:
            self._trail.pop().close()

    def find(self, path: str) -> Found | None:
        """Return what *path* leads to, ``None`` if to nothing; open as long as this walk is.

        Raises `OSError` (ELOOP) after 40 links.
        """
        pending = path.split("/")[::-1]
        found: Found | None = self._here()
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            found = self._step(name, pending)
            if found is None or (pending and not stat.S_ISDIR(found.status.st_mode)):
                return None
        return found

    def _here(self) -> Found:
        top = self._trail[-1].fds[0]
        return Found(".", os.fstat(top), top)

    def _step(self, name: str, pending: list[str]) -> Found | None:
        if name == "..":
            self._back_to(max(1, len(self._trail) - 1))
            return self._here()
        found = self._trail[-1].find(name)
        if found is None:
            return None
        if stat.S_ISLNK(found.status.st_mode):
            return self._follow(found, pending)
        if stat.S_ISDIR(found.status.st_mode):
            self._trail.append(self._trail[-1].enter(name))
        return found

    def _follow(self, link: Found, pending: list[str]) -> Found:
        self._links += 1
        if self._links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), link.name)
        target = os.readlink(link.name, dir_fd=link.dir_fd)
        if target.startswith("/"):
            self._back_to(1)
        pending.extend(reversed(target.split("/")))
        return self._here()
