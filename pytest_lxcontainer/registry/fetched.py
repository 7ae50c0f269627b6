"""What a source of images gives first: the manifest for one platform."""

from __future__ import annotations

from dataclasses import dataclass

from ..image.digest import Digest
from ..image.manifest import Manifest


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """One platform's manifest: *data* are its exact bytes, *digest* theirs.

    *index_digest* is what the source resolves the name to, where that is not *digest*: a registry's index, or the
    state of files.
    """

    digest: Digest
    manifest: Manifest
    data: bytes
    index_digest: Digest | None = None
