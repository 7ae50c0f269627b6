"""Pruning: dropping what no image and no run uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ..errors import LxContainerError, StoreError
from ..image.config import ImageConfig
from ..image.digest import Digest, chain_ids
from ..image.manifest import Manifest, parse_manifest
from .blobs import BlobStore
from .disk import disk_errors
from .images import ImageStore
from .layers import LayerName, LayerStore
from .layout import Layout, owner_pid
from .lock import locked

_CLAIMS = "claims"


@dataclass(frozen=True, slots=True)
class Unused:
    """What nothing refers to: blobs, layer keys, and paths that a dead process left unfinished."""

    blobs: tuple[Digest, ...] = ()
    layers: tuple[str, ...] = ()
    unfinished: tuple[Path, ...] = ()
    blob_bytes: int = 0


def claim_layers(layout: Layout, run_id: str, layers: Iterable[Path]) -> None:
    """List *layers* as used by a run, so that no prune drops them until the run's directory is gone.

    Raises `StoreError` when one is gone already; pulling the image again brings it back.
    """
    layers = tuple(layers)
    with locked(layout.lock(_CLAIMS)):
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


def unreferenced(layout: Layout, *, min_age: float = 600.0) -> Unused:
    """Return what no image record and no run refers to.

    What is younger than *min_age* seconds is left out: a pull writes its record last.
    """
    blobs, identities = _referenced(layout)
    before = time.time() - min_age
    unused_blobs = {path: size for path, size in _old_files(layout.blobs_dir.glob("*/*"), before) if path not in blobs}
    used_keys = _claimed(layout)
    return Unused(
        blobs=tuple(Digest(path.parent.name, path.name) for path in unused_blobs),
        layers=tuple(key for key in _old_keys(layout, before, identities) if key not in used_keys),
        unfinished=tuple(_unfinished(layout, before)),
        blob_bytes=sum(unused_blobs.values()),
    )


def prune(layout: Layout, discard: Callable[[Path], None], *, min_age: float = 600.0) -> Unused:
    """Drop what `unreferenced` returns, and return it; *discard* removes a directory tree."""
    blobs, layers = BlobStore(layout), LayerStore(layout, discard)
    with locked(layout.lock(_CLAIMS)):
        unused = unreferenced(layout, min_age=min_age)
        for key in unused.layers:
            layers.remove(key)
    for digest in unused.blobs:
        blobs.remove(digest)
    for path in unused.unfinished:
        discard(path) if path.is_dir() else path.unlink(missing_ok=True)
    return unused


def _referenced(layout: Layout) -> tuple[set[Path], set[Digest]]:
    """Return the blobs that image records lead to, and the diff_ids and chain_ids of their layers."""
    store = BlobStore(layout)
    blobs: set[Path] = set()
    identities: set[Digest] = set()
    for record in ImageStore(layout).list():
        blobs.add(store.path(record.digest))
        try:
            manifest = parse_manifest(store.read(record.digest))
            if not isinstance(manifest, Manifest):
                continue
            blobs.update(store.path(part.digest) for part in (manifest.config, *manifest.layers))
            diff_ids = ImageConfig.from_json(store.read(manifest.config.digest)).diff_ids
        except LxContainerError:
            # Without its manifest or config the image is pulled again, and the layers with it.
            continue
        identities.update(diff_ids, chain_ids(diff_ids))
    return blobs, identities


def _old_files(paths: Iterable[Path], before: float) -> Iterator[tuple[Path, int]]:
    for path in paths:
        stats = path.stat()
        if stats.st_mtime <= before:
            yield path, stats.st_size


def _old_keys(layout: Layout, before: float, used: set[Digest]) -> Iterator[str]:
    for path in sorted(layout.layers_dir.iterdir()):
        if not path.name.startswith(".") and not _is_needed(layout.layer_record(path.name), before, used):
            yield path.name


def _is_needed(record: Path, before: float, used: set[Digest]) -> bool:
    try:
        return record.stat().st_mtime > before or LayerName.parse(record.read_text()).identity in used
    except (OSError, ValueError, LxContainerError):
        return False


def _claimed(layout: Layout) -> set[str]:
    return {key for path in layout.runs_dir.glob("*/layers") for key in path.read_text().split()}


def _unfinished(layout: Layout, before: float) -> Iterator[Path]:
    places = (layout.tmp_dir.iterdir(), layout.trash_dir.iterdir(), layout.layers_dir.glob(".*"))
    for path in chain(*places):
        pid = owner_pid(path)
        # The age too, since a process of another pid namespace looks dead from here.
        if pid is not None and not Path(f"/proc/{pid}").exists() and path.lstat().st_ctime <= before:
            yield path
