"""The store as commands have it that remove from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..rootfs.sandbox import Sandbox
    from ..store.layout import Layout


@contextmanager
def swept_store(root: Path) -> Iterator[tuple[Layout, Sandbox]]:
    """The store without what dead runs left, which would keep the layers they used, and who can remove from it."""
    from ..rootfs.idmap import IdMap
    from ..rootfs.sandbox import Sandbox
    from ..store.layout import Layout
    from ..store.lock import locked
    from ..supervisor.sweep import sweep

    layout = Layout(root)
    idmap = IdMap.for_host()
    layout.create(None if idmap.is_identity else idmap.host_gid(0))
    with Sandbox(idmap) as sandbox:
        with locked(layout.lock("sweep")):
            sweep(layout.runs_dir, sandbox.remove)
        yield layout, sandbox
