"""Stacks of layers under an upper dir: how LXC is told of them, and what they would show.

https://docs.kernel.org/filesystems/overlayfs.html and lxc.rootfs.path in
https://linuxcontainers.org/lxc/manpages/man5/lxc.container.conf.5.html
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ..errors import CorruptImageError, StoreError
from .merged import Found, MergedPath

MAX_OPTIONS = 4000
"""mount(2) takes one page (4096 bytes) of options; LXC adds a few words of its own to ours."""
STACKS = 64
"""How many stacks a process keeps in mind: what follows from many paths is not worked out for each container."""
MIB = 1024 * 1024

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FORBIDDEN = frozenset(":,\\\n")


@dataclass(frozen=True, slots=True)
class Overlay:
    """The read-only *lower_dirs* (base first) under the writable *upper_dir*.

    Options name the lower dirs by their ways from *home*, if there is one, in which it must be mounted then: so more of
    them fit.
    """

    lower_dirs: tuple[Path, ...]
    upper_dir: Path
    home: Path | None = None

    @property
    def work_dir(self) -> Path:
        """Where overlayfs prepares its changes: beside the upper dir, as LXC expects it."""
        return self.upper_dir.parent / "work"

    @property
    def options(self) -> str:
        """The mount options beside the directories: attributes that a user namespace may write."""
        return "userxattr"

    @property
    def lxc_rootfs_options(self) -> str:
        """The value of ``lxc.rootfs.options``.

        ``volatile``, as nobody wants the files after a loss of power: what a database has written to disk for good, and
        each file that is copied up, need not be waited for. See `forget_volatile`.
        """
        return f"{self.options},volatile"

    def with_layer(self, directory: Path | None) -> Overlay:
        """The same with *directory*, if there is one, on top of the lower dirs."""
        return self if directory is None else replace(self, lower_dirs=(*self.lower_dirs, directory))

    @property
    def too_long(self) -> bool:
        """Whether the stack has too many or too long paths for one mount(2)."""
        return self.option_length() > MAX_OPTIONS

    def option_length(self) -> int:
        """Return how many bytes of mount options the stack makes at most."""
        return len(os.fsencode(f"{self.mount_options()},volatile"))

    def mount_options(self) -> str:
        """Return the options of mount(2), and so what LXC will make of `lxc_rootfs_path`, but for ``volatile``."""
        return f"upperdir={_named(self.upper_dir)},lowerdir={self._lower},workdir={self.work_dir},{self.options}"

    def lxc_rootfs_path(self) -> str:
        """Return the value of ``lxc.rootfs.path``: topmost layer first, the upper dir last.

        Raises `StoreError` for a path that LXC could not tell from its separators.
        """
        return f"overlay:{self._lower}:{_named(self.upper_dir)}"

    @property
    def _lower(self) -> str:
        return _topmost_first(self.lower_dirs, self.home)


@lru_cache(maxsize=STACKS)
def paths_of(lower_dirs: tuple[str, ...]) -> tuple[Path, ...]:
    """*lower_dirs* as paths, which are the same objects each time for the same stack."""
    return tuple(map(Path, lower_dirs))


@lru_cache(maxsize=STACKS)
def _topmost_first(lower_dirs: tuple[Path, ...], home: Path | None) -> str:
    """The lower dirs without repetition, which overlayfs refuses: of two alike the upper decides everything."""
    named = map(_named, dict.fromkeys(reversed(lower_dirs)))
    return ":".join(named if home is None else (os.path.relpath(each, home) for each in named))


def _named(path: Path) -> str:
    text = str(path)
    if not path.is_absolute() or not _FORBIDDEN.isdisjoint(text):
        raise StoreError(
            f"{text!r} cannot be part of an overlay",
            hint="choose a store whose absolute path has no colon, comma, backslash or line break",
        )
    return text


def forget_volatile(work_dir: Path) -> None:
    """Let an overlay with this *work_dir*, which is not mounted, be mounted again: not before this after ``volatile``.

    See "Volatile mount" in https://docs.kernel.org/filesystems/overlayfs.html.
    """
    inner = work_dir / "work"
    mark = inner / "incompat" / "volatile"
    with suppress(FileNotFoundError):
        # Whoever is not root may not even look into what is their own.
        for path in (inner, mark.parent, mark):
            path.chmod(0o700)
        (mark / "dirty").unlink()
        mark.rmdir()
        mark.parent.rmdir()


def stat_path(lower_dirs: Sequence[Path], path: str) -> os.stat_result | None:
    """Return what *path* would be in a container of *lower_dirs* (base first), ``None`` if nothing.

    Owners are the host's ids. Links are followed inside the stack only. Raises `PermissionError` where the
    caller may not look: see `Stack`.
    """
    with _opened(lower_dirs, path) as fds:
        return status_in(fds, path)


def may_lack(lower_dirs: Sequence[Path], path: str) -> bool:
    """Whether nothing is at *path* in *lower_dirs* (base first), or the caller may not look: a sandbox may."""
    try:
        return stat_path(lower_dirs, path) is None
    except (StoreError, PermissionError):
        return True


def read_file(lower_dirs: Sequence[Path], path: str, limit: int = MIB) -> bytes | None:
    """Return the content of the regular file *path* in *lower_dirs* (base first), ``None`` if there is none.

    Raises `CorruptImageError` for a file of more than *limit* bytes, `PermissionError` where the caller may not
    look: see `Stack`.
    """
    with _opened(lower_dirs, path) as fds:
        return content_in(fds, path, limit)


def status_in(layers: Sequence[int], path: str) -> os.stat_result | None:
    """As `stat_path`, of directories that are open."""
    with _found(layers, path) as found:
        return None if found is None else found.status


def content_in(layers: Sequence[int], path: str, limit: int = MIB) -> bytes | None:
    """As `read_file`, of directories that are open."""
    with _found(layers, path) as found:
        if found is None or not stat.S_ISREG(found.status.st_mode):
            return None
        with os.fdopen(os.open(found.name, _READ_FILE, dir_fd=found.dir_fd), "rb") as file:
            data = file.read(limit + 1)
    if len(data) > limit:
        raise CorruptImageError(f"{path} in an image is larger than {limit} bytes")
    return data


@contextmanager
def _found(layers: Sequence[int], path: str) -> Iterator[Found | None]:
    try:
        with ExitStack() as stack:
            yield stack.enter_context(MergedPath(layers)).find(path) if layers else None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise CorruptImageError(f"{path} in an image is a link to itself") from error


@contextmanager
def _opened(lower_dirs: Sequence[Path], path: str) -> Iterator[list[int]]:
    """The layers, open to look for *path*: `StoreError` where that fails, but for a `PermissionError`."""
    try:
        with ExitStack() as stack:
            fds: list[int] = []
            for directory in lower_dirs:
                fds.append(os.open(directory, _OPEN_DIR))
                stack.callback(os.close, fds[-1])
            yield fds
    except PermissionError:
        raise
    except OSError as error:
        raise StoreError(f"{path} in an image cannot be looked at: {error.strerror}") from error
