"""Fetching: one image on its way from its source into the store.

Three things go on at once: blobs are downloaded, several at a time; layers whose blobs are there are unpacked, two at
a time; and within each of these, inflating goes on beside writing. A layer needs the ones below it only where it refers
to them, which few do; it then waits for them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .container.timing import timed
from .image import Descriptor, Digest, ImageConfig, ImageName, Manifest, Platform, chain_ids

if TYPE_CHECKING:
    from .container.timing import Observer
    from .registry.fetched import FetchedManifest
    from .rootfs.sandbox import Sandbox
    from .rootfs.sandboxes import Sandboxes
    from .store.blobs import BlobStore
    from .store.layers import LayerStore

DOWNLOADS = 3
"""Blobs fetched at a time: what Docker does, and registries expect."""

UNPACKERS = 2
"""Layers unpacked at a time. Each keeps up to two processors busy, and takes some 25 MiB."""


_Name = TypeVar("_Name", contravariant=True)


class Source(Protocol[_Name]):
    """Where images come from: a registry, or files of this host. Safe to use from several threads."""

    @property
    def notices(self) -> Sequence[str]:
        """What it had to say beside its answers that people should know."""

    def resolve(self, reference: _Name) -> Digest:
        """The digest of the manifest or index that *reference* names now, or of the state its files are in."""

    def fetch_manifest(self, reference: _Name, platform: Platform) -> FetchedManifest:
        """The manifest for *platform*, verified."""

    def open_blob(self, reference: _Name, descriptor: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """The chunks of a blob; whoever keeps them verifies their digest."""

    def close(self) -> None:
        """Give back what is open."""


@dataclass
class PullProgress:
    """How far the pull of *reference* is; other threads write it, and it may be read at any time.

    Bytes are those of blobs as transferred, without what the store already had.
    """

    reference: ImageName
    bytes_total: int = 0
    bytes_done: int = 0
    layers_total: int = 0
    layers_done: int = 0


class Cancelled(Exception):
    """The fetch failed elsewhere; nobody waits for this part of it any more."""


class BlobFetcher:
    """Brings blobs of *reference* from *source* into the store, each once, whoever else wants it."""

    def __init__(self, source: Source[Any], reference: ImageName, blobs: BlobStore, progress: PullProgress) -> None:
        self._source = source
        self._reference = reference
        self._blobs = blobs
        self._progress = progress
        self._cancelled = False

    def cancel(self) -> None:
        """Let what is under way end with `Cancelled` at its next step."""
        self._cancelled = True

    def check(self) -> None:
        """Raise `Cancelled` once `cancel` was called."""
        if self._cancelled:
            raise Cancelled

    def fetch(self, descriptor: Descriptor) -> Path:
        """Return the blob's path, after it was transferred if the store did not have it."""
        with self._blobs.locked(descriptor.digest):
            if self._blobs.has(descriptor.digest):
                self._progress.bytes_done += descriptor.size
                return self._blobs.path(descriptor.digest)
            with self._source.open_blob(self._reference, descriptor) as chunks:
                return self._blobs.keep(descriptor.digest, descriptor.size, self._counted(chunks))

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.check()
            self._progress.bytes_done += len(chunk)
            yield chunk


class Layer:
    """One layer on its way: downloaded, then unpacked onto those below it."""

    def __init__(self, diff_id: Digest, chain_id: Digest, descriptor: Descriptor, below: Sequence[Layer]) -> None:
        self.diff_id = diff_id
        self.chain_id = chain_id
        self.descriptor = descriptor
        self.begun = threading.Event()
        """Set once its lock was held: locks are taken base first, so that no two pulls can wait for one another."""
        self.blob: Future[Path] = Future()
        self.path: Future[Path] = Future()
        self._below = below

    def lower_dirs(self) -> list[Path]:
        """The directories of the layers below it, base first, as soon as they are there."""
        return [layer.path.result() for layer in self._below]

    def await_turn(self) -> None:
        """Wait until the layer below has had its lock."""
        if self._below:
            self._below[-1].begun.wait()


class LayerFetcher:
    """Brings the layers of one image into the store."""

    def __init__(
        self,
        blobs: BlobFetcher,
        layers: LayerStore,
        sandboxes: Sandboxes,
        *,
        privileged: bool,
        observer: Observer | None = None,
    ) -> None:
        self._blobs = blobs
        self._observer = observer
        self._layers = layers
        self._sandboxes = sandboxes
        self._privileged = privileged
        self._variant = sandboxes.idmap(privileged=privileged).variant

    def fetch(self, manifest: Manifest, config: ImageConfig, progress: PullProgress) -> tuple[Path, ...]:
        """Return the layers' directories, base first; the first error ends all that goes on."""
        layers = _layers_of(manifest, config)
        lacking = [layer for layer in layers if not self._has(layer)]
        progress.layers_total = len(lacking)
        progress.bytes_total = sum(layer.descriptor.size for layer in lacking)
        sandboxes = self._sandboxes.several(UNPACKERS if len(lacking) > 1 else 1, privileged=self._privileged)
        downloads = ThreadPoolExecutor(DOWNLOADS, "lxcontainer-download")
        unpackers = ThreadPoolExecutor(len(sandboxes), "lxcontainer-unpack")
        free: SimpleQueue[Sandbox] = SimpleQueue()
        for sandbox in sandboxes:
            free.put(sandbox)
        with downloads, unpackers:
            try:
                for layer in lacking:
                    layer.blob = downloads.submit(self._blobs.fetch, layer.descriptor)
                for layer in lacking:
                    layer.path = unpackers.submit(self._unpack, layer, free, progress)
                _await_all(lacking)
            except BaseException:
                self._blobs.cancel()
                for pool in (downloads, unpackers):
                    pool.shutdown(wait=False, cancel_futures=True)
                for sandbox in sandboxes:
                    sandbox.interrupt()
                raise
        return tuple(layer.path.result() for layer in layers)

    def _has(self, layer: Layer) -> bool:
        path = self._layers.find(layer.diff_id, layer.chain_id, self._variant)
        if path is not None:
            layer.begun.set()
            layer.path.set_result(path)
        return path is not None

    def _unpack(self, layer: Layer, free: SimpleQueue[Sandbox], progress: PullProgress) -> Path:
        sandbox = free.get()

        def fill(target: Path) -> bool:
            layer.begun.set()
            blob = layer.blob.result()
            self._blobs.check()
            unpack = partial(sandbox.unpack, blob, target, diff_id=layer.diff_id, lower_dirs=layer.lower_dirs)
            return timed(self._observer, progress.reference.familiar, "unpack", unpack).self_contained

        try:
            sandbox.start()
            layer.await_turn()
            path = self._layers.commit(layer.diff_id, layer.chain_id, self._variant, fill)
            progress.layers_done += 1
            return path
        finally:
            layer.begun.set()
            free.put(sandbox)


def _layers_of(manifest: Manifest, config: ImageConfig) -> list[Layer]:
    layers: list[Layer] = []
    for diff_id, chain_id, descriptor in zip(config.diff_ids, chain_ids(config.diff_ids), manifest.layers, strict=True):
        layers.append(Layer(diff_id, chain_id, descriptor, tuple(layers)))
    return layers


def _await_all(layers: list[Layer]) -> None:
    """Wait for the end of all, or raise the first error."""
    futures = [future for layer in layers for future in (layer.blob, layer.path)]
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        if future in done:
            future.result()
