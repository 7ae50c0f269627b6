"""Pruning: forgetting images and templates, and dropping what no image and no run uses any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Protocol

from ..image.digest import Digest
from .claims import claims_held
from .disk import disk_errors
from .images import ImageRecord, ImageStore
from .inventory import Inventory, Kept, take_inventory
from .layers import hide
from .layout import Layout
from .lock import locked, nobody_pulling
from .saved import SavedStore, SavedTest
from .templates import TemplateRecord, TemplateStore

PATIENCE = 30.0
"""Seconds that a prune waits for pulls to end."""

_PRUNE = "prune"
_BLOCK = 512  # what st_blocks counts (stat(2))


class Trees(Protocol):
    """Who can remove and measure directory trees that belong to a container's users: a sandbox."""

    def remove(self, *paths: Path) -> None:
        """Remove trees; those that are absent are skipped."""

    def measure(self, path: Path) -> int:
        """Return the bytes that a tree takes on disk; 0 where it is absent."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which images and templates to forget; by default none, so that only what nothing refers to is dropped.

    *unused*: all that no run uses. *older_than* (seconds): those not pulled, made or used for that long. *max_size*
    (bytes on disk): the least recently used, until blobs and layers take at most that. What a run uses always stays,
    and so does what a saved test needs; but one that is too old goes whatever the rules are.
    """

    unused: bool = False
    older_than: float | None = None
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was dropped (or, of a dry run, would be): images, blobs, keys of layers, *unfinished* files and trees.

    *size* is what that took on disk, in bytes.
    """

    images: tuple[ImageRecord, ...] = ()
    blobs: tuple[Digest, ...] = ()
    layers: tuple[str, ...] = ()
    unfinished: tuple[Path, ...] = ()
    size: int = 0
    templates: tuple[TemplateRecord, ...] = ()
    saved: tuple[SavedTest, ...] = ()


def prune(
    layout: Layout, trees: Trees, rules: Rules | None = None, *, dry_run: bool = False, patience: float = PATIENCE
) -> Pruned:
    """Forget images by *rules*, drop what is then unused and what killed pulls left, and return it.

    Directories of dead runs keep what those used: sweep them first. Raises `StoreError` when a pull is still under way
    after *patience* seconds: what it needs cannot be told from what nobody needs.
    """
    rules = rules or Rules()
    with locked(layout.lock(_PRUNE)):
        sizes = _Sizes(layout, trees)
        if rules.max_size is not None:
            # Ahead of what is decided while pulls are kept out, since it takes a while.
            sizes.prepare()
        return _drop(layout, trees, partial(_by_rules, layout, rules, sizes), patience, dry_run=dry_run)


def forget(layout: Layout, trees: Trees, records: Collection[ImageRecord], *, patience: float = PATIENCE) -> Pruned:
    """Forget the images of *records*, drop what only they needed and no run uses, and return it.

    Raises `StoreError` as `prune` does.
    """
    with locked(layout.lock(_PRUNE)):
        return _drop(layout, trees, partial(_by_name, records), patience)


def forget_saved(layout: Layout, trees: Trees, tests: Collection[SavedTest], *, patience: float = PATIENCE) -> Pruned:
    """Forget saved *tests* with the images of their containers, and drop what only these needed and no run uses.

    Raises `StoreError` where something is pulled or pruned for longer than *patience* seconds.
    """

    def chosen(inventory: Inventory) -> Pruned:
        return replace(_by_name(_images_of(tests, inventory), inventory), saved=tuple(tests))

    with locked(layout.lock(_PRUNE), patience):
        return _drop(layout, trees, chosen, patience)


def _images_of(tests: Collection[SavedTest], inventory: Inventory) -> list[ImageRecord]:
    references = {each.reference for test in tests for each in test.containers}
    records = (each.record for each in inventory.kept)
    return [each for each in records if isinstance(each, ImageRecord) and each.reference in references]


def _by_rules(layout: Layout, rules: Rules, sizes: _Sizes, inventory: Inventory) -> Pruned:
    expired = SavedStore(layout).expired()
    too_old = _images_of(expired, inventory)
    forgotten = _forgotten(inventory, rules, sizes)
    forgotten += [each for each in inventory.kept if each.record in too_old and each not in forgotten]
    kept = [each for each in inventory.kept if each not in forgotten]
    return Pruned(
        _images(forgotten),
        tuple(sorted(inventory.blobs_besides(kept))),
        tuple(sorted(inventory.layers_besides(kept))),
        tuple(_unfinished(layout)),
        templates=tuple(each.record for each in forgotten if isinstance(each.record, TemplateRecord)),
        saved=tuple(expired),
    )


def _by_name(records: Collection[ImageRecord], inventory: Inventory) -> Pruned:
    names = {(record.reference, record.platform) for record in records}
    forgotten: list[Kept] = []
    kept: list[Kept] = []
    for each in inventory.kept:
        named = isinstance(each.record, ImageRecord) and (each.record.reference, each.record.platform) in names
        (forgotten if named else kept).append(each)
    blobs = frozenset().union(*(each.blobs for each in forgotten))
    layers = frozenset().union(*(each.layers for each in forgotten))
    return Pruned(
        _images(forgotten),
        tuple(sorted(blobs & inventory.blobs_besides(kept))),
        tuple(sorted(layers & inventory.layers_besides(kept))),
    )


def _forgotten(inventory: Inventory, rules: Rules, sizes: _Sizes) -> list[Kept]:
    idle = [each for each in inventory.kept if not each.in_use and not each.saved]
    if rules.unused:
        return idle
    count = 0
    if rules.older_than is not None:
        count = sum(each.record.used_at <= time.time() - rules.older_than for each in idle)
    if rules.max_size is not None:
        while count < len(idle) and sizes.without(inventory, idle[:count]) > rules.max_size:
            count += 1
    return idle[:count]


def _images(kept: Sequence[Kept]) -> tuple[ImageRecord, ...]:
    return tuple(each.record for each in kept if isinstance(each.record, ImageRecord))


class _Sizes:
    """What is in the store, in bytes on disk; a layer, which never changes, is measured once."""

    def __init__(self, layout: Layout, trees: Trees) -> None:
        self._layout = layout
        self._trees = trees
        self._layers: dict[str, int] = {}

    def prepare(self) -> None:
        """Measure the layers there are."""
        for key in take_inventory(self._layout).layers:
            self._layer(key)

    def without(self, inventory: Inventory, forgotten: Sequence[Kept]) -> int:
        """What stays when *forgotten*, and all that is unused then, is gone."""
        kept = [each for each in inventory.kept if each not in forgotten]
        blobs = inventory.blobs - inventory.blobs_besides(kept)
        layers = inventory.layers - inventory.layers_besides(kept)
        return sum(_on_disk(self._layout.blob(digest)) for digest in blobs) + sum(map(self._layer, layers))

    def _layer(self, key: str) -> int:
        if key not in self._layers:
            self._layers[key] = self._trees.measure(self._layout.layer(key))
        return self._layers[key]


def _drop(
    layout: Layout, trees: Trees, choose: Callable[[Inventory], Pruned], patience: float, *, dry_run: bool = False
) -> Pruned:
    """Drop what *choose* chooses: out of sight while nobody pulls or claims, tree by tree afterwards."""
    with nobody_pulling(layout, patience), claims_held(layout, patience) as claimed:
        waste = choose(take_inventory(layout, claimed))
        files = [*map(layout.blob, waste.blobs), *(path for path in waste.unfinished if not path.is_dir())]
        unfinished = [path for path in waste.unfinished if path.is_dir()]
        layers = [*map(layout.layer, waste.layers)]
        size = sum(map(_on_disk, files))
        if not dry_run:
            # Whatever ends this leaves nothing but what the next prune finds unused, since the records go first.
            with disk_errors("drop what is unused", layout.root):
                _forget(layout, waste)
                layers = [hide(layout, key) for key in waste.layers]
                for path in files:
                    path.unlink(missing_ok=True)
    size += sum(map(trees.measure, (*layers, *unfinished)))
    if not dry_run:
        trees.remove(*layers, *unfinished)
    return replace(waste, size=size)


def _forget(layout: Layout, waste: Pruned) -> None:
    images, templates = ImageStore(layout), TemplateStore(layout)
    for record in waste.images:
        images.remove(record.reference, record.platform)
    for template in waste.templates:
        templates.remove(template.key)
    for test in waste.saved:
        SavedStore(layout).remove(test)


def _unfinished(layout: Layout) -> list[Path]:
    """What pulls and prunes left; those that live leave it alone, as nobody pulls now and nobody else prunes."""
    return sorted(chain(layout.tmp_dir.iterdir(), layout.trash_dir.iterdir(), layout.layers_dir.glob(".*")))


def _on_disk(path: Path) -> int:
    try:
        return path.lstat().st_blocks * _BLOCK
    except FileNotFoundError:
        return 0
