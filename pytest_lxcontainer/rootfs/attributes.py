"""Owner, mode, extended attributes and times of what a layer holds.

The order matters: chown(2) clears the set-user-ID bits and drops file capabilities.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from ..errors import CorruptImageError, StoreError, UnsafeLayerError, UnsupportedImageError
from .tar_entry import Entry
from .whiteout import is_overlay_xattr

_CAPABILITY = "security.capability"
HOST_XATTRS = frozenset({"security.selinux", "system.nfs4_acl"})
"""The host's business: a label or ACL of the machine the image was built on means nothing here."""
_LAST_ID = 2**32 - 2
"""2**32 - 1 tells chown(2) to leave the owner as it is."""
_LAST_TIME = 2**40 * 1_000_000_000
"""Nanoseconds; the kernel itself cuts a time down to what the file system can keep."""


class AttributeWriter:
    """Gives files their attributes, and counts the extended attributes that had to be left out."""

    def __init__(self) -> None:
        self.skipped_xattrs = 0

    def apply(self, fd: int, entry: Entry) -> None:
        """Give the open file *fd* what *entry* says, but for its times."""
        self.chown(fd, entry)
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            self.set_xattrs(fd, entry.xattrs, entry.name)

    def replace(self, fd: int, entry: Entry) -> None:
        """Do as `apply`, for a directory that may have attributes of an earlier entry or of a lower layer."""
        for name in os.listxattr(fd):
            if not is_overlay_xattr(name) and name not in HOST_XATTRS:
                # Those of which the namespace's root is not the master were not given by a layer.
                with suppress(PermissionError):
                    os.removexattr(fd, name)
        self.apply(fd, entry)

    def apply_to_name(self, name: str, dir_fd: int, entry: Entry, *, has_mode: bool = True) -> None:
        """Give what cannot be opened (a link, a device) all that *entry* says; links have no mode."""
        self.chown(name, entry, dir_fd)
        if has_mode:
            os.chmod(name, entry.mode, dir_fd=dir_fd)
        if entry.xattrs:
            self.set_xattrs(f"/proc/self/fd/{dir_fd}/{name}", entry.xattrs, entry.name)
        os.utime(name, ns=timestamps(entry.mtime), dir_fd=dir_fd, follow_symlinks=False)

    def chown(self, target: int | str, entry: Entry, dir_fd: int | None = None) -> None:
        """Change the owner of an open file, or of a name in *dir_fd*; ids the container lacks are refused."""
        if not (0 <= entry.uid <= _LAST_ID and 0 <= entry.gid <= _LAST_ID):
            raise _foreign_owner(entry)
        try:
            if isinstance(target, int):
                os.fchown(target, entry.uid, entry.gid)
            else:
                os.chown(target, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise _foreign_owner(entry) from error

    def set_xattrs(self, target: int | str, xattrs: Iterable[tuple[str, bytes]], entry: str) -> None:
        """Set *xattrs* on an open file or the path of a link, leaving out what only a host may set."""
        for name, value in xattrs:
            if is_overlay_xattr(name):
                raise UnsafeLayerError(f"{entry!r} carries {name}, which overlayfs keeps for itself", entry=entry)
            if name not in HOST_XATTRS:
                self._set_xattr(target, name, value, entry)

    def _set_xattr(self, target: int | str, name: str, value: bytes, entry: str) -> None:
        try:
            if isinstance(target, int):
                os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value, follow_symlinks=False)
        except ValueError as error:
            raise _impossible_xattr(entry, name) from error
        except OSError as error:
            if error.errno in (errno.ERANGE, errno.E2BIG):
                raise _impossible_xattr(entry, name) from error
            if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                raise
            if name == _CAPABILITY:
                raise _lost_capability(entry, error) from error
            self.skipped_xattrs += 1


def copy_xattrs(source: int, target: int, entry: str, writer: AttributeWriter) -> None:
    """Copy the extended attributes of one open file to another, without overlayfs' own."""
    names = [name for name in os.listxattr(source) if not is_overlay_xattr(name)]
    writer.set_xattrs(target, [(name, os.getxattr(source, name)) for name in names], entry)


def timestamps(mtime: int) -> tuple[int, int]:
    """Return access and modification time for `os.utime`, within what the system call takes."""
    time = max(-_LAST_TIME, min(mtime, _LAST_TIME))
    return time, time


def _foreign_owner(entry: Entry) -> UnsupportedImageError:
    return UnsupportedImageError(
        f"{entry.name!r} in a layer belongs to {entry.uid}:{entry.gid}, ids a container here does not have",
        hint="give the user more ids with usermod --add-subuids and --add-subgids",
    )


def _impossible_xattr(entry: str, name: str) -> CorruptImageError:
    return CorruptImageError(f"{entry!r} in a layer has an extended attribute that Linux cannot keep: {name[:80]!r}")


def _lost_capability(entry: str, error: OSError) -> Exception:
    if error.errno == errno.EINVAL:
        return CorruptImageError(f"the file capabilities of {entry!r} in a layer are malformed")
    return StoreError(
        f"the store's file system cannot hold the file capabilities of {entry!r}: {error.strerror}",
        hint="put the store on ext4, XFS or btrfs (--lxc-store)",
    )
