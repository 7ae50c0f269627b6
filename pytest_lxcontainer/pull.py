"""Pulling: a reference becomes an image, whose layers are unpacked and in the store.

What the store has is not asked for again; `fetch` brings what it lacks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .container.timing import timed
from .errors import CorruptImageError, ImageNotCachedError, StoreError
from .image import (
    ArchiveReference,
    Descriptor,
    Digest,
    Image,
    ImageConfig,
    ImageName,
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
from .store.lock import nobody_pulling, pulling
from .store.power import is_due, mark, mend, settle, was_interrupted

if TYPE_CHECKING:
    from .container.timing import Observer
    from .fetch import PullProgress, Source
    from .registry.fetched import FetchedManifest
    from .rootfs.sandboxes import Sandboxes
    from .settings import Settings
    from .store.layout import Layout


_MEND_TIMEOUT = 600.0  # seconds


class Pins(Protocol):
    """What tags are pinned to; see `pytest_lxcontainer.lockfile`."""

    def pin(self, reference: Reference) -> Reference:
        """*reference* with the digest it is pinned to; raises where it must be pinned and is not."""

    def note(self, reference: ImageName, digest: Digest, *, local: bool = False) -> None:
        """Remember that the run used *reference*, which named the manifest or index *digest*.

        A *local* image was made here.
        """

    def warn(self, reference: ImageName, notice: str) -> None:
        """Remember a *notice* of the source of *reference*."""


Watch: TypeAlias = Callable[["PullProgress"], AbstractContextManager[object]]
"""Entered while something is fetched, and shows it."""


def is_there(image: Image) -> bool:
    """Whether the store still has its layers: what no run has claimed yet may be pruned."""
    return all(map(os.path.isdir, image.lower_dirs))


class Puller:
    """Finds images in the store, or brings them there; one pull of a process at a time."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        sandboxes: Sandboxes,
        *,
        pins: Pins,
        watch: Watch | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._sandboxes = sandboxes
        self._pins = pins
        self._watch = watch or nullcontext
        self._observer = observer
        self._blobs = BlobStore(layout)
        self._images = ImageStore(layout)
        self._layers = LayerStore(layout, sandboxes.discard)
        self._known: dict[tuple[ImageName, bool], Image] = {}
        self._pulling = threading.Lock()

    def pull(self, reference: ImageName, *, privileged: bool = False) -> Image:
        """The image that *reference* names, from the store or, as the pull policy has it, from its source."""
        with self._pulling:
            key = (reference, privileged)
            known = self._known.get(key)
            # A prune may have taken it before a container of this run claimed it.
            if known is None or not is_there(known):
                find = partial(self._mended_and_pinned, reference, privileged)
                self._known[key] = timed(self._observer, reference.familiar, "pull", find)
            return self._known[key]

    def close(self) -> None:
        """Have what was pulled a while ago written to disk, unless another process is pulling."""
        if is_due(self._layout):
            with suppress(StoreError), nobody_pulling(self._layout, 0):
                settle(self._layout)

    def forget(self, reference: ImageName) -> None:
        """Look at the store again when *reference* is asked for: it names another image now."""
        with self._pulling:
            for privileged in (False, True):
                self._known.pop((reference, privileged), None)

    def records(self) -> list[ImageRecord]:
        """What the store remembers of earlier pulls, the latest first."""
        return self._images.list()

    def _mended_and_pinned(self, reference: ImageName, privileged: bool) -> Image:
        self._mend()
        with pulling(self._layout):
            return self._pinned(reference, privileged)

    def _mend(self) -> None:
        if was_interrupted(self._layout):
            with nobody_pulling(self._layout, _MEND_TIMEOUT):
                mend(self._layout, self._blobs, self._layers)

    def _pinned(self, reference: ImageName, privileged: bool) -> Image:
        """The image, by the digest its tag is pinned to where there are pins, under the name that was asked for."""
        if not isinstance(reference, Reference):
            image = self._find_or_fetch(reference, privileged)
            self._pins.note(reference, image.digest)
            return image
        record = self._images.find_record(reference, self._settings.platform)
        if record is not None and record.local:
            # Nobody else has it: there is nothing to pin it for.
            image = self._find_or_fetch(reference, privileged)
            self._pins.note(reference, image.digest, local=True)
            return image
        pinned = self._pins.pin(reference)
        image = self._find_or_fetch(pinned, privileged)
        self._pins.note(reference, pinned.digest or self._resolved(pinned, image))
        return replace(image, reference=reference)

    def _resolved(self, reference: Reference, image: Image) -> Digest:
        """The digest that a tag led to: of the index, where there was one."""
        record = self._images.find_record(reference, self._settings.platform)
        return record.resolved if record else image.digest

    def _find_or_fetch(self, reference: ImageName, privileged: bool) -> Image:
        policy = self._settings.pull
        record = self._record(reference)
        # Looking at files takes no registry: whether they were changed is asked whatever the policy is.
        in_files = isinstance(reference, ArchiveReference)
        # What a digest names never changes, and what was made here nobody else knows, so nobody need be asked.
        if record and not in_files and (policy != "always" or reference.digest or record.local):
            image = self._from_store(reference, record, privileged)
            if image:
                return image
            if record.local:
                raise _damaged(reference, self._settings.store)
        if policy == "never" and not in_files:
            raise _not_cached(reference, self._settings.store)
        source = self._open_source(reference)
        try:
            if record and source.resolve(reference) == record.resolved:
                image = self._from_store(reference, record, privileged)
                if image:
                    return image
            return self._fetch(source, reference, privileged)
        finally:
            self._warn(reference, source)
            source.close()

    def _warn(self, reference: ImageName, source: Source[Any]) -> None:
        for notice in source.notices:
            self._pins.warn(reference, notice)

    def _record(self, reference: ImageName) -> ImageRecord | None:
        """What the store remembers of *reference*, or of another name that led to the same digest."""
        platform = self._settings.platform
        found = self._images.find_record(reference, platform)
        if found is None and reference.digest:
            for record in self._images.list():
                if record.platform == platform and reference.digest in (record.digest, record.resolved):
                    return record
        return found

    def _open_source(self, reference: ImageName) -> Source[Any]:
        if isinstance(reference, ArchiveReference):
            from .registry.archives.source import ArchiveSource

            return ArchiveSource()
        # Only who pulls pays for importing an HTTP client.
        from .registry.client import RegistryClient

        return RegistryClient(self._settings.mirrors)

    def _from_store(self, reference: ImageName, record: ImageRecord, privileged: bool) -> Image | None:
        """The image from what the store has, or ``None`` where a blob that is needed is missing or damaged."""
        try:
            manifest = parse_manifest(self._blobs.read(record.digest), None)
            if not isinstance(manifest, Manifest):
                return None
            config = ImageConfig.from_json(self._blobs.read(manifest.config.digest))
        except (StoreError, CorruptImageError, FileNotFoundError):
            return None
        image = Image(reference, record.digest, manifest.config.digest, config, manifest.size, ())
        lower_dirs = self._unpacked(config, privileged)
        self._images.touch(record)
        if lower_dirs is None and all(self._blobs.has(layer.digest) for layer in manifest.layers):
            mark(self._layout)
            lower_dirs = self._complete(_Nowhere(self._settings.store), reference, manifest, config, privileged)
        return None if lower_dirs is None else replace(image, lower_dirs=lower_dirs)

    def _unpacked(self, config: ImageConfig, privileged: bool) -> tuple[Path, ...] | None:
        """The layers' directories, base first, if all are there."""
        variant = self._sandboxes.idmap(privileged=privileged).variant
        found = [
            self._layers.find(diff_id, chain_id, variant)
            for diff_id, chain_id in zip(config.diff_ids, chain_ids(config.diff_ids), strict=True)
        ]
        lower_dirs = tuple(path for path in found if path is not None)
        return lower_dirs if len(lower_dirs) == len(found) else None

    def _fetch(self, source: Source[Any], reference: ImageName, privileged: bool) -> Image:
        """Fetch and unpack what the store lacks, and record the image once it is whole."""
        platform = self._settings.platform
        fetched = source.fetch_manifest(reference, platform)
        manifest = fetched.manifest
        mark(self._layout)
        self._blobs.keep(fetched.digest, len(fetched.data), [fetched.data])
        config = ImageConfig.from_json(self._config(source, reference, manifest))
        check_platform(config, platform)
        check_layers(config, manifest)
        lower_dirs = self._complete(source, reference, manifest, config, privileged)
        self._images.record(reference, platform, fetched.digest, index_digest=fetched.index_digest)
        return Image(reference, fetched.digest, manifest.config.digest, config, manifest.size, lower_dirs)

    def _config(self, source: Source[Any], reference: ImageName, manifest: Manifest) -> bytes:
        from .fetch import BlobFetcher, PullProgress

        fetcher = BlobFetcher(source, reference, self._blobs, PullProgress(reference))
        return fetcher.fetch(manifest.config).read_bytes()

    def _complete(
        self, source: Source[Any], reference: ImageName, manifest: Manifest, config: ImageConfig, privileged: bool
    ) -> tuple[Path, ...]:
        """The layers' directories, base first, after what is lacking was fetched and unpacked."""
        from .fetch import BlobFetcher, LayerFetcher, PullProgress

        progress = PullProgress(reference)
        blobs = BlobFetcher(source, reference, self._blobs, progress)
        layers = LayerFetcher(blobs, self._layers, self._sandboxes, privileged=privileged, observer=self._observer)
        with self._watch(progress):
            return layers.fetch(manifest, config, progress)


class _Nowhere:
    """The source of images whose blobs are all in the store."""

    notices: Sequence[str] = ()

    def __init__(self, store: Path) -> None:
        self._store = store

    def resolve(self, reference: ImageName) -> Digest:
        raise _not_cached(reference, self._store)

    def fetch_manifest(self, reference: ImageName, platform: Platform) -> FetchedManifest:
        raise _not_cached(reference, self._store)

    def open_blob(self, reference: ImageName, descriptor: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        raise _not_cached(reference, self._store)

    def close(self) -> None:
        pass


def _damaged(reference: ImageName, store: Path) -> ImageNotCachedError:
    return ImageNotCachedError(
        f"image {reference.familiar} was made here, and the store {store} has lost a part of it",
        hint="make it again, or forget it: lxcontainer rmi " + reference.familiar,
    )


def _not_cached(reference: ImageName, store: Path) -> ImageNotCachedError:
    return ImageNotCachedError(
        f"image {reference.familiar} is not in the store {store}",
        hint="pull it once, with --lxc-pull missing or: lxcontainer pull " + reference.familiar,
    )
