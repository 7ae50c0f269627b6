"""What ``skopeo copy ... dir:`` writes: a directory with one manifest, and blobs by the hex digits of their digests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import UnsupportedImageError
from ...image.digest import sha256_of
from ...image.manifest import MAX_MANIFEST_SIZE, Descriptor, Manifest, parse_manifest
from ...image.platform import Platform
from ..fetched import FetchedManifest
from .files import DirectoryFiles
from .kinds import SKOPEO_MANIFEST


class SkopeoDirectory:
    """The image in such a directory."""

    def __init__(self, files: DirectoryFiles) -> None:
        self._files = files

    def close(self) -> None:
        """Close the directory."""
        self._files.close()

    def fetch_manifest(self, platform: Platform) -> FetchedManifest:
        """Return the manifest; that it is for *platform*, its config has to tell."""
        with self._files.open(SKOPEO_MANIFEST) as piece:
            data = piece.read(MAX_MANIFEST_SIZE)
        manifest = parse_manifest(data, None)
        if not isinstance(manifest, Manifest):
            raise UnsupportedImageError(
                f"{self._files.path} holds an image for several platforms", hint="copy it to oci: instead"
            )
        return FetchedManifest(sha256_of(data), manifest, data)

    @contextmanager
    def open_blob(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a blob."""
        with self._files.open(descriptor.digest.hex) as piece:
            yield piece.chunks()
