"""The source of images that are files: what `RegistryClient` is for registries."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import CorruptImageError
from ...image.archive import DIRECTORY, OCI, ArchiveReference
from ...image.digest import Digest, sha256_of
from ...image.manifest import Descriptor
from ...image.platform import Platform
from .files import reading
from .kinds import OCI_INDEX, SKOPEO_MANIFEST, check_kind, is_of_skopeo

if TYPE_CHECKING:
    from ..fetched import FetchedManifest
    from .contents import Contents

_UNSETTLED = 50_000_000
"""Nanoseconds in which a file may be written again without its times being others: the kernel's tick."""


class ArchiveSource:
    """Reads one image from files; safe to use from several threads once its manifest was fetched.

    Its methods take the same reference each time.
    """

    notices: Sequence[str] = ()
    """Files have none."""

    def __init__(self) -> None:
        self._contents: Contents | None = None

    def close(self) -> None:
        """Close the files."""
        if self._contents is not None:
            self._contents.close()
            self._contents = None

    def resolve(self, reference: ArchiveReference) -> Digest:
        """Return a digest of what tells whether the files were changed, without reading them: sizes, times, inodes."""
        with reading(reference.path):
            reference.path.stat()
            check_kind(reference)
            return _state(reference)

    def fetch_manifest(self, reference: ArchiveReference, platform: Platform) -> FetchedManifest:
        """Return the manifest for *platform*, verified, with the state of the files from which it was read.

        Raises `ImageSourceError` for files that are not there, cannot be read or are of another kind,
        `UnsupportedImageError` where the platform is not there, and `CorruptImageError` for what contradicts itself.
        """
        # Files that were not changed are not opened, nor what reads them loaded.
        from .opening import opened

        self.close()
        state = self.resolve(reference)
        with reading(reference.path):
            self._contents = contents = opened(reference)
            return replace(contents.fetch_manifest(platform), index_digest=state)

    @contextmanager
    def open_blob(self, reference: ArchiveReference, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a blob of the fetched manifest's image; whoever keeps them verifies their digest."""
        assert self._contents is not None, "no manifest was fetched"
        with self._contents.open_blob(descriptor) as chunks:
            yield _told(chunks, reference.path)


def _told(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    with reading(path):
        yield from chunks


def _state(reference: ArchiveReference) -> Digest:
    path = reference.path
    if reference.transport == OCI:
        path = path / OCI_INDEX
    elif reference.transport == DIRECTORY and not is_of_skopeo(path):
        from .tree import Tree

        tree = Tree(path)
        return _digest_of(tree.walk(), tree.latest)
    elif reference.transport == DIRECTORY:
        path = path / SKOPEO_MANIFEST
    if not path.exists():
        raise CorruptImageError(f"{reference.path} has no {path.name}")
    seen = path.stat()
    fields = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, str(reference))
    return _digest_of(repr(fields), seen.st_ctime_ns)


def _digest_of(state: str, latest: int) -> Digest:
    """A digest of *state*; what was changed a moment ago (*latest*) might be changed again and have the same state."""
    unsettled = os.urandom(16).hex() if time.time_ns() - latest < _UNSETTLED else ""
    return sha256_of((state + unsettled).encode())
