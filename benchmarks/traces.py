"""Removal of what the programs compared with make on the host, outside every directory they are given."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def no_traces(paths: Sequence[Path] = (), cgroups: Sequence[str] = ()) -> Iterator[None]:
    """Remove *paths*, and the *cgroups* in any hierarchy, at the end, but for those that there were before."""
    fresh = [path for path in paths if not path.exists()]
    before = set(_found(cgroups))
    try:
        yield
    finally:
        for path in fresh:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in set(_found(cgroups)) - before:
            _remove_cgroup(path)


def _found(cgroups: Sequence[str]) -> Iterator[Path]:
    for name in cgroups:
        yield from CGROUPS.glob(name)  # the one hierarchy of version 2
        yield from CGROUPS.glob(f"*/{name}")


def _remove_cgroup(path: Path) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        # The kernel needs a moment to let go of processes that were killed.
        for _ in range(100):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
                break
            time.sleep(0.02)
