"""What becomes of the store when the power fails.

A pull does not wait for the disk; the kernel writes within a minute or so what was put into its cache. Until that is
known to have happened a *mark* stays in the store: a file named for this machine and this boot of it. Whoever finds the
mark of an earlier boot knows that the machine stopped before, takes what was added since for damaged, and mends it:
layers are unpacked again, from blobs whose digests are verified first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..image.digest import Digest, sha256_of
from .blobs import BlobStore
from .disk import disk_errors, sync_directory, sync_file, sync_file_system
from .layers import LayerStore
from .layout import Layout

SETTLED_AFTER = 60.0
"""Seconds after which the kernel has written almost all by itself (vm.dirty_expire_centisecs is 30 s)."""

_MARGIN = 5.0  # seconds, for a clock that was set


def mark(layout: Layout) -> None:
    """Note, durably, that the store is about to hold what the disk does not have yet."""
    path = layout.mark(_this_boot())
    with disk_errors("mark the store", path):
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            # The time of the first pull stays its mtime: what is younger may be damaged. Of the latest, its atime.
            os.utime(path, (time.time(), path.stat().st_mtime))
            return
        try:
            sync_file(fd)
        finally:
            os.close(fd)
        sync_directory(path.parent)


def is_due(layout: Layout) -> bool:
    """Whether there is a mark of this boot, and writing to disk what it stands for costs next to nothing by now."""
    try:
        return time.time() - layout.mark(_this_boot()).stat().st_atime >= SETTLED_AFTER
    except FileNotFoundError:
        return False


def settle(layout: Layout) -> None:
    """Write the store to disk, and drop this boot's mark; for when nobody pulls."""
    path = layout.mark(_this_boot())
    with disk_errors("write the store to disk", path):
        sync_file_system(path.parent)
        path.unlink(missing_ok=True)


def was_interrupted(layout: Layout) -> bool:
    """Whether this machine stopped before it had written the store to disk."""
    return any(True for _ in _earlier(layout))


def mend(layout: Layout, blobs: BlobStore, layers: LayerStore) -> None:
    """Drop layers and damaged blobs that were added before the machine stopped; for when nobody pulls."""
    marks = list(_earlier(layout))
    if not marks:
        return
    since = min(path.stat().st_mtime for path in marks) - _MARGIN
    for key in _keys(layout, since):
        layers.remove(key)
    for path in layout.blobs_dir.glob("*/*"):
        if path.stat().st_mtime >= since:
            _verify(blobs, Digest(path.parent.name, path.name))
    for path in marks:
        path.unlink(missing_ok=True)


def _verify(blobs: BlobStore, digest: Digest) -> None:
    verifier = digest.verifier()
    with blobs.path(digest).open("rb") as file:
        while chunk := file.read(1 << 20):
            verifier.update(chunk)
    if not verifier.matches:
        blobs.remove(digest)


def _keys(layout: Layout, since: float) -> Iterator[str]:
    """Layers whose record is as young, or lost."""
    for path in sorted(layout.layers_dir.iterdir()):
        if path.name.startswith("."):
            continue
        record = layout.layer_record(path.name)
        try:
            is_old = record.stat().st_mtime < since
        except FileNotFoundError:
            is_old = False
        if not is_old:
            yield path.name


def _earlier(layout: Layout) -> Iterator[Path]:
    """Marks of this machine's earlier boots; those of other machines that share the store are their own affair."""
    machine, _, boot = _this_boot().partition("-")
    for path in layout.marks_dir.iterdir():
        marked, _, at = path.name.partition("-")
        if marked == machine and at != boot:
            yield path


def _this_boot() -> str:
    """``MACHINE-BOOT``, a few hex digits each."""
    try:
        machine = Path("/etc/machine-id").read_bytes().strip()
    except OSError:
        machine = b""
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    return f"{sha256_of(machine or os.uname().nodename.encode()).hex[:12]}-{sha256_of(boot).hex[:12]}"
