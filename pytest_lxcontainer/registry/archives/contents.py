"""What all kinds of files that hold an image have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ...errors import CorruptImageError, DigestMismatchError
from ...image.digest import Digest, sha256_of
from ...image.manifest import Descriptor, Manifest
from ...image.platform import Platform
from ...image.written import manifest_document
from ..fetched import FetchedManifest
from .files import Piece


class Contents(Protocol):
    """One image in files that are open. Several threads may read its blobs."""

    def fetch_manifest(self, platform: Platform) -> FetchedManifest:
        """The manifest for *platform*, verified."""

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """The chunks of a blob; whoever keeps them verifies their digest."""

    def close(self) -> None:
        """Give back what is open."""


def read_verified(piece: Piece, digest: Digest, limit: int) -> bytes:
    """Return the bytes of *piece*, at most *limit*, or raise `DigestMismatchError` unless they are *digest*'s."""
    data = piece.read(limit)
    verifier = digest.verifier()
    verifier.update(data)
    if not verifier.matches:
        raise DigestMismatchError(
            f"{piece.name} is not what its digest says", expected=str(digest), actual=str(verifier.actual)
        )
    return data


def read_described(piece: Piece, descriptor: Descriptor, limit: int) -> bytes:
    """Return the bytes that *descriptor* describes, verified."""
    if piece.size != descriptor.size:
        raise CorruptImageError(
            f"{piece.name} has {piece.size} bytes, and its descriptor says {descriptor.size}",
            details=f"digest: {descriptor.digest}",
        )
    return read_verified(piece, descriptor.digest, limit)


def made_manifest(config: bytes, layers: Sequence[Descriptor]) -> FetchedManifest:
    """Return an OCI manifest for an image that comes without one."""
    described, data = manifest_document(config, layers)
    return FetchedManifest(sha256_of(data), Manifest(described, tuple(layers)), data)
