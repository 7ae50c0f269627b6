"""Claims: which layers a run uses, so that no prune drops them under its containers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StoreError
from .disk import disk_errors
from .layout import Layout
from .lock import claiming


def claim_layers(layout: Layout, run_id: str, layers: Iterable[Path]) -> None:
    """List *layers* as used by a run, so that no prune drops them until the run's directory is gone.

    Raises `StoreError` when one is gone already; pulling the image again brings it back.
    """
    layers = tuple(layers)
    with claiming(layout):
        with (
            disk_errors("claim layers", layout.run_layers(run_id)),
            layout.run_layers(run_id).open("a") as file,
        ):
            file.writelines(f"{layer.name}\n" for layer in layers)
        gone = [layer for layer in layers if not layer.is_dir()]
    if gone:
        raise StoreError(
            "a layer was pruned just before it was to be used",
            details="\n".join(map(str, gone)),
            hint="pull the image again",
        )


@contextmanager
def claims_held(layout: Layout, timeout: float) -> Iterator[frozenset[str]]:
    """The keys of all claimed layers, with none to be added; waits at most *timeout* seconds for those who add."""
    with claiming(layout, timeout):
        yield frozenset(_claimed(layout))


def _claimed(layout: Layout) -> Iterator[str]:
    for path in layout.runs_dir.glob("*/layers"):
        # A run that ends now takes its claims with it.
        with suppress(FileNotFoundError):
            yield from path.read_text().split()
