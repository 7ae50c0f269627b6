"""Exporting: images of the store go into files that other tools, and this one elsewhere, read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import InvalidReferenceError
from .image import ArchiveReference, Image, ImageConfig, Reference, parse_name
from .image.archive import DOCKER_ARCHIVE
from .registry.archives.outgoing import Outgoing, OutgoingLayer
from .registry.archives.writing import check, write
from .rootfs.compression import uncompressed
from .store.blobs import BlobStore
from .store.disk import disk_errors
from .store.lock import pulling

if TYPE_CHECKING:
    from .commit import Documents
    from .container.container import Container
    from .store.layout import Layout
    from .store.saved import SavedContainer, SavedTest

_CHUNK = 1024 * 1024

Source = Callable[["Image | Container"], "Documents"]
"""Gives the documents of something, all of whose layers' blobs are in the store then; see `Committer.documents`."""


def destination_of(text: str) -> ArchiveReference:
    """Where an image can be written to, or raise `InvalidReferenceError`."""
    parsed = parse_name(text)
    if not isinstance(parsed, ArchiveReference):
        raise InvalidReferenceError(
            f"{text!r} are no files", hint="write oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]"
        )
    check(parsed)
    if parsed.transport == DOCKER_ARCHIVE and parsed.tag is not None:
        _repository_tag(parsed.tag)
    return parsed


def export(
    layout: Layout, source: Source, images: Mapping[str, Image | Container], destination: ArchiveReference
) -> list[ArchiveReference]:
    """Write *images* to *destination*, and return what names each of them there.

    In a layout they have the keys of *images* as tags, in an archive for Docker the references that they have in the
    store; a container has its own name. Where there is one only, the destination's own tag, if it has one, is its name.
    Raises `ExportError`, `CorruptImageError`, `StoreError`.
    """
    blobs = _StoredBlobs(BlobStore(layout))
    with pulling(layout):
        going = []
        for tag, each in images.items():
            found = source(each)
            layers = tuple(OutgoingLayer(layer.descriptor, layer.diff_id) for layer in found.layers)
            platform = ImageConfig.from_json(found.config).platform
            name = _name(tag, each, destination, alone=len(images) == 1)
            going.append(Outgoing(found.manifest, found.config, layers, platform, name))
        write(destination, going, blobs)
    return [replace(destination, tag=each.name) for each in going]


def of_saved(saved: SavedTest, destination: ArchiveReference) -> Sequence[SavedContainer]:
    """Which containers of *saved* go to *destination*: the one that its tag names, else all of them.

    Of a test with one container only, the tag may be any; `ContainerNotFoundError` otherwise.
    """
    if destination.tag is None or len(saved.containers) == 1:
        return saved.containers
    return [saved.container(destination.tag)]


def tag_of(image: Image) -> str:
    """What an image is called in a layout that has no other word for it."""
    return image.reference.tag or "latest"


def _name(tag: str, image: Image | Container, destination: ArchiveReference, *, alone: bool) -> str | None:
    own = destination.tag if alone else None
    if destination.transport != DOCKER_ARCHIVE:
        return own or tag
    if own:
        return _repository_tag(own)
    if not isinstance(image, Image):
        return f"localhost/{tag}:latest"
    reference = image.reference
    if not isinstance(reference, Reference) or not reference.tag:
        return None
    return replace(reference, digest=None).familiar


def _repository_tag(text: str) -> str:
    """A name as Docker gives it to what it loads."""
    reference = Reference.parse(text)
    if reference.digest:
        raise InvalidReferenceError(f"{text!r}: what is loaded gets a name without a digest")
    return reference.familiar


class _StoredBlobs:
    """Layers out of the store; who writes them verifies their digests."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @contextmanager
    def open(self, layer: OutgoingLayer) -> Iterator[Iterator[bytes]]:
        """The chunks of a layer's blob."""
        with self._opened(layer) as fd:
            yield _chunks(fd)

    @contextmanager
    def open_plain(self, layer: OutgoingLayer) -> Iterator[Iterator[bytes]]:
        """The same, uncompressed."""
        with self._opened(layer) as fd:
            yield uncompressed(fd)

    @contextmanager
    def _opened(self, layer: OutgoingLayer) -> Iterator[int]:
        path = self._blobs.path(layer.descriptor.digest)
        with disk_errors("read a blob", path):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)


def _chunks(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, _CHUNK):
        yield chunk
