"""What became of a layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What became of a layer: its *entries*, and the *size* of its files in bytes.

    *self_contained*: the directory is the same over any lower layers, so it may be shared between images by
    its diff_id; otherwise only by its chain_id. *skipped_devices* and *skipped_xattrs* count what the user
    namespace or the file system does not allow.
    """

    self_contained: bool
    entries: int
    size: int
    skipped_devices: int = 0
    skipped_xattrs: int = 0
