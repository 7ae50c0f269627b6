"""What differs between two stacks of directories, as containers of them would see it.

Only what lies in directories that the stacks do not share is looked at: the upper dirs, in effect.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import NamedTuple

from .made import Made
from .merged import Found, MergedDir
from .whiteout import is_overlay_xattr

ADDED, CHANGED, DELETED = "added", "changed", "deleted"

Difference = tuple[str, str, int]
"""One of the words above, the absolute path, and the bytes of the regular file that is there now (else 0)."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1024 * 1024


def differences(old: Sequence[int], new: Sequence[int], made: Made) -> list[Difference]:
    """What turns the stack *old* into *new* (directories open for reading, base first), by path.

    A directory counts as changed by its own owner, mode or attributes, not by what is in it. What was removed with a
    directory is not listed beside it. Additions that *made* accounts for are left out.
    """
    found = ((each.kind, each.path, size_of(each.after)) for each in differing(old, new, made, _same))
    return sorted(found, key=lambda each: each[1])


class Differing(NamedTuple):
    """A path that differs: what was there *before*, and *after*, as long as the walk has not gone on."""

    kind: str
    path: str
    before: Found | None
    after: Found | None


Comparison = Callable[[Found, Found], bool]
"""Whether two that have one name are the same."""


def differing(old: Sequence[int], new: Sequence[int], made: Made, same: Comparison) -> Generator[Differing, None, None]:
    """As `differences`, one after the other as they are found: names in order, what a directory holds after itself."""
    return _walk(MergedDir.root(old), MergedDir.root(new), made, same)


class _Pair:
    """A directory on both sides; one side may have nothing there."""

    def __init__(self, path: str, old: MergedDir, new: MergedDir) -> None:
        self.path = path
        self.old = old
        self.new = new
        self.names = _names(old, new)

    def enter(self, name: str, path: str, *, on_both: bool) -> _Pair:
        """The directory *name* in it."""
        new = self.new.enter(name)
        try:
            return _Pair(path, self.old.enter(name) if on_both else MergedDir(()), new)
        except BaseException:
            new.close()
            raise

    def close(self) -> None:
        self.old.close()
        self.new.close()


def _walk(old: MergedDir, new: MergedDir, made: Made, same: Comparison) -> Generator[Differing, None, None]:
    """Walk without recursion: a container may have nested directories deeper than Python's stack."""
    trail = [_Pair("", old, new)]
    try:
        while trail:
            at = trail[-1]
            if not at.names:
                trail.pop().close()
                continue
            each, inner = _step(at, at.names.pop(), made, same)
            if inner is not None:
                trail.append(inner)
            if each.kind:
                yield each
    finally:
        for pair in trail:
            pair.close()


def _step(at: _Pair, name: str, made: Made, same: Comparison) -> tuple[Differing, _Pair | None]:
    """What is under *name* in the directory *at*, and the directory that it is, if it is one on the new side.

    What a running container takes away meanwhile is as if it had not been there.
    """
    path = f"{at.path}/{name}"
    before = at.old.find(name)
    with suppress(FileNotFoundError, NotADirectoryError):
        after = at.new.find(name)
        each = Differing(_kind(before, after, path, made, same), path, before, after)
        if after is None or not stat.S_ISDIR(after.status.st_mode):
            return each, None
        return each, at.enter(name, path, on_both=_is_dir(before))
    return Differing("" if before is None else DELETED, path, before, None), None


def _names(old: MergedDir, new: MergedDir) -> list[str]:
    """The names that may differ, last first: those in any directory that is not on both sides."""
    mine, theirs = _identities(old), _identities(new)
    shared = [each for each in mine if each in theirs]
    if shared != [each for each in theirs if each in mine]:
        shared = []
    every = zip((*old.fds, *new.fds), (*mine, *theirs), strict=True)
    names = {name for fd, identity in every if identity not in shared for name in os.listdir(fd)}
    return sorted(names, reverse=True)


def _identities(directory: MergedDir) -> list[tuple[int, int]]:
    return [(status.st_dev, status.st_ino) for status in map(os.fstat, directory.fds)]


def _kind(before: Found | None, after: Found | None, path: str, made: Made, same: Comparison) -> str:
    if after is None:
        return DELETED if before is not None else ""
    if before is None:
        return "" if made.accounts_for(path[1:], after.status) else ADDED
    return "" if same(before, after) else CHANGED


def _same(before: Found, after: Found) -> bool:
    if _is_one(before, after):
        return True
    return looks_same(before, after) and (not _can_be_opened(after.status) or _same_inside(before, after))


def _is_one(before: Found, after: Found) -> bool:
    old, new = before.status, after.status
    return (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino)


def looks_same(before: Found, after: Found) -> bool:
    """Whether two are the same as far as that is known without opening them."""
    old, new = before.status, after.status
    if _is_one(before, after):
        return True
    if (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (new.st_mode, new.st_uid, new.st_gid, new.st_rdev):
        return False
    if stat.S_ISLNK(new.st_mode):
        return os.readlink(before.name, dir_fd=before.dir_fd) == os.readlink(after.name, dir_fd=after.dir_fd)
    return not stat.S_ISREG(new.st_mode) or (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns)


def _can_be_opened(status: os.stat_result) -> bool:
    """Whether it has attributes, and perhaps content, that opening it shows without touching a device."""
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def _same_inside(before: Found, after: Found) -> bool:
    """Whether extended attributes and content are the same: of a file that was opened to be written, and was not."""
    old = os.open(before.name, _READ, dir_fd=before.dir_fd)
    try:
        new = os.open(after.name, _READ, dir_fd=after.dir_fd)
        try:
            if _xattrs(old) != _xattrs(new):
                return False
            return stat.S_ISDIR(after.status.st_mode) or _same_content(old, new)
        finally:
            os.close(new)
    finally:
        os.close(old)


def _xattrs(fd: int) -> dict[str, bytes]:
    return {name: os.getxattr(fd, name) for name in os.listxattr(fd) if not is_overlay_xattr(name)}


def _same_content(old: int, new: int) -> bool:
    while True:
        ours, theirs = os.read(old, _PIECE), os.read(new, _PIECE)
        if ours != theirs:
            return False
        if not ours:
            return True


def _is_dir(found: Found | None) -> bool:
    return found is not None and stat.S_ISDIR(found.status.st_mode)


def size_of(found: Found | None) -> int:
    """The bytes of a regular file, 0 of anything else."""
    return found.status.st_size if found is not None and stat.S_ISREG(found.status.st_mode) else 0
