"""The files of a run at paths that a container's root may pass.

Root's containers have a root of their own, who is nobody on the host, while the store or a directory to be mounted may
lie where only root may look, as a test's temporary directory does. So the supervisor of root's run has a mount
namespace in which they also show at ``/run/lxtRUN/…``: bind mounts that no other process of the host sees, on a
tmpfs. Small files that are made for each container lie there themselves: in memory, they cost a fraction of what they
do on a disk. An ordinary user's containers have the user as their root; they need none of this.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from pathlib import Path

from ..errors import HostNotReadyError

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_SLAVE, MS_SHARED = 0x1000, 0x4000, 0x80000, 0x100000
MNT_DETACH = 2

CGROUPS = "/sys/fs/cgroup"
"""Where LXC looks for the host's cgroups."""

LXC_LOCKS = Path("/run/lxc/lock")
"""Where root's LXC makes a lock file for each container, and leaves it."""

_libc = ctypes.CDLL(None, use_errno=True)


class View:
    """Bind mounts below *path*, in a mount namespace of this process and of what it forks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._roots: dict[Path, Path] = {}
        _check(_libc.unshare(CLONE_NEWNS), "unshare")
        # What the host mounts later still shows here, and nothing from here shows there.
        _mount(None, Path("/"), MS_SLAVE | MS_REC)
        path.mkdir(mode=0o711, exist_ok=True)
        _mount("tmpfs", path, 0, "tmpfs", "mode=0711,size=256m")
        # What is shown later shows to the zygote too, which has mounts of its own.
        _mount(None, path, MS_SHARED)
        self.files = path / "c"
        self.files.mkdir(mode=0o711)
        LXC_LOCKS.mkdir(parents=True, exist_ok=True)
        _mount("tmpfs", LXC_LOCKS, 0, "tmpfs", "mode=0755,size=64m")

    def make(self, name: str) -> Path:
        """A new directory for the files of container *name*."""
        directory = self.files / name
        directory.mkdir(mode=0o711)
        return directory

    def remove(self, name: str) -> None:
        """Remove what `make` made, with all that is in it."""
        shutil.rmtree(self.files / name, ignore_errors=True)

    def of(self, path: Path, root: Path) -> Path:
        """Where *path* shows, which lies in *root*; *root* is shown as a whole, once."""
        if root not in self._roots:
            self._roots[root] = self.show(root, f"d{len(self._roots)}")
        return self._roots[root] / path.relative_to(root)

    def show(self, source: Path, name: str) -> Path:
        """Show *source*, a file or a directory with all that is mounted in it, as *name*; returns its path here."""
        target = self.path / name
        if source.is_dir():
            target.mkdir(mode=0o711)
        else:
            target.touch(mode=0o644)
        _mount(str(source), target, MS_BIND | MS_REC)
        return target

    def hide(self, name: str) -> None:
        """Undo `show`; what is not shown is fine."""
        target = self.path / name
        if _libc.umount2(os.fsencode(target), MNT_DETACH) == 0:
            with contextlib.suppress(OSError):
                target.rmdir() if target.is_dir() else target.unlink()

    def close(self) -> None:
        """Unmount everything and remove the mount point."""
        for path in (LXC_LOCKS, self.path):
            _libc.umount2(os.fsencode(path), MNT_DETACH)
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _mount(source: str | None, target: Path, flags: int, kind: str = "", data: str = "") -> None:
    words = (source or "none", os.fspath(target), kind or "none")
    arguments = [os.fsencode(word) for word in words]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), f"mount {words[1]}")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise HostNotReadyError(
            f"root may not {what}: {os.strerror(number)}",
            hint="give this container or sandbox CAP_SYS_ADMIN, or run as an ordinary user",
        )
