"""The two spellings of "this name is gone": in a layer's tar, and in an overlay's directory.

OCI: https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
Overlay: https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
"""

from __future__ import annotations

import os
import stat

OCI_WHITEOUT_PREFIX = ".wh."
"""``.wh.NAME`` hides NAME of the lower layers."""
OCI_META_PREFIX = ".wh..wh."
"""Names that AUFS keeps for itself; all but the opaque marker mean nothing to anybody else."""
OCI_OPAQUE_NAME = ".wh..wh..opq"
"""Hides everything that the lower layers have in the directory it lies in."""

OVERLAY_OPAQUE_XATTR = "user.overlay.opaque"
"""The opaque mark as a mount with ``userxattr`` reads it, the only one a user namespace may set."""
OVERLAY_OPAQUE_VALUE = b"y"
OVERLAY_XATTR_PREFIXES = ("user.overlay.", "trusted.overlay.")

OVERLAY_WHITEOUT_MODE = stat.S_IFCHR
OVERLAY_WHITEOUT_DEVICE = 0


def is_oci_whiteout(name: str) -> bool:
    """Whether the file name *name* is any of the marks that start with ``.wh.``."""
    return name.startswith(OCI_WHITEOUT_PREFIX)


def is_oci_meta(name: str) -> bool:
    """Whether *name* is one of AUFS' own, the opaque marker among them."""
    return name.startswith(OCI_META_PREFIX)


def hidden_name(name: str) -> str:
    """Return the name that the OCI whiteout *name* hides; empty for a bare ``.wh.``."""
    return name[len(OCI_WHITEOUT_PREFIX) :]


def is_overlay_whiteout(status: os.stat_result) -> bool:
    """Whether *status* is a character device 0:0, by which overlayfs hides a name."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == OVERLAY_WHITEOUT_DEVICE


def is_overlay_xattr(name: str) -> bool:
    """Whether overlayfs would take the extended attribute *name* for one of its own."""
    return name.startswith(OVERLAY_XATTR_PREFIXES)


def make_overlay_whiteout(name: str, dir_fd: int) -> None:
    """Hide *name* of the lower layers in the directory *dir_fd*."""
    os.mknod(name, OVERLAY_WHITEOUT_MODE, OVERLAY_WHITEOUT_DEVICE, dir_fd=dir_fd)


def make_opaque(dir_fd: int) -> None:
    """Hide everything that the lower layers have in the directory *dir_fd*."""
    os.setxattr(dir_fd, OVERLAY_OPAQUE_XATTR, OVERLAY_OPAQUE_VALUE)


def is_opaque(dir_fd: int) -> bool:
    """Whether the directory *dir_fd* hides what the lower layers have in it."""
    try:
        return os.getxattr(dir_fd, OVERLAY_OPAQUE_XATTR) == OVERLAY_OPAQUE_VALUE
    except OSError:
        return False
