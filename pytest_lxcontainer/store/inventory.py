"""What is in the store, and which of it which image or template needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace

from ..errors import LxContainerError
from ..image.config import ImageConfig
from ..image.digest import Digest, chain_ids
from ..image.manifest import Manifest, parse_manifest
from .blobs import BlobStore
from .images import ImageRecord, ImageStore
from .layers import LayerName
from .layout import Layout
from .saved import SavedStore
from .templates import TemplateRecord, TemplateStore


@dataclass(frozen=True, slots=True)
class Kept:
    """An image's or a template's record, and the *blobs* and keys of *layers* that are there for it.

    Those of an image whatever the id mapping; of a template those it added to its image. *in_use*: a run has claimed
    all of these layers. *saved*: it is of a saved test.
    """

    record: ImageRecord | TemplateRecord
    blobs: frozenset[Digest] = frozenset()
    layers: frozenset[str] = frozenset()
    in_use: bool = False
    saved: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything in the store: images and templates (*kept*) with the least recently used first, blobs, layers' keys.

    *claimed* are the layers that runs use.
    """

    kept: tuple[Kept, ...]
    blobs: frozenset[Digest]
    layers: frozenset[str]
    claimed: frozenset[str]

    def blobs_besides(self, kept: Iterable[Kept]) -> frozenset[Digest]:
        """The blobs that none of *kept* needs."""
        return self.blobs.difference(*(each.blobs for each in kept))

    def layers_besides(self, kept: Iterable[Kept]) -> frozenset[str]:
        """The layers that none of *kept* needs, nor a run uses."""
        return self.layers.difference(self.claimed, *(each.layers for each in kept))


def take_inventory(layout: Layout, claimed: frozenset[str] = frozenset()) -> Inventory:
    """Look at all that is in the store; *claimed* are the keys of the layers in use."""
    keys = _layer_keys(layout)
    keys_of = defaultdict(set)
    for key, identity in keys.items():
        if identity is not None:
            keys_of[identity].add(key)
    blobs = _blobs(layout)
    saved = {each.reference for test in SavedStore(layout).list() for each in test.containers}
    images = [
        replace(_image(layout, record, blobs, keys_of, claimed), saved=record.reference in saved)
        for record in ImageStore(layout).list()
    ]
    templates = [
        Kept(record, layers=frozenset({record.layer}) & keys.keys(), in_use=record.layer in claimed)
        for record in TemplateStore(layout).list()
    ]
    return Inventory(
        kept=tuple(sorted([*images, *templates], key=lambda kept: kept.record.used_at)),
        blobs=blobs,
        layers=frozenset(keys),
        claimed=claimed,
    )


def _image(
    layout: Layout, record: ImageRecord, blobs: Set[Digest], keys_of: Mapping[Digest, set[str]], claimed: Set[str]
) -> Kept:
    """What an image needs; of one whose manifest or config is damaged, what can still be told."""
    store = BlobStore(layout)
    needed = {record.digest}
    layers: list[set[str]] = []
    try:
        manifest = parse_manifest(store.read(record.digest))
        if isinstance(manifest, Manifest):
            needed.update(part.digest for part in (manifest.config, *manifest.layers))
            diff_ids = ImageConfig.from_json(store.read(manifest.config.digest)).diff_ids
            names = zip(diff_ids, chain_ids(diff_ids), strict=True)
            layers = [keys_of.get(alone, set()) | keys_of.get(on_stack, set()) for alone, on_stack in names]
    except LxContainerError:
        # It is pulled again when it is wanted, and the layers with it.
        pass
    in_use = bool(layers) and all(keys & claimed for keys in layers)
    return Kept(record, frozenset(needed) & blobs, frozenset().union(*layers), in_use)


def _blobs(layout: Layout) -> frozenset[Digest]:
    return frozenset(Digest(path.parent.name, path.name) for path in layout.blobs_dir.glob("*/*"))


def _layer_keys(layout: Layout) -> dict[str, Digest | None]:
    """The key of each layer, with the digest it stands for; ``None`` where its record is missing or damaged."""
    keys = {path.name for path in layout.layers_dir.iterdir() if not path.name.startswith(".")}
    keys.update(path.name for path in layout.layer_records_dir.iterdir())
    return {key: _identity(layout, key) for key in keys}


def _identity(layout: Layout, key: str) -> Digest | None:
    try:
        return LayerName.parse(layout.layer_record(key).read_text()).identity
    except (OSError, ValueError, LxContainerError):
        return None
