"""Pulling: a reference becomes an image, whose layers are unpacked and in the store.

What the store has is not asked for again. Blobs are downloaded several at a time, and a layer is unpacked while later
ones are still being fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .errors import CorruptImageError, ImageNotCachedError, StoreError
from .image import (
    Descriptor,
    Digest,
    Image,
    ImageConfig,
    Manifest,
    Platform,
    Reference,
    chain_ids,
    check_layers,
    check_platform,
    parse_manifest,
)
from .store.blobs import BlobStore
from .store.images import ImageRecord, ImageStore
from .store.layers import LayerStore

if TYPE_CHECKING:
    from .registry.client import FetchedManifest
    from .rootfs.sandboxes import Sandboxes
    from .settings import Settings
    from .store.layout import Layout

DOWNLOADS = 3
"""Blobs fetched at a time: what Docker does, and registries expect."""


class Source(Protocol):
    """Where images come from: a registry, or an archive on disk. Safe to use from several threads."""

    def resolve(self, reference: Reference) -> Digest:
        """The digest of the manifest or index that *reference* names now."""

    def fetch_manifest(self, reference: Reference, platform: Platform) -> FetchedManifest:
        """The manifest for *platform*, verified."""

    def open_blob(self, reference: Reference, descriptor: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """The chunks of a blob; whoever keeps them verifies their digest."""

    def close(self) -> None:
        """Give back what is open."""


@dataclass
class PullProgress:
    """How far the pull of *reference* is; other threads write it, and it may be read at any time.

    Bytes are those of blobs as transferred, without what the store already had.
    """

    reference: Reference
    bytes_total: int = 0
    bytes_done: int = 0
    layers_total: int = 0
    layers_done: int = 0


class Pins(Protocol):
    """What tags are pinned to; see `pytest_lxcontainer.lockfile`."""

    def pin(self, reference: Reference) -> Reference:
        """*reference* with the digest it is pinned to; raises where it must be pinned and is not."""

    def note(self, reference: Reference, digest: Digest) -> None:
        """Remember that the run used *reference*, which named the manifest or index *digest*."""


Watch: TypeAlias = Callable[[PullProgress], AbstractContextManager[object]]
"""Entered while something is fetched, and shows it."""


class Puller:
    """Finds images in the store, or brings them there; one pull of a process at a time."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        sandboxes: Sandboxes,
        *,
        pins: Pins | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._settings = settings
        self._sandboxes = sandboxes
        self._pins = pins
        self._watch = watch or nullcontext
        self._blobs = BlobStore(layout)
        self._images = ImageStore(layout)
        self._layers = LayerStore(layout, sandboxes.discard)
        self._known: dict[tuple[Reference, bool], Image] = {}
        self._pulling = threading.Lock()

    def pull(self, reference: Reference, *, privileged: bool = False) -> Image:
        """The image that *reference* names, from the store or, as the pull policy has it, from its source."""
        with self._pulling:
            key = (reference, privileged)
            if key not in self._known:
                self._known[key] = self._pinned(reference, privileged)
            return self._known[key]

    def records(self) -> list[ImageRecord]:
        """What the store remembers of earlier pulls, the latest first."""
        return self._images.list()

    def _pinned(self, reference: Reference, privileged: bool) -> Image:
        """The image, by the digest its tag is pinned to where there are pins, under the name that was asked for."""
        if self._pins is None:
            return self._find_or_fetch(reference, privileged)
        pinned = self._pins.pin(reference)
        image = self._find_or_fetch(pinned, privileged)
        record = self._images.find_record(pinned, self._settings.platform)
        self._pins.note(reference, record.resolved if record else image.digest)
        return replace(image, reference=reference)

    def _find_or_fetch(self, reference: Reference, privileged: bool) -> Image:
        policy, platform = self._settings.pull, self._settings.platform
        record = self._images.find_record(reference, platform)
        if record and policy != "always":
            image = self._assemble(reference, record.digest, privileged)
            if image:
                return image
        if policy == "never":
            raise ImageNotCachedError(
                f"image {reference.familiar} is not in the store {self._settings.store}",
                hint="pull it once, with --lxc-pull missing or: lxcontainer pull " + reference.familiar,
            )
        source = self._open_source(reference)
        try:
            if record and source.resolve(reference) == record.resolved:
                image = self._assemble(reference, record.digest, privileged)
                if image:
                    return image
            return self._fetch(source, reference, source.fetch_manifest(reference, platform), privileged)
        finally:
            source.close()

    def _open_source(self, reference: Reference) -> Source:
        # Only who pulls pays for importing an HTTP client.
        from .registry.client import RegistryClient

        return RegistryClient(self._settings.mirrors)

    def _assemble(self, reference: Reference, digest: Digest, privileged: bool) -> Image | None:
        """The image from what the store has, or ``None`` where something is missing or damaged."""
        try:
            manifest = parse_manifest(self._blobs.read(digest), None)
            if not isinstance(manifest, Manifest):
                return None
            config = ImageConfig.from_json(self._blobs.read(manifest.config.digest))
        except (StoreError, CorruptImageError, FileNotFoundError):
            return None
        variant = self._variant(privileged)
        found = [
            self._layers.find(diff_id, chain_id, variant)
            for diff_id, chain_id in zip(config.diff_ids, chain_ids(config.diff_ids), strict=True)
        ]
        lower_dirs = tuple(path for path in found if path is not None)
        if len(lower_dirs) != len(found):
            return None
        return Image(reference, digest, manifest.config.digest, config, manifest.size, lower_dirs)

    def _fetch(self, source: Source, reference: Reference, fetched: FetchedManifest, privileged: bool) -> Image:
        """Fetch and unpack what the store lacks, and record the image once it is whole."""
        manifest = fetched.manifest
        self._blobs.keep(fetched.digest, len(fetched.data), [fetched.data])
        config = ImageConfig.from_json(self._fetch_blob(source, reference, manifest.config).read_bytes())
        check_platform(config, self._settings.platform)
        check_layers(config, manifest)
        progress = PullProgress(reference)
        with self._watch(progress):
            lower_dirs = self._fetch_layers(source, reference, manifest, config, privileged)
        self._images.record(reference, self._settings.platform, fetched.digest, index_digest=fetched.index_digest)
        return Image(reference, fetched.digest, manifest.config.digest, config, manifest.size, lower_dirs)

    def _fetch_layers(
        self,
        source: Source,
        reference: Reference,
        manifest: Manifest,
        config: ImageConfig,
        privileged: bool,
    ) -> tuple[Path, ...]:
        """Layers in order, base first, each unpacked while later ones are still being fetched."""
        variant = self._variant(privileged)
        lower_dirs: list[Path] = []
        with ThreadPoolExecutor(DOWNLOADS, "lxcontainer-pull") as threads:
            blobs: list[Future[Path] | None] = []
            chain = list(zip(config.diff_ids, chain_ids(config.diff_ids), manifest.layers, strict=True))
            for diff_id, chain_id, descriptor in chain:
                there = self._layers.find(diff_id, chain_id, variant)
                blobs.append(None if there else threads.submit(self._fetch_blob, source, reference, descriptor))
            try:
                for (diff_id, chain_id, _), blob in zip(chain, blobs, strict=True):
                    fill = partial(self._unpack, blob, diff_id, tuple(lower_dirs), privileged)
                    lower_dirs.append(self._layers.commit(diff_id, chain_id, variant, fill))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        return tuple(lower_dirs)

    def _fetch_blob(self, source: Source, reference: Reference, descriptor: Descriptor) -> Path:
        with self._blobs.locked(descriptor.digest):
            if self._blobs.has(descriptor.digest):
                return self._blobs.path(descriptor.digest)
            with source.open_blob(reference, descriptor) as chunks:
                return self._blobs.keep(descriptor.digest, descriptor.size, chunks)

    def _unpack(
        self,
        blob: Future[Path] | None,
        diff_id: Digest,
        lower_dirs: tuple[Path, ...],
        privileged: bool,
        target: Path,
    ) -> bool:
        if blob is None:
            raise StoreError(f"layer {diff_id} was removed while an image was pulled", hint="pull the image again")
        sandbox = self._sandboxes.sandbox(privileged=privileged)
        return sandbox.unpack(blob.result(), target, diff_id=diff_id, lower_dirs=lower_dirs).self_contained

    def _variant(self, privileged: bool) -> str:
        return self._sandboxes.idmap(privileged=privileged).variant
